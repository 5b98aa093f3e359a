"""
Bars made fit for drawing: at most about one column per pixel.

When several bars share a pixel they are merged into one real bar (first open,
highest high, lowest low, last close, summed volume), so that no extreme is
ever lost; for a price line this is what M4 keeps (Jugel et al., *M4: A
Visualization-Oriented Time Series Data Aggregation*, VLDB 2014).  Merged
columns are aligned to absolute bar indices, so that they don't shimmer while
the picture scrolls.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .feeds import BarsLike

__all__ = ['Columns', 'merge_factor', 'sample']

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Columns:
    """
    Bars or merged bars to draw, all arrays of one length.

    ``index`` is the first bar of each column and ``width`` the bars in each,
    but for the ends, where fewer may exist.
    """

    index: npt.NDArray[np.int64]
    width: int
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        return len(self.index)

    def extremes(self) -> tuple[float, float, float]:
        """Lowest low, highest high, largest volume; inf, -inf, 0 if empty."""
        if not len(self.index):
            return math.inf, -math.inf, 0.0
        return (
            float(self.low.min()),
            float(self.high.max()),
            float(self.volume.max()),
        )


def merge_factor(spacing: float) -> int:
    """How many bars to merge when one is ``spacing`` device pixels wide."""
    return max(1, math.ceil(1 / spacing - 1e-9))


def sample(bars: BarsLike, start: int, stop: int, width: int) -> Columns:
    """
    The columns of bars ``start <= index < stop``, ``width`` bars in each.

    ``start`` is moved down to a multiple of ``width``.  Costs a pass over
    the bars asked for, nothing over those that are not.
    """
    first = bars.first
    start = max(start // width * width, first)
    stop = max(start, min(stop, bars.next))
    raw: dict[str, Any] = {
        name: bars.view(name, start, stop)
        for name in ('open', 'high', 'low', 'close', 'volume')
    }
    # The buffer may have grown between two views: keep what all have.
    count = min(len(view) for view in raw.values())
    raw = {name: view[:count] for name, view in raw.items()}
    if width == 1 or not count:
        index = np.arange(start, start + count)
        return Columns(
            index, width, **{k: np.array(v, float) for k, v in raw.items()}
        )
    index = np.arange(start // width * width, start + count, width)
    cuts = np.maximum(index - start, 0)
    ends = np.append(cuts[1:], count) - 1
    return Columns(
        index,
        width,
        open=raw['open'][cuts],
        high=np.maximum.reduceat(raw['high'], cuts),
        low=np.minimum.reduceat(raw['low'], cuts),
        close=raw['close'][ends],
        volume=np.add.reduceat(raw['volume'], cuts),
    )
