"""
A week of bars on a virtual clock: rollover, midnight, clocks that leap.

The real feed, intake, sampler and bars run under trio's autojump clock
against a venue in memory (`week_venue`); nothing goes over sockets.  What
was read is compared with a group-by of the venue's tape (`week_tape`).
"""
from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import trio
from trio.testing import MockClock

from piker.clock import NS_PER_S
from piker.data import live
from piker.data.bars import Bars, BarWriter
from piker.data.live import LiveFeed
from piker.data.sampling import Sampler
from piker.data.source import BarSource
from piker.data.ticks import TickReader
from piker.data.wake import WakerHub
from piker.instruments import Instrument

from .common import Options, say, show
from .soak_tools import Limits
from .week_reader import BarReader, TickFollower, compare
from .week_tape import LOT, TICK, make_tape
from .week_venue import START_NS, Clocks, Stream, Told, Venue

_BEFORE_S = 3 * 3600
_HOUR_S = 3600
# Small, so that the ring turns and the buffers grow many times.
_RING, _BARS, _BACK = 1 << 10, 1 << 7, 1 << 6
_LOOK_S = 0.5
_SYNC_S = 600.0
_DRAIN_S = 10.0
# How far the newest bar may be from the venue's clock, and for how long the
# feed may not be live, while the venue can be heard.
_OFF_S, _NOT_LIVE_S = 1.0, 10.0
_MOST_GROWTH_MB = 16.0
_INSTRUMENT = Instrument(
    id='market.week', raw_symbol='MARKET', base='B', quote='Q',
    tick_size=Decimal(str(TICK)), lot_size=Decimal(str(LOT)),
)


class Week:
    """
    So many seconds of it; ``failed`` lists what was not as it should be.

    ``base`` names the clock that the venue's is told by: with ``wall`` it is
    seen what leaps of the machine's clock would do.
    """

    def __init__(self, seconds: int, seed: int, base: str = 'steady') -> None:
        self.seconds = seconds
        self.dice = random.Random(seed)
        self.clocks = Clocks()
        self.failed: list[str] = []
        self.tape = make_tape(
            seed, START_NS - _BEFORE_S * NS_PER_S, seconds + _BEFORE_S
        )
        clock = Told(getattr(self.clocks, base))
        self.venue = Venue(self.tape, self.clocks, clock)
        self.steps: dict[int, int] = {}
        self.volumes = 0
        # of each hour: when in s, own memory in MB, objects
        self.memory: list[tuple[float, float, int]] = []

    async def run(self) -> dict[str, Any]:
        """Live through it; returns figures."""
        prefix = f'pw{os.getpid()}-{time.monotonic_ns()}-'
        hub = WakerHub(prefix)
        self.venue.sync()
        self.stream = Stream(self.venue, self.dice)
        self.sampler = Sampler(self.venue.clock)
        self.feed = LiveFeed(
            _INSTRUMENT, BarSource(self.venue), prefix=prefix, hub=hub,
            sampler=self.sampler, clock=Told(self.clocks.wall),
            history={1: 2000, 60: 100}, ring=_RING, stale_after_s=5.0,
        )
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.sampler.run)
                nursery.start_soon(self._sync)
                nursery.start_soon(self.feed.run)
                await self.feed.ready.wait()
                found = await self._live()
                nursery.cancel_scope.cancel()
        finally:
            hub.unlink()
        left = [p.name for p in Path('/dev/shm').glob(f'{prefix}*')]
        if left:
            self.failed.append(f'left behind: {left}')
        return found

    async def _sync(self) -> None:
        while True:
            await trio.sleep(_SYNC_S)
            self.venue.sync()

    async def _live(self) -> dict[str, Any]:
        self.always = BarReader(self.feed, self.failed)
        self.hourly = BarReader(self.feed, self.failed)
        self.ticks = TickFollower(self.feed, self.clocks, self.failed)
        hour = 0.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.stream.run)
            nursery.start_soon(self._follow_steps)
            nursery.start_soon(self._happen)
            while self.clocks.true() < self.seconds + _DRAIN_S:
                await trio.sleep(_LOOK_S)
                self.always.look()
                self.ticks.look()
                if self.clocks.true() - hour >= _HOUR_S:
                    hour = self.clocks.true()
                    self._each_hour()
            self._each_hour()
            nursery.cancel_scope.cancel()
        return self._judge()

    async def _follow_steps(self) -> None:
        """The sampler's steps must rise."""
        with self.sampler.followed() as steps:
            async for step in steps:
                for period_s, index in step.items():
                    if index <= self.steps.get(period_s, 0):
                        self.failed.append(f'step {index} of {period_s} s')
                    self.steps[period_s] = index

    async def _happen(self) -> None:
        """What befalls clocks and connection, one after the other."""
        clocks = self.clocks
        turn = self.seconds / 9
        short = min(1200.0, turn / 3)

        async def cut(seconds: float) -> None:
            self._calm_after(seconds + 5)
            await self.stream.cut(seconds)

        async def leap(seconds: float) -> None:
            clocks.leap_s = seconds
            await trio.sleep(short)
            clocks.leap_s = 0.0

        async def sleep(seconds: float) -> None:
            # the process sees nothing of it but that it is later
            clocks.slept_s += seconds
            await cut(1.0)

        for at, (what, seconds) in enumerate((
            (cut, 3.0), (leap, 3600.0), (leap, -60.0), (cut, short),
            (leap, -3600.0), (sleep, short), (leap, 7200.0), (cut, 0.2),
        ), 1):
            await trio.sleep(at * turn - clocks.true())
            say(
                f'{clocks.true() / _HOUR_S:.1f} h: {what.__name__} '
                f'{seconds:.0f} s; {self.ticks.trades:,} trades'
            )
            await what(seconds)

    def _calm_after(self, seconds: float) -> None:
        self.ticks.calm_at = trio.current_time() + seconds

    def _each_hour(self) -> None:
        """Somebody attaches anew, and must see the same as who stayed."""
        self.hourly.attach()
        self.hourly.look()
        for period_s, bars in self.hourly.bars.items():
            low = bars.next - 2 * _HOUR_S // period_s
            mine = self.always.bars[period_s].read(low)
            if (mine != bars.read(low)).any():
                self.failed.append(f'{period_s} s bars look different anew')
        quote = TickReader.attach(self.feed.info().ticks).quote()
        last = self.ticks.last_id
        if last >= 0:
            self.volumes += 1
            want = self.tape.day_lots(last) / 1000
            newest = float(self.tape.price[last])
            if (quote.volume, quote.last) != (want, newest):
                self.failed.append(f'{quote} after trade {last}, not {want}')
        self.memory.append((
            self.clocks.true(), own_memory_mb(), sys.getallocatedblocks()
        ))

    def _judge(self) -> dict[str, Any]:
        ticks, failed = self.ticks, self.failed
        counters = ticks.ticks.counters
        figures: dict[str, Any] = {
            'trades on the tape': len(self.tape),
            'trades seen live': ticks.trades,
            'ring turned, times': ticks.ticks.written / _RING,
        }
        if ticks.last_id != len(self.tape) - 1:
            failed.append(f'the last trade seen is {ticks.last_id}')
        for period_s, bars in self.always.bars.items():
            figures |= self._judge_bars(period_s, bars)
        figures |= {
            'newest bar behind s, most': ticks.behind_s,
            'newest bar ahead s, most': ticks.ahead_s,
            'not live though heard s': ticks.not_live * _LOOK_S,
            'day volumes compared': self.volumes,
            **{f'counter {k}': v for k, v in counters.items() if v},
        }
        if max(ticks.behind_s, ticks.ahead_s) > _OFF_S:
            failed.append('the newest bar was not that of the time')
        if ticks.not_live * _LOOK_S > _NOT_LIVE_S:
            failed.append('the feed was not live though it was heard')
        failed += [
            f'{counters[k]} {k}' for k in ('missed', 'refused', 'resets')
            if counters[k]
        ]
        early, end = self.memory[len(self.memory) // 10], self.memory[-1]
        figures |= {
            'own memory MB, early': early[1], 'own memory MB, end': end[1],
            'objects, early': early[2], 'objects, end': end[2],
        }
        if end[1] - early[1] > _MOST_GROWTH_MB:
            failed.append(f'memory grew from {early[1]:.0f} to {end[1]:.0f}')
        return figures

    def _judge_bars(self, period_s: int, bars: Bars) -> dict[str, Any]:
        high = self.clocks.venue() // bars.period_ns
        for reader in (self.always, self.hourly):
            if reader.seen[period_s] < high:
                self.failed.append(f'{period_s} s bars were not all seen')
        traded, wrong = compare(self.tape, bars, bars.first, high)
        self.failed += [f'{period_s} s: {text}' for text in wrong[:5]]
        return {
            f'{period_s} s bars': high - bars.first,
            f'{period_s} s bars with trades': traded,
            f'{period_s} s bars wrong': len(wrong),
            f'{period_s} s buffer moved, times': self.always.moves[period_s],
        }


def own_memory_mb() -> float:
    """Of this process alone, without files and shared memory."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith('RssAnon:'):
            return int(line.split()[1]) / 1024
    return 0.0


@contextmanager
def small_buffers() -> Iterator[None]:
    """Have bars begin in a few pages, so that they must move."""
    small = partial(BarWriter, capacity=_BARS, back=_BACK)
    with patch.object(live, 'BarWriter', small):
        yield


def live_through(week: Week) -> dict[str, Any]:
    """Run one as fast as it goes; returns figures."""
    with small_buffers():
        found: dict[str, Any] = trio.run(
            week.run, clock=MockClock(autojump_threshold=0)
        )
    return found


def run_week(options: Options, limits: Limits) -> dict[str, Any]:
    limits.days = limits.days or options.pick(0.1, 1.0, 7.0)
    week = Week(round(limits.days * 24 * _HOUR_S), limits.seed)
    began = time.process_time()
    figures = live_through(week)
    figures['CPU s'] = time.process_time() - began
    show(f'{limits.days:g} days', ('what', 'figure'), list(figures.items()))
    return {'failed': week.failed, 'figures': figures, 'memory': week.memory}
