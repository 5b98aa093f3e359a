"""
The past and future of one symbol, looked up in its plan.

A `Tape` makes day plans on demand, keeps the recent ones, and answers the
questions of `History` from them.  Safe to use from several threads.
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import RLock
from typing import TypeVar

import numpy as np

from .bars import Aggs, Bars, bars_of, concat, fill_gaps, merge
from .history import Fills
from .listings import GENESIS_MS, Listing
from .periods import INTERVALS, next_open, open_of, opens
from .plan import DAY_MS, DayPlan, make_day

__all__ = ['Tape', 'day_of', 'join_aggs', 'join_fills']

T = TypeVar('T')
_MINUTE = 60_000
_HOUR = 3_600_000


def day_of(t_ms: int) -> int:
    """Days from genesis to ``t_ms``."""
    return (t_ms - GENESIS_MS) // DAY_MS


class _Cache(OrderedDict[int, T]):
    """The most recently used values by day."""

    def __init__(self, make: Callable[[int], T], room: int) -> None:
        super().__init__()
        self._make = make
        self._room = room

    def get_or_make(self, day: int) -> T:
        if day in self:
            self.move_to_end(day)
            return self[day]
        value = self[day] = self._make(day)
        while len(self) > self._room:
            self.popitem(last=False)
        return value


class Tape:
    """All trades of ``listing`` under ``seed``, from genesis to any day."""

    def __init__(self, seed: int, listing: Listing) -> None:
        self.seed = seed
        self.listing = listing
        self._lock = RLock()
        self._days = _Cache(self._make_day, 2)
        self._minutes = _Cache(self._make_minutes, 64)
        self._hours = _Cache(self._make_hours, 4096)

    def day(self, day: int) -> DayPlan:
        """The plan of ``day``; takes tens of ms when it isn't kept."""
        with self._lock:
            return self._days.get_or_make(day)

    def aggs_from(self, agg_id: int, limit: int, now_ms: int) -> Aggs:
        per_day = self.listing.aggs
        if not per_day:
            return _no_aggs()
        parts = []
        agg_id = max(0, agg_id)
        while limit > 0:
            day, offset = divmod(agg_id, per_day)
            if day > day_of(now_ms):
                break
            plan = self.day(day)
            stop = min(offset + limit, _upto(plan, now_ms))
            if stop <= offset:
                break
            parts.append(_aggs(plan, offset, stop))
            limit -= stop - offset
            agg_id += stop - offset
        return join_aggs(parts)

    def aggs_between(
        self, start_ms: int | None, end_ms: int | None, limit: int, now_ms: int
    ) -> Aggs:
        end_ms = now_ms if end_ms is None else min(end_ms, now_ms)
        last = self._agg_id_at(end_ms + 1)
        if start_ms is None:
            first = max(0, last - limit)
        else:
            first = self._agg_id_at(start_ms)
        return self.aggs_from(first, min(limit, last - first), now_ms)

    def fills_from(
        self, fill_id: int | None, limit: int, now_ms: int
    ) -> Fills:
        per_day = self.listing.fills
        last = self.fills_until(now_ms)
        first = max(0, last - limit if fill_id is None else fill_id)
        last = min(last, first + limit)
        parts = []
        while first < last:
            plan = self.day(first // per_day)
            low = first - plan.first_fill_id
            high = min(last - plan.first_fill_id, per_day)
            parts.append(_fills(plan, low, high))
            first += high - low
        return join_fills(parts)

    def klines(
        self,
        interval: str,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
        now_ms: int,
    ) -> Bars:
        if not self._has_traded() or now_ms < GENESIS_MS:
            return concat([])
        end_ms = now_ms if end_ms is None else min(end_ms, now_ms)
        # A bar may open before the venue did if it holds its first trade.
        low = GENESIS_MS - 31 * DAY_MS if start_ms is None else start_ms
        newest = start_ms is None
        wanted = opens(interval, low, end_ms, limit, newest)
        if len(wanted) and (
            wanted[0] < GENESIS_MS + DAY_MS or not self.listing.aggs
        ):
            low = max(low, open_of(interval, self._first_trade_ms()))
            wanted = opens(interval, low, end_ms, limit, newest)
        if not len(wanted):
            return concat([])
        stop = min(next_open(interval, int(wanted[-1])), now_ms + 1)
        rows = self._rows(interval, int(wanted[0]), stop)
        bars = merge(rows, wanted)
        previous = None
        if not bars.rows or bars.time[0] != wanted[0]:
            previous = self.price_before(int(wanted[0]))
        return fill_gaps(bars, wanted, previous)

    def price_before(self, t_ms: int) -> int | None:
        """Price in ticks of the last trade before ``t_ms``."""
        before = self.aggs_between(None, t_ms - 1, 1, t_ms - 1)
        return int(before.price[-1]) if len(before.id) else None

    def count_until(self, t_ms: int) -> int:
        """Aggregate trades not after ``t_ms``: the id of the next one."""
        return self._agg_id_at(t_ms + 1)

    def fills_until(self, t_ms: int) -> int:
        """Single trades not after ``t_ms``: the id of the next one."""
        if t_ms < GENESIS_MS or not self.listing.fills:
            return 0
        plan = self.day(day_of(t_ms))
        return plan.first_fill_id + int(plan.first[_upto(plan, t_ms)])

    def _has_traded(self) -> bool:
        return self.listing.aggs > 0

    def _agg_id_at(self, t_ms: int) -> int:
        """Id of the first aggregate trade at or after ``t_ms``."""
        if t_ms <= GENESIS_MS or not self.listing.aggs:
            return 0
        plan = self.day(day_of(t_ms))
        return plan.first_agg_id + _upto(plan, t_ms - 1)

    def _first_trade_ms(self) -> int:
        plan = self.day(0)
        return plan.start_ms + int(plan.time[0])

    def _rows(self, interval: str, start_ms: int, stop_ms: int) -> Bars:
        """Non-empty bars no longer than ``interval`` that tile the time."""
        parts = []
        start_ms = max(start_ms, GENESIS_MS)
        step = INTERVALS[interval] or DAY_MS
        for day in range(day_of(start_ms), day_of(stop_ms - 1) + 1):
            midnight = GENESIS_MS + day * DAY_MS
            low, high = max(start_ms, midnight), min(stop_ms,
                                                     midnight + DAY_MS)
            if step < _MINUTE:
                parts.append(self._seconds(day, low, high))
            elif step >= _HOUR and high == midnight + DAY_MS:
                parts.append(_cut(self._hours_of(day), low, high))
            else:
                whole = high // _MINUTE * _MINUTE
                parts.append(_cut(self._minutes_of(day), low, whole))
                parts.append(self._seconds(day, max(low, whole), high))
        return concat(parts)

    def _seconds(self, day: int, low: int, high: int) -> Bars:
        plan = self.day(day)
        aggs = _aggs(plan, _upto(plan, low - 1), _upto(plan, high - 1))
        return bars_of(aggs, np.arange(low // 1000 * 1000, high, 1000))

    def _minutes_of(self, day: int) -> Bars:
        with self._lock:
            return self._minutes.get_or_make(day)

    def _hours_of(self, day: int) -> Bars:
        with self._lock:
            return self._hours.get_or_make(day)

    def _make_day(self, day: int) -> DayPlan:
        return make_day(self.seed, self.listing, day)

    def _make_minutes(self, day: int) -> Bars:
        # a walk through old days must not push out the plan of today
        plan = self._days.get(day) or self._make_day(day)
        steps = plan.start_ms + np.arange(0, DAY_MS, _MINUTE)
        return bars_of(_aggs(plan, 0, len(plan.time)), steps)

    def _make_hours(self, day: int) -> Bars:
        steps = GENESIS_MS + day * DAY_MS + np.arange(0, DAY_MS, _HOUR)
        return merge(self._minutes_of(day), steps)


def _cut(bars: Bars, low: int, high: int) -> Bars:
    first, last = np.searchsorted(bars.time, [low, high])
    return Bars(*(column[first:last] for column in bars))


def _upto(plan: DayPlan, t_ms: int) -> int:
    """How many of the day's aggregate trades are not after ``t_ms``."""
    ms = min(max(t_ms - plan.start_ms, -1), DAY_MS)
    return int(np.searchsorted(plan.time, np.int32(ms), 'right'))


def _aggs(plan: DayPlan, low: int, high: int) -> Aggs:
    return Aggs(
        np.arange(plan.first_agg_id + low, plan.first_agg_id + high),
        plan.time[low:high].astype(np.int64) + plan.start_ms,
        plan.price[low:high],
        plan.size[low:high],
        plan.sell[low:high],
        plan.first[low:high].astype(np.int64) + plan.first_fill_id,
        plan.first[low + 1 : high + 1].astype(np.int64)
        + (plan.first_fill_id - 1),
    )


def _fills(plan: DayPlan, low: int, high: int) -> Fills:
    at = np.searchsorted(
        plan.first, np.arange(low, high, dtype=np.int32), 'right'
    ) - 1
    return Fills(
        np.arange(plan.first_fill_id + low, plan.first_fill_id + high),
        plan.time[at].astype(np.int64) + plan.start_ms,
        plan.price[at],
        plan.fill_size[low:high],
        plan.sell[at],
    )


def _no_aggs() -> Aggs:
    none = np.zeros(0, np.int64)
    return Aggs(none, none, none, none, none.astype(np.bool_), none, none)


def join_fills(parts: list[Fills]) -> Fills:
    """Single trades one after the other."""
    if not parts:
        none = np.zeros(0, np.int64)
        return Fills(none, none, none, none, none.astype(np.bool_))
    return Fills(*(np.concatenate(c) for c in zip(*parts, strict=True)))


def join_aggs(parts: list[Aggs]) -> Aggs:
    """Aggregate trades one after the other."""
    if not parts:
        return _no_aggs()
    if len(parts) == 1:
        return parts[0]
    return Aggs(*(np.concatenate(c) for c in zip(*parts, strict=True)))
