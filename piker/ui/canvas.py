# ruff: noqa: N802 - Qt names its event handlers
"""
The chart itself: a pyqtgraph view whose layers are drawn in pixels.

The layers from back to front are the cached picture of closed bars, then
``overlay``, a group in bar/price coordinates for any pyqtgraph item (signals,
orders), then what is live, then the crosshair.
"""
from __future__ import annotations

from collections.abc import Callable
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

from .feeds import Look, Watch
from .live import draw_cursor, draw_legend, draw_live, legend_of
from .picture import Picture, Scene
from .theme import Palette, color
from .viewport import Viewport

__all__ = ['Canvas']

# One notch of a mouse wheel is 120 (QWheelEvent::angleDelta).
_ZOOM_PER_NOTCH = 0.86
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

    ``moved`` is emitted when the view was changed by hand.
    """

    moved = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, background=None)
        self.setFrameShape(QFrame.NoFrame)
        self.setViewportUpdateMode(QGraphicsView.FullViewportUpdate)
        self.setBackgroundBrush(color(Palette.background))
        self.setRenderHint(QPainter.Antialiasing, False)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.NoFocus)
        self.view = Viewport()
        self.picture = Picture()
        self.watch: Watch | None = None
        self.look: Look | None = None
        self.frame_scene: Scene | None = None
        self.quotes = True
        self.cursor_at: QPoint | None = None
        self._grab: tuple[str, QPoint] | None = None
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
        self.view = Viewport()
        self._fresh = True
        self.picture.forget()

    def show_period(self, period_s: int) -> None:
        """Change the bar period, keeping the moment in view."""
        watch = self.watch
        if watch is None or watch.period_s == period_s:
            return
        ratio = watch.period_s / period_s
        watch.period_s = period_s
        self.view.reperiod(ratio, self._span())
        self.picture.forget()
        self.redraw()

    def refresh(self, look: Look) -> None:
        """Take in what was seen and schedule a repaint."""
        self.look = look
        self.redraw()

    def redraw(self) -> None:
        watch = self.watch
        if watch is not None and self.look is not None:
            if self._fresh:
                self._fresh = False
                self.picture.fit_axis(watch, self.look)
                self.view.span = self._span()
            if self.look.segment != watch.bars.segment_name:
                self.look = watch.look()
            self.frame_scene = self.picture.compose(
                watch, self.look, self.view, self.size(),
                self.devicePixelRatioF(),
            )
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

    def _paint_cursor(self, painter: QPainter) -> None:
        scene, watch, look = self.frame_scene, self.watch, self.look
        if scene is None or watch is None or look is None:
            return
        index = look.stop - 1
        at = self.cursor_at
        if at and self._zone(at) == 'plot' and self._grab is None:
            index = int(scene.frame.index(at.x()) // 1)
            draw_cursor(painter, watch, scene, at)
        legend = legend_of(watch, look, index)
        if legend:
            draw_legend(painter, legend, watch.instrument.base.upper())

    # -- hands on it

    def _zone(self, at: QPoint) -> str:
        scene = self.frame_scene
        if scene is None:
            return ''
        if at.x() >= scene.frame.width:
            return 'prices'
        return 'plot' if at.y() < scene.frame.height else 'times'

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

    def wheelEvent(self, event: QWheelEvent) -> None:
        turn = event.angleDelta()
        sideways = turn.x() or (
            turn.y() if event.modifiers() & Qt.ShiftModifier else 0
        )
        if sideways:
            self.pan_pixels(-sideways / 120 * 60)
        elif turn.y():
            notches = turn.y() / 120
            zone = self._zone(event.pos())
            if zone == 'prices' and self.frame_scene:
                frame = self.frame_scene.frame
                self.view.rescale(
                    _ZOOM_PER_NOTCH ** notches, (frame.low, frame.high)
                )
                self._changed()
            else:
                self.zoom(_ZOOM_PER_NOTCH ** notches, event.pos().x())
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.LeftButton:
            self._grab = (self._zone(event.pos()), event.pos())
            if self._grab[0] == 'plot':
                self.setCursor(Qt.ClosedHandCursor)
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        at = event.pos()
        self.cursor_at = at
        scene = self.frame_scene
        if self._grab and scene:
            zone, before = self._grab
            self._grab = (zone, at)
            self._drag(zone, at - before, scene)
        else:
            self.setCursor({
                'prices': Qt.SizeVerCursor, 'times': Qt.SizeHorCursor,
            }.get(self._zone(at), Qt.CrossCursor))
            self.viewport().update()
        event.accept()

    def _drag(self, zone: str, by: QPoint, scene: Scene) -> None:
        frame = scene.frame
        if zone == 'prices':
            factor = 1.006 ** by.y()
            self.view.rescale(factor, (frame.low, frame.high))
        elif zone == 'times':
            self.view.zoom(1.004 ** -by.x())
        else:
            if by.x():
                self.view.pan(-by.x() / frame.spacing)
            per_pixel = (frame.high - frame.low) / frame.height
            self.view.shift_prices(by.y() * per_pixel)
        self._changed()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._grab = None
        self.setCursor(Qt.CrossCursor)
        self.viewport().update()
        event.accept()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self._zone(event.pos()) == 'prices':
            self.view.prices = None
        else:
            self.view.go_live()
        self._changed()
        event.accept()

    def leaveEvent(self, event: Any) -> None:
        self.cursor_at = None
        self.viewport().update()

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
