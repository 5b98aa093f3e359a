# ruff: noqa: N802 - Qt names its event handlers
"""What lies over the chart: help, and words about what went wrong."""
from __future__ import annotations

from PyQt5.QtCore import QRect, QRectF, Qt
from PyQt5.QtGui import QMouseEvent, QPainter, QPaintEvent
from PyQt5.QtWidgets import QWidget

from .commands import Command, Commands
from .theme import Palette, color, font, metrics

__all__ = ['HelpPanel', 'Notice']

_ROW = 28
_TITLES = {
    'view': 'View', 'period': 'Bars', 'show': 'Show', 'feed': 'Feed',
    'window': 'Window',
}


class HelpPanel(QWidget):
    """Every command with its keys, over everything else."""

    def __init__(self, commands: Commands, parent: QWidget) -> None:
        super().__init__(parent)
        self._commands = commands
        self.hide()

    def toggle(self) -> None:
        self.setVisible(not self.isVisible())
        if self.isVisible():
            self.setGeometry(self.parentWidget().rect())
            self.raise_()

    @property
    def lines(self) -> list[str]:
        """One line per command, as shown."""
        return [
            f'{command.name} {command.help} {" ".join(command.keys)}'
            for command in self._commands
        ]

    def columns(self) -> tuple[list[str], list[str]]:
        """Groups by column, of about the same height."""
        groups = self._commands.groups()
        left: list[str] = []
        right: list[str] = []
        heights = [0, 0]
        for name, commands in groups.items():
            at = 0 if heights[0] <= heights[1] else 1
            (left, right)[at].append(name)
            heights[at] += len(commands) + 2
        return left, right

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.hide()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.Antialiasing)
        painter.fillRect(self.rect(), color('#06080b', 170))
        groups = self._commands.groups()
        columns = self.columns()
        tallest = max(
            sum(len(groups[name]) * _ROW + 52 for name in column)
            for column in columns
        )
        width = min(1020, self.width() - 40)
        height = min(tallest + 88, self.height() - 24)
        box = QRect(0, 0, width, height)
        box.moveCenter(self.rect().center())
        painter.setPen(color(Palette.border))
        painter.setBrush(color(Palette.panel))
        painter.drawRoundedRect(QRectF(box).adjusted(.5, .5, -.5, -.5), 8, 8)
        painter.setFont(font(18, bold=True))
        painter.setPen(color(Palette.text))
        painter.drawText(box.x() + 32, box.y() + 44, 'Keyboard and mouse')
        painter.setFont(font(12))
        painter.setPen(color(Palette.faint))
        painter.drawText(
            box.adjusted(0, 26, -32, 0),
            int(Qt.AlignTop | Qt.AlignRight),
            'wheel: zoom   ·   drag: pan   ·   drag an axis: scale it   ·   '
            'double-click: back',
        )
        half = (width - 64 - 40) // 2
        for at, column in enumerate(columns):
            x = box.x() + 32 + at * (half + 40)
            y = box.y() + 66
            for name in column:
                y = self._group(painter, x, y, half, name, groups[name])

    def _group(
        self, painter: QPainter, x: int, y: int, width: int, name: str,
        commands: list[Command],
    ) -> int:
        painter.setFont(font(12, bold=True))
        painter.setPen(color(Palette.accent))
        painter.drawText(x, y + 24, _TITLES.get(name, name.title()))
        painter.fillRect(x, y + 33, width, 1, color(Palette.border))
        y += 38
        for command in commands:
            painter.setFont(font(13))
            painter.setPen(color(Palette.text))
            painter.drawText(
                QRect(x, y, width, _ROW), Qt.AlignVCenter, command.help
            )
            self._keys(painter, x + width, y, command.keys)
            y += _ROW
        return y + 14

    @staticmethod
    def _keys(
        painter: QPainter, right: int, y: int, keys: tuple[str, ...]
    ) -> None:
        painter.setFont(font(12))
        for key in reversed(keys):
            wide = max(24, metrics(12).horizontalAdvance(key) + 14)
            cap = QRect(right - wide, y + 4, wide, _ROW - 8)
            painter.setPen(color(Palette.border))
            painter.setBrush(color(Palette.raised))
            painter.drawRoundedRect(
                QRectF(cap).adjusted(.5, .5, -.5, -.5), 4, 4
            )
            painter.setPen(color(Palette.text))
            painter.drawText(cap, Qt.AlignCenter, key)
            right -= wide + 6


class Notice(QWidget):
    """
    A message over the chart, for as long as it holds.

    ``show_text`` with ``quiet`` is for what goes on (loading), without for
    what went wrong.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.title = ''
        self.text = ''
        self._ink = Palette.accent
        self.setAttribute(Qt.WA_TransparentForMouseEvents)
        self.hide()

    def show_text(self, title: str, text: str, *, quiet: bool) -> None:
        self.title, self.text = title, text
        self._ink = Palette.accent if quiet else Palette.down
        self.setAccessibleName(f'{title}: {text}')
        self.place()
        self.show()
        self.raise_()
        self.update()

    def clear(self) -> None:
        self.title = self.text = ''
        self.hide()

    def place(self) -> None:
        """Take up a place in the upper middle of the parent."""
        around = self.parentWidget().rect()
        width = min(680, around.width() - 40)
        body = metrics(13).boundingRect(
            QRect(0, 0, width - 56, 1000), Qt.TextWordWrap, self.text
        )
        height = 64 + (body.height() + 6 if self.text else 0)
        self.setGeometry(
            (around.width() - width) // 2,
            max(56, around.height() // 4),
            width, height,
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.Antialiasing)
        painter.setPen(color(Palette.border))
        painter.setBrush(color(Palette.raised))
        box = QRectF(self.rect()).adjusted(.5, .5, -.5, -.5)
        painter.drawRoundedRect(box, 6, 6)
        painter.setPen(Qt.NoPen)
        painter.setBrush(color(self._ink))
        painter.drawRoundedRect(QRectF(14, 16, 4, self.height() - 32), 2, 2)
        painter.setFont(font(16, bold=True))
        painter.setPen(color(Palette.text))
        painter.drawText(36, 38, self.title)
        painter.setFont(font(13))
        painter.setPen(color(Palette.dim))
        painter.drawText(
            QRect(36, 50, self.width() - 56, self.height()),
            Qt.TextWordWrap, self.text,
        )
