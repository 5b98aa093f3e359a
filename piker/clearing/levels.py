"""
Price levels that wait to be reached, and the grid they are counted on.

Trades come as floats in runs, orders as `Decimal`.  Here both become whole
numbers of ticks, so that a run is compared with any number of waiting levels
by one look at its highest or lowest trade, and exactly.
"""
from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..data.ticks import Kind, Ticks
from ..instruments import Instrument

__all__ = ['Grid', 'Hit', 'Levels', 'Run']

Whole = npt.NDArray[np.int64]


_TRADE = int(Kind.TRADE)
# Up to so many ticks a loop is quicker than arrays are, and of those few that
# a trigger mostly comes with by far.
_FEW = 32


class Run(NamedTuple):
    """
    The trades of a run: prices in ticks, and when; never empty.

    Both are arrays, or lists where there are few.
    """

    levels: Whole | list[int]
    times: npt.NDArray[np.int64] | list[int]


class Hit(NamedTuple):
    """
    What was reached: by which trade of a run, and in what order it waited.

    Sorts in the order in which things happened.
    """

    at: int
    seq: int
    key: str


class Grid:
    """
    Prices of one instrument as whole numbers of its ticks.

    A float goes to the nearest tick, halves to the even one.  For every float
    that stands for a price on the grid (below 2**50 ticks) this is the price
    itself, as `Instrument.round_price` would have it; one that lies halfway
    between two ticks, give or take the last bit of a float, may go either
    way.
    """

    def __init__(self, instrument: Instrument) -> None:
        self._tick = instrument.tick_size
        self._step = float(instrument.tick_size)

    def trades(self, ticks: Ticks) -> Run | None:
        """The trades among ``ticks``; ``None`` if there are none."""
        if len(ticks) <= _FEW:
            return self._few(ticks)
        which = ticks.kind == Kind.TRADE
        which &= np.isfinite(ticks.price)
        prices = ticks.price[which]
        if not len(prices):
            return None
        levels = np.rint(prices / self._step).astype(np.int64)
        return Run(levels, ticks.time[which])

    def _few(self, ticks: Ticks) -> Run | None:
        step = self._step
        trades = [
            (round(price / step), time)
            for kind, price, time in zip(
                ticks.kind.tolist(), ticks.price.tolist(),
                ticks.time.tolist(), strict=True,
            )
            if kind == _TRADE and math.isfinite(price)
        ]
        if not trades:
            return None
        return Run([level for level, _ in trades], [at for _, at in trades])

    def one(self, price: Decimal, time_ns: int) -> Run:
        """A run of one trade."""
        return Run([self.nearest(price)], [time_ns])

    def price(self, level: int) -> Decimal:
        return level * self._tick

    def nearest(self, price: Decimal) -> int:
        return round(price / self._tick)

    def above(self, price: Decimal) -> int:
        """The lowest level at or above ``price``."""
        whole, rest = divmod(price, self._tick)
        return int(whole) + (rest > 0)

    def below(self, price: Decimal) -> int:
        """The highest level at or below ``price``."""
        return -self.above(-price)


class Levels:
    """
    Keys that wait for a price at or above a level of their own.

    For prices that fall to a level, hand over everything negated.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, str]] = []  # ascending

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, level: int, seq: int, key: str) -> None:
        """``seq`` tells which came first of those reached by one trade."""
        insort(self._waiting, (level, seq, key))

    def remove(self, level: int, seq: int, key: str) -> None:
        """What was added must be given again, whole."""
        at = bisect_left(self._waiting, (level, seq, key))
        del self._waiting[at]

    def take(
        self, levels: Whole | Sequence[int], highest: int
    ) -> list[Hit]:
        """
        Take out what a run reaches, of which ``highest`` is the maximum.

        Costs a comparison if that is nothing, however many wait.
        """
        waiting = self._waiting
        if not waiting or waiting[0][0] > highest:
            return []
        end = bisect_left(waiting, (highest + 1,))
        taken, self._waiting = waiting[:end], waiting[end:]
        if not isinstance(levels, np.ndarray):
            return [
                Hit(next(at for at, reached in enumerate(levels)
                         if reached >= level), seq, key)
                for level, seq, key in taken
            ]
        so_far = np.maximum.accumulate(levels)
        first = so_far.searchsorted([level for level, _, _ in taken])
        return [
            Hit(at, seq, key)
            for at, (_, seq, key) in zip(first.tolist(), taken, strict=True)
        ]
