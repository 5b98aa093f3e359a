"""
A small venue that misbehaves, and a desk between it and a core.

`Venue` keeps orders and trades, honestly; `World` carries commands and
reports between it and the core, and loses, delays, doubles and reorders them,
lets the gateway die and the core start anew from its records.
"""
from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

from clearing_runs import BTC, ETH, run_of

from piker.clearing import records as rec
from piker.clearing.core import Core
from piker.config import AccountSettings
from piker.errors import BadInput
from piker.gateway import (
    Abilities,
    AccountReport,
    Answer,
    CancelOrder,
    FillReport,
    LinkReport,
    OrderReport,
    Outcome,
    PlaceOco,
    PlaceOrder,
    QueryOrder,
    ReplaceOrder,
    Snapshot,
    VenueStatus,
)
from piker.orders import (
    Balance,
    OrderChange,
    OrderRequest,
    OrderSide,
    OrderType,
)

ACCOUNTS = {'sim': AccountSettings(provider='sim')}
NATIVE = Abilities(
    types=frozenset({OrderType.LIMIT, OrderType.MARKET, OrderType.STOP}),
    oco=True,
)
PLAIN = Abilities(
    types=frozenset({OrderType.LIMIT, OrderType.MARKET}), replace=False,
)
LISTED = {BTC.id: BTC, ETH.id: ETH}
BEGUN = rec.Begun(time_ns=0, tag='test')
MS = 1_000_000
S = 1_000_000_000


@dataclass
class Order:
    """An order at the venue, with all that a report of it says."""

    place: PlaceOrder
    venue_id: str
    status: VenueStatus = VenueStatus.OPEN
    filled: Decimal = Decimal(0)
    pair: str = ''

    @property
    def left(self):
        return self.place.size - self.filled


@dataclass
class Venue:
    orders: dict[str, Order] = field(default_factory=dict)
    trades: list[FillReport] = field(default_factory=list)
    placed: Counter = field(default_factory=Counter)
    refuses: bool = False
    now_ns: int = 0
    _count: int = 0

    def report(self, order):
        p = order.place
        return OrderReport(
            cid=p.cid, venue_id=order.venue_id, symbol=p.symbol, side=p.side,
            size=p.size, filled=order.filled, type=p.type,
            status=order.status, price=p.price, stop=p.stop, tif=p.tif,
            time_ns=self.now_ns,
        )

    def clock(self, now_ns):
        self.now_ns = max(self.now_ns, now_ns)

    def balances(self):
        self.now_ns += 1  # no two of them at the same time
        usdt = Decimal(1_000_000)
        others = {'btc': Decimal(1000)}
        for t in self.trades:
            base = LISTED[t.symbol].base
            others.setdefault(base, Decimal(0))
            others[base] += t.size * t.side.sign
            usdt -= t.size * t.price * t.side.sign + t.fee
        return AccountReport(
            balances={
                asset: Balance(total)
                for asset, total in {'usdt': usdt, **others}.items()
            },
            whole=True, time_ns=self.now_ns,
        )

    def place(self, place, pair=''):
        self.placed[place.cid] += 1
        self._count += 1
        order = Order(place, str(self._count), pair=pair)
        self.orders[place.cid] = order
        if place.type is OrderType.MARKET:
            self.fill(order, place.size)
        return order

    def fill(self, order, size):
        self._count += 1
        price = order.place.price or Decimal(100)
        trade = FillReport(
            cid=order.place.cid, venue_id=order.venue_id,
            symbol=order.place.symbol, side=order.place.side,
            trade_id=str(self._count), price=price, size=size,
            fee=size * price / 1000, fee_asset='usdt', time_ns=self.now_ns,
        )
        self.trades.append(trade)
        order.filled += size
        if not order.left:
            order.status = VenueStatus.FILLED
        other = self.orders.get(order.pair)
        if other and other.status is VenueStatus.OPEN:
            other.status = VenueStatus.EXPIRED
        return trade

    def fills_of(self, order):
        return [t for t in self.trades if t.venue_id == order.venue_id]

    def find(self, command):
        for order in self.orders.values():
            if command.venue_id and order.venue_id == command.venue_id:
                return order
        return self.orders.get(command.cid)

    def take(self, command):
        """Carry a command out; returns reports and how it went."""
        match command:
            case PlaceOrder():
                if self.refuses:
                    return [], Outcome.REFUSED
                order = self.place(command)
                return [*self.fills_of(order), self.report(order)], 'done'
            case PlaceOco(above=above, below=below):
                if self.refuses:
                    return [], Outcome.REFUSED
                orders = [
                    self.place(above, below.cid), self.place(below, above.cid)
                ]
                return [self.report(o) for o in orders], 'done'
            case CancelOrder():
                order = self.find(command)
                if order is None or order.status is not VenueStatus.OPEN:
                    return [], Outcome.UNKNOWN
                return self.cancel(order), 'done'
            case ReplaceOrder():
                order = self.find(command)
                if (
                    self.refuses or order is None or order.filled
                    or order.status is not VenueStatus.OPEN
                ):
                    return [], Outcome.REFUSED
                gone = self.cancel(order)
                return [*gone, self.report(self.place(command.order))], 'done'
            case QueryOrder():
                order = self.find(command)
                if order is None:
                    return [], Outcome.UNKNOWN
                return [self.report(order), *self.fills_of(order)], 'done'
            case Snapshot():
                if not LISTED.keys() >= set(command.symbols):
                    return [], Outcome.UNSENT
                return self.snapshot(command), 'done'

    def cancel(self, order):
        gone = [order]
        other = self.orders.get(order.pair)
        if other and other.status is VenueStatus.OPEN:
            gone.append(other)
        for one in gone:
            one.status = VenueStatus.CANCELLED
        return [self.report(one) for one in gone]

    def snapshot(self, command):
        found = [
            self.report(o) for o in self.orders.values()
            if o.status is VenueStatus.OPEN
        ]
        for trade in self.trades:
            since = command.since.get(trade.symbol)
            if trade.symbol in command.symbols and (
                int(trade.trade_id) > int(since) if since
                else trade.time_ns >= command.since_ns
            ):
                found.append(trade)
        return [*found, self.balances()]


class World:
    """A core, its records, a gateway and the venue; all by one clock."""

    def __init__(self, abilities=NATIVE, accounts=ACCOUNTS):
        self.abilities = abilities
        self.accounts = accounts
        self.venue = Venue()
        self.now_ns = S
        self.records = [BEGUN]
        self.sent = []  # commands on their way, in order
        self.stream = []  # what the venue tells of its own accord
        self.answers = []  # runs of messages that end in an answer
        self.ups = 0
        self.crashed = False
        self.core = self._replayed()

    def _replayed(self):
        core = Core(self.accounts)
        for record in self.records:
            core.apply(rec.decode(rec.encode(record)))
        core.add_instrument(BTC)
        return core

    # what an emsd does with effects

    def do(self, effects, crash=''):
        """Journal and send; ``crash`` before the commit or after it."""
        if crash == 'before':
            self.restart()
            return
        self.records += effects.records
        effects.complete()
        if crash:
            self.restart()
            return
        self.sent += [command for _, command in effects.commands]

    def restart(self):
        """emsd dies and starts anew; the gateway goes with it."""
        self.lose_gateway(tell=False)
        self.core = self._replayed()

    def lose_gateway(self, rng=None, tell=True):
        rng = rng or random.Random(self.now_ns)
        # Of what was under way, some gets to the venue.
        for command in self.sent:
            if rng.random() < 0.5:
                self.venue.take(command)
        self.sent, self.stream, self.answers = [], [], []
        self.up = False
        if tell:
            self.do(self.core.gateway_lost('sim', self.now_ns))

    up = False

    def gateway(self):
        if not self.up:
            self.up = True
            self.do(self.core.gateway_up('sim', self.abilities, self.now_ns))

    # the venue's side

    def carry(self, how='', which=0):
        """Have a command taken, or lost, or its answer lost."""
        if not self.sent:
            return
        at = which % len(self.sent)
        if not isinstance(self.sent[at], QueryOrder | Snapshot):
            at = 0  # what changes something goes in order
        command = self.sent.pop(at)
        if how == 'unsent':
            said, outcome = [], Outcome.UNSENT
        elif how == 'lost':
            said, outcome = [], Outcome.DOUBT
        else:
            self.venue.clock(self.now_ns)
            said, outcome = self.venue.take(command)
            if outcome == 'done':
                outcome = Outcome.DONE
                if not isinstance(command, QueryOrder | Snapshot):
                    self.stream += [*said, self.venue.balances()]
            if how == 'doubt':
                said, outcome = [], Outcome.DOUBT
        answer = Answer(ref=command.ref, outcome=outcome, reason='so')
        self.answers.append([*said, answer])

    def hear(self, rng, twice=False):
        """Deliver some of what the venue said, in any order."""
        messages = []
        rng.shuffle(self.stream)
        many = rng.randint(0, len(self.stream))
        messages += self.stream[:many]
        del self.stream[:many]
        if self.answers and rng.random() < 0.8:
            messages += self.answers.pop(rng.randrange(len(self.answers)))
        if twice:
            messages += [m for m in messages if not isinstance(m, Answer)]
        if messages and self.up:
            self.do(self.core.on_messages('sim', messages, self.now_ns))

    def trade(self, rng):
        """Somebody trades against one of the orders at the venue."""
        self.venue.clock(self.now_ns)
        orders = [
            o for o in self.venue.orders.values()
            if o.status is VenueStatus.OPEN
        ]
        if not orders:
            return
        order = rng.choice(orders)
        lots = int(order.left / BTC.lot_size)
        size = rng.choice([order.left, BTC.lot_size * rng.randint(1, lots)])
        trade = self.venue.fill(order, size)
        told = [trade, self.venue.report(order), self.venue.balances()]
        if order.pair:
            told.append(self.venue.report(self.venue.orders[order.pair]))
        if self.up:
            self.stream += told

    def by_hand(self, rng):
        """Somebody places an order at the venue without us."""
        self.venue.clock(self.now_ns)
        order = self.venue.place(PlaceOrder(
            ref=0, cid=f'hand{len(self.venue.orders)}',
            symbol=rng.choice([BTC.id, BTC.id, ETH.id]),
            side=rng.choice(list(OrderSide)), size=Decimal(2),
            type=rng.choice([OrderType.LIMIT, OrderType.MARKET]),
            price=Decimal(90),
        ))
        if self.up:
            self.stream += [
                *self.venue.fills_of(order), self.venue.report(order),
                self.venue.balances(),
            ]

    def cut(self):
        """The stream breaks: what it had to tell is lost."""
        self.stream = []
        if self.up:
            self.do(self.core.on_messages(
                'sim', [LinkReport(up=False), LinkReport(up=True)],
                self.now_ns,
            ))

    # the clients' side

    def submit(self, *requests, crash=''):
        try:
            effects = self.core.submit('test', requests, self.now_ns)
        except BadInput:
            return False
        self.do(effects, crash)
        return True

    def cancel(self, oid, crash=''):
        self.do(self.core.cancel('test', 'sim', oid, self.now_ns), crash)

    def change(self, oid, crash='', **values):
        try:
            effects = self.core.change(
                'test', OrderChange(oid=oid, account='sim', **values),
                self.now_ns,
            )
        except BadInput:
            return
        self.do(effects, crash)

    def tick(self, price, crash=''):
        self.do(self.core.on_ticks(
            BTC.id, run_of([price], start_ns=self.now_ns), self.now_ns,
        ), crash)

    def wait(self, ns):
        self.now_ns += ns
        self.do(self.core.on_time(self.now_ns))

    def calm(self, rng):
        """For a moment everything arrives, in order."""
        self.venue.refuses = False
        self.gateway()
        while self.sent or self.stream or self.answers:
            self.carry()
            self.hear(rng)

    # the end

    def settle(self):
        """No faults any more: let everything come to rest."""
        rng = random.Random(1)
        for _ in range(400):
            self.calm(rng)
            deadline = self.core.deadline_ns()
            if deadline is None:
                return
            self.wait(max(0, deadline - self.now_ns))
        raise AssertionError('it does not come to rest')

    def check(self):
        """Ours is the venue's, and the records are all of it."""
        core, venue = self.core, self.venue
        assert core.dump() == self._replayed().dump()
        assert core.ready('sim')
        for dialog in core.dialogs():
            assert not dialog.in_doubt, dialog
            if not dialog.status.final:
                assert not dialog.cancelling, dialog
                assert not dialog.changing, dialog
                assert dialog.status in {'open', 'dark', 'held'}, dialog
        ours = {
            (f.trade_id, f.side, f.price, f.size, f.fee)
            for f in core.fills()
        }
        theirs = {
            (t.trade_id, t.side, t.price, t.size, t.fee)
            for t in venue.trades
        }
        assert ours == theirs
        assert len(core.fills()) == len(venue.trades)
        assert all(f.oid for f in core.fills())
        size = sum((t.size * t.side.sign for t in venue.trades), Decimal(0))
        held = core.positions('sim')
        assert sum(p.size for p in held) == size
        self.check_orders()
        assert core.balances('sim') == venue.balances().balances

    def check_orders(self):
        assert all(count == 1 for count in self.venue.placed.values())
        open_here = {
            v.venue_id: v.left for v in self.core.dialogs(open_only=True)
            if v.status == 'open'
        }
        open_there = {
            o.venue_id: o.left for o in self.venue.orders.values()
            if o.status is VenueStatus.OPEN
        }
        assert open_here == open_there
        filled = Counter()
        for fill in self.core.fills():
            filled[fill.oid] += fill.size
        for view in self.core.dialogs():
            assert view.filled == filled[view.request.oid]
            assert view.filled <= view.request.size or view.foreign
        self.check_groups()

    def check_groups(self):
        """Never more was dealt than one order of a group was for."""
        filled, most = Counter(), Counter()
        sizes = rec.Accepted | rec.ChangeWanted | rec.Amended
        for view in self.core.dialogs():
            if oco := view.request.oco:
                filled[oco] += view.filled
                most[oco] = max(most[oco], view.request.size, *(
                    r.request.size for r in self.records
                    if isinstance(r, sizes) and r.oid == view.request.oid
                ))
        assert all(filled[oco] <= most[oco] for oco in filled)


def random_request(rng, oid, **given):
    """An order of any type, in lots that fills can split."""
    side = rng.choice(list(OrderSide))
    kind = rng.choice([
        OrderType.LIMIT, OrderType.LIMIT, OrderType.MARKET, OrderType.STOP,
        OrderType.TAKE_PROFIT, OrderType.TRAILING_STOP, OrderType.THROUGH,
    ])
    if given.get('oco') and kind is OrderType.MARKET:
        kind = OrderType.LIMIT
    stops = {OrderType.STOP, OrderType.TAKE_PROFIT, OrderType.THROUGH}
    limit = kind is OrderType.LIMIT
    priced = limit or (kind is not OrderType.MARKET and rng.random() < 0.3)
    values = {
        'oid': oid, 'symbol': BTC.id, 'account': 'sim', 'side': side,
        'type': kind, 'size': Decimal(rng.randint(1, 5)),
        'price': Decimal(rng.randint(90, 110)) if priced else None,
        'stop': Decimal(rng.randint(90, 110)) if kind in stops else None,
        'trail': (
            Decimal(rng.randint(1, 5))
            if kind is OrderType.TRAILING_STOP else None
        ),
        'dark': limit and rng.random() < 0.2,
    }
    return OrderRequest(**values | given)


def limit_request(oid='a', **given):
    """A buy of 10 at 100."""
    values = {
        'symbol': BTC.id, 'account': 'sim', 'side': OrderSide.BUY,
        'size': Decimal(10), 'type': OrderType.LIMIT, 'price': Decimal(100),
    }
    return OrderRequest(oid=oid, **values | given)
