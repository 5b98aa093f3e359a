"""
Whoever reads the memory of the week, and what must be true of it.
"""
from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import trio

from piker.clock import NS_PER_S
from piker.data.bars import Bars
from piker.data.live import LiveFeed
from piker.data.ticks import FeedState, Kind, TickReader

from .week_tape import Tape
from .week_venue import Clocks

_OHLC = ('open', 'high', 'low', 'close')


class BarReader:
    """
    Reads every bar once: each must come, in order, wherever it is kept.

    `attach` maps the buffers, for the first time or anew; `look` takes what
    came since the last look, between which the writer may do anything.
    """

    def __init__(self, feed: LiveFeed, failed: list[str]) -> None:
        self.feed = feed
        self.failed = failed
        self.bars: dict[int, Bars] = {}
        self.seen: dict[int, int] = {}
        self.moves: Counter[int] = Counter()
        self.attach()

    def attach(self) -> None:
        for period_s, name in self.feed.info().bars.items():
            self.bars[period_s] = Bars.attach(name)
            self.seen.setdefault(period_s, self.bars[period_s].next)

    def look(self) -> None:
        for period_s, bars in self.bars.items():
            name = bars.segment_name
            index = bars.read(self.seen[period_s])['time'] // bars.period_ns
            want = np.arange(len(index)) + self.seen[period_s]
            if (index != want).any():
                self.failed.append(f'{period_s} s bars skipped: {index}')
            self.seen[period_s] += len(index)
            self.moves[period_s] += bars.segment_name != name


class TickFollower:
    """Reads every trade once, and looks how the feed is meanwhile."""

    def __init__(
        self, feed: LiveFeed, clocks: Clocks, failed: list[str]
    ) -> None:
        self.ticks = TickReader.attach(feed.info().ticks, from_start=True)
        self.bars = Bars.attach(feed.info().bars[1])
        self.clocks = clocks
        self.failed = failed
        self.trades = 0
        self.last_id = -1
        self.behind_s = self.ahead_s = 0.0
        self.not_live = 0
        # Until then the venue cannot be heard, or was not a moment ago.
        self.calm_at = trio.current_time() + 2

    def look(self) -> None:
        while (run := self.ticks.read()) is not None:
            if run.missed:
                self.failed.append(f'lapped by {run.missed}')
            ids = run.id[run.kind == Kind.TRADE]
            if not len(ids):
                continue
            first = ids[0] if self.last_id < 0 else self.last_id + 1
            if (ids != np.arange(first, first + len(ids))).any():
                self.failed.append(f'{ids} follow {self.last_id}')
            self.last_id = int(ids[-1])
            self.trades += len(ids)
        if trio.current_time() > self.calm_at:
            self._judge()

    def _judge(self) -> None:
        """By the venue's own clock the newest bar is the running one."""
        off = self.clocks.venue() / NS_PER_S - (self.bars.next - 1)
        self.behind_s = max(self.behind_s, off - 1)
        self.ahead_s = max(self.ahead_s, -off)
        self.not_live += self.ticks.state != FeedState.LIVE


def compare(
    tape: Tape, bars: Bars, low: int, high: int
) -> tuple[int, list[str]]:
    """
    Bars of ``low <= index < high`` with a group-by of the tape.

    How many had trades, and what differs; the others must be flat.
    """
    period_ns = bars.period_ns
    rows = bars.read(low, high)
    if not np.array_equal(rows['time'], np.arange(low, high) * period_ns):
        return 0, ['bars are missing or doubled']
    want = tape.bars(period_ns, low * period_ns, high * period_ns)
    at = want['index'].to_numpy() - low
    volume = want['lots'].to_numpy() / 1000
    wrong: list[str] = []

    def expect(name: str, where: Any, good: Any) -> None:
        wrong.extend(
            f'{name} of bar {index + low}: {rows[name][index]}'
            for index in where[~good]
        )

    for name in (*_OHLC, 'trades'):
        expect(name, at, rows[name][at] == want[name].to_numpy())
    expect('volume', at, rows['volume'][at] == volume)
    # a sum of floats depends on its order
    vwap = want['turnover'].to_numpy() / volume
    expect('vwap', at, abs(rows['vwap'][at] / vwap - 1) < 1e-12)
    # Flat bars stand at the close before; of the first that is not known.
    flat = np.setdiff1d(np.arange(1, len(rows)), at)
    for name in (*_OHLC, 'vwap'):
        expect(name, flat, rows[name][flat] == rows['close'][flat - 1])
    for name in ('volume', 'trades'):
        expect(name, flat, rows[name][flat] == 0)
    return len(at), wrong
