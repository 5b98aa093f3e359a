"""
What a table's files hold, from the statistics in its log; pure functions.

Every file we write is sorted by time and has no duplicates in itself, so
files whose time ranges do not touch can be read one after the other as they
are; only those that do must be merged.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ['DataFile', 'clusters', 'in_range', 'plan_compaction']

# A compacted file holds about this many rows.
TARGET_ROWS = 1 << 20
# Sizes of files that are compacted together grow by this factor.
_TIER = 32


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file of a snapshot; times in ns, both inclusive."""

    path: str
    size: int
    rows: int
    min_ns: int
    max_ns: int
    written: int = 0


def in_range(
    files: Sequence[DataFile], start_ns: int, end_ns: int
) -> list[DataFile]:
    """Those that may hold rows of ``[start_ns, end_ns)``."""
    return [f for f in files if f.max_ns >= start_ns and f.min_ns < end_ns]


def clusters(files: Sequence[DataFile]) -> list[list[DataFile]]:
    """
    Groups of files whose time ranges touch, oldest first.

    Groups do not touch each other.
    """
    found: list[list[DataFile]] = []
    end = -1
    for file in sorted(files, key=lambda f: (f.min_ns, f.max_ns, f.path)):
        if found and file.min_ns <= end:
            found[-1].append(file)
            end = max(end, file.max_ns)
        else:
            found.append([file])
            end = file.max_ns
    return found


def plan_compaction(
    files: Sequence[DataFile], least_files: int, target: int = TARGET_ROWS
) -> list[tuple[int, int]]:
    """
    Time ranges ``[start, end)`` in ns that are worth rewriting.

    With ``least_files`` 2 everything small or overlapping is, which is what
    a person asks for.  With more, runs of at least so many files of like
    size are: each row is then rewritten a few times in its life only, like
    the levels of a log-structured merge tree (O'Neil et al. 1996).
    """
    if least_files <= 2:
        return _runs(list(files), 2, target)
    size = _TIER
    while size < target:
        small = min(size, target)
        ranges: list[tuple[int, int]] = []
        run: list[DataFile] = []
        for group in clusters(files):
            if len(group) > 1 or group[0].rows <= small:
                run += group
                continue
            ranges += _runs(run, least_files, target)
            run = []
        ranges += _runs(run, least_files, target)
        if ranges:
            return ranges
        size *= _TIER
    return []


def _runs(
    files: list[DataFile], least: int, target: int
) -> list[tuple[int, int]]:
    """Cut consecutive files into ranges of about ``target`` rows."""
    found: list[tuple[int, int]] = []
    part: list[DataFile] = []
    rows = 0
    end = -1
    for file in sorted(files, key=lambda f: (f.min_ns, f.max_ns)):
        # A cut through overlapping files is fine: each keeps the rows on its
        # side.  It must only leave something on either.
        cut = part and file.min_ns > part[0].min_ns
        worth = len(part) >= least or file.min_ns > end
        if cut and worth and rows + file.rows > target:
            if len(part) >= least:
                found.append((part[0].min_ns, file.min_ns))
            part, rows = [], 0
        part.append(file)
        rows += file.rows
        end = max(end, file.max_ns)
    if len(part) >= least:
        found.append((part[0].min_ns, end + 1))
    return found
