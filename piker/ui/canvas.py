# ruff: noqa: N802 - Qt names its event handlers
"""
The chart itself: a pyqtgraph view whose layers are drawn in pixels.

The layers from back to front are the cached picture of closed bars, then
``overlay``, a group in bar/price coordinates for any pyqtgraph item (signals,
orders), then what is live, then the crosshair.
"""
from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pyqtgraph as pg
from PyQt5.QtCore import QPoint, QRectF, Qt, pyqtSignal
from PyQt5.QtGui import (
    QMouseEvent,
    QPainter,
    QResizeEvent,
    QTransform,
    QWheelEvent,
)
from PyQt5.QtWidgets import QFrame, QGraphicsItem, QGraphicsView, QWidget

from ..errors import PikerError
from .feeds import Look, Watch
from .live import draw_cursor, draw_legend, draw_live, legend_of
from .mouse import Mouse
from .notes import OlderNote, draw_older
from .periods import bar_index, bar_time
from .picture import Picture, Scene
from .theme import Palette, color
from .viewport import Viewport

__all__ = ['Canvas']

# Pixels from one bar to the next in a fresh chart.
_SPACING = 7.0


class _Layer(pg.GraphicsObject):  # type: ignore[misc]
    """Covers the whole view; painted by a function in view pixels."""

    def __init__(self, paint: Callable[[QPainter], None], z: int) -> None:
        super().__init__()
        self._paint = paint
        self._rect = QRectF()
        self.setZValue(z)

    def resize(self, rect: QRectF) -> None:
        self.prepareGeometryChange()
        self._rect = rect

    def boundingRect(self) -> QRectF:
        return self._rect

    def paint(self, painter: QPainter, *_: Any) -> None:
        self._paint(painter)


class Canvas(pg.GraphicsView):  # type: ignore[misc]
    """
    Shows a `Watch`; `refresh` brings it up to date.

    ``moved`` is emitted when the view was changed by hand, ``failed`` with a
    `PikerError` when the bars cannot be read.
    """

    moved = pyqtSignal()
    failed = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, background=None)
        self.setFrameShape(QFrame.NoFrame)
        self.setViewportUpdateMode(QGraphicsView.FullViewportUpdate)
        self.setBackgroundBrush(color(Palette.background))
        self.setRenderHint(QPainter.Antialiasing, False)
        self.setMouseTracking(True)
        self.viewport().setMouseTracking(True)
        self.setFocusPolicy(Qt.NoFocus)
        self.view = Viewport()
        self.picture = Picture()
        self.watch: Watch | None = None
        self.look: Look | None = None
        self.frame_scene: Scene | None = None
        self.older = OlderNote()
        self.quotes = True
        self.mouse = Mouse(self)
        self._fresh = True
        self.overlay = pg.ItemGroup()
        self.overlay.setZValue(10)
        self._clip = _Clip()
        self._clip.setZValue(10)
        self.overlay.setParentItem(self._clip)
        self._layers = (
            _Layer(self._paint_closed, 0),
            _Layer(self._paint_live, 20),
            _Layer(self._paint_cursor, 30),
        )
        for item in (*self._layers, self._clip):
            self.scene().addItem(item)

    # -- what is shown

    def show_watch(self, watch: Watch | None) -> None:
        """Show another instrument, from a fresh view; `None` for none."""
        self.watch, self.look = watch, None
        self.frame_scene = None
        self.older = OlderNote()
        self.view = Viewport()
        self._fresh = True
        self.picture.forget()

    def show_period(self, period_s: int) -> None:
        """Change the bar period, keeping the moment in view."""
        watch = self.watch
        if watch is None or watch.period_s == period_s:
            return
        before, watch.period_s = watch.period_s, period_s
        self.view.reperiod(
            lambda index: bar_index(bar_time(index, before), period_s),
            self._span(),
        )
        self.picture.forget()
        look = watch.look()
        self.view.extent(look.first, look.stop)
        if self.view.right >= self.view.home:
            # No more of the future than the newest bar leaves.
            self.view.go_live()
        self.refresh(look)

    def refresh(self, look: Look) -> None:
        """Take in what was seen and schedule a repaint."""
        self.look = look
        self.redraw()

    def show_older(self, note: OlderNote) -> None:
        """Say how it stands with the bars before the oldest."""
        if note != self.older:
            self.older = note
            self.viewport().update()

    def redraw(self) -> None:
        watch = self.watch
        if watch is not None and self.look is not None:
            if self._fresh:
                self._fresh = False
                self.picture.fit_axis(watch, self.look)
                self.view.span = self._span()
            try:
                self.frame_scene = self.picture.compose(
                    watch, self.look, self.view, self.size(),
                    self.devicePixelRatioF(),
                )
            except PikerError as err:
                self.failed.emit(err)
            else:
                self._place_overlay(self.frame_scene)
        self.viewport().update()

    def _span(self) -> float:
        width: int = self.width()
        return max(20.0, (width - self.picture.axis) / _SPACING)

    def _place_overlay(self, scene: Scene) -> None:
        frame = scene.frame
        up = frame.height / (frame.high - frame.low)
        self.overlay.setTransform(QTransform(
            frame.spacing, 0, 0, -up,
            -frame.left * frame.spacing, frame.high * up,
        ))
        self._clip.resize(QRectF(0, 0, frame.width, frame.height))

    # -- painting

    def _paint_closed(self, painter: QPainter) -> None:
        if self.frame_scene is not None:
            painter.drawPixmap(0, 0, self.picture.pixmap)

    def _paint_live(self, painter: QPainter) -> None:
        if self.watch and self.look and self.frame_scene:
            draw_live(
                painter, self.picture.candles, self.watch, self.look,
                self.frame_scene, self.devicePixelRatioF(),
                quotes=self.quotes, volume=self.picture.volume,
            )
            draw_older(
                painter, self.frame_scene, self.look.first, self.older
            )

    def _paint_cursor(self, painter: QPainter) -> None:
        scene, watch, look = self.frame_scene, self.watch, self.look
        if scene is None or watch is None or look is None:
            return
        if look.stop == look.first:
            return
        index = look.stop - 1
        at = self.mouse.hover
        if at and self.zone(at) == 'plot':
            index = int(scene.frame.index(at.x()) // 1)
            draw_cursor(painter, watch, scene, at)
        # The buffer may be gone, which the next look will tell.
        with suppress(PikerError):
            legend = legend_of(watch, look, index)
            draw_legend(painter, legend, watch.instrument.base.upper())

    # -- changes of the view

    def _changed(self) -> None:
        self.redraw()
        self.moved.emit()

    def zoom(self, factor: float, at: int | None = None) -> None:
        """Show ``factor`` times the bars, around pixel ``at``."""
        scene = self.frame_scene
        index = scene.frame.index(at) if scene and at is not None else None
        self.view.zoom(factor, index)
        self._changed()

    def pan_pixels(self, pixels: float) -> None:
        """Move towards the newest bar by so many pixels."""
        if self.frame_scene:
            self.view.pan(pixels / self.frame_scene.frame.spacing)
            self._changed()

    def pan_share(self, share: float) -> None:
        """Move towards the newest bar by a share of what is shown."""
        self.view.pan(self.view.span * share)
        self._changed()

    def apply(self, change: Callable[[Viewport], None]) -> None:
        """Change the view and show it."""
        change(self.view)
        self._changed()

    def zone(self, at: QPoint) -> str:
        """``plot``, ``prices`` or ``times``; empty while nothing is shown."""
        scene = self.frame_scene
        if scene is None:
            return ''
        if at.x() >= scene.frame.width:
            return 'prices'
        return 'plot' if at.y() < scene.frame.height else 'times'

    # -- Qt

    def wheelEvent(self, event: QWheelEvent) -> None:
        self.mouse.wheel(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.mouse.press(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self.mouse.move(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self.mouse.release(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.mouse.double_click(event)

    def leaveEvent(self, event: Any) -> None:
        self.mouse.leave()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        if event is None:
            # pyqtgraph calls it from its constructor.
            return
        rect = QRectF(0, 0, self.width(), self.height())
        for layer in self._layers:
            layer.resize(rect)
        if self.frame_scene is not None:
            # Bars keep their width, the window shows more or fewer.
            old = event.oldSize().width()
            if old > 0:
                plot = self.frame_scene.frame.width
                grown = plot + event.size().width() - old
                self.view.span *= max(50, grown) / max(50, plot)
            self.redraw()


class _Clip(_Layer):
    """Keeps what is in it inside the plot."""

    def __init__(self) -> None:
        super().__init__(lambda painter: None, 10)
        self.setFlag(QGraphicsItem.ItemClipsChildrenToShape)
        self.setFlag(QGraphicsItem.ItemHasNoContents)
