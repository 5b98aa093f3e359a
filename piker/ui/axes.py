"""Grid, axis labels and the tags that sit on the axes."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PyQt5.QtCore import QRect, QRectF, Qt
from PyQt5.QtGui import QColor, QPainter, QPen

from ..instruments import Instrument
from .periods import bar_index, bar_time
from .scales import price_ticks, thousands, time_ticks
from .theme import Palette, color, font, metrics
from .viewport import Frame

__all__ = [
    'AXIS_HEIGHT', 'TEXT', 'Tag', 'axis_width', 'clear_labels', 'draw_axes',
    'draw_tag',
    'hline', 'stack', 'ticks_of',
]

AXIS_HEIGHT = 28
TEXT = 12
_TAG_HEIGHT = 20
_PAD = 10


def axis_width(instrument: Instrument, prices: Sequence[float]) -> int:
    """Room that the price axis needs for labels as long as ``prices``."""
    digits = instrument.price_digits
    widest = max(
        (
            metrics(TEXT, bold=True).horizontalAdvance(
                thousands(price, digits)
            )
            for price in prices
        ),
        default=0,
    )
    # Whole steps, so that a digit more or less moves nothing.
    return max(72, -(-(widest + 2 * _PAD) // 8) * 8)


def ticks_of(frame: Frame, instrument: Instrument) -> list[float]:
    """The prices to label."""
    return price_ticks(
        frame.low, frame.high, instrument.tick_size, frame.height
    )


def draw_axes(
    painter: QPainter,
    frame: Frame,
    instrument: Instrument,
    period_s: int,
    axis: int,
    prices: Sequence[float],
) -> None:
    """Background, grid, borders and labels of the whole chart."""
    width, height = frame.width, frame.height
    painter.fillRect(
        0, 0, width + axis, height + AXIS_HEIGHT, color(Palette.background)
    )
    # Labels stand under the middle of their bar.
    start = bar_time(frame.left - 0.5, period_s)
    stop = bar_time(frame.right - 0.5, period_s)
    times = time_ticks(start, stop, width, period_s=period_s)
    painter.setFont(font(TEXT))
    digits = instrument.price_digits
    for price in prices:
        y = round(frame.y(price))
        painter.fillRect(0, y, width, 1, color(Palette.grid))
        if 8 <= y <= height - 8:
            painter.setPen(color(Palette.dim))
            painter.drawText(
                QRect(width + _PAD, y - 10, axis - _PAD, 20),
                int(Qt.AlignVCenter | Qt.AlignLeft),
                thousands(price, digits),
            )
    for tick in times:
        x = round(frame.x(bar_index(tick.time_s, period_s) + 0.5))
        line = Palette.grid_major if tick.major else Palette.grid
        painter.fillRect(x, 0, 1, height, color(line))
        # A label cut by the edge reads as another time.
        half = metrics(TEXT, bold=True).horizontalAdvance(tick.label) // 2
        if half + 4 <= x <= width - half - 4:
            painter.setFont(font(TEXT, bold=tick.major))
            painter.setPen(
                color(Palette.text if tick.major else Palette.dim)
            )
            painter.drawText(
                QRect(x - 60, height + 1, 121, AXIS_HEIGHT - 1),
                Qt.AlignCenter,
                tick.label,
            )
    painter.fillRect(0, height, width + axis, 1, color(Palette.border))
    painter.fillRect(
        width, 0, 1, height + AXIS_HEIGHT, color(Palette.border)
    )


@dataclass(slots=True)
class Tag:
    """A label on the price axis, of one or two lines, centred on ``y``."""

    y: float
    text: str
    fill: QColor
    ink: QColor
    below: str = ''
    bold: bool = False

    @property
    def height(self) -> int:
        return _TAG_HEIGHT + (16 if self.below else 0)


def stack(
    middle: Tag, over: Tag | None, under: Tag | None, height: int
) -> list[tuple[Tag, int]]:
    """
    Tops of the tags so that none covers another.

    ``middle`` stays where it belongs, ``over`` and ``under`` give way.
    """
    top = round(middle.y) - _TAG_HEIGHT // 2
    top = max(0, min(top, height - middle.height))
    placed = [(middle, top)]
    if over:
        wanted = round(over.y) - _TAG_HEIGHT // 2
        placed.append((over, min(wanted, top - over.height - 1)))
    if under:
        wanted = round(under.y) - _TAG_HEIGHT // 2
        placed.append((under, max(wanted, top + middle.height + 1)))
    return placed


def draw_tag(
    painter: QPainter, tag: Tag, x: int, top: int, axis: int
) -> None:
    """Draw a price tag whose left edge is at ``x``."""
    painter.save()
    painter.setRenderHint(QPainter.Antialiasing)
    painter.setPen(Qt.NoPen)
    painter.setBrush(tag.fill)
    box = QRectF(x + 1, top, axis - 3, tag.height)
    painter.drawRoundedRect(box, 2, 2)
    painter.setPen(tag.ink)
    painter.setFont(font(TEXT, bold=tag.bold))
    painter.drawText(
        QRect(x + _PAD, top, axis - _PAD, _TAG_HEIGHT),
        int(Qt.AlignVCenter | Qt.AlignLeft),
        tag.text,
    )
    if tag.below:
        painter.setFont(font(TEXT - 1))
        painter.drawText(
            QRect(x + _PAD, top + _TAG_HEIGHT - 3, axis - _PAD, 16),
            int(Qt.AlignVCenter | Qt.AlignLeft),
            tag.below,
        )
    painter.restore()


def clear_labels(
    painter: QPainter, frame: Frame, prices: Sequence[float],
    placed: Sequence[tuple[Tag, int]], axis: int,
) -> None:
    """Blank the axis labels that tags would cover in part."""
    for price in prices:
        y = round(frame.y(price))
        if any(top - 7 < y < top + tag.height + 7 for tag, top in placed):
            painter.fillRect(
                frame.width + 1, y - 9, axis - 1, 18,
                color(Palette.background),
            )


def hline(
    painter: QPainter,
    x: int,
    stop: int,
    y: float,
    ink: QColor,
    dashes: tuple[int, int],
) -> None:
    """A crisp dashed horizontal line, one pixel high."""
    if stop <= x:
        return
    pen = QPen(ink, 1)
    pen.setCosmetic(True)
    pen.setDashPattern([float(d) for d in dashes])
    pen.setCapStyle(Qt.FlatCap)
    painter.setPen(pen)
    painter.drawLine(x, round(y), stop, round(y))
