"""
Where a symbol's tape has left its plan because users traded.

An `Edit` replaces a run of planned aggregate trades, perhaps an empty one, by
what really happened; all ids after it shift.  `Edits` is the list of them in
order of time, with the running shifts that turn an id of the tape into one of
the plan and back.
"""
from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import groupby
from typing import NamedTuple

import msgspec

from .engine import Fill

__all__ = ['Edit', 'Edits', 'Print', 'Shift', 'prints_of']


class Print(NamedTuple):
    """An aggregate trade: ticks, whether the taker sold, lots of each fill."""

    price: int
    sell: bool
    sizes: tuple[int, ...]


def prints_of(fills: tuple[Fill, ...], sell: bool) -> tuple[Print, ...]:
    """The aggregate trades of one taker order: one per run of a price."""
    return tuple(
        Print(price, sell, tuple(fill.size for fill in run))
        for price, run in groupby(fills, key=lambda fill: fill.price)
    )


class Edit(msgspec.Struct, frozen=True):
    """
    At ``time_ms``, ``prints`` took the place of planned aggregate trades
    ``first`` up to ``last`` (exclusive), whose fills began with id ``fill``
    and were ``fills`` in number.
    """

    time_ms: int
    first: int
    last: int
    fill: int
    fills: int
    prints: tuple[Print, ...]

    @property
    def made(self) -> int:
        """How many single trades it holds."""
        return sum(len(p.sizes) for p in self.prints)


class Shift(NamedTuple):
    """An edit with the ids that its first trade has on the tape."""

    edit: Edit
    agg: int
    fill: int

    @property
    def agg_end(self) -> int:
        return self.agg + len(self.edit.prints)

    @property
    def fill_end(self) -> int:
        return self.fill + self.edit.made


class Edits:
    """
    The edits of one symbol, oldest first; only ever appended to.

    One thread adds, any may read: a reader sees the first ``count`` of them.
    """

    def __init__(self) -> None:
        self.count = 0
        self._shifts: list[Shift] = []
        self._agg_ends: list[int] = []
        self._fill_ends: list[int] = []
        self._times: list[int] = []
        # what to add to a planned id behind the first n edits
        self._agg_shift = [0]
        self._fill_shift = [0]

    def __getitem__(self, at: int) -> Shift:
        return self._shifts[at]

    def add(self, edit: Edit) -> None:
        """Append; raises `ValueError` for one that lies before the last."""
        if self._shifts:
            last = self._shifts[-1].edit
            if edit.time_ms < last.time_ms or edit.first < last.last:
                raise ValueError(f'{edit} lies before {last}')
        shift = Shift(edit, edit.first + self._agg_shift[-1],
                      edit.fill + self._fill_shift[-1])
        self._agg_ends.append(shift.agg_end)
        self._fill_ends.append(shift.fill_end)
        self._times.append(edit.time_ms)
        self._agg_shift.append(
            self._agg_shift[-1] + len(edit.prints) - (edit.last - edit.first)
        )
        self._fill_shift.append(
            self._fill_shift[-1] + edit.made - edit.fills
        )
        self._shifts.append(shift)
        self.count += 1

    def before(self, t_ms: int) -> int:
        """How many edits are earlier than ``t_ms``."""
        return bisect_left(self._times, t_ms, 0, self.count)

    def agg_shift(self, count: int) -> int:
        """What the first ``count`` edits add to a planned aggregate's id."""
        return self._agg_shift[count]

    def fill_shift(self, count: int) -> int:
        """What the first ``count`` edits add to a planned fill's id."""
        return self._fill_shift[count]

    def past_agg(self, agg_id: int) -> int:
        """How many edits end at or before aggregate trade ``agg_id``."""
        return bisect_right(self._agg_ends, agg_id, 0, self.count)

    def past_fill(self, fill_id: int) -> int:
        """How many edits end at or before single trade ``fill_id``."""
        return bisect_right(self._fill_ends, fill_id, 0, self.count)
