"""
OHLC bars in shared memory: one buffer per instrument and period.

A bar's place is decided by its time alone: its *index* is the bar's open time
divided by the period, so an index means the same bar in every process, after
growth and after a restart, and the rows from ``first`` to ``next`` have no
holes.  The writer appends at one end while backfill prepends at the other.

Each row carries a version that is odd while the row is being written (a
seqlock, Lamport 1977), so that a reader can tell a torn row from a whole one.
Stores become visible in program order on x86-64; there a bare column view is
never torn within a field, only possibly between fields of the newest row.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..clock import NS_PER_S
from ..errors import DataError, SegmentGone
from .shm import Segment, patiently

if TYPE_CHECKING:
    import polars as pl

__all__ = ['BAR_DTYPE', 'BAR_FIELDS', 'BarWriter', 'Bars', 'to_polars']

BAR_DTYPE: np.dtype[Any] = np.dtype([
    ('time', 'i8'),  # ns UTC of the bar's open
    ('open', 'f8'),
    ('high', 'f8'),
    ('low', 'f8'),
    ('close', 'f8'),
    ('volume', 'f8'),
    ('vwap', 'f8'),
    ('trades', 'i8'),
])
BAR_FIELDS: tuple[str, ...] = BAR_DTYPE.names or ()
_STORED = np.dtype([*BAR_DTYPE.descr, ('version', 'u4')])

# header words
_FIRST, _NEXT, _CHANGES, _MOVED_TO, _AMENDED = range(5)

# Each generation doubles the buffer, so there can never be more than this.
_MOST_GENERATIONS = 48


class Bars:
    """
    A reader's view of one buffer.

    ``bars['close']`` is a zero-copy, read-only, contiguous float64 view of
    all bars there are now; take it anew to see bars that came later.  Values
    of the newest row change in place while its period lasts.  The buffer may
    be replaced by a larger one: `Bars` follows by itself, views taken before
    stay valid but no longer move.
    """

    def __init__(self, segment: Segment) -> None:
        self._open(segment)

    @classmethod
    def attach(cls, name: str) -> Bars:
        """Map by name; raises `SegmentGone`."""
        return cls(Segment.attach(name))

    def _open(self, segment: Segment) -> None:
        self._segment = segment
        self._columns = segment.columns
        self._words = segment.header
        meta = segment.meta
        self.instrument = str(meta['instrument'])
        self.period_s = int(meta['period_s'])
        self.period_ns = self.period_s * NS_PER_S
        self._base = int(meta['base'])

    def _follow(self) -> None:
        # The writer may move on again while we look: the newest name wins.
        stem, _, _ = self._segment.name.rpartition('.g')
        generation = self._words[_MOVED_TO]
        while generation:
            try:
                self._open(Segment.attach(f'{stem}.g{generation}'))
            except SegmentGone:
                generation += 1
                if generation > _MOST_GENERATIONS:
                    raise
            else:
                generation = self._words[_MOVED_TO]

    @property
    def segment_name(self) -> str:
        return self._segment.name

    @property
    def first(self) -> int:
        """Index of the oldest bar."""
        self._follow()
        return self._words[_FIRST]

    @property
    def next(self) -> int:
        """Index one past the newest bar."""
        self._follow()
        return self._words[_NEXT]

    @property
    def changes(self) -> int:
        """Counts every change of any bar; equal counts mean equal bars."""
        self._follow()
        return self._words[_CHANGES]

    @property
    def amended(self) -> int:
        """Counts changes of bars before the newest two."""
        self._follow()
        return self._words[_AMENDED]

    def __len__(self) -> int:
        self._follow()
        return self._words[_NEXT] - self._words[_FIRST]

    def __getitem__(self, field: str) -> npt.NDArray[Any]:
        self._follow()
        low = self._words[_FIRST] - self._base
        high = self._words[_NEXT] - self._base
        view = self._columns[field][low:high]
        view.flags.writeable = False
        return view

    def view(self, field: str, start: int, stop: int) -> npt.NDArray[Any]:
        """Zero-copy view of bars ``start <= index < stop`` that exist."""
        self._follow()
        low = max(start, self._words[_FIRST]) - self._base
        high = min(stop, self._words[_NEXT]) - self._base
        view = self._columns[field][low:max(low, high)]
        view.flags.writeable = False
        return view

    def read(
        self, start: int | None = None, stop: int | None = None
    ) -> npt.NDArray[Any]:
        """
        A whole copy of bars ``start <= index < stop`` as `BAR_DTYPE` rows.

        No row in it is torn.  Raises `DataError` if a row stays in the
        middle of a write, which means that its writer died there.
        """
        self._follow()
        low = self.first if start is None else max(start, self.first)
        high = self.next if stop is None else min(stop, self.next)
        a, b = low - self._base, max(low, high) - self._base
        out = np.empty(b - a, BAR_DTYPE)
        todo = np.arange(a, b)
        for _ in patiently():
            before = self._columns['version'][todo]
            for field in BAR_FIELDS:
                out[field][todo - a] = self._columns[field][todo]
            after = self._columns['version'][todo]
            todo = todo[(before != after) | (before & 1 == 1)]
            if not len(todo):
                return out
        raise DataError(
            f'{self.instrument} {self.period_s}s: bar '
            f'{int(todo[0]) + self._base} is half written; its writer died'
        )

    def row(self, index: int) -> dict[str, float]:
        """One whole bar by index; raises `IndexError` outside the buffer."""
        rows = self.read(index, index + 1)
        if not len(rows):
            raise IndexError(
                f'bar {index} is not in {self.first}..{self.next - 1}'
            )
        return dict(zip(BAR_FIELDS, rows[0].tolist(), strict=True))

    def to_polars(
        self, start: int | None = None, stop: int | None = None
    ) -> pl.DataFrame:
        """`read` as a polars frame, see `to_polars`."""
        return to_polars(self.read(start, stop))

    def index_at(self, time_ns: int) -> int:
        """Index of the bar whose period holds ``time_ns``."""
        return time_ns // self.period_ns


class BarWriter(Bars):
    """
    The one writer of a buffer.

    ``capacity`` rows are laid around ``start_index``, ``back`` of them before
    it.  When either side is used up the bars move to a buffer of twice the
    size and readers follow; nothing is dropped.
    """

    def __init__(
        self,
        stem: str,
        instrument: str,
        period_s: int,
        start_index: int,
        *,
        capacity: int = 1 << 22,
        back: int = 1 << 21,
    ) -> None:
        self._stem = stem
        self._generation = 0
        meta = {
            'kind': 'bars',
            'instrument': instrument,
            'period_s': period_s,
            'base': start_index - back,
        }
        segment = Segment.create(f'{stem}.g0', _STORED, capacity, meta)
        segment.header[_FIRST] = start_index
        segment.header[_NEXT] = start_index
        super().__init__(segment)

    def _open(self, segment: Segment) -> None:
        super()._open(segment)
        self._fields: tuple[Any, ...] = tuple(
            segment.column_view(f) for f in BAR_FIELDS
        )
        self._versions = segment.column_view('version')

    def append(
        self,
        open_: float,
        high: float,
        low: float,
        close: float,
        volume: float = 0.0,
        vwap: float = 0.0,
        trades: int = 0,
    ) -> int:
        """Add the next bar; returns its index."""
        index = self._words[_NEXT]
        if index - self._base >= self._segment.capacity:
            self._grow(at_front=False)
        self._write(
            index, (open_, high, low, close, volume, vwap or close, trades)
        )
        self._words[_NEXT] = index + 1
        return index

    def update(
        self,
        index: int,
        open_: float,
        high: float,
        low: float,
        close: float,
        volume: float,
        vwap: float,
        trades: int,
    ) -> None:
        """Rewrite an existing bar in place."""
        if not self._words[_FIRST] <= index < self._words[_NEXT]:
            raise IndexError(f'no bar {index} to update')
        self._write(index, (open_, high, low, close, volume, vwap, trades))
        if index < self._words[_NEXT] - 2:
            self._words[_AMENDED] += 1

    def _write(self, index: int, values: tuple[float, ...]) -> None:
        slot = index - self._base
        version = self._versions[slot]
        odd = (version | 1) & 0xFFFFFFFF
        self._versions[slot] = odd
        times, opens, highs, lows, closes, volumes, vwaps, counts = (
            self._fields
        )
        times[slot] = index * self.period_ns
        (
            opens[slot], highs[slot], lows[slot], closes[slot],
            volumes[slot], vwaps[slot], counts[slot],
        ) = values
        self._versions[slot] = (odd + 1) & 0xFFFFFFFF
        self._words[_CHANGES] += 1

    def values(self, index: int) -> tuple[Any, ...]:
        """The writer's own view of a bar, `BAR_FIELDS` in order."""
        slot = index - self._base
        return tuple(column[slot] for column in self._fields)

    def prepend(self, rows: npt.NDArray[Any]) -> None:
        """
        Put ``rows`` (`BAR_DTYPE`) before the oldest bar.

        They must be consecutive and end right before it; raises `DataError`
        otherwise and changes nothing.
        """
        if not len(rows):
            return
        first = self._words[_FIRST]
        want = np.arange(first - len(rows), first) * self.period_ns
        if not np.array_equal(rows['time'], want):
            raise DataError(
                f'{self.instrument} {self.period_s}s: bars to prepend are '
                f'not the {len(rows)} consecutive ones before index {first}'
            )
        while first - self._base < len(rows):
            self._grow(at_front=True)
        high = first - self._base
        low = high - len(rows)
        for field in BAR_FIELDS:
            self._segment.columns[field][low:high] = rows[field]
        self._segment.columns['version'][low:high] = 2
        self._words[_FIRST] = first - len(rows)
        self._words[_CHANGES] += 1

    def _grow(self, *, at_front: bool) -> None:
        old = self._segment
        low = self._words[_FIRST] - self._base
        high = self._words[_NEXT] - self._base
        extra = old.capacity
        base = self._base - (extra if at_front else 0)
        self._generation += 1
        new = Segment.create(
            f'{self._stem}.g{self._generation}',
            _STORED,
            old.capacity + extra,
            {**old.meta, 'base': base},
        )
        shift = self._base - base
        for field in _STORED.names or ():
            new.columns[field][low + shift:high + shift] = (
                old.columns[field][low:high]
            )
        new.words[:] = old.words
        # Readers find the new buffer through the old one, so the old name
        # goes only once the new one is complete.
        old.header[_MOVED_TO] = self._generation
        old.unlink()
        self._open(new)

    def unlink(self) -> None:
        """Remove the buffer's name; readers keep what they have mapped."""
        self._segment.unlink()


def to_polars(rows: npt.NDArray[Any]) -> pl.DataFrame:
    """
    `BAR_DTYPE` rows as a polars frame; ``time`` becomes a UTC datetime.
    """
    # Nobody pays for polars who does not ask for a frame.
    import polars as pl

    frame = pl.DataFrame({name: rows[name] for name in BAR_FIELDS})
    return frame.with_columns(
        pl.from_epoch('time', time_unit='ns').dt.replace_time_zone('UTC')
    )


def flat_fill(
    rows: npt.NDArray[Any], start: int, stop: int, period_ns: int, seed: float
) -> npt.NDArray[Any]:
    """
    ``rows`` spread over every index of ``start <= index < stop``.

    Indices without a row get a flat bar at the close before it, or at
    ``seed`` where nothing came before.  ``rows`` must be sorted by time;
    those outside the range are left out.
    """
    out = np.zeros(max(0, stop - start), BAR_DTYPE)
    index = rows['time'] // period_ns
    rows = rows[(index >= start) & (index < stop)]
    out['time'] = np.arange(start, stop) * period_ns
    at = rows['time'] // period_ns - start
    out[at] = rows
    have = np.zeros(len(out), bool)
    have[at] = True
    # position of the last real row at or before each index, -1 for none
    last = np.maximum.accumulate(np.where(have, np.arange(len(out)), -1))
    close = np.where(last >= 0, out['close'][last], seed)
    for field in ('open', 'high', 'low', 'close', 'vwap'):
        out[field] = np.where(have, out[field], close)
    return out


def iter_rows(rows: npt.NDArray[Any]) -> Iterator[dict[str, float]]:
    """The rows of a `BAR_DTYPE` array as dicts of Python numbers."""
    for row in rows:
        yield dict(zip(BAR_FIELDS, row.tolist(), strict=True))
