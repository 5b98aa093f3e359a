"""
A venue in memory and the clocks around it, for the soak of a week.
"""
from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import trio

from piker.clock import NS_PER_MS, NS_PER_S, VenueClock
from piker.data.bars import BAR_DTYPE
from piker.data.ticks import TICK_DTYPE, Kind, TickColumns

from .week_tape import TICK, Tape

# 2025-07-31T23:00, a Thursday: midnight is an hour off, a week-end a day.
START_NS = 1_754_002_800 * NS_PER_S
# From here on a provider hands over columns rather than rows.
_MANY = 16
_COLUMN_TYPES = {'count': 'i8'}


@dataclass
class Clocks:
    """All in ns UTC; ``slept_s`` is what trio's clock has not seen."""

    slept_s: float = 0.0
    leap_s: float = 0.0

    def true(self) -> float:
        """Seconds since the start."""
        return trio.current_time() + self.slept_s

    def venue(self) -> int:
        t = self.true()
        # 15 ppm, and a second smeared over each fourth day
        smear = min(max((t % (4 * 86400)) / 86400 - 1, 0.0), 1.0)
        return START_NS + round((t + 15e-6 * t - smear) * NS_PER_S)

    def steady(self) -> int:
        t = self.true()
        return START_NS + round((t - 20e-6 * t + 0.35) * NS_PER_S)

    def wall(self) -> int:
        return START_NS + round((self.true() + self.leap_s) * NS_PER_S)


class Told:
    """A clock that a function tells."""

    def __init__(self, now_ns: Any) -> None:
        self.now_ns = now_ns


class Venue:
    """Satisfies `Backend`, from a tape."""

    name = 'week'

    def __init__(self, tape: Tape, clocks: Clocks, base: Any) -> None:
        self.tape = tape
        self.clocks = clocks
        self.clock = VenueClock(base)
        self.base = base
        self.subscription: Any = None
        self.fetched = 0
        self._order = np.maximum.accumulate(tape.time)

    def sync(self) -> None:
        """Read the venue's clock, over a line that is slower one way."""
        sent = self.base.now_ns() - 30 * NS_PER_MS
        self.clock.sync(
            self.clocks.venue() - 5 * NS_PER_MS, sent, self.base.now_ns()
        )

    @property
    def listed(self) -> int:
        """How many trades the venue has had: none overtakes another."""
        return int(np.searchsorted(self._order, self.clocks.venue(), 'right'))

    async def bars(
        self, instrument: Any, period_s: int, start_ns: int, end_ns: int, *,
        background: bool = False,
    ) -> Any:
        await trio.sleep(0.02)
        period_ns = period_s * NS_PER_S
        start_ns = max(start_ns, end_ns - 1000 * period_ns)
        found = self.tape.bars(
            period_ns, start_ns, min(end_ns, self.clocks.venue())
        )
        rows = np.zeros(len(found), BAR_DTYPE)
        rows['time'] = found['index'].to_numpy() * period_ns
        for name in ('open', 'high', 'low', 'close', 'trades'):
            rows[name] = found[name].to_numpy()
        rows['volume'] = found['lots'].to_numpy() / 1000
        rows['vwap'] = found['turnover'].to_numpy() / rows['volume']
        return rows

    async def trades_since(
        self, instrument: Any, *, time_ns: int | None = None,
        after_id: int | None = None,
    ) -> Any:
        await trio.sleep(0.02)
        stop = self.listed
        if after_id is None:
            first = np.flatnonzero(self.tape.time[:stop] >= time_ns)
            after_id = int(first[0]) - 1 if len(first) else stop
        ids = range(after_id + 1, min(stop, after_id + 1001))
        self.fetched += len(ids)
        return [self.tape.row(id_, self.clocks.wall()) for id_ in ids]

    async def top(self, instrument: Any) -> tuple[float, ...]:
        await trio.sleep(0.02)
        return 49999.0, 1.0, 50001.0, 1.0

    @asynccontextmanager
    async def subscribe(
        self, instrument: Any, subscription: Any
    ) -> AsyncGenerator[None, None]:
        self.subscription = subscription
        subscription.link_up()
        yield


class Stream:
    """
    The connection: what the venue tells while it is up.

    Trades arrive 10 to 300 ms after they were made, several at once, some
    twice; whatever falls due while it is down, never.
    """

    def __init__(self, venue: Venue, dice: random.Random) -> None:
        self.venue = venue
        self.dice = dice
        self.up = True
        self.next = venue.listed
        self.updates = 0

    async def run(self) -> None:
        venue, tape = self.venue, self.venue.tape
        while True:
            await trio.sleep(self.dice.uniform(0.01, 0.3))
            if self.next < len(tape):
                # asleep until there is something to tell
                wait = int(tape.time[self.next]) - venue.clocks.venue()
                if wait > 0:
                    await trio.sleep(min(wait / NS_PER_S, 1.0))
            stop = venue.listed
            ids, self.next = range(self.next, stop), max(self.next, stop)
            if not self.up:
                continue
            self._tell(ids)

    def _tell(self, ids: range) -> None:
        venue = self.venue
        now, recv = venue.clocks.venue(), venue.clocks.wall()
        venue.subscription.link_alive()
        if not ids:
            return
        venue.clock.observe(now - 10 * NS_PER_MS)
        rows = [venue.tape.row(id_, recv) for id_ in ids]
        if self.dice.random() < 0.01:
            rows += rows[-3:]
        self.updates += 1
        price = rows[-1][4]
        for kind, away in ((Kind.BID, -TICK), (Kind.ASK, TICK)):
            rows.append(
                (now, recv, int(kind), 0, price + away, 1.0, self.updates, 0)
            )
        if len(rows) < _MANY:
            venue.subscription.rows(rows)
            return
        venue.subscription.columns(TickColumns(*(
            np.array(column, _COLUMN_TYPES.get(name, TICK_DTYPE[name]))
            for name, column in zip(
                TICK_DTYPE.names or (), zip(*rows, strict=True), strict=True
            )
        )))

    async def cut(self, seconds: float) -> None:
        """Lose the connection for a while."""
        self.up = False
        self.venue.subscription.link_down('cut')
        await trio.sleep(seconds)
        self.venue.subscription.link_up()
        self.up = True
