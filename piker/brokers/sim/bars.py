"""
Columns of trades, and bars made of them; pure array work, no state.

Prices are whole ticks, sizes whole lots, times ms UTC; everything is int64 and
exact.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ['Aggs', 'Bars', 'bars_of', 'concat', 'fill_gaps', 'merge']

Ints = NDArray[np.int64]


class Aggs(NamedTuple):
    """Aggregate trades, oldest first; ``first``/``last`` are trade ids."""

    id: Ints
    time: Ints
    price: Ints
    size: Ints
    sell: NDArray[np.bool_]
    first: Ints
    last: Ints

    def part(self, low: int, high: int) -> Aggs:
        """Rows ``low`` to ``high``."""
        cut = slice(low, high)
        return Aggs(
            self.id[cut], self.time[cut], self.price[cut], self.size[cut],
            self.sell[cut], self.first[cut], self.last[cut],
        )


class Bars(NamedTuple):
    """
    OHLC bars, oldest first.

    ``quote`` is volume in ticks × lots; ``count`` is of single trades;
    ``buy_*`` is what takers bought; ``first``/``last`` are trade ids, -1 in a
    bar without trades.
    """

    time: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    quote: Ints
    count: Ints  # type: ignore[assignment]
    buy_volume: Ints
    buy_quote: Ints
    first: Ints
    last: Ints

    @property
    def rows(self) -> int:
        return len(self.time)


def bars_of(aggs: Aggs, opens: Ints) -> Bars:
    """Bars of ``aggs`` at ``opens``; see `merge`."""
    quote = aggs.price * aggs.size
    bought = ~aggs.sell
    return merge(
        Bars(
            aggs.time, aggs.price, aggs.price, aggs.price, aggs.price,
            aggs.size, quote, aggs.last - aggs.first + 1,
            aggs.size * bought, quote * bought, aggs.first, aggs.last,
        ),
        opens,
    )


def merge(rows: Bars, opens: Ints) -> Bars:
    """
    Longer bars out of shorter ones, none of which may be empty.

    ``opens`` are the new bars' open times, ascending and none later than the
    last row; bars without any row are left out.  Rows before the first open
    are ignored.
    """
    starts = np.searchsorted(rows.time, opens)
    ends = np.append(starts[1:], rows.rows)
    some = ends > starts
    at, stop = starts[some], ends[some]
    if not len(at):
        return Bars(*(column[:0] for column in rows))
    return Bars(
        opens[some],
        rows.open[at],
        np.maximum.reduceat(rows.high, at),
        np.minimum.reduceat(rows.low, at),
        rows.close[stop - 1],
        np.add.reduceat(rows.volume, at),
        np.add.reduceat(rows.quote, at),
        np.add.reduceat(rows.count, at),
        np.add.reduceat(rows.buy_volume, at),
        np.add.reduceat(rows.buy_quote, at),
        rows.first[at],
        rows.last[stop - 1],
    )


def concat(parts: Sequence[Bars]) -> Bars:
    """Bars one after the other."""
    if not parts:
        return Bars(*(np.zeros(0, np.int64) for _ in Bars._fields))
    return Bars(*(np.concatenate(columns) for columns in zip(*parts,
                                                             strict=True)))


def fill_gaps(bars: Bars, opens: Ints, previous: int | None) -> Bars:
    """
    A bar at each of ``opens``, flat at the previous close where ``bars`` has
    none.

    ``previous`` is the last price before the first open; None if there was no
    trade, and then the bars before the first trade are left out.
    """
    at = np.searchsorted(bars.time, opens, 'right') - 1
    if previous is None:
        opens, at = opens[at >= 0], at[at >= 0]
        previous = 0
    if not len(opens):
        return concat([])
    if not bars.rows:
        flat = np.full(len(opens), previous, np.int64)
        none, zero = np.full(len(opens), -1, np.int64), np.zeros_like(flat)
        return Bars(opens, flat, flat, flat, flat, zero, zero, zero, zero,
                    zero, none, none)
    empty = (at < 0) | (bars.time[at] != opens)
    close = np.where(at < 0, previous, bars.close[at])
    prices = [
        np.where(empty, close, column[at])
        for column in (bars.open, bars.high, bars.low, bars.close)
    ]
    sums = [
        np.where(empty, 0, column[at])
        for column in (bars.volume, bars.quote, bars.count, bars.buy_volume,
                       bars.buy_quote)
    ]
    ids = [np.where(empty, -1, column[at]) for column in (bars.first,
                                                          bars.last)]
    return Bars(opens, *prices, *sums, *ids)
