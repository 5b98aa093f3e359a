"""
The picture of everything that no longer changes.

Closed bars, grid and labels are drawn once into a pixmap and only again when
the view, the range or the set of closed bars changes; a tick redraws the
newest column alone, whatever the length of the history.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

from PyQt5.QtCore import QSize
from PyQt5.QtGui import QPainter, QPixmap

from .axes import AXIS_HEIGHT, axis_width, draw_axes, ticks_of
from .feeds import Look, Watch
from .painting import Candles
from .sampling import Columns, merge_factor, sample
from .viewport import Frame, Viewport, fit_prices

__all__ = ['Picture', 'Scene']

# The newest bars may change without being counted as amended (`Bars`).
_LIVE = 2
# Volume scales in steps of this ratio, so that a growing bar does not
# rescale all others on every tick.
_VOLUME_STEP = 1.12


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is needed to draw one frame."""

    frame: Frame
    axis: int
    prices: list[float]
    live: Columns
    volume_top: float


def _volume_step(volume: float) -> float:
    if volume <= 0:
        return 0.0
    exponent = math.ceil(math.log(volume) / math.log(_VOLUME_STEP) - 1e-9)
    return float(_VOLUME_STEP ** exponent)


class Picture:
    """Caches the closed columns in view and the pixmap made of them."""

    def __init__(self) -> None:
        self.candles = Candles()
        self.pixmap = QPixmap()
        self.volume = True
        self.drawn = 0
        self._columns_key: object = None
        self._columns: Columns | None = None
        self._limits = (math.inf, -math.inf, 0.0)
        self._picture_key: object = None
        self._sampled = 0
        self._amended = self._changes = -1
        self._doubt = False
        self.axis = 72

    def compose(
        self,
        watch: Watch,
        look: Look,
        view: Viewport,
        size: QSize,
        ratio: float,
    ) -> Scene:
        """Bring the pixmap up to date; returns what goes on top of it."""
        view.extent(look.first, look.stop)
        self.fit_axis(watch, look)
        width = max(50, size.width() - self.axis)
        height = max(50, size.height() - AXIS_HEIGHT)
        spacing = width / view.span
        merge = merge_factor(spacing * ratio)
        bars = watch.bars
        live_start = max(look.first, (look.stop - _LIVE) // merge * merge)
        start = max(look.first, math.floor(view.left))
        stop = min(live_start, math.ceil(view.right) + 1)
        self._sample(watch, look, start, stop, merge)
        live = sample(bars, live_start, look.stop, merge)
        low, high, most = self._limits
        if look.stop > view.left and live_start < view.right:
            a, b, c = live.extremes()
            low, high, most = min(low, a), max(high, b), max(most, c)
        if not low <= high:
            low = high = look.quote.last
        if view.prices:
            low, high = view.prices
        else:
            below = 0.24 if self.volume else 0.08
            low, high = fit_prices(low, high, watch.tick, below=below)
        frame = Frame(width, height, view.left, spacing, low, high)
        prices = ticks_of(frame, watch.instrument)
        scene = Scene(frame, self.axis, prices, live, _volume_step(most))
        self._draw(watch, scene, size, ratio)
        return scene

    def forget(self) -> None:
        """Drop everything cached; the next frame draws it anew."""
        self._columns_key = self._picture_key = None

    def fit_axis(self, watch: Watch, look: Look) -> None:
        """Make the price axis wide enough for its labels."""
        want = axis_width(watch.instrument, [look.quote.last])
        # Grows at once, shrinks only with the instrument: no flutter.
        if want > self.axis or self._columns_key is None:
            self.axis = want

    def _sample(
        self, watch: Watch, look: Look, start: int, stop: int, merge: int
    ) -> None:
        key = (watch, watch.period_s, look.segment, start, stop, merge)
        amended = look.amended != self._amended
        # It is counted just before the bar is written: look once more.
        again = self._doubt and look.changes != self._changes
        if key == self._columns_key and not (amended or again):
            return
        self._columns = sample(watch.bars, start, stop, merge)
        self._limits = self._columns.extremes()
        self._columns_key = key
        self._sampled += 1
        self._doubt = amended or (
            self._doubt and look.changes == self._changes
        )
        self._amended, self._changes = look.amended, look.changes

    def _draw(
        self, watch: Watch, scene: Scene, size: QSize, ratio: float
    ) -> None:
        key = (
            self._columns_key, self._sampled, scene.frame, scene.axis,
            scene.volume_top, size.width(), size.height(), ratio, self.volume,
        )
        if key == self._picture_key or self._columns is None:
            return
        device = QSize(
            math.ceil(size.width() * ratio), math.ceil(size.height() * ratio)
        )
        if self.pixmap.size() != device:
            self.pixmap = QPixmap(device)
        self.pixmap.setDevicePixelRatio(ratio)
        painter = QPainter(self.pixmap)
        frame = scene.frame
        draw_axes(
            painter, frame, watch.instrument, watch.period_s, scene.axis,
            scene.prices,
        )
        painter.setClipRect(0, 0, frame.width, frame.height)
        self.candles.draw(
            painter, self._columns, frame, scene.volume_top, ratio,
            volume=self.volume,
        )
        painter.end()
        self._picture_key = key
        self.drawn += 1
