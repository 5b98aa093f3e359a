"""
An order book in shared memory: one writer, any number of readers.

The segment holds two whole copies of the book.  The writer brings the older
one up to date and then makes it the current one, so that a reader always has
a finished copy before it and is disturbed only if two more are written while
it reads; a writer that dies half-way leaves the last finished one.

Stores become visible in program order on x86-64, which this relies on.
"""
from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from .depth import COUNTERS as SYNC_COUNTERS
from .depth import DepthSync
from .shm import Segment
from .signs import Signs, SignsWriter

__all__ = [
    'BOOK_DTYPE',
    'Book',
    'BookReader',
    'BookState',
    'BookWriter',
    'Levels',
]

# A level of each side; a column has room for two copies of the book.
BOOK_DTYPE: np.dtype[Any] = np.dtype([
    ('bid', 'f8'), ('bid_size', 'f8'), ('ask', 'f8'), ('ask_size', 'f8'),
])

# header words
_STARTED, _FINISHED = range(2)
_COUNTS = 8  # words 8..31: counters by name
_COPIES = 32  # words 32.. and 48..: what belongs to each copy
_COPY_WORDS = 16
_BIDS, _ASKS, _UPDATE, _TIME, _RECV, _STATE = range(6)

COUNTERS = (*SYNC_COUNTERS, 'refused', 'reconnects')
_COUNT_AT = {name: _COUNTS + i for i, name in enumerate(COUNTERS)}

# A reader gives up when it has been overtaken this often in a row.
_TRIES = 1000


class BookState(enum.IntEnum):
    """How far a book can be trusted right now."""

    SYNCING = 0  # updates are missing; a snapshot is on its way
    LIVE = 1  # the venue's own book
    STALE = 2  # nothing is heard of the venue
    CLOSED = 3  # nobody writes it any more

    @property
    def label(self) -> str:
        return self.name.lower()


class Levels(NamedTuple):
    """One side, best first: columns of one length."""

    price: npt.NDArray[np.float64]
    size: npt.NDArray[np.float64]

    def rows(self) -> list[tuple[float, float]]:
        """(price, size) of each level, as Python floats."""
        return list(
            zip(self.price.tolist(), self.size.tolist(), strict=True)
        )


@dataclass(frozen=True, slots=True)
class Book:
    """
    The book after the venue's ``update_id``; the arrays are copies.

    ``version`` counts what was written to the segment; ``time`` is the
    venue's time of the update, ``recv`` when it was read; ns UTC.
    """

    bids: Levels
    asks: Levels
    update_id: int
    time: int
    recv: int
    state: BookState
    version: int

    @property
    def best_bid(self) -> float:
        """0 where there is none."""
        return float(self.bids.price[0]) if len(self.bids.price) else 0.0

    @property
    def best_ask(self) -> float:
        """0 where there is none."""
        return float(self.asks.price[0]) if len(self.asks.price) else 0.0


class BookReader(Signs):
    """A mapped book; every read is of one finished copy."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._words = segment.header
        self._columns = segment.columns
        self._room = segment.capacity // 2
        self.instrument = str(segment.meta['instrument'])

    @classmethod
    def attach(cls, name: str) -> BookReader:
        """Map by name; raises `SegmentGone`."""
        return cls(Segment.attach(name))

    @property
    def levels(self) -> int:
        """The most levels a side that are kept here."""
        return self._room

    @property
    def version(self) -> int:
        """Rises whenever something was written."""
        return self._words[_FINISHED]

    def read(self, levels: int | None = None) -> Book:
        """
        The latest book, its best ``levels`` a side (all that are kept).

        Raises `DataError` if the writer overtakes it again and again, which
        takes a reader that hardly gets to run.
        """
        words = self._words
        most = self._room if levels is None else min(levels, self._room)
        for _ in range(_TRIES):
            version = words[_FINISHED]
            at = _COPIES + (version & 1) * _COPY_WORDS
            bids, asks, update, time, recv, state = words[at:at + 6].tolist()
            start = (version & 1) * self._room
            sides = (
                self._side('bid', start, min(bids, most)),
                self._side('ask', start, min(asks, most)),
            )
            # This copy is touched again by the write after the next.
            if words[_STARTED] <= version + 1:
                return Book(
                    *sides, update, time, recv, BookState(state), version
                )
        raise DataError(
            f'{self.instrument}: the book is written faster than this '
            'process can read it'
        )

    def _side(self, name: str, start: int, count: int) -> Levels:
        end = start + count
        return Levels(
            self._columns[name][start:end].copy(),
            self._columns[f'{name}_size'][start:end].copy(),
        )

    @property
    def counters(self) -> dict[str, int]:
        """Everything the writer counted, by name."""
        return {name: self._words[at] for name, at in _COUNT_AT.items()}


class BookWriter(SignsWriter):
    """The one writer of a book of at most ``levels`` a side."""

    def __init__(self, name: str, instrument: str, levels: int) -> None:
        meta = {'kind': 'book', 'instrument': instrument}
        self.segment = Segment.create(name, BOOK_DTYPE, 2 * levels, meta)
        self._words = self.segment.header
        columns = self.segment.columns
        self._copies = [
            [columns[field][half * levels:(half + 1) * levels]
             for field in ('bid', 'bid_size', 'ask', 'ask_size')]
            for half in (0, 1)
        ]
        # From which level on each copy is behind: [bids, asks] each.
        self._behind = [[0, 0], [0, 0]]
        self.state = BookState.SYNCING

    def reader(self) -> BookReader:
        return BookReader(self.segment)

    def write(self, book: DepthSync, state: BookState) -> None:
        """Make ``book`` and ``state`` what readers see."""
        self.state = state
        words = self._words
        version = words[_FINISHED] + 1
        half = version & 1
        changed = book.bids.take_changed(), book.asks.take_changed()
        for behind in self._behind:
            behind[0] = min(behind[0], changed[0])
            behind[1] = min(behind[1], changed[1])
        low_bid, low_ask = self._behind[half]
        bid, bid_size, ask, ask_size = self._copies[half]
        at = _COPIES + half * _COPY_WORDS
        words[_STARTED] = version
        bids = book.bids.copy(bid, bid_size, low_bid)
        asks = book.asks.copy(ask, ask_size, low_ask)
        words[at + _BIDS] = bids
        words[at + _ASKS] = asks
        words[at + _UPDATE] = book.update_id
        words[at + _TIME] = book.time
        words[at + _RECV] = book.recv
        words[at + _STATE] = state
        words[_FINISHED] = version
        self._behind[half] = [len(book.bids), len(book.asks)]
        for name, value in book.counters.items():
            words[_COUNT_AT[name]] = value

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter of the writer's own."""
        self._words[_COUNT_AT[name]] += by


def ladder(book: Book) -> Iterator[tuple[str, float, float, float]]:
    """
    Rows of a ladder, highest price first: side, price, size, sum from best.
    """
    for side, levels in (('ask', book.asks), ('bid', book.bids)):
        sums = np.cumsum(levels.size).tolist()
        rows = [
            (side, price, size, total)
            for (price, size), total in zip(levels.rows(), sums, strict=True)
        ]
        yield from reversed(rows) if side == 'ask' else rows
