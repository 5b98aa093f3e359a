"""
Stored bars into shared memory, for a process that asked for them.

While one piece is decoded the one before is copied.  It is written to the
segment's file rather than to a mapping of it: that costs half as much (a page
that is written whole is neither zeroed nor faulted in), counts for no memory
of this process, and a full ``/dev/shm`` is an error instead of a signal.

Source: tmpfs(5), pwrite(2), mmap(2) ("SIGBUS").
"""
from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import polars as pl

from ...clock import NS_PER_S
from ...errors import StorageError
from ..bars import BAR_DTYPE, BAR_FIELDS
from ..shm import SHM_DIR, Segment, layout
from .layout import in_range
from .names import bars_kind
from .scan import CHUNK_ROWS, ahead, collect
from .store import Store
from .table import Snapshot

__all__ = ['LOAN_BARS', 'Loan', 'lend']

# In one segment at most: 64 bytes each, 1 GB.
LOAN_BARS = 1 << 24


@dataclass(frozen=True, slots=True)
class Loan:
    """``rows`` bars in ``segment``; ``next_ns`` is where to go on, or 0."""

    segment: str = ''
    rows: int = 0
    next_ns: int = 0


def lend(
    store: Store,
    name: str,
    symbol: str,
    period_s: int,
    start_ns: int,
    end_ns: int,
    check: Callable[[], None],
    most: int = LOAN_BARS,
) -> Loan:
    """
    Bars that open in ``[start_ns, end_ns)`` as a segment of this name.

    Whoever called unlinks it.  Without bars there is none.  ``check`` is
    called between pieces; what it raises ends the work, and any error leaves
    no segment.  Raises `StorageError` also where ``/dev/shm`` is full.
    """
    table = store.table(symbol, bars_kind(period_s))

    def stage(snapshot: Snapshot) -> Loan:
        period = period_s * NS_PER_S
        low = start_ns
        while low < end_ns:
            files = in_range(snapshot.files, low, end_ns)
            if not files:
                break
            low = max(low, min(f.min_ns for f in files))
            high = min(end_ns, max(f.max_ns for f in files) + 1)
            stop = min(high, low + most * period)
            rows = _fill(
                name, -(-(stop - low) // period),
                collect(table.id.kind, snapshot, low, stop, store.options),
                check,
            )
            if rows:
                return Loan(name, rows, stop if stop < high else 0)
            low = stop
        return Loan()

    return table.reading(stage, Loan())


def _fill(
    name: str,
    capacity: int,
    frames: Generator[pl.DataFrame, None, None],
    check: Callable[[], None],
) -> int:
    """A segment with these rows, columns of ``capacity``; none if empty."""
    rows = 0
    if capacity > CHUNK_ROWS:
        frames = ahead(frames)
    with _created(name, capacity) as put, closing(frames) as pieces:
        for frame in pieces:
            check()
            if rows + len(frame) > capacity:
                raise StorageError(
                    f'{name}: more than the {capacity} bars that the period '
                    'allows; times are off its grid'
                )
            put(frame, rows)
            rows += len(frame)
    if not rows:
        (SHM_DIR / name).unlink()
    return rows


@contextmanager
def _created(
    name: str, capacity: int
) -> Iterator[Callable[[pl.DataFrame, int], None]]:
    """A function that puts a frame at a row of a new segment."""
    segment = Segment.create(name, BAR_DTYPE, capacity)
    offsets, _ = layout(BAR_DTYPE, capacity)
    file = -1

    def put(frame: pl.DataFrame, row: int) -> None:
        for field in BAR_FIELDS:
            at = offsets[field] + row * BAR_DTYPE[field].itemsize
            for chunk in frame[field].get_chunks():
                at += _write(file, chunk.to_numpy(), at)

    try:
        file = os.open(SHM_DIR / name, os.O_WRONLY)
        yield put
    except BaseException as err:
        segment.unlink()
        if isinstance(err, OSError) and err.errno == errno.ENOSPC:
            raise StorageError(
                f'no room in {SHM_DIR} for {capacity} bars of 64 bytes: '
                'free some, or ask for fewer at once'
            ) from err
        raise
    finally:
        if file >= 0:
            os.close(file)


def _write(file: int, values: Any, at: int) -> int:
    """Write all of an array; returns its bytes."""
    left = memoryview(values).cast('B')
    while left:
        done = os.pwrite(file, left, at)
        left, at = left[done:], at + done
    return int(values.nbytes)
