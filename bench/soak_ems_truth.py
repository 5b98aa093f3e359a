"""
Our orders, fills, positions and balances, and the venue's own: to the digit.

Everything is compared as it is written down in three places: the journal
(replayed into a core that has never run), what a client sees, and the venue's
books.  Nothing here knows what has happened in between.
"""
from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from piker.clearing.core import Core
from piker.clearing.journal import JournalReader
from piker.clearing.records import kind_of
from piker.config import AccountSettings

from .soak_ems_client import ACCOUNT, read_log

Row = dict[str, Any]

_ZERO = Decimal(0)
_STATES = {
    'filled': {'FILLED'}, 'cancelled': {'CANCELED'},
    'expired': {'EXPIRED', 'EXPIRED_IN_MATCH'},
}
_TYPES = {
    'LIMIT': 'limit', 'LIMIT_MAKER': 'limit', 'MARKET': 'market',
    'STOP_LOSS': 'stop', 'STOP_LOSS_LIMIT': 'stop',
    'TAKE_PROFIT': 'take-profit', 'TAKE_PROFIT_LIMIT': 'take-profit',
}
_GONE = {'lost', 'rejected'}
_MOST_TOLD = 8


class Compared:
    """How many of each were compared, and what was wrong."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.bad: Counter[str] = Counter()
        self.wrong: list[str] = []

    def same(self, what: str, name: object, ours: Any, theirs: Any) -> None:
        """Compare ``ours`` with ``theirs``."""
        self.check(what, ours == theirs,
                   f'{name}: {ours!r}, and not {theirs!r}')

    def check(self, what: str, right: bool, text: str) -> None:
        self.counts[what] += 1
        if not right:
            self.bad[what] += 1
            if self.bad[what] <= _MOST_TOLD:
                self.wrong.append(f'{what}: {text}')

    def rows(self) -> list[list[Any]]:
        return [[what, count, self.bad[what]]
                for what, count in self.counts.items()]


def _number(text: object) -> Decimal | None:
    """``None`` for none, which the venue writes as 0."""
    return Decimal(str(text)) or None if text is not None else None


class Books:
    """What the journal says, replayed, beside what the venue says."""

    def __init__(self, journal: Path) -> None:
        self.core = Core({
            'paper': AccountSettings(),
            ACCOUNT: AccountSettings(provider='sim'),
        })
        self.kinds: Counter[str] = Counter()
        self.cids: Counter[str] = Counter()
        self.accepted: dict[str, Row] = {}
        with JournalReader(journal) as reader:
            for entry in reader.entries():
                record = entry.record
                self.core.apply(record)
                kind = kind_of(record)
                self.kinds[kind] += 1
                body = msgspec.to_builtins(record)
                if kind == 'sent':
                    self.cids[body['cid']] += 1
                elif kind == 'accepted':
                    self.accepted[body['oid']] = body['request']
        self.dialogs = [d for d in self.core.dump()['dialogs']
                        if d['account'] == ACCOUNT]
        self.unclaimed = self.core.dump()['unclaimed']


def compare_orders(
    found: Compared, books: Books, venue: Row, placed: Mapping[str, int]
) -> None:
    """Every order by its cid, on both sides; ``placed``: as seen arriving."""
    there: dict[str, list[Row]] = defaultdict(list)
    for row in venue['orders']:
        there[row['clientOrderId']].append(row)
    ours: set[str] = set()
    for dialog in books.dialogs:
        oid = dialog['original']['oid']
        found.check('not made here', not dialog['foreign'],
                    f'{oid} was taken for somebody else’s')
        for placement in dialog['placements']:
            cid, name = placement['cid'], f'{oid} {placement["cid"]}'
            ours.add(cid)
            rows = there.get(cid, [])
            wanted = 0 if placement['state'] in _GONE else 1
            found.check(
                'orders by cid', len(rows) == wanted,
                f'{name} is {placement["state"]} ({placement["reason"]}), '
                f'and {len(rows)} times at the venue',
            )
            if len(rows) == wanted == 1:
                _compare_order(found, name, dialog, placement, rows[0])
    for cid in there:
        found.check('of the venue, ours', cid in ours,
                    f'{cid} is at the venue and none of ours')
    for cid, count in books.cids.items():
        found.check('journalled once', count == 1, f'{cid}: {count} times')
    for cid, count in placed.items():
        found.check('placed once', count == 1 and books.cids[cid] == 1,
                    f'{cid}: asked for {count} times')


def _compare_order(
    found: Compared, name: str, dialog: Row, placement: Row, row: Row
) -> None:
    order = placement['order']
    found.check(
        'states', row['status'] in _STATES.get(placement['state'], ()),
        f'{name} is {placement["state"]}, at the venue {row["status"]}',
    )
    found.same('venue ids', name, placement['venue_id'], str(row['orderId']))
    found.same(
        'terms', name,
        (order['symbol'], order['side'], Decimal(order['size']),
         _number(order['price']), _number(order['stop']),
         _number(order['display']), order['type']),
        (f'{row["symbol"].lower()}.sim', row['side'].lower(),
         Decimal(row['origQty']), _number(row['price']),
         _number(row['stopPrice']), _number(row['icebergQty']),
         _TYPES[row['type']]),
    )
    filled = Decimal(row['executedQty'])
    found.same('filled', name, Decimal(placement['filled']), filled)
    found.same('fills known', name, Decimal(placement['known']), filled)


def compare_fills(
    found: Compared, books: Books, venue: Row, seen: Iterable[Row]
) -> None:
    """Every fill by its trade: whose, price, size, fee, and on which side."""
    names = {p['venue_id']: d['original']['oid']
             for d in books.dialogs for p in d['placements'] if p['venue_id']}
    there = {
        (row['symbol'], str(row['id'])): (
            names.get(str(row['orderId'])), 'buy' if row['isBuyer'] else
            'sell', Decimal(row['price']), Decimal(row['qty']),
            Decimal(row['commission']), row['commissionAsset'].lower(),
        )
        for row in venue['fills']
    }
    found.check('trades are told apart', len(there) == len(venue['fills']),
                f'{len(there)} of {len(venue["fills"])}')
    ours = {_trade(fill): _fill(fill) for fill in map(
        msgspec.to_builtins, books.core.fills(ACCOUNT))}
    for key, fill in ours.items():
        found.same('fills', key, fill, there.get(key))
    for key in there.keys() - ours.keys():
        found.check('fills', False, f'{key}: {there[key]} is missing')
    for fill in seen:
        found.same('fills a client sees', _trade(fill), _fill(fill),
                   there.get(_trade(fill)))
    found.same('fills without an order', 'count', len(books.unclaimed), 0)


def _trade(fill: Row) -> tuple[str, str]:
    return fill['symbol'].partition('.')[0].upper(), fill['trade_id']


def _fill(fill: Row) -> tuple[Any, ...]:
    return (fill['oid'], fill['side'], Decimal(fill['price']),
            Decimal(fill['size']), Decimal(fill['fee']), fill['fee_asset'])


def compare_money(
    found: Compared, books: Books, venue: Row, before: Row, live: Row
) -> None:
    """Positions and fees from the venue's fills, and balances."""
    sizes: dict[str, Decimal] = defaultdict(Decimal)
    cash: dict[str, Decimal] = defaultdict(Decimal)
    fees: dict[str, dict[str, Decimal]] = defaultdict(dict)
    moved: dict[str, Decimal] = defaultdict(Decimal)
    quotes = {i.raw_symbol: i for i in _instruments(books.core)}
    for row in venue['fills']:
        symbol = f'{row["symbol"].lower()}.sim'
        sign = 1 if row['isBuyer'] else -1
        size, worth = Decimal(row['qty']), Decimal(row['quoteQty'])
        fee, asset = Decimal(row['commission']), row['commissionAsset']
        sizes[symbol] += sign * size
        # what the venue pays of it is cut to eight places: see balances
        cash[symbol] -= sign * size * Decimal(row['price'])
        so_far = fees[symbol].get(asset.lower(), _ZERO)
        fees[symbol][asset.lower()] = so_far + fee
        instrument = quotes[row['symbol']]
        moved[instrument.base.lower()] += sign * size
        moved[instrument.quote.lower()] -= sign * worth
        moved[asset.lower()] -= fee
    for view in live['positions']:
        symbol = view['symbol']
        found.same('positions', symbol, Decimal(view['size']), sizes[symbol])
        found.same(
            'fees', symbol, {a: Decimal(f) for a, f in view['fees'].items()},
            {a: f for a, f in fees[symbol].items() if f},
        )
        marked = not (sizes[symbol] and view['stale'])
        found.check('priced', marked, f'{symbol} is held without a price')
        if not marked:
            continue
        found.same(
            'profit and loss', symbol,
            Decimal(view['realised']) + Decimal(view['unrealised']),
            cash[symbol] + sizes[symbol] * Decimal(view['mark']),
        )
    found.same('positions', 'symbols', {v['symbol'] for v in
                                        live['positions']}, set(sizes))
    replayed = {a: (b.free, b.locked)
                for a, b in books.core.balances(ACCOUNT).items()}
    seen = {a: (Decimal(b['free']), Decimal(b.get('locked', '0')))
            for a, b in live['balances'].items()}
    there = {a.lower(): (Decimal(b['free']), Decimal(b['locked']))
             for a, b in venue['balances'].items()}
    for asset, balance in there.items():
        found.same('balances', asset, seen.get(asset), balance)
        found.same('balances replayed', asset, replayed.get(asset), balance)
        was = before['balances'][asset.upper()]
        was_total = Decimal(was['free']) + Decimal(was['locked'])
        found.same('balances from fills', asset, sum(balance),
                   was_total + moved[asset])
        found.same('nothing locked', asset, balance[1], _ZERO)
    found.same('balances', 'assets', set(seen), set(there))


def _instruments(core: Core) -> list[Any]:
    from piker.instruments import Instrument

    return [
        msgspec.convert(value, Instrument, strict=False)
        for value in core.dump()['instruments'].values()
    ]


def compare_dialogs(
    found: Compared, books: Books, live: Row, logs: Iterable[Path]
) -> None:
    """Each is over, as replayed as live, and there if it was asked for."""
    views = live['views']
    for dialog in books.dialogs:
        oid = dialog['original']['oid']
        replayed = books.core.dialog(ACCOUNT, oid)
        size, filled = replayed.request.size, replayed.filled
        found.check('over', replayed.status.final and not replayed.in_doubt,
                    f'{oid} is {replayed.status}')
        found.check(
            'closed if filled', (replayed.status == 'closed')
            == (filled >= size), f'{oid}: {replayed.status}, {filled}/{size}',
        )
        found.same('as live', oid, msgspec.to_builtins(replayed),
                   views.get(oid))
        found.check('whole filled once', filled <= max(
            size, Decimal(dialog['asked'])), f'{oid}: {filled}/{size}')
    for view in live['views']:
        found.check('as live', view in books.accepted, f'{view}: invented')
    for path in logs:
        _compare_log(found, books, path, views)


def _compare_log(
    found: Compared, books: Books, path: Path, views: Row
) -> None:
    ops, answers = read_log(path)
    asked: dict[str, Row] = {}
    taken: set[str] = set()
    open_: set[str] = set()
    for n, op in ops.items():
        answer = answers.get(n, {}).get('answer')
        found.check('answered', answer is not None, f'{path.stem} {n}')
        for request in op.get('requests', ()):
            asked[request['oid']] = request
            if answer == 'ok':
                taken.add(request['oid'])
            elif answer is None:
                open_.add(request['oid'])
    for oid, request in asked.items():
        there = books.accepted.get(oid)
        if oid in taken:
            found.check('acknowledged', there is not None and oid in views,
                        f'{oid} was acknowledged and is not there')
        elif oid not in open_:
            found.check('refused', there is None,
                        f'{oid} was refused and is there')
        if there is not None:
            found.same('as asked for', oid, {k: there.get(k)
                                             for k in request}, request)
    for oid in books.accepted:
        if oid.rpartition('-')[0] == path.stem:
            found.check('asked for', oid in asked, f'{oid}: by nobody')
