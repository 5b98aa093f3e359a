"""
Reading a snapshot: prune files by their times, merge only what overlaps.
"""
from __future__ import annotations

import mmap
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from .layout import DataFile, clusters, in_range
from .names import TICKS, join
from .schema import WRITTEN, columns_of, dedupe, dtype_of, pack_into
from .table import Snapshot

__all__ = [
    'CHUNK_ROWS', 'END_NS', 'ahead', 'collect', 'read_rows', 'scan', 'whole',
]

END_NS = 1 << 62
# Read at once; bounds the memory besides the result itself.
CHUNK_ROWS = 1 << 20


def _files(
    snapshot: Snapshot,
    files: Sequence[DataFile],
    options: Mapping[str, str] | None,
) -> pl.LazyFrame:
    return pl.scan_parquet(
        [join(snapshot.base, file.path) for file in files],
        glob=False,
        hive_partitioning=False,
        storage_options=dict(options) if options else None,
    )


def scan(
    kind: str,
    snapshot: Snapshot,
    start_ns: int = 0,
    end_ns: int = END_NS,
    options: Mapping[str, str] | None = None,
    *,
    written: bool = False,
    merge: bool = False,
) -> pl.LazyFrame:
    """
    Rows of ``[start_ns, end_ns)``, sorted by time, no duplicates.

    Files outside are never opened.  With ``merge`` all files are merged as
    if they overlapped, for tables that somebody else has written to.
    """
    files = in_range(snapshot.files, start_ns, end_ns)
    wanted = [*columns_of(kind), *([WRITTEN] if written else [])]
    if not files:
        return _empty(kind, wanted)
    time = pl.col('time')
    parts: list[pl.LazyFrame] = []
    plain: list[DataFile] = []

    def take(found: Sequence[DataFile]) -> pl.LazyFrame:
        frame = _files(snapshot, found, options)
        low = min(f.min_ns for f in found)
        high = max(f.max_ns for f in found)
        if low < start_ns or high >= end_ns:
            return frame.filter((time >= start_ns) & (time < end_ns))
        return frame

    groups = [list(files)] if merge else clusters(files)
    for group in groups:
        if len(group) == 1 and not merge:
            plain += group
            continue
        if plain:
            parts.append(take(plain).select(wanted))
            plain = []
        parts.append(dedupe(kind, take(group)).select(wanted))
    if plain:
        parts.append(take(plain).select(wanted))
    return parts[0] if len(parts) == 1 else pl.concat(parts)


def _empty(kind: str, wanted: Sequence[str]) -> pl.LazyFrame:
    from .schema import frame_of

    dtype = dtype_of(kind)
    frame = frame_of(
        kind, {n: np.empty(0, dtype[n]) for n in columns_of(kind)}
    )
    return frame.with_columns(
        pl.Series(WRITTEN, [], pl.Int64)
    ).select(wanted).lazy()


def collect(
    kind: str,
    snapshot: Snapshot,
    start_ns: int,
    end_ns: int,
    options: Mapping[str, str] | None,
) -> Generator[pl.DataFrame, None, None]:
    """
    The same rows in frames of a few million at most, in order.

    Each is checked: a table that another engine has rearranged is merged.
    """
    for low, high in _chunks(snapshot, start_ns, end_ns):
        yield whole(kind, snapshot, low, high, options)


def whole(
    kind: str,
    snapshot: Snapshot,
    start_ns: int,
    end_ns: int,
    options: Mapping[str, str] | None,
) -> pl.DataFrame:
    """All of the same rows in one frame, checked in the same way."""
    frame = scan(kind, snapshot, start_ns, end_ns, options).collect()
    if _in_order(kind, frame):
        return frame
    return scan(
        kind, snapshot, start_ns, end_ns, options, merge=True
    ).collect()


def _in_order(kind: str, frame: pl.DataFrame) -> bool:
    follows = np.greater_equal if kind == TICKS else np.greater
    last: npt.NDArray[Any] | None = None
    for chunk in frame['time'].get_chunks():
        times = chunk.to_numpy()
        if last is not None and not follows(times[:1], last).all():
            return False
        if not follows(times[1:], times[:-1]).all():
            return False
        last = times[-1:] if len(times) else last
    return True


def _chunks(
    snapshot: Snapshot, start_ns: int, end_ns: int
) -> Iterator[tuple[int, int]]:
    """Cut a range where no file is cut, every few million rows."""
    low, rows = start_ns, 0
    for group in clusters(in_range(snapshot.files, start_ns, end_ns)):
        first = group[0].min_ns
        more = sum(f.rows for f in group)
        if rows and rows + more > CHUNK_ROWS and first > low:
            yield low, first
            low, rows = first, 0
        rows += more
    if rows:
        yield low, end_ns


def read_rows(
    kind: str,
    snapshot: Snapshot,
    start_ns: int,
    end_ns: int,
    options: Mapping[str, str] | None,
) -> npt.NDArray[Any]:
    """Rows of ``[start_ns, end_ns)`` as `BAR_DTYPE` or `TICK_DTYPE`."""
    dtype = dtype_of(kind)
    most = sum(f.rows for f in in_range(snapshot.files, start_ns, end_ns))
    frames: Iterator[pl.DataFrame] = collect(
        kind, snapshot, start_ns, end_ns, options
    )
    if most <= CHUNK_ROWS:
        parts = list(frames)
        out = np.empty(sum(map(len, parts)), dtype)
        frames = iter(parts)
    else:
        # Pages nobody touches cost nothing, and small ones come at an even
        # price: huge ones, which numpy asks for, may stall for a second.
        memory = mmap.mmap(-1, most * dtype.itemsize)
        out = np.frombuffer(memory, dtype)
    at = 0
    for frame in ahead(frames):
        pack_into(frame, out[at:at + len(frame)])
        at += len(frame)
    return out[:at]


def ahead(
    frames: Iterator[pl.DataFrame],
) -> Generator[pl.DataFrame, None, None]:
    """
    Read the next frame while the one before is worked on.

    Close it, or read it to the end: it has a thread.
    """
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, frames, None)
        while (frame := coming.result()) is not None:
            coming = reader.submit(next, frames, None)
            yield frame
