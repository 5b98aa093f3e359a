"""What stands beside the oldest bar: loading, failed, or the very first."""
from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from PyQt5.QtCore import QRect, QRectF, Qt
from PyQt5.QtGui import QPainter

from .picture import Scene
from .theme import Palette, color, font, metrics

__all__ = ['Older', 'OlderNote', 'draw_older']

_TEXT = 12
_TOP = 44
_HEIGHT = 26
_WIDEST = 460


class Older(enum.Enum):
    """How it stands with the bars before the oldest."""

    IDLE = ''
    LOADING = 'loading history…'
    FAILED = 'failed'
    ENDED = 'start of history'


@dataclass(frozen=True, slots=True)
class OlderNote:
    """``text`` is what went wrong, ``again_s`` when it is tried again."""

    state: Older = Older.IDLE
    text: str = ''
    again_s: float = 0.0

    @property
    def lines(self) -> list[str]:
        if self.state is Older.FAILED:
            again = f'trying again in {math.ceil(self.again_s)} s'
            return [f'History cannot be loaded; {again}', self.text]
        return [self.state.value]


def draw_older(
    painter: QPainter, scene: Scene, first: int, note: OlderNote
) -> None:
    """Draw the note left of bar ``first``, or at the left edge."""
    if note.state is Older.IDLE:
        return
    frame = scene.frame
    edge = frame.x(first)
    ended = note.state is Older.ENDED
    if ended and not 0 <= edge <= frame.width:
        return
    failed = note.state is Older.FAILED
    widest = min(_WIDEST, frame.width - 28)
    lines = [
        metrics(_TEXT).elidedText(line, Qt.ElideRight, widest)
        for line in note.lines
    ]
    text = max(metrics(_TEXT).horizontalAdvance(line) for line in lines)
    width = text + (36 if failed else 32 if not ended else 20)
    room = edge >= width + 20
    left = round(min(edge, frame.width) - width - 10) if room else 10
    height = _HEIGHT + 18 * (len(lines) - 1)
    painter.save()
    if ended:
        painter.fillRect(
            round(edge), 0, 1, frame.height, color(Palette.border)
        )
        if not room:
            left = round(edge) + 8
    painter.setRenderHint(QPainter.Antialiasing)
    painter.setPen(Qt.NoPen)
    painter.setBrush(color(Palette.panel, 225))
    painter.drawRoundedRect(QRectF(left, _TOP, width, height), 4, 4)
    x = left + 10
    if not ended:
        ink = Palette.amber if failed else Palette.accent
        painter.setBrush(color(ink))
        painter.drawEllipse(QRectF(x, _TOP + 10, 6, 6))
        x += 12
    painter.setFont(font(_TEXT))
    for n, line in enumerate(lines):
        painter.setPen(color(
            Palette.amber if failed and not n else Palette.dim
        ))
        painter.drawText(
            QRect(x, _TOP + 18 * n, text + 4, _HEIGHT),
            Qt.AlignVCenter, line,
        )
    painter.restore()
