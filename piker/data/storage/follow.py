"""
Following shared memory on its way to the tables; no actor, no thread here.

`BarFollower` and `TickFollower` know how far a buffer has been stored and
what is ready to be.  A batch is taken, written by whoever took it, and then
said to be `done`; a batch that is never done is simply taken again.
"""
from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import DataError, SegmentGone
from ..bars import BAR_DTYPE, Bars
from ..ticks import TICK_DTYPE, Kind, TickReader

__all__ = [
    'BarBatch',
    'BarFollower',
    'TickBatch',
    'TickFollower',
    'unstored',
    'usable',
    'whole_rows',
]

# Bars written at once, and how many of the newest are looked at again for
# amendments by late trades.
_BATCH_BARS = 1 << 17
_LOOK_BACK = 600
_BATCH_TICKS = 1 << 18


@dataclass(frozen=True, slots=True)
class BarBatch:
    """
    Bars of ``start <= index < stop``; ``rows`` may lack torn ones.

    With ``compare`` some of them may be in the table already.
    """

    start: int
    stop: int
    rows: npt.NDArray[Any]
    compare: bool


class BarFollower:
    """
    One buffer of bars.

    A bar is *settled* once a newer one has been seen for ``settle_s``
    seconds of our own clock, which works whatever the venue's clock says.
    """

    def __init__(self, name: str, settle_s: float) -> None:
        self.bars = Bars.attach(name)
        # `observe` is called while a thread works with the other one.
        self._watched = Bars.attach(name)
        self.period_s = self.bars.period_s
        self._settle_s = settle_s
        # (when, index of the running bar then)
        self._seen: deque[tuple[float, int]] = deque()
        self._settled = self.bars.first
        # Stored from this buffer: low <= index < high.
        self._low = self._high = -1
        self._recent = np.zeros(0, BAR_DTYPE)
        self._sure = False
        self.stored = 0
        self.torn = 0

    def observe(self, now_s: float) -> None:
        """Look at the buffer; call it about once a second."""
        running = self._watched.next - 1
        if not self._seen or running > self._seen[-1][1]:
            self._seen.append((now_s, running))
        while self._seen and now_s - self._seen[0][0] >= self._settle_s:
            self._settled = self._seen.popleft()[1]

    def fresh(self) -> None:
        """Forget what we think is in the table: the next batch compares."""
        self._sure = False

    @property
    def waiting(self) -> int:
        """Settled bars that are not stored yet."""
        low, high = self._watched.first, self._settled
        if self._low < 0:
            return max(0, high - low)
        return max(0, high - self._high) + max(0, self._low - low)

    def take(self) -> BarBatch | None:
        """The next batch, newest bars first; ``None`` when all are stored."""
        first, settled = self.bars.first, self._settled
        if self._low < 0:
            if settled <= first:
                return None
            return self._batch(
                max(first, settled - _BATCH_BARS), settled, compare=True
            )
        if settled > self._high:
            stop = min(settled, self._high + _BATCH_BARS)
            return self._batch(self._high, stop, compare=not self._sure)
        if first < self._low:
            return self._batch(
                max(first, self._low - _BATCH_BARS), self._low, compare=True
            )
        return None

    def _batch(self, start: int, stop: int, *, compare: bool) -> BarBatch:
        rows = whole_rows(self.bars, start, stop)
        return BarBatch(start, stop, rows, compare)

    def done(self, batch: BarBatch, written: int) -> None:
        """The batch is in the table; ``written`` rows of it were new."""
        self.stored += written
        self.torn += batch.stop - batch.start - len(batch.rows)
        if self._low < 0:
            self._low, self._high = batch.start, batch.stop
            self._recent = batch.rows[-_LOOK_BACK:].copy()
            return
        if batch.stop > self._high:
            self._high = batch.stop
            joined = np.concatenate((self._recent, batch.rows))
            self._recent = joined[-_LOOK_BACK:]
            self._sure = True
        self._low = min(self._low, batch.start)

    def amended(self) -> npt.NDArray[Any]:
        """Bars stored a while ago that late trades have changed since."""
        if not len(self._recent):
            return self._recent
        period = self.bars.period_ns
        start = int(self._recent['time'][0]) // period
        stop = int(self._recent['time'][-1]) // period + 1
        now = whole_rows(self.bars, start, stop)
        if len(now) != len(self._recent):
            return now[:0]
        # By their bits: a NaN is no amendment of itself.
        before, after = (
            rows.view(np.int64).reshape(len(rows), -1)
            for rows in (self._recent, now)
        )
        different: npt.NDArray[Any] = now[(before != after).any(axis=1)]
        return different

    def amended_done(self, rows: npt.NDArray[Any]) -> None:
        at = np.searchsorted(self._recent['time'], rows['time'])
        self._recent = self._recent.copy()
        self._recent[at] = rows


def whole_rows(bars: Bars, start: int, stop: int) -> npt.NDArray[Any]:
    """Bars of a range without those whose writer died inside the write."""
    try:
        return bars.read(start, stop)
    except SegmentGone:
        raise
    except DataError:
        if stop - start <= 1:
            return np.zeros(0, BAR_DTYPE)
        middle = (start + stop) // 2
        return np.concatenate((
            whole_rows(bars, start, middle), whole_rows(bars, middle, stop)
        ))


@dataclass(frozen=True, slots=True)
class TickBatch:
    """Ticks up to ``position`` of their ring, oldest first, and their seq."""

    rows: npt.NDArray[Any]
    seq: npt.NDArray[np.uint64]
    position: int


class TickFollower:
    """
    One ring of ticks, drained into memory faster than it laps.

    At most ``most`` ticks wait here for a table that cannot be written;
    beyond that the oldest are given up and counted in ``lost``.
    """

    def __init__(
        self, name: str, *, quotes: bool, most: int = 4_000_000
    ) -> None:
        self.reader = TickReader.attach(name, from_start=True)
        self.ring = name
        self._quotes = quotes
        self._most = most
        self._from = self.reader.position
        self._runs: deque[TickBatch] = deque()
        self.waiting = 0
        self.lost = 0
        self.stored = 0

    def resume(self, position: int) -> None:
        """Leave out what a former run has written, count what was lapped."""
        self.lost += max(0, self._from - position)
        runs, self._runs, self.waiting = self._runs, deque(), 0
        for run in runs:
            if run.position > position:
                new = run.seq >= position
                self._keep(
                    TickBatch(run.rows[new], run.seq[new], run.position)
                )

    def _keep(self, run: TickBatch) -> None:
        self._runs.append(run)
        self.waiting += len(run.rows)

    def drain(self) -> int:
        """Copy what is new in the ring; returns how many ticks there were."""
        total = 0
        while (run := self.reader.read()) is not None:
            total += len(run) + run.missed
            self.lost += run.missed
            keep = run if self._quotes else run.trades
            rows = np.empty(len(keep), TICK_DTYPE)
            for field in TICK_DTYPE.names or ():
                rows[field] = getattr(keep, field)
            self._keep(TickBatch(rows, keep.seq, self.reader.position))
        while self.waiting > self._most:
            gone = self._runs.popleft()
            self.waiting -= len(gone.rows)
            self.lost += len(gone.rows)
        return total

    def take(self) -> TickBatch | None:
        """Everything drained, up to a bounded batch."""
        runs: list[TickBatch] = []
        count = 0
        for run in self._runs:
            if runs and count + len(run.rows) > _BATCH_TICKS:
                break
            runs.append(run)
            count += len(run.rows)
        if not runs:
            return None
        return TickBatch(
            np.concatenate([run.rows for run in runs]),
            np.concatenate([run.seq for run in runs]),
            runs[-1].position,
        )

    def done(self, batch: TickBatch, written: int) -> None:
        """The batch is in the table; ``written`` rows of it were new."""
        self.stored += written
        while self._runs and self._runs[0].position <= batch.position:
            self.waiting -= len(self._runs.popleft().rows)


def usable(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Rows that a table takes: one that is not must not hold up the rest."""
    good = rows['time'] >= 0
    for field in rows.dtype.names or ():
        if rows.dtype[field].kind == 'f':
            good &= np.isfinite(rows[field])
    if 'high' in (rows.dtype.names or ()):
        good &= (rows['high'] >= rows['low']) & (rows['volume'] >= 0)
    else:
        good &= (rows['price'] >= 0) & (rows['size'] >= 0)
    found: npt.NDArray[Any] = rows if good.all() else rows[good]
    return found


def unstored(
    rows: npt.NDArray[Any], stored: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Trades of ``rows`` whose time and id are not among ``stored``."""
    if not len(stored):
        return rows
    trades = stored[stored['kind'] == int(Kind.TRADE)]
    known = set(
        zip(trades['time'].tolist(), trades['id'].tolist(), strict=True)
    )
    new = np.array([
        kind != int(Kind.TRADE) or (time, id_) not in known
        for kind, time, id_ in zip(
            rows['kind'].tolist(), rows['time'].tolist(),
            rows['id'].tolist(), strict=True,
        )
    ], bool)
    fresh: npt.NDArray[Any] = rows[new]
    return fresh
