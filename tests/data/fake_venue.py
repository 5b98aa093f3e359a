"""A provider that a test scripts: its tape is a list in memory."""
from __future__ import annotations

from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import numpy as np
import trio

from piker.clock import NS_PER_S, ManualClock, VenueClock
from piker.data.bars import BAR_DTYPE
from piker.data.ticks import Kind, Side, TickColumns
from piker.errors import VenueDown
from piker.instruments import Instrument

# a whole minute, twelve hours into a day
T0 = 1_700_049_600 * NS_PER_S // (60 * NS_PER_S) * 60 * NS_PER_S

NAME = 'btcusdt.fake'
COLUMNS = ('i8', 'i8', 'u1', 'i1', 'f8', 'f8', 'i8', 'i8')


def left(prefix):
    """The segments there are whose names begin so."""
    return sorted(p.name for p in Path('/dev/shm').glob(f'{prefix}*'))


def instrument(name='btcusdt'):
    return Instrument(
        id=f'{name}.fake', raw_symbol=name.upper(), base='B', quote='Q',
        tick_size=Decimal('0.01'), lot_size=Decimal('0.001'),
    )


def after(k):
    """A time when no test's history reaches."""
    return T0 + 90 * NS_PER_S + k * NS_PER_S // 10


def trade(id_, t_ns, price=100.0, size=1.0, count=1):
    return (t_ns, t_ns + 5, int(Kind.TRADE), int(Side.BUY), price, size,
            id_, count)


def quote(update, bid, ask, t_ns=T0):
    return [
        (t_ns, t_ns + 5, int(Kind.BID), 0, bid, 1.0, update, 0),
        (t_ns, t_ns + 5, int(Kind.ASK), 0, ask, 2.0, update, 0),
    ]


def columns(rows):
    """``rows`` as columns; `OverflowError` where one cannot hold them."""
    return TickColumns(*(
        np.array(column, dtype)
        for column, dtype in zip(zip(*rows, strict=True), COLUMNS, strict=True)
    ))


class Wall(ManualClock):
    """Goes with trio's clock, and on when told."""

    def now_ns(self):
        return super().now_ns() + round(trio.current_time() * NS_PER_S)


class FakeVenue:
    """Satisfies `Backend`; what is on the tape is what it has."""

    name = 'fake'

    def __init__(self, now_ns=T0 + 90 * NS_PER_S):
        self.wall = Wall(now_ns)
        self.clock = VenueClock(self.wall)
        self.tape = []
        self.book = (99.0, 1.0, 101.0, 2.0)
        self.subscriptions = []
        self.subscribed = 0
        self.fail = None  # raised by every request
        self.linked = True  # whether a subscription comes up
        self.page = 1000
        self.asked = []
        self.hidden = set()  # ids that no request gives

    def _answer(self, what):
        self.asked.append(what)
        if self.fail:
            raise self.fail

    async def instruments(self):
        return {n: instrument(n) for n in ('btcusdt', 'ethusdt', 'qqq')}

    async def bars(
        self, instrument, period_s, start_ns, end_ns, *, background=False
    ):
        await trio.lowlevel.checkpoint()
        self._answer('bars')
        period_ns = period_s * NS_PER_S
        now = self.clock.now_ns()
        rows = {}
        for t_ns, _, _, _, price, size, _, count in self.tape:
            at = t_ns // period_ns * period_ns
            if not start_ns <= at < min(end_ns, now):
                continue
            old = rows.get(at)
            if old is None:
                rows[at] = [price, price, price, price, size, price, count]
            else:
                old[1], old[2] = max(old[1], price), min(old[2], price)
                old[3] = price
                old[4] += size
                old[6] += count
        return np.array(
            [(at, *row) for at, row in sorted(rows.items())][-1000:],
            BAR_DTYPE,
        )

    async def trades_since(self, instrument, *, time_ns=None, after_id=None):
        await trio.lowlevel.checkpoint()
        self._answer('trades')
        found = [
            row for row in self.tape
            if row[6] not in self.hidden
            and (after_id is None or row[6] > after_id)
            and (time_ns is None or row[0] >= time_ns)
        ]
        return found[:self.page]

    async def top(self, instrument):
        await trio.lowlevel.checkpoint()
        self._answer('top')
        return self.book

    @asynccontextmanager
    async def subscribe(self, instrument, subscription):
        self.subscribed += 1
        self.subscriptions.append(subscription)
        if self.linked:
            subscription.link_up()
        try:
            yield
        finally:
            self.subscriptions.remove(subscription)

    def status(self):
        return {}

    # what a test does with it

    def trade(self, *args, send=True, **kwargs):
        """A trade on the tape, and on the stream unless it gets lost."""
        row = trade(*args, **kwargs)
        self.tape.append(row)
        if send:
            self.send([row])
        return row

    def send(self, rows):
        for subscription in self.subscriptions:
            subscription.rows(rows)

    def down(self):
        for subscription in self.subscriptions:
            subscription.link_down('cut by the test')

    def up(self):
        for subscription in self.subscriptions:
            subscription.link_up()


def down():
    return VenueDown('the fake is out')
