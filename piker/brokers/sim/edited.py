"""
The tape as it really went: the plan, with the edits that users caused.

Without edits it is the plan's `Tape` and costs nothing more.
"""
from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .bars import Aggs, Bars, bars_of, concat
from .edits import Edit, Edits, Print, Shift
from .history import Fills
from .listings import GENESIS_MS, Listing
from .plan import DAY_MS
from .tape import Tape, day_of, join_aggs, join_fills

__all__ = ['EditedTape']

_MINUTE = 60_000


class EditedTape(Tape):
    """
    A `Tape` that takes edits.

    `depart` is called from one thread; the answers may be asked for from any,
    and hold what was added before.
    """

    def __init__(
        self, seed: int, listing: Listing, edits: Iterable[Edit] = ()
    ) -> None:
        super().__init__(seed, listing)
        self.edits = Edits()
        self._patched: dict[int, Bars] = {}  # minutes with an edit in them
        self._whole: dict[int, tuple[int, Bars]] = {}  # days, by edits known
        for edit in edits:
            self.edits.add(edit)

    def depart(
        self, time_ms: int, first: int, last: int, prints: tuple[Print, ...]
    ) -> Edit | None:
        """
        Note that ``prints`` happened in place of the planned aggregate trades
        ``first`` up to ``last``, exclusive, all of them planned for that
        time; None if it is what was planned.
        """
        if not self.listing.aggs:
            return self._noted(Edit(time_ms, 0, 0, 0, 0, prints))
        day, at = divmod(first, self.listing.aggs)
        plan = self.day(day)
        end = at + last - first
        low, high = int(plan.first[at]), int(plan.first[end])
        planned = tuple(
            Print(
                int(plan.price[agg]), bool(plan.sell[agg]), tuple(
                    plan.fill_size[plan.first[agg] : plan.first[agg + 1]]
                    .tolist()
                ),
            )
            for agg in range(at, end)
        )
        if planned == prints:
            return None
        return self._noted(Edit(
            time_ms, first, last, plan.first_fill_id + low, high - low, prints
        ))

    def _noted(self, edit: Edit) -> Edit:
        with self._lock:
            self.edits.add(edit)
            day = day_of(edit.time_ms)
            self._patched.pop(edit.time_ms // _MINUTE, None)
            self._whole.pop(day, None)
            self._hours.pop(day, None)
        return edit

    def aggs_from(self, agg_id: int, limit: int, now_ms: int) -> Aggs:
        edits, count = self.edits, self.edits.count
        agg_id = max(0, agg_id)
        at = edits.past_agg(agg_id)
        if at == count and not edits.agg_shift(count):
            shift = edits.fill_shift(count)
            return _moved(super().aggs_from(agg_id, limit, now_ms), 0, shift)
        parts: list[Aggs] = []
        while limit > 0:
            stop = edits[at].agg if at < count else agg_id + limit
            want = min(limit, stop - agg_id)
            if want > 0:
                shift = edits.agg_shift(at)
                part = _moved(
                    super().aggs_from(agg_id - shift, want, now_ms), shift,
                    edits.fill_shift(at),
                )
                parts.append(part)
                agg_id += want
                limit -= want
                if len(part.id) < want:
                    break
            if at < count and limit > 0:
                if edits[at].edit.time_ms > now_ms:
                    break
                rows = _aggs_of(edits[at])
                part = rows.part(agg_id - edits[at].agg,
                                 agg_id - edits[at].agg + limit)
                parts.append(part)
                agg_id += len(part.id)
                limit -= len(part.id)
            at += 1
        return join_aggs([part for part in parts if len(part.id)])

    def fills_from(
        self, fill_id: int | None, limit: int, now_ms: int
    ) -> Fills:
        edits, count = self.edits, self.edits.count
        if not count:
            return super().fills_from(fill_id, limit, now_ms)
        last = self.fills_until(now_ms)
        first = max(0, last - limit if fill_id is None else fill_id)
        last = min(last, first + limit)
        parts: list[Fills] = []
        at = edits.past_fill(first)
        while first < last:
            stop = min(edits[at].fill if at < count else last, last)
            if stop > first:
                shift = edits.fill_shift(at)
                part = super().fills_from(first - shift, stop - first, now_ms)
                parts.append(part._replace(id=part.id + shift))
                first = stop
            if at < count and first < last:
                rows = _fills_of(edits[at])
                skip = first - edits[at].fill
                parts.append(rows.part(skip, skip + last - first))
                first += len(parts[-1].id)
            at += 1
        return join_fills([part for part in parts if len(part.id)])

    def fills_until(self, t_ms: int) -> int:
        shift = self.edits.fill_shift(self.edits.before(t_ms + 1))
        return super().fills_until(t_ms) + shift

    def _agg_id_at(self, t_ms: int) -> int:
        shift = self.edits.agg_shift(self.edits.before(t_ms))
        return super()._agg_id_at(t_ms) + shift

    def _has_traded(self) -> bool:
        return self.edits.count > 0 or super()._has_traded()

    def _first_trade_ms(self) -> int:
        first = (
            [super()._first_trade_ms()] if self.listing.aggs else []
        )
        first += [self.edits[0].edit.time_ms] if self.edits.count else []
        return min(first)

    def _seconds(self, day: int, low: int, high: int) -> Bars:
        if not self.edits.before(high):
            return super()._seconds(day, low, high)
        opens = np.arange(low // 1000 * 1000, high, 1000)
        return bars_of(self._aggs_within(low, high), opens)

    def _aggs_within(self, low: int, high: int) -> Aggs:
        """Aggregate trades of [``low``, ``high``), the future included."""
        first = self._agg_id_at(low)
        return self.aggs_from(first, self._agg_id_at(high) - first, high - 1)

    def _minutes_of(self, day: int) -> Bars:
        midnight = GENESIS_MS + day * DAY_MS
        with self._lock:
            count = self.edits.before(midnight + DAY_MS)
            planned = super()._minutes_of(day)
            if not count:
                return planned
            if day not in self._whole or self._whole[day][0] != count:
                bars = self._patch(planned, self.edits.before(midnight), count)
                self._whole = {day: (count, bars)}
            return self._whole[day][1]

    def _patch(self, planned: Bars, low: int, high: int) -> Bars:
        """A day's minutes with edits ``low`` up to ``high`` put in."""
        times = [self.edits[at].edit.time_ms for at in range(low, high)]
        shifts = np.array(
            [self.edits.fill_shift(at) for at in range(low, high + 1)]
        )
        shift = shifts[np.searchsorted(np.array(times, np.int64),
                                       planned.time)]
        planned = planned._replace(first=planned.first + shift,
                                   last=planned.last + shift)
        touched = sorted({time // _MINUTE for time in times})
        kept = ~np.isin(planned.time, np.array(touched, np.int64) * _MINUTE)
        rows = concat([
            Bars(*(column[kept] for column in planned)),
            *(self._minute(minute) for minute in touched),
        ])
        order = np.argsort(rows.time, kind='stable')
        return Bars(*(column[order] for column in rows))

    def _minute(self, minute: int) -> Bars:
        if minute not in self._patched:
            low = minute * _MINUTE
            self._patched[minute] = bars_of(
                self._aggs_within(low, low + _MINUTE),
                np.array([low], np.int64),
            )
        return self._patched[minute]


def _moved(aggs: Aggs, agg_shift: int, fill_shift: int) -> Aggs:
    if not agg_shift and not fill_shift:
        return aggs
    return aggs._replace(
        id=aggs.id + agg_shift, first=aggs.first + fill_shift,
        last=aggs.last + fill_shift,
    )


def _aggs_of(shift: Shift) -> Aggs:
    prints = shift.edit.prints
    counts = np.array([len(p.sizes) for p in prints], np.int64)
    last = shift.fill + np.cumsum(counts) - 1
    return Aggs(
        np.arange(shift.agg, shift.agg_end),
        np.full(len(prints), shift.edit.time_ms, np.int64),
        np.array([p.price for p in prints], np.int64),
        np.array([sum(p.sizes) for p in prints], np.int64),
        np.array([p.sell for p in prints], np.bool_),
        last - counts + 1,
        last,
    )


def _fills_of(shift: Shift) -> Fills:
    rows = [(p.price, size, p.sell)
            for p in shift.edit.prints for size in p.sizes]
    return Fills(
        np.arange(shift.fill, shift.fill_end),
        np.full(len(rows), shift.edit.time_ms, np.int64),
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.bool_),
    )
