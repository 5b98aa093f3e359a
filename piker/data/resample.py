"""
Other periods, from what is kept: one way of resampling, used everywhere.

*Time bars* of a longer period take the first open, the highest high, the
lowest low, the last close, the sums of volume and trades, and the mean price
weighted by volume.  Periods up to a day are aligned to midnight UTC, weeks to
Monday.  A bar whose first part is not there is left out.

*Tick, volume and dollar bars* are made from trades, in their order.  A bar
ends with the trade that brings it to its measure (so many trades, so much
size, so much price × size); a trade is never split; and each day begins a new
bar at midnight UTC, so that the same trades give the same bars wherever the
history at hand begins, given whole days.  Their ``time`` is that of their
first trade.

Equal inputs give equal bars.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ..clock import NS_PER_S
from ..errors import BadInput, NoSuchPeriod
from .bars import BAR_DTYPE, BAR_FIELDS, Bars, to_polars
from .ticks import Kind, Ticks

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    'PERIODS_S',
    'ResampledBars',
    'base_period',
    'bars_by_measure',
    'bin_index',
    'resample_bars',
]

DAY_S = 86400
WEEK_S = 7 * DAY_S
# What charts and commands offer, in seconds: 1 s to 1 week.
PERIODS_S = (
    1, 5, 15, 30, 60, 180, 300, 900, 1800, 3600, 14400, DAY_S, WEEK_S,
)
# The epoch was a Thursday; weeks are counted from the Monday before.
_WEEK_SHIFT_S = 3 * DAY_S
_MERGED = tuple(field for field in BAR_FIELDS if field != 'time')
_Columns = Mapping[str, npt.NDArray[Any]]
# Up to so many base rows, a safe copy of them is cheap.
_READ_WHOLE = 512
_LEAST_ROOM = 64


def base_period(period_s: int) -> int:
    """
    The kept period that ``period_s`` is resampled from: 60, or else 1.

    Raises `NoSuchPeriod` for periods that do not fit into a day or week.
    """
    whole = period_s == WEEK_S or (period_s > 0 and DAY_S % period_s == 0)
    if not whole:
        raise NoSuchPeriod(
            f'bars of {period_s} s are not to be had: the period must divide '
            'a day, or be a week (604800 s)'
        )
    return 60 if period_s % 60 == 0 else 1


def bin_index(
    time_ns: npt.NDArray[np.int64], period_s: int
) -> npt.NDArray[np.int64]:
    """Which bar of ``period_s`` holds each time."""
    shift = _WEEK_SHIFT_S * NS_PER_S if period_s == WEEK_S else 0
    return (time_ns + shift) // (period_s * NS_PER_S)


def open_time(index: int, period_s: int) -> int:
    """When the bar of this index opens, in ns."""
    shift = _WEEK_SHIFT_S * NS_PER_S if period_s == WEEK_S else 0
    return index * period_s * NS_PER_S - shift


def resample_bars(
    rows: npt.NDArray[Any], period_s: int
) -> npt.NDArray[Any]:
    """
    Time bars of ``period_s`` from consecutive shorter ones (`BAR_DTYPE`).

    The last one may be under way still.
    """
    if not len(rows):
        return np.zeros(0, BAR_DTYPE)
    index = bin_index(rows['time'], period_s)
    starts = np.flatnonzero(np.diff(index, prepend=index[0] - 1))
    if rows['time'][0] != open_time(int(index[0]), period_s):
        starts = starts[1:]
        if not len(starts):
            return np.zeros(0, BAR_DTYPE)
    columns = {field: rows[field][starts[0]:] for field in BAR_FIELDS}
    merged = _merge(columns, starts - starts[0])
    out = np.zeros(len(starts), BAR_DTYPE)
    for field in _MERGED:
        out[field] = merged[field]
    shift = _WEEK_SHIFT_S * NS_PER_S if period_s == WEEK_S else 0
    out['time'] = index[starts] * (period_s * NS_PER_S) - shift
    return out


def _merge(
    columns: _Columns, starts: npt.NDArray[Any]
) -> dict[str, npt.NDArray[Any]]:
    """Every field but the time; ``starts`` begin at 0."""
    close, volume = columns['close'], columns['volume']
    out = {
        'open': columns['open'][starts],
        'high': np.maximum.reduceat(columns['high'], starts),
        'low': np.minimum.reduceat(columns['low'], starts),
        'close': close[np.append(starts[1:], len(close)) - 1],
        'volume': np.add.reduceat(volume, starts),
        'trades': np.add.reduceat(columns['trades'], starts),
    }
    turnover = np.add.reduceat(columns['vwap'] * volume, starts)
    out['vwap'] = out['close'].copy()
    np.divide(
        turnover, out['volume'], out=out['vwap'], where=out['volume'] > 0
    )
    return out


def bars_by_measure(
    ticks: Ticks, measure: Literal['ticks', 'volume', 'dollars'], size: float
) -> npt.NDArray[Any]:
    """
    Bars of ``size`` trades, volume or turnover each (`BAR_DTYPE` rows).

    The last bar of all may be under way still, the last of each day ends
    with the day.  Raises `BadInput` for a size that is not positive.
    """
    if not size > 0:
        raise BadInput(f'bars of {size} {measure}: the size must be positive')
    trades = ticks.where(ticks.kind == Kind.TRADE)
    if not len(trades):
        return np.zeros(0, BAR_DTYPE)
    weight = {
        'ticks': trades.count.astype(np.float64),
        'volume': trades.size,
        'dollars': trades.price * trades.size,
    }[measure]
    total = np.cumsum(weight)
    days = trades.time // (DAY_S * NS_PER_S)
    day_ends = np.append(np.flatnonzero(np.diff(days)) + 1, len(days))
    starts: list[int] = []
    at = 0
    for day_end in day_ends.tolist():
        while at < day_end:
            starts.append(at)
            before = total[at - 1] if at else 0.0
            # rounding of the running sum must not push a bar one trade on
            goal = before + size * (1 - 1e-12)
            at = min(int(np.searchsorted(total, goal)) + 1, day_end)
    return _merge_trades(trades, np.array(starts))


def _merge_trades(
    trades: Ticks, starts: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    ends = np.append(starts[1:], len(trades)) - 1
    out = np.zeros(len(starts), BAR_DTYPE)
    out['time'] = trades.time[starts]
    out['open'] = trades.price[starts]
    out['close'] = trades.price[ends]
    out['high'] = np.maximum.reduceat(trades.price, starts)
    out['low'] = np.minimum.reduceat(trades.price, starts)
    out['volume'] = np.add.reduceat(trades.size, starts)
    out['trades'] = np.add.reduceat(trades.count.astype(np.int64), starts)
    out['vwap'] = (
        np.add.reduceat(trades.price * trades.size, starts) / out['volume']
    )
    return out


class ResampledBars:
    """
    Longer bars over live shorter ones, read like `Bars`.

    Follows the base by itself at each access, which costs what is new: the
    newest bar's rows after a tick, the older rows after a prepend.  Only a
    change of an old bar (``base.amended``) computes all of them anew.
    ``index`` counts periods as `bin_index` does.
    """

    def __init__(self, base: Bars, period_s: int) -> None:
        self._base = base
        self.instrument = base.instrument
        self.period_s = period_s
        self.period_ns = period_s * NS_PER_S
        self._ratio = period_s // base.period_s
        self._offset = open_time(0, period_s) // base.period_ns
        self._seen = (0, 0, 0)
        self._seen_next = 0
        self._doubt = False
        self._changes = self._amended = 0
        self._clear()

    def _clear(self) -> None:
        # Bars are at slots _low to _high; there is room at both ends.
        self._low = self._high = _LEAST_ROOM
        self._columns = {
            field: np.zeros(2 * _LEAST_ROOM, BAR_DTYPE[field])
            for field in BAR_FIELDS
        }
        self._first = 0

    @property
    def segment_name(self) -> str:
        return self._base.segment_name

    def _follow(self) -> None:
        base = self._base
        state = (base.first, base.amended, base.changes)
        if state == self._seen:
            return
        stop = base.next
        first, amended, _ = self._seen
        # The count of amendments may be seen before the amendment itself.
        anew = self._doubt or state[1] != amended or state[0] > first
        self._doubt = state[1] != amended
        if anew or self._low == self._high:
            self._amended += anew
            self._clear()
            self._fill(state[0], stop)
        else:
            if state[0] < first:
                self._prepend(state[0])
            # Of the rows seen, the newest two may have changed.
            newest = (self._seen_next - 2 - self._offset) // self._ratio
            self._fill(self._start(max(newest, self._first)), stop)
        self._seen, self._seen_next = state, stop
        self._changes += 1

    def _start(self, index: int) -> int:
        """The base index that a bar begins with."""
        return index * self._ratio + self._offset

    def _fill(self, start: int, stop: int) -> None:
        """Compute the bars from base index ``start`` on, up to the newest."""
        index = -(-(start - self._offset) // self._ratio)
        start = self._start(index)
        if start >= stop:
            return
        if self._low == self._high:
            self._first = index
        if stop - start > _READ_WHOLE:
            # What is not the newest stands still: no need for a safe copy.
            settled = (stop - 2 - self._offset) // self._ratio
            self._put(index, self._views(start, self._start(settled)))
            index, start = settled, self._start(settled)
        if stop - start > _READ_WHOLE:
            rows = self._views(start, stop)
            newest = self._base.read(stop - 2, stop)
            for field, column in rows.items():
                rows[field] = np.append(column[:-2], newest[field])
        else:
            read = self._base.read(start, stop)
            rows = {field: read[field] for field in BAR_FIELDS}
        self._put(index, rows)

    def _prepend(self, first: int) -> None:
        """Put the bars before the oldest that base index ``first`` allows."""
        index = -(-(first - self._offset) // self._ratio)
        if index >= self._first:
            return
        rows = self._views(self._start(index), self._start(self._first))
        count = self._first - index
        if count > self._low:
            self._grow(count, 0)
        self._low -= count
        self._first = index
        self._put(index, rows)

    def _views(self, start: int, stop: int) -> dict[str, npt.NDArray[Any]]:
        return {f: self._base.view(f, start, stop) for f in _MERGED}

    def _put(self, index: int, rows: _Columns) -> None:
        """Write the bars made of ``rows``, the first of them at ``index``."""
        starts = np.arange(0, len(rows['close']), self._ratio)
        if not len(starts):
            return
        at = self._low + index - self._first
        stop = at + len(starts)
        if stop > len(self._columns['time']):
            self._grow(0, len(starts))
            at = self._low + index - self._first
            stop = at + len(starts)
        for field, values in _merge(rows, starts).items():
            self._columns[field][at:stop] = values
        self._columns['time'][at:stop] = (
            np.arange(index, index + len(starts)) * self.period_ns
            + open_time(0, self.period_s)
        )
        self._high = max(self._high, stop)

    def _grow(self, before: int, after: int) -> None:
        """Make room, and as much again as there is."""
        have = self._high - self._low
        low = self._low + (before + have if before else 0)
        size = low + have + max(after + have, _LEAST_ROOM)
        for field, old in self._columns.items():
            new = np.zeros(size, old.dtype)
            new[low:low + have] = old[self._low:self._high]
            self._columns[field] = new
        self._low, self._high = low, low + have

    @property
    def first(self) -> int:
        self._follow()
        if self._low == self._high:
            return self.index_at(self._base.first * self._base.period_ns)
        return self._first

    @property
    def next(self) -> int:
        return self.first + len(self)

    @property
    def changes(self) -> int:
        """Counts changes of any bar; equal counts mean equal bars."""
        self._follow()
        return self._changes

    @property
    def amended(self) -> int:
        """Counts changes of bars before the newest two."""
        self._follow()
        return self._amended

    def __len__(self) -> int:
        self._follow()
        return self._high - self._low

    def index_at(self, time_ns: int) -> int:
        """Index of the bar whose period holds ``time_ns``."""
        return int(bin_index(np.array([time_ns]), self.period_s)[0])

    def __getitem__(self, field: str) -> npt.NDArray[Any]:
        self._follow()
        return self._slots(field, self._low, self._high)

    def view(self, field: str, start: int, stop: int) -> npt.NDArray[Any]:
        """Bars ``start <= index < stop`` that exist; read-only."""
        low = self.first - self._low
        start = max(start - low, self._low)
        return self._slots(field, start, min(stop - low, self._high))

    def _slots(self, field: str, low: int, high: int) -> npt.NDArray[Any]:
        view = self._columns[field][low:max(low, high)]
        view.flags.writeable = False
        return view

    def read(
        self, start: int | None = None, stop: int | None = None
    ) -> npt.NDArray[Any]:
        """A copy of bars ``start <= index < stop`` as `BAR_DTYPE` rows."""
        first = self.first
        start = first if start is None else start
        stop = self.next if stop is None else stop
        columns = {f: self.view(f, start, stop) for f in BAR_FIELDS}
        out = np.empty(len(columns['time']), BAR_DTYPE)
        for field, column in columns.items():
            out[field] = column
        return out

    def to_polars(
        self, start: int | None = None, stop: int | None = None
    ) -> pl.DataFrame:
        """`read` as a polars frame, see `bars.to_polars`."""
        return to_polars(self.read(start, stop))

    def row(self, index: int) -> dict[str, float]:
        """One bar by index; raises `IndexError` outside."""
        rows = self.read(index, index + 1)
        if not len(rows):
            raise IndexError(f'bar {index} is not there')
        return dict(zip(BAR_FIELDS, rows[0].tolist(), strict=True))
