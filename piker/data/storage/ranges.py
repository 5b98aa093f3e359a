"""
Ranges of bars: what is missing, what has been looked for; pure functions.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ...clock import NS_PER_S

__all__ = ['Gap', 'merged', 'pages', 'without']


class Gap(NamedTuple):
    """Bars that are missing: opens from ``start_ns`` up to ``end_ns``."""

    start_ns: int
    end_ns: int

    def bars(self, period_s: int) -> int:
        return (self.end_ns - self.start_ns) // (period_s * NS_PER_S)


def merged(ranges: Iterable[tuple[int, int]]) -> list[Gap]:
    """The union of ``[start, end)`` ranges, oldest first."""
    found: list[Gap] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1].end_ns:
            found[-1] = Gap(found[-1].start_ns, max(found[-1].end_ns, end))
        elif end > start:
            found.append(Gap(start, end))
    return found


def without(
    gaps: Iterable[Gap], ranges: Iterable[tuple[int, int]]
) -> list[Gap]:
    """``gaps`` without what lies in ``ranges``, oldest first."""
    cuts = merged(ranges)
    left = []
    for start, end in merged(gaps):
        for low, high in cuts:
            if high <= start:
                continue
            if low >= end:
                break
            if low > start:
                left.append(Gap(start, low))
            start = high
        if start < end:
            left.append(Gap(start, end))
    return left


def pages(gap: Gap, step_ns: int) -> list[Gap]:
    """A gap in pages of at most ``step_ns``, newest first."""
    return [
        Gap(max(gap.start_ns, end - step_ns), end)
        for end in range(gap.end_ns, gap.start_ns, -step_ns)
    ]
