"""
What REST and the bar streams ask of a symbol's past, wherever it comes from.

`Tape` answers from the plan, `Played` from what a replay has played so far.
Everything is cut at ``now_ms``: trades later than that do not exist yet.
Calls may take a while (whole days may have to be made first) and may run in
a worker thread.
"""
from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .bars import Aggs, Bars

__all__ = ['Fills', 'History']


class Fills(NamedTuple):
    """Single trades, oldest first; units as in `Aggs`."""

    id: NDArray[np.int64]
    time: NDArray[np.int64]
    price: NDArray[np.int64]
    size: NDArray[np.int64]
    sell: NDArray[np.bool_]

    def part(self, low: int, high: int) -> Fills:
        """Rows ``low`` to ``high``."""
        cut = slice(low, high)
        return Fills(self.id[cut], self.time[cut], self.price[cut],
                     self.size[cut], self.sell[cut])


class History(Protocol):
    """The past of one symbol."""

    def aggs_from(self, agg_id: int, limit: int, now_ms: int) -> Aggs:
        """Up to ``limit`` aggregate trades from ``agg_id`` on."""

    def aggs_between(
        self, start_ms: int | None, end_ms: int | None, limit: int, now_ms: int
    ) -> Aggs:
        """
        Aggregate trades of [``start_ms``, ``end_ms``]: the oldest ``limit``
        of them if a start is given, else the newest.
        """

    def fills_from(
        self, fill_id: int | None, limit: int, now_ms: int
    ) -> Fills:
        """Single trades from ``fill_id`` on, or the newest if it is None."""

    def klines(
        self,
        interval: str,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
        now_ms: int,
    ) -> Bars:
        """
        Bars that open in [``start_ms``, ``end_ms``], the current one
        included: the oldest ``limit`` if a start is given, else the newest.
        Periods without trades are flat; before the first trade there are none.
        """
