"""
Ticks in shared memory: a ring with one writer and any number of readers.

The writer announces how far it is about to write, writes, then commits; a
reader copies what is committed and then looks at the announcement to see
whether any of it was overwritten meanwhile.  A reader that is lapped learns
exactly how many ticks it missed.  Readers hold no lock and the writer never
looks at them, but for one word that says whether anybody sleeps (`wake`).

Stores become visible in program order on x86-64, which this relies on.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from .shm import Segment, patiently
from .signs import Signs, SignsWriter
from .ticktypes import (
    TICK_DTYPE,
    TICK_FIELDS,
    FeedState,
    Kind,
    Quote,
    Side,
    TickColumns,
    TickRow,
    Ticks,
)

__all__ = [
    'TICK_DTYPE',
    'FeedState',
    'Kind',
    'Quote',
    'Side',
    'TickColumns',
    'TickReader',
    'TickRow',
    'TickWriter',
    'Ticks',
]

# header words
(
    _RESERVED, _COMMITTED, _STATE, _DAY, _QUOTE_VERSION, _BACKFILLING,
) = range(6)
_COUNTS = 8  # words 8..23: counters by name, see `meta['counters']`
_QUOTE = 32  # words 32..47: the latest quote, see `_QUOTE_AT`

COUNTERS = (
    'trades', 'quotes', 'duplicates', 'gaps', 'missed', 'refused',
    'reconnects', 'filled', 'late', 'amended', 'resets', 'repaired',
)
_RECONNECTS, _RESETS = (
    _COUNTS + COUNTERS.index(name) for name in ('reconnects', 'resets')
)
_QUOTE_FLOATS = (
    'last', 'last_size', 'bid', 'bid_size', 'ask', 'ask_size', 'volume',
)
_QUOTE_TIMES = ('time', 'quote_time', 'recv')


class TickReader(Signs):
    """
    A reader's place in a ring.

    Starts at the newest tick, or at the oldest one kept with
    ``from_start=True``.
    """

    def __init__(self, segment: Segment, *, from_start: bool = False) -> None:
        self._segment = segment
        self._columns = segment.columns
        self._words = segment.header
        self._floats = segment.float_words()
        self._capacity = segment.capacity
        self.instrument = str(segment.meta['instrument'])
        self.missed = 0
        self._told = 0  # of those missed, what runs have said
        self.position = self._words[_COMMITTED]
        if from_start:
            self.position = max(0, self._words[_RESERVED] - self._capacity)

    @classmethod
    def attach(cls, name: str, *, from_start: bool = False) -> TickReader:
        """Map by name; raises `SegmentGone`."""
        return cls(Segment.attach(name), from_start=from_start)

    def another(self, *, from_start: bool = False) -> TickReader:
        """A reader with a place of its own in the same memory."""
        return TickReader(self._segment, from_start=from_start)

    @property
    def segment_name(self) -> str:
        return self._segment.name

    @property
    def pending(self) -> int:
        """Ticks committed and not read yet, lapped ones included."""
        return self._words[_COMMITTED] - self.position

    def read(self, limit: int = 1 << 14) -> Ticks | None:
        """
        The next ticks, at most ``limit``, or ``None`` if there are none.

        They are copies, and never empty.  ``missed`` of the run counts ticks
        lost to lapping right before it; ``self.missed`` is the sum over this
        reader's life.
        """
        words = self._words
        while True:
            end = words[_COMMITTED]
            if self.position >= end:
                return None
            # The writer may be anywhere by now, also further than `end`.
            lost = self._overwritten(self.position, end)
            start = self.position + lost
            end = min(end, start + limit)
            run = self._copy(start, end)
            # What the writer has announced since may have hit what we copied.
            hit = self._overwritten(start, end)
            self.position = end
            self.missed += lost + hit
            first = start + hit
            if first < end:
                break
        if hit:
            run = [column[hit:] for column in run]
        seq = np.arange(first, end, dtype=np.uint64)
        columns: Any = dict(zip(TICK_FIELDS, run, strict=True))
        missed, self._told = self.missed - self._told, self.missed
        return Ticks(seq=seq, **columns, missed=missed)

    def _overwritten(self, start: int, end: int) -> int:
        """How many of ``start <= seq < end`` are gone from the ring."""
        oldest: int = self._words[_RESERVED] - self._capacity
        return min(max(0, oldest - start), end - start)

    def _copy(self, start: int, end: int) -> list[npt.NDArray[Any]]:
        a, b = start % self._capacity, end % self._capacity
        if start == end:
            return [self._columns[f][:0].copy() for f in TICK_FIELDS]
        if a < b:
            return [self._columns[f][a:b].copy() for f in TICK_FIELDS]
        return [
            np.concatenate((self._columns[f][a:], self._columns[f][:b]))
            for f in TICK_FIELDS
        ]

    def quote(self) -> Quote:
        """The latest quote, never a mix of two."""
        split = _QUOTE + len(_QUOTE_FLOATS)
        end = split + len(_QUOTE_TIMES)
        for _ in patiently():
            before = self._words[_QUOTE_VERSION]
            values: list[Any] = self._floats[_QUOTE:split].tolist()
            values += self._words[split:end].tolist()
            if before & 1 == 0 and before == self._words[_QUOTE_VERSION]:
                return Quote(*values)
        raise DataError(
            f'{self.instrument}: the latest quote is half written; its '
            'writer died'
        )

    @property
    def volume_day(self) -> int:
        """The day that the quote's volume is of, counted since the epoch."""
        return self._words[_DAY]

    @property
    def state(self) -> FeedState:
        """What the writer last said of the feed."""
        return FeedState(self._words[_STATE])

    @property
    def backfilling(self) -> bool:
        """Whether older bars are still being loaded."""
        return bool(self._words[_BACKFILLING])

    @property
    def counters(self) -> dict[str, int]:
        """Everything the writer counted, by name."""
        return {
            name: self._words[_COUNTS + i] for i, name in enumerate(COUNTERS)
        }

    @property
    def outages(self) -> int:
        """How often the stream has broken off or begun anew."""
        words = self._words
        return words[_RECONNECTS] + words[_RESETS]

    @property
    def written(self) -> int:
        """Ticks committed since the ring was made."""
        return self._words[_COMMITTED]


class TickWriter(SignsWriter):
    """The one writer of a ring of ``capacity`` ticks (a power of two)."""

    def __init__(
        self, name: str, instrument: str, *, capacity: int = 1 << 16
    ) -> None:
        assert capacity & (capacity - 1) == 0, 'capacity: a power of two'
        meta = {'kind': 'ticks', 'instrument': instrument}
        segment = Segment.create(name, TICK_DTYPE, capacity, meta)
        self.segment = segment
        self._words = segment.header
        self._floats = segment.float_words()
        self._mask = capacity - 1
        self._fields = tuple(segment.column_view(f) for f in TICK_FIELDS)
        self._arrays = tuple(segment.columns[f] for f in TICK_FIELDS)
        self._count_at = {n: _COUNTS + i for i, n in enumerate(COUNTERS)}

    def reader(self, *, from_start: bool = False) -> TickReader:
        return TickReader(self.segment, from_start=from_start)

    def write(self, rows: Iterable[TickRow]) -> int:
        """
        Commit ``rows``; returns how many there were.

        All at once, but for more than the ring holds.
        """
        rows = rows if isinstance(rows, list) else list(rows)
        most = self._mask + 1
        if len(rows) > most:
            # What is announced must leave something that can be read.
            return sum(
                self.write(rows[at:at + most])
                for at in range(0, len(rows), most)
            )
        words = self._words
        at = words[_COMMITTED]
        end = at + len(rows)
        words[_RESERVED] = end
        mask = self._mask
        times, recvs, kinds, sides, prices, sizes, ids, counts = self._fields
        for time, recv, kind, side, price, size, id_, count in rows:
            slot = at & mask
            times[slot] = time
            recvs[slot] = recv
            kinds[slot] = kind
            sides[slot] = side
            prices[slot] = price
            sizes[slot] = size
            ids[slot] = id_
            counts[slot] = count
            at += 1
        words[_COMMITTED] = end
        return len(rows)

    def write_columns(self, ticks: TickColumns) -> None:
        """`write` for columns: slices, where there are many."""
        most = self._mask + 1
        fields = ticks.fields()
        for low in range(0, len(ticks), most):
            self._write_part([column[low:low + most] for column in fields])

    def _write_part(self, columns: list[npt.NDArray[Any]]) -> None:
        words = self._words
        at = words[_COMMITTED]
        end = at + len(columns[0])
        words[_RESERVED] = end
        slot, stop = at & self._mask, end & self._mask
        for field, column in zip(self._arrays, columns, strict=True):
            if slot < stop:
                field[slot:stop] = column
            else:
                # what fits before the ring's end; the rest at its beginning
                first = len(field) - slot
                field[slot:] = column[:first]
                field[:stop] = column[first:]
        words[_COMMITTED] = end

    def set_quote(self, **values: float) -> None:
        """Change the named fields of the latest quote as one."""
        words, floats = self._words, self._floats
        words[_QUOTE_VERSION] += 1
        for name, value in values.items():
            if name in _QUOTE_TIMES:
                words[_QUOTE_AT[name]] = int(value)
            else:
                floats[_QUOTE_AT[name]] = value
        words[_QUOTE_VERSION] += 1

    def set_latest(
        self,
        recv_ns: int,
        trade: TickRow | None,
        volume: float,
        touch: tuple[TickRow, TickRow] | None,
    ) -> None:
        """
        `set_quote` from rows, for the hot path: by slot, not by name.

        ``touch`` is the bid and the ask where either has changed.
        """
        words, floats = self._words, self._floats
        words[_QUOTE_VERSION] += 1
        if trade:
            floats[_LAST_AT] = trade[4]
            floats[_LAST_AT + 1] = trade[5]
            floats[_VOLUME_AT] = volume
            words[_TIME_AT] = trade[0]
        if touch:
            bid, ask = touch
            floats[_BID_AT] = bid[4]
            floats[_BID_AT + 1] = bid[5]
            floats[_ASK_AT] = ask[4]
            floats[_ASK_AT + 1] = ask[5]
            words[_QUOTE_TIME_AT] = bid[0] if bid[0] > ask[0] else ask[0]
        words[_RECV_AT] = recv_ns
        words[_QUOTE_VERSION] += 1

    def begin_day(self, day: int) -> None:
        """Begin the quote's volume anew; days are counted since the epoch."""
        words = self._words
        words[_QUOTE_VERSION] += 1
        words[_DAY] = day
        self._floats[_VOLUME_AT] = 0.0
        words[_QUOTE_VERSION] += 1

    def count(self, name: str, by: int = 1) -> None:
        self._words[self._count_at[name]] += by

    def set_count(self, name: str, value: int) -> None:
        self._words[self._count_at[name]] = value

    def set_state(self, state: FeedState) -> None:
        self._words[_STATE] = state

    def set_backfilling(self, value: bool) -> None:
        self._words[_BACKFILLING] = value


_QUOTE_AT = {
    name: _QUOTE + i for i, name in enumerate((*_QUOTE_FLOATS, *_QUOTE_TIMES))
}
_LAST_AT, _BID_AT, _ASK_AT, _VOLUME_AT = (
    _QUOTE_AT[name] for name in ('last', 'bid', 'ask', 'volume')
)
_TIME_AT, _QUOTE_TIME_AT, _RECV_AT = (
    _QUOTE_AT[name] for name in _QUOTE_TIMES
)
