"""
Candles and volume, drawn in device pixels.

Everything is an axis-parallel rectangle on whole device pixels, so edges are
crisp at any display scale; one call per colour hands Qt a whole array.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PyQt5.QtCore import QRectF, Qt
from PyQt5.QtGui import QColor, QPainter
from pyqtgraph.Qt.internals import PrimitiveArray

from .sampling import Columns
from .theme import Palette, color
from .viewport import Frame

__all__ = ['Candles', 'VOLUME_SHARE', 'body_width']

# Share of the plot's height that the tallest volume bar takes.
VOLUME_SHARE = 0.17

_Mask = npt.NDArray[np.bool_]
_Ints = npt.NDArray[np.float64]


def body_width(spacing: float, wick: int) -> int:
    """
    A candle body's width for bars ``spacing`` device pixels apart.

    Its parity is that of the wick, so that the wick sits in its middle.
    """
    pairs = max(0, round((spacing * 0.72 - wick) / 2))
    # At least a pixel between neighbours.
    while pairs and spacing - wick - 2 * pairs < 1:
        pairs -= 1
    return wick + 2 * pairs


@dataclass(frozen=True, slots=True)
class _Layout:
    x: _Ints
    width: Any
    body_x: _Ints
    body_width: Any


class Candles:
    """Draws columns; keeps the arrays that Qt reads from."""

    def __init__(self) -> None:
        self._rects = PrimitiveArray(QRectF, 4)

    def draw(
        self,
        painter: QPainter,
        columns: Columns,
        frame: Frame,
        volume_top: float,
        ratio: float = 1.0,
        *,
        volume: bool = True,
    ) -> None:
        """
        Draw ``columns`` with the plot's origin at the painter's.

        ``volume_top`` is the volume that takes `VOLUME_SHARE`; ``ratio``
        device pixels make a logical one.
        """
        if not len(columns):
            return
        painter.save()
        painter.setRenderHint(QPainter.Antialiasing, False)
        painter.setPen(Qt.NoPen)
        painter.scale(1 / ratio, 1 / ratio)
        place = self._place(columns, frame, ratio)
        rising = columns.close > columns.open
        falling = columns.close < columns.open
        same = ~(rising | falling)
        idle = same & (columns.volume == 0)
        rising |= same & ~idle
        groups = (
            (rising, Palette.up, Palette.up_wick),
            (falling, Palette.down, Palette.down_wick),
            (idle, Palette.flat, Palette.flat),
        )
        if volume and volume_top > 0:
            self._volumes(painter, columns, place, frame, volume_top, ratio)
        scale = frame.height * ratio / (frame.high - frame.low)
        # Far outside the plot Qt's fixed point overflows.
        far = 4.0 * frame.height * ratio

        def y(prices: npt.NDArray[np.float64]) -> _Ints:
            return np.clip(np.rint((frame.high - prices) * scale), -far, far)

        top, bottom = y(columns.high), y(columns.low)
        a, b = y(columns.open), y(columns.close)
        head, tail = np.minimum(a, b), np.maximum(a, b)
        for mask, _, wick in groups:
            self._fill(
                painter, color(wick), mask, place.x, top, place.width,
                np.maximum(bottom - top, 1),
            )
        # A price that did not move is a line one logical pixel high.
        thin = max(1, round(ratio))
        for mask, body, _ in groups:
            self._fill(
                painter, color(body), mask, place.body_x, head,
                place.body_width, np.maximum(tail - head, thin),
            )
        painter.restore()

    def _place(self, columns: Columns, frame: Frame, ratio: float) -> _Layout:
        spacing = frame.spacing * ratio
        start = (columns.index - frame.left) * spacing
        if columns.width > 1 or spacing < 2:
            # Merged columns touch: neither gaps nor overlap.
            x = np.floor(start)
            width = np.floor(start + columns.width * spacing) - x
            width = np.maximum(width, 1)
            return _Layout(x, width, x, width)
        wick = max(1, round(ratio))
        body = body_width(spacing, wick)
        x = np.floor(start + spacing / 2 - wick / 2 + 1e-6)
        return _Layout(x, wick, x - (body - wick) // 2, body)

    def _volumes(
        self,
        painter: QPainter,
        columns: Columns,
        place: _Layout,
        frame: Frame,
        top: float,
        ratio: float,
    ) -> None:
        floor = frame.height * ratio
        tall = np.rint(columns.volume * (floor * VOLUME_SHARE / top))
        some = columns.volume > 0
        tall = np.where(some, np.maximum(tall, 1), 0)
        down = columns.close < columns.open
        for mask, name in (
            (some & ~down, Palette.up), (some & down, Palette.down)
        ):
            self._fill(
                painter, color(name, 78), mask, place.body_x, floor - tall,
                place.body_width, tall,
            )

    def _fill(
        self,
        painter: QPainter,
        fill: QColor,
        mask: _Mask,
        x: _Ints,
        y: _Ints,
        width: Any,
        height: Any,
    ) -> None:
        count = int(np.count_nonzero(mask))
        if not count:
            return
        self._rects.resize(count)
        out = self._rects.ndarray()
        out[:, 0] = x[mask]
        out[:, 1] = y[mask]
        out[:, 2] = width if np.isscalar(width) else width[mask]
        out[:, 3] = height[mask]
        painter.setBrush(fill)
        painter.drawRects(*self._rects.drawargs())
