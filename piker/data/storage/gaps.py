"""
Gaps: which bars between the first and the last stored one are missing.
"""
from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from ...clock import NS_PER_S
from .layout import clusters, in_range
from .names import bars_kind
from .ranges import Gap
from .scan import scan
from .table import Snapshot

__all__ = ['Gap', 'find_gaps']


def find_gaps(
    snapshot: Snapshot,
    period_s: int,
    start_ns: int | None,
    end_ns: int | None,
    options: dict[str, str] | None,
) -> list[Gap]:
    """
    Gaps of ``[start_ns, end_ns)``, oldest first.

    A bound that is ``None`` is the first or last stored bar.  Files that are
    whole by their count of rows are not opened.
    """
    period = period_s * NS_PER_S
    files = snapshot.files
    if not files:
        first = stop = 0
    else:
        first = min(f.min_ns for f in files) // period
        stop = max(f.max_ns for f in files) // period + 1
    low = first if start_ns is None else -(-start_ns // period)
    high = stop if end_ns is None else -(-end_ns // period)
    if low >= high:
        return []
    have: list[tuple[int, int]] = []
    for group in clusters(in_range(files, low * period, high * period)):
        a = min(f.min_ns for f in group) // period
        b = max(f.max_ns for f in group) // period + 1
        if len(group) == 1 and group[0].rows == b - a:
            have.append((a, b))
            continue
        part = Snapshot(snapshot.base, snapshot.version, tuple(group))
        indices = _indices(part, period_s, options)
        have += _runs_of(indices)
    gaps = []
    at = low
    for a, b in sorted(have):
        if min(a, high) > at:
            gaps.append(Gap(at * period, min(a, high) * period))
        at = max(at, b)
    if at < high:
        gaps.append(Gap(at * period, high * period))
    return gaps


def _indices(
    part: Snapshot, period_s: int, options: dict[str, str] | None
) -> npt.NDArray[np.int64]:
    frame = scan(bars_kind(period_s), part, options=options)
    times = frame.select(pl.col('time').unique().sort()).collect()
    return times['time'].to_numpy() // (period_s * NS_PER_S)


def _runs_of(indices: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    if not len(indices):
        return []
    cuts = np.flatnonzero(np.diff(indices) > 1)
    starts = np.concatenate(([0], cuts + 1))
    ends = np.concatenate((cuts, [len(indices) - 1]))
    return [
        (int(indices[a]), int(indices[b]) + 1)
        for a, b in zip(starts, ends, strict=True)
    ]
