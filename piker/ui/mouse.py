"""
What the mouse does to the chart.

Wheel: zoom about the pointer.  Drag in the plot: pan.  Drag on an axis: scale
it.  Double click: fit the price axis again, or follow the newest bar.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt5.QtCore import QPoint, Qt
from PyQt5.QtGui import QMouseEvent, QWheelEvent

from .viewport import Frame, Viewport

if TYPE_CHECKING:
    from .canvas import Canvas

__all__ = ['Mouse']

# One notch of a wheel is 120 (QWheelEvent::angleDelta).
_NOTCH = 120
_ZOOM_PER_NOTCH = 0.86
_PAN_PER_NOTCH = 60
_CURSORS = {
    'prices': Qt.SizeVerCursor,
    'times': Qt.SizeHorCursor,
    'plot': Qt.CrossCursor,
}


class Mouse:
    """Turns a canvas's mouse events into changes of its view."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._at: QPoint | None = None
        self._grab: str | None = None
        self._from = QPoint()

    @property
    def hover(self) -> QPoint | None:
        """Where the crosshair is, unless something is being dragged."""
        return self._at if self._grab is None else None

    def point(self, at: QPoint | None) -> None:
        """Put the crosshair somewhere, or take it away."""
        self._at = at
        self._canvas.viewport().update()

    def wheel(self, event: QWheelEvent) -> None:
        turn = event.angleDelta()
        canvas = self._canvas
        sideways = turn.x() or (
            turn.y() if event.modifiers() & Qt.ShiftModifier else 0
        )
        factor = _ZOOM_PER_NOTCH ** (turn.y() / _NOTCH)
        scene = canvas.frame_scene
        if sideways:
            canvas.pan_pixels(-sideways / _NOTCH * _PAN_PER_NOTCH)
        elif scene and canvas.zone(event.pos()) == 'prices':
            shown = (scene.frame.low, scene.frame.high)
            canvas.apply(lambda view: view.rescale(factor, shown))
        elif turn.y():
            canvas.zoom(factor, event.pos().x())
        event.accept()

    def press(self, event: QMouseEvent) -> None:
        if event.button() == Qt.LeftButton:
            self._grab, self._from = self._canvas.zone(event.pos()), (
                event.pos()
            )
            if self._grab == 'plot':
                self._canvas.setCursor(Qt.ClosedHandCursor)
        event.accept()

    def move(self, event: QMouseEvent) -> None:
        canvas = self._canvas
        self.point(event.pos())
        scene = canvas.frame_scene
        if self._grab is None:
            zone = canvas.zone(event.pos())
            canvas.setCursor(_CURSORS.get(zone, Qt.ArrowCursor))
        elif scene:
            by = event.pos() - self._from
            self._from = event.pos()
            zone, frame = self._grab, scene.frame
            canvas.apply(lambda view: _drag(view, zone, by, frame))
        event.accept()

    def release(self, event: QMouseEvent) -> None:
        self._grab = None
        zone = self._canvas.zone(event.pos())
        self._canvas.setCursor(_CURSORS.get(zone, Qt.ArrowCursor))
        self.point(event.pos())
        event.accept()

    def double_click(self, event: QMouseEvent) -> None:
        if self._canvas.zone(event.pos()) == 'prices':
            self._canvas.apply(Viewport.fit)
        else:
            self._canvas.apply(Viewport.go_live)
        event.accept()

    def leave(self) -> None:
        self.point(None)


def _drag(view: Viewport, zone: str, by: QPoint, frame: Frame) -> None:
    if zone == 'prices':
        view.rescale(1.006 ** by.y(), (frame.low, frame.high))
    elif zone == 'times':
        view.zoom(1.004 ** -by.x())
    else:
        if by.x():
            view.pan(-by.x() / frame.spacing)
        view.shift_prices(by.y() * (frame.high - frame.low) / frame.height)
