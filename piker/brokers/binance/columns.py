"""
Many decoded messages of one instrument as columns of ticks.

What `decode` does a row at a time, for reads that bring hundreds.
"""
from __future__ import annotations

from itertools import compress
from typing import Any

import msgspec
import numpy as np

from ...clock import NS_PER_MS
from ...data.ticks import Kind, Side, TickColumns
from .schemas import HotAggTrade, HotBookTicker, HotTrade

__all__ = ['tick_columns']

_TRADE, _BID, _ASK = int(Kind.TRADE), int(Kind.BID), int(Kind.ASK)
_BUY, _SELL = int(Side.BUY), int(Side.SELL)
_DEALS = HotTrade, HotAggTrade


def tick_columns(
    messages: list[msgspec.Struct], recv_ns: int, now_ns: int
) -> tuple[TickColumns, int] | None:
    """
    The ticks of ``messages`` in their order, and the newest event time in ms.

    ``None`` if there is anything among them but trades and bests of the book,
    or a number that the columns cannot hold.
    """
    # A message of the book makes two ticks, a trade one.
    books_at = [type(m) is HotBookTicker for m in messages]
    books: Any = list(compress(messages, books_at))
    deals: Any = [m for m in messages if type(m) in _DEALS]
    if len(books) + len(deals) < len(messages):
        return None
    is_book = np.array(books_at)
    ends = np.cumsum(is_book + 1)
    many = int(ends[-1])
    bid = ends[is_book] - 2
    ask = bid + 1
    deal = ends[~is_book] - 1
    time = np.full(many, now_ns)
    kind = np.empty(many, np.uint8)
    side = np.zeros(many, np.int8)
    price = np.empty(many)
    size = np.empty(many)
    id_ = np.empty(many, np.int64)
    count = np.zeros(many, np.int64)
    kind[bid], kind[ask], kind[deal] = _BID, _ASK, _TRADE
    price[bid] = [d.b for d in books]
    size[bid] = [d.B for d in books]
    price[ask] = [d.a for d in books]
    size[ask] = [d.A for d in books]
    price[deal] = [d.p for d in deals]
    size[deal] = [d.q for d in deals]
    side[deal] = [_SELL if d.m else _BUY for d in deals]
    try:
        id_[bid] = id_[ask] = np.array([d.u for d in books], np.int64)
        id_[deal] = [d.id for d in deals]
        time[deal] = [d.T * NS_PER_MS for d in deals]
        count[deal] = [
            d.l - d.f + 1 if type(d) is HotAggTrade else 1 for d in deals
        ]
    except OverflowError:
        return None
    columns = TickColumns(
        time, np.full(many, recv_ns), kind, side, price, size, id_, count
    )
    return columns, max((d.E for d in deals), default=0)
