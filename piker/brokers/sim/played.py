"""
The past and present of a replayed symbol, as far as it has been played.
"""
from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import numpy as np

from .aggregate import Aggregate, Trade
from .bars import Aggs, Bars, bars_of, concat, fill_gaps
from .engine import Side
from .history import Fills
from .market import Touch
from .periods import next_open, open_of, opens

__all__ = ['Played', 'PlayedBook', 'units']

Strings = tuple[str, str]

_MAX_PENDING = 20_000


class Played:
    """
    `History` of what has been played; the ``now_ms`` of its calls is ignored.

    Rows are only ever appended, so that reading from another thread is safe.
    """

    def __init__(self) -> None:
        self._aggs: list[Aggregate] = []
        self._fills: list[Trade] = []
        # what bars are made of: single trades, or aggregates where only
        # those were recorded
        self._prints: list[Aggregate] = []

    def add_fill(self, trade: Trade) -> None:
        self._fills.append(trade)
        self._prints.append(Aggregate(
            trade.id, trade.time_ms, trade.price, trade.size, trade.sell,
            trade.id, trade.id,
        ))

    def add_aggregate(self, done: Aggregate, recorded: bool) -> None:
        """``recorded``: it is no sum of fills that were added before."""
        self._aggs.append(done)
        if recorded:
            self._prints.append(done)

    def aggs_from(self, agg_id: int, limit: int, now_ms: int) -> Aggs:
        found = [agg for agg in self._aggs[:] if agg.id >= agg_id]
        return _columns(found[:limit])

    def aggs_between(
        self, start_ms: int | None, end_ms: int | None, limit: int, now_ms: int
    ) -> Aggs:
        low = -1 if start_ms is None else start_ms
        high = 1 << 62 if end_ms is None else end_ms
        found = [a for a in self._aggs[:] if low <= a.time_ms <= high]
        return _columns(found[-limit:] if start_ms is None else found[:limit])

    def fills_from(
        self, fill_id: int | None, limit: int, now_ms: int
    ) -> Fills:
        fills = self._fills[:]
        if not fills:  # single trades weren't recorded
            fills = [Trade(*agg[:5])._replace(id=agg.last)
                     for agg in self._prints[:]]
        if fill_id is not None:
            fills = [fill for fill in fills if fill.id >= fill_id]
        rows = fills[:limit] if fill_id is not None else fills[-limit:]
        table = np.array(rows, np.int64).reshape(-1, 5).T
        return Fills(table[0], table[1], table[2], table[3],
                     table[4].astype(np.bool_))

    def klines(
        self,
        interval: str,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
        now_ms: int,
    ) -> Bars:
        prints = _columns(self._prints[:])
        if not len(prints.id):
            return concat([])
        low = open_of(interval, int(prints.time[0]))
        high = max(int(prints.time[-1]), now_ms)
        wanted = opens(
            interval, low if start_ms is None else max(start_ms, low),
            high if end_ms is None else min(end_ms, high), limit,
            start_ms is None,
        )
        if not len(wanted):
            return concat([])
        stop = next_open(interval, int(wanted[-1]))
        at, end = np.searchsorted(prints.time, [wanted[0], stop])
        inside = prints.part(int(at), int(end))
        previous = int(prints.price[at - 1]) if at else None
        return fill_gaps(bars_of(inside, wanted), wanted, previous)


def _columns(rows: list[Aggregate]) -> Aggs:
    table = np.array(rows, np.int64).reshape(-1, 7).T
    return Aggs(table[0], table[1], table[2], table[3],
                table[4].astype(np.bool_), table[5], table[6])


class PlayedBook:
    """
    The book as the recorded updates show it; see `market.Depth`.

    Updates are only put in place when somebody looks: most replays are
    followed by nobody's eyes, and at full speed this is what would cost most.
    ``digits`` are those of prices and sizes.
    """

    def __init__(self, digits: tuple[int, int]) -> None:
        self.update_id = 0
        self._digits = digits
        self._sides: dict[Side, dict[int, int]] = {s: {} for s in Side}
        self._quote: tuple[Strings, Strings] | None = None
        self._pending: list[tuple[Side, Sequence[Strings]]] = []
        self._lock = Lock()

    @property
    def touch(self) -> Touch:
        quote = self._quote
        if quote is not None:
            return self._pair(quote[0]), self._pair(quote[1])
        self._settle()
        bids, asks = self._sides[Side.BUY], self._sides[Side.SELL]
        if not bids or not asks:
            return None, None
        bid, ask = max(bids), min(asks)
        return (bid, bids[bid]), (ask, asks[ask])

    def quote(self, update_id: int, bid: Strings, ask: Strings) -> None:
        """
        Note a best bid and ask, each (price, size).

        The levels have not reached this update yet, so ``update_id``, which
        is theirs, stays.
        """
        self._quote = bid, ask

    def update(
        self, update_id: int, bids: Sequence[Strings], asks: Sequence[Strings]
    ) -> None:
        """Note the levels of a book update or a snapshot."""
        self.update_id = max(self.update_id, update_id)
        self._pending.extend(((Side.BUY, bids), (Side.SELL, asks)))
        if len(self._pending) > _MAX_PENDING:
            self._settle()

    def best(self, side: Side) -> tuple[int, int] | None:
        return self.touch[0 if side is Side.BUY else 1]

    def depth(self, side: Side, limit: int) -> list[tuple[int, int]]:
        # Exactly the levels as of ``update_id``: the touch is ahead of them.
        self._settle()
        rows = sorted(self._sides[side].items(), reverse=side is Side.BUY)
        return rows[:limit]

    def size_at(self, side: Side, price: int) -> int:
        self._settle()
        return self._sides[side].get(price, 0)

    def _settle(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, []
            for side, rows in pending:
                levels = self._sides[side]
                for level in rows:
                    price, size = self._pair(level)
                    if size:
                        levels[price] = size
                    else:
                        levels.pop(price, None)

    def _pair(self, level: Strings) -> tuple[int, int]:
        return (
            units(level[0], self._digits[0]), units(level[1], self._digits[1])
        )


def units(text: str, digits: int) -> int:
    """A decimal string as a whole number of 10^-``digits``."""
    whole, _, rest = text.partition('.')
    return int(whole + rest[:digits].ljust(digits, '0'))
