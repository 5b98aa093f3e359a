"""
Fills as double-entry bookkeeping, in the text format of Beancount.

https://beancount.github.io/docs/beancount_language_syntax.html

A fill is a transaction that sums to zero to the last digit.  What it opens is
a lot at its price, dated and labelled with the trade's id; what it closes are
the oldest lots, each at its own cost, and the difference to what they brought
is the profit.  So profit is told by the first in, first out, and not by the
average price as `positions` does: the two agree on a position that is closed.
A fill that goes through zero is two transactions.  Short positions are lots
of negative size.

Fees come off the account's cash, those in a base currency too: cash then
shows as owed what the venue has taken from the lots.
"""
from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import NamedTuple

import msgspec

from ..clock import NS_PER_S, format_ns
from ..errors import DataError
from ..orders import Fill
from .money import EXACT, plain
from .positions import day_of

__all__ = ['commodity', 'to_beancount']

_ZERO = Decimal(0)
_COMMODITY = re.compile(r"[A-Z][A-Z0-9'._-]{0,22}[A-Z0-9]\Z")
_NOT_IN_COMMODITY = re.compile(r'[^A-Z0-9]')
_WORDS = frozenset({'TRUE', 'FALSE', 'NULL'})  # have a meaning of their own


class _Lot(msgspec.Struct):
    """``size`` is signed; ``label`` the trade that opened it."""

    size: Decimal
    price: Decimal
    day: str
    label: str


class _Pair(NamedTuple):
    base: str
    quote: str


def commodity(asset: str) -> str:
    """
    An asset as Beancount writes commodities.

    Those begin with a letter and have 2 to 24 characters of a few kinds; for
    other names there is ``X-`` and the same name as far as it will go.
    """
    name = asset.upper()
    if _COMMODITY.match(name) and name not in _WORDS:
        return name
    spelt = _NOT_IN_COMMODITY.sub(lambda m: f'{ord(m[0]):X}', name)
    return f'X-{spelt}'[:24]


class _Writer:
    """Directives by and by; ``opened`` and ``traded`` go before them."""

    def __init__(self, currencies: dict[str, tuple[str, str]]) -> None:
        self._currencies = currencies
        self._lots: dict[tuple[str, str], deque[_Lot]] = {}
        self.opened: dict[str, str] = {}  # account → day
        self.traded: dict[str, str] = {}  # asset → day
        self.lines: list[str] = []

    def pair(self, symbol: str) -> _Pair:
        base, quote = self._currencies.get(symbol, ('', ''))
        if not base or not quote:
            raise DataError(
                f'{symbol}: its base and quote currency are not in the '
                'journal, so its fills cannot be booked; name the others '
                'with --symbol'
            )
        return _Pair(base, quote)

    def lots(self, fill: Fill) -> deque[_Lot]:
        return self._lots.setdefault((fill.account, fill.symbol), deque())

    def close(self, fill: Fill) -> Iterator[tuple[_Lot, Decimal]]:
        """Take from the lots what a fill closes: (lot, signed size)."""
        lots = self.lots(fill)
        left = fill.size
        while left and lots and lots[0].size * fill.side.sign < 0:
            lot = lots[0]
            out = min(left, abs(lot.size)) * fill.side.sign
            yield lot, out
            left -= abs(out)
            lot.size += out
            if not lot.size:
                lots.popleft()

    def open(self, fill: Fill, size: Decimal) -> _Lot:
        lot = _Lot(
            size * fill.side.sign, fill.price, _day(fill.time_ns),
            fill.trade_id,
        )
        self.lots(fill).append(lot)
        return lot

    def skip(self, fill: Fill) -> None:
        """A fill from before what is exported: only its lots count."""
        closed = sum((abs(out) for _, out in self.close(fill)), _ZERO)
        if closed < fill.size:
            self.open(fill, fill.size - closed)

    def carry(self, day: str) -> None:
        """Begin with the lots there are, against equity."""
        for (account, symbol), lots in self._lots.items():
            if not lots:
                continue
            pair = self.pair(symbol)
            cost = sum((lot.size * lot.price for lot in lots), _ZERO)
            self._begin(day, account, f'{symbol} as it was', [])
            held = _account('Assets', account, symbol)
            for lot in lots:
                self._held(day, held, lot, lot.size, pair)
            self._post(
                day, _account('Equity', account, 'Opening'), -cost,
                pair.quote,
            )

    def add(self, fill: Fill) -> None:
        """The transactions of a fill."""
        pair = self.pair(fill.symbol)
        day = _day(fill.time_ns)
        held = _account('Assets', fill.account, fill.symbol)
        cash = _account('Assets', fill.account, 'Cash')
        closing = list(self.close(fill))
        closed = sum((abs(out) for _, out in closing), _ZERO)
        if closing:
            self._begin_fill(fill, day, closed)
            gain = _ZERO
            for lot, out in closing:
                self._held(day, held, lot, out, pair, fill.price)
                gain -= out * (fill.price - lot.price)
            sold = -fill.side.sign * closed * fill.price
            self._post(day, cash, sold, pair.quote)
            income = _account('Income', fill.account, fill.symbol)
            self._post(day, income, -gain, pair.quote)
            self._fee(day, cash, fill)
        if closed < fill.size:
            opened = fill.size - closed
            self._begin_fill(fill, day, opened)
            lot = self.open(fill, opened)
            self._held(day, held, lot, lot.size, pair)
            self._post(day, cash, -lot.size * fill.price, pair.quote)
            if not closing:
                self._fee(day, cash, fill)

    def _begin_fill(self, fill: Fill, day: str, size: Decimal) -> None:
        self._begin(
            day, fill.account,
            f'{fill.side} {_number(size)} {fill.symbol} at '
            f'{_number(fill.price)}',
            [
                ('time', _time(fill.time_ns)), ('trade', fill.trade_id),
                ('order', fill.oid),
            ],
        )

    def _begin(
        self, day: str, payee: str, text: str, notes: list[tuple[str, str]]
    ) -> None:
        self.lines += [
            '', f'{day} * {_quoted(payee)} {_quoted(text)}',
            *(f'  {key}: {_quoted(value)}' for key, value in notes if value),
        ]

    def _held(
        self, day: str, account: str, lot: _Lot, size: Decimal, pair: _Pair,
        price: Decimal | None = None,
    ) -> None:
        self._use(day, account, pair.base)
        self._use(day, account, pair.quote)
        quote = commodity(pair.quote)
        at = '' if price is None else f' @ {_number(price)} {quote}'
        self.lines.append(
            f'  {account}  {_number(size)} {commodity(pair.base)} '
            f'{{{_number(lot.price)} {quote}, {lot.day}, '
            f'{_quoted(lot.label)}}}{at}'
        )

    def _fee(self, day: str, cash: str, fill: Fill) -> None:
        if fill.fee:
            fees = _account('Expenses', fill.account, 'Fees')
            self._post(day, fees, fill.fee, fill.fee_asset)
            self._post(day, cash, -fill.fee, fill.fee_asset)

    def _post(
        self, day: str, account: str, amount: Decimal, asset: str
    ) -> None:
        if amount:
            self._use(day, account, asset)
            self.lines.append(
                f'  {account}  {_number(amount)} {commodity(asset)}'
            )

    def _use(self, day: str, account: str, asset: str) -> None:
        self.opened.setdefault(account, day)
        self.traded.setdefault(asset.lower(), day)


def to_beancount(
    fills: Iterable[Fill],
    currencies: dict[str, tuple[str, str]],
    since_ns: int = 0,
) -> str:
    """
    Fills as a file of Beancount's.

    ``currencies`` has base and quote by symbol; `DataError` for a symbol that
    it lacks.  Fills before ``since_ns`` are carried forward as the lots that
    they left.  Transactions are by day, those of a day in the order given;
    accounts are ``Assets:Piker:<Account>:<Symbol>`` and ``…:Cash``, likewise
    under ``Income`` and ``Expenses``.
    """
    writer = _Writer(currencies)
    found = sorted(fills, key=lambda fill: day_of(fill.time_ns))
    wanted = [fill for fill in found if fill.time_ns >= since_ns]
    with localcontext(EXACT):
        for fill in found:
            if fill.time_ns < since_ns:
                writer.skip(fill)
        if since_ns:
            writer.carry(_day(since_ns))
        for fill in wanted:
            writer.add(fill)
    return '\n'.join([
        '; Written by piker.  Deposits and what an account began with are',
        '; not in it: cash begins at 0.',
        '',
        *(
            line for asset, day in sorted(writer.traded.items())
            for line in (
                f'{day} commodity {commodity(asset)}',
                f'  name: {_quoted(asset)}',
            )
        ),
        '',
        *(f'{day} open {name}' for name, day in sorted(
            writer.opened.items()
        )),
        *writer.lines,
    ]) + '\n'


def _account(root: str, account: str, part: str) -> str:
    name = account.replace('_', '-').capitalize()
    if '.' in part:
        part = re.sub('[._]', '-', part).upper()
    return f'{root}:Piker:{name}:{part}'


def _day(time_ns: int) -> str:
    return format_ns(time_ns)[:10]


def _time(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, NS_PER_S)
    stamp = datetime.fromtimestamp(seconds, UTC)
    return f'{stamp:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z'


def _number(value: Decimal) -> str:
    return f'{plain(value):f}'


def _quoted(text: str) -> str:
    return '"' + text.replace('\\', '\\\\').replace('"', '\\"') + '"'
