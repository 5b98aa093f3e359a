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

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ..clock import NS_PER_S
from ..errors import BadInput, NoSuchPeriod
from .bars import BAR_DTYPE, Bars, to_polars
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
    return _merge(rows, starts, period_s)


def _merge(
    rows: npt.NDArray[Any], starts: npt.NDArray[Any], period_s: int
) -> npt.NDArray[Any]:
    out = np.zeros(len(starts), BAR_DTYPE)
    shift = _WEEK_SHIFT_S * NS_PER_S if period_s == WEEK_S else 0
    index = bin_index(rows['time'][starts], period_s)
    out['time'] = index * (period_s * NS_PER_S) - shift
    rows = rows[starts[0]:]
    starts = starts - starts[0]
    ends = np.append(starts[1:], len(rows)) - 1
    out['open'] = rows['open'][starts]
    out['close'] = rows['close'][ends]
    out['high'] = np.maximum.reduceat(rows['high'], starts)
    out['low'] = np.minimum.reduceat(rows['low'], starts)
    out['volume'] = np.add.reduceat(rows['volume'], starts)
    out['trades'] = np.add.reduceat(rows['trades'], starts)
    turnover = np.add.reduceat(rows['vwap'] * rows['volume'], starts)
    traded = out['volume'] > 0
    out['vwap'] = out['close']
    out['vwap'][traded] = turnover[traded] / out['volume'][traded]
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

    Follows the base by itself at each access: closed bars are kept, only
    what can have changed is computed anew.  ``index`` counts periods as
    `bin_index` does.
    """

    def __init__(self, base: Bars, period_s: int) -> None:
        self._base = base
        self.instrument = base.instrument
        self.period_s = period_s
        self.period_ns = period_s * NS_PER_S
        self._rows = np.zeros(0, BAR_DTYPE)
        self._seen = (-1, -1, -1)
        self._next_base = 0
        self.changes = 0

    @property
    def segment_name(self) -> str:
        return self._base.segment_name

    def _follow(self) -> None:
        base = self._base
        state = (base.first, base.amended, base.changes)
        if state == self._seen:
            return
        if state[:2] != self._seen[:2] or not len(self._rows):
            self._rows = resample_bars(base.read(), self.period_s)
        else:
            self._update_tail()
        self._next_base = base.next
        self._seen = state
        self.changes += 1

    def _update_tail(self) -> None:
        """The newest bar, the one before it, and those that came since."""
        base = self._base
        keep = max(0, len(self._rows) - 2)
        start_ns = int(self._rows['time'][keep])
        tail = resample_bars(
            base.read(start_ns // base.period_ns), self.period_s
        )
        self._rows = np.concatenate((self._rows[:keep], tail))

    @property
    def first(self) -> int:
        self._follow()
        return self.index_at(int(self._rows['time'][0])) if len(
            self._rows
        ) else self.index_at(self._base.first * self._base.period_ns)

    @property
    def next(self) -> int:
        return self.first + len(self._rows)

    def __len__(self) -> int:
        self._follow()
        return len(self._rows)

    def index_at(self, time_ns: int) -> int:
        """Index of the bar whose period holds ``time_ns``."""
        return int(bin_index(np.array([time_ns]), self.period_s)[0])

    def __getitem__(self, field: str) -> npt.NDArray[Any]:
        self._follow()
        return np.ascontiguousarray(self._rows[field])

    def view(self, field: str, start: int, stop: int) -> npt.NDArray[Any]:
        """Bars ``start <= index < stop`` that exist."""
        first = self.first
        low = max(0, start - first)
        return np.ascontiguousarray(
            self._rows[field][low:max(low, stop - first)]
        )

    def read(
        self, start: int | None = None, stop: int | None = None
    ) -> npt.NDArray[Any]:
        """A copy of bars ``start <= index < stop`` as `BAR_DTYPE` rows."""
        first = self.first
        low = 0 if start is None else max(0, start - first)
        high = len(self._rows) if stop is None else max(low, stop - first)
        return self._rows[low:high].copy()

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
        names = BAR_DTYPE.names or ()
        return dict(zip(names, rows[0].tolist(), strict=True))
