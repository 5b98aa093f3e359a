"""
What a tick is, a run of them, and a quote: the words of the tick ring.
"""
from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    'TICK_DTYPE',
    'TICK_FIELDS',
    'FeedState',
    'Kind',
    'Quote',
    'Side',
    'TickColumns',
    'TickRow',
    'Ticks',
    'in_order',
    'is_trade',
]


class Kind(enum.IntEnum):
    """What a tick says."""

    TRADE = 1
    BID = 2
    ASK = 3


class Side(enum.IntEnum):
    """Who was the aggressor of a trade."""

    NONE = 0
    BUY = 1
    SELL = -1


class FeedState(enum.IntEnum):
    """How far the latest data can be trusted."""

    STARTING = 0
    LIVE = 1
    STALE = 2
    RECONNECTING = 3
    CLOSED = 4

    @property
    def label(self) -> str:
        return self.name.lower()


TICK_DTYPE: np.dtype[Any] = np.dtype([
    ('time', 'i8'),  # ns UTC, the venue's; for quotes without one, our own
    ('recv', 'i8'),  # ns UTC when the bytes were read
    ('kind', 'u1'),
    ('side', 'i1'),
    ('price', 'f8'),
    ('size', 'f8'),
    ('id', 'i8'),  # the venue's trade or update id
    ('count', 'u4'),  # trades that one row stands for; 0 for quotes
])
TICK_FIELDS: tuple[str, ...] = TICK_DTYPE.names or ()

# A tick on its way into the ring: the fields of TICK_DTYPE in order.
TickRow = tuple[int, int, int, int, float, float, int, int]


@dataclass(frozen=True, slots=True)
class _Arrays:
    """An array for each field of TICK_DTYPE, in its order, of one length."""

    time: npt.NDArray[np.int64]
    recv: npt.NDArray[np.int64]
    kind: npt.NDArray[np.uint8]
    side: npt.NDArray[np.int8]
    price: npt.NDArray[np.float64]
    size: npt.NDArray[np.float64]
    id: npt.NDArray[np.int64]
    count: npt.NDArray[np.integer[Any]]


_fields_of = attrgetter(*TICK_FIELDS)


@dataclass(frozen=True, slots=True)
class TickColumns(_Arrays):
    """
    Ticks on their way into the ring, by fields.

    ``count`` is int64, so that what does not fit can be told.
    """

    count: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.time)

    def fields(self) -> tuple[npt.NDArray[Any], ...]:
        """The arrays in the order of TICK_DTYPE."""
        fields: tuple[npt.NDArray[Any], ...] = _fields_of(self)
        return fields

    def row(self, at: int) -> TickRow:
        row: Any = tuple(column[at].item() for column in self.fields())
        return row  # type: ignore[no-any-return]

    def rows(self) -> list[TickRow]:
        lists: Any = (column.tolist() for column in self.fields())
        return list(zip(*lists, strict=True))


@dataclass(frozen=True, slots=True)
class Quote:
    """
    The latest state of an instrument.

    ``last`` is always finite; ``bid`` and ``ask`` are 0 until the venue sent
    a first one.  ``volume`` is what traded since midnight UTC; as it is in
    the ring, on the newest day with a trade.  ``time`` is the venue's time of
    the last trade, ``quote_time`` of the last change of bid or ask, ``recv``
    when the newest of them was read; all ns UTC.
    """

    last: float
    last_size: float
    bid: float
    bid_size: float
    ask: float
    ask_size: float
    volume: float
    time: int
    quote_time: int
    recv: int

    def as_dict(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Ticks(_Arrays):
    """
    A run of consecutive ticks, one array per field, all of one length.

    ``seq`` (uint64) numbers the ticks of a ring from 0; ``missed`` counts
    those that were overwritten before this run could be read.
    """

    count: npt.NDArray[np.uint32]
    seq: npt.NDArray[np.uint64]
    missed: int = 0

    def __len__(self) -> int:
        return len(self.seq)

    def where(self, mask: npt.NDArray[np.bool_]) -> Ticks:
        """The ticks of this run for which ``mask`` holds."""
        columns = {f: getattr(self, f)[mask] for f in ('seq', *TICK_FIELDS)}
        return Ticks(**columns, missed=self.missed)

    @property
    def trades(self) -> Ticks:
        return self.where(self.kind == Kind.TRADE)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Each tick as a dict of Python values."""
        columns = [getattr(self, f).tolist() for f in ('seq', *TICK_FIELDS)]
        for values in zip(*columns, strict=True):
            yield dict(zip(('seq', *TICK_FIELDS), values, strict=True))


_TRADE = int(Kind.TRADE)


def is_trade(row: TickRow) -> bool:
    return row[2] == _TRADE


def in_order(rows: list[TickRow]) -> list[TickRow]:
    """``rows`` with the trades sorted by id, in the places trades had."""
    ids = [row[6] for row in rows if is_trade(row)]
    if all(a < b for a, b in pairwise(ids)):
        return rows
    trades = iter(sorted(filter(is_trade, rows), key=lambda row: row[6]))
    return [next(trades) if is_trade(row) else row for row in rows]
