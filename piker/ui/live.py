"""What is drawn anew on every frame: newest bar, price lines, crosshair."""
from __future__ import annotations

from dataclasses import dataclass

from PyQt5.QtCore import QPoint, QRect, QRectF, Qt
from PyQt5.QtGui import QColor, QPainter

from ..data.ticks import FeedState
from .axes import (
    AXIS_HEIGHT,
    TEXT,
    Tag,
    clear_labels,
    draw_tag,
    hline,
    stack,
)
from .feeds import Look, Watch
from .painting import Candles
from .periods import bar_time
from .picture import Scene
from .scales import format_count, format_left, format_moment, thousands
from .theme import Palette, color, font, metrics, shade

__all__ = ['Legend', 'draw_cursor', 'draw_legend', 'draw_live', 'legend_of']

_LEGEND = 13


def _direction(change: float) -> QColor:
    if change == 0:
        return color(Palette.dim)
    return color(Palette.up if change > 0 else Palette.down)


def draw_live(
    painter: QPainter,
    candles: Candles,
    watch: Watch,
    look: Look,
    scene: Scene,
    ratio: float,
    *,
    quotes: bool = True,
    volume: bool = True,
) -> None:
    """The newest column, the last price, bid and ask."""
    frame, live = scene.frame, scene.live
    painter.save()
    painter.setClipRect(0, 0, frame.width, frame.height)
    candles.draw(
        painter, live, frame, scene.volume_top, ratio, volume=volume
    )
    quote = look.quote
    digits = watch.instrument.price_digits
    stale = look.state is not FeedState.LIVE
    rising = not len(live) or live.close[-1] >= live.open[-1]
    up, down = Palette.up, Palette.down
    fill = color(up if rising else down)
    if stale:
        # What may have moved since must not look like news.
        up = down = Palette.faint
        fill = color(Palette.faint)
    y = frame.y(quote.last)
    edge = round(min(max(0.0, frame.x(look.stop)), frame.width))
    bid = ask = None
    if quotes and quote.ask > 0:
        ask = _side(frame.y(quote.ask), quote.ask, digits, down)
        hline(
            painter, edge, frame.width, frame.y(quote.ask),
            color(down, 150), (2, 3),
        )
    if quotes and quote.bid > 0:
        bid = _side(frame.y(quote.bid), quote.bid, digits, up)
        hline(
            painter, edge, frame.width, frame.y(quote.bid),
            color(up, 150), (2, 3),
        )
    hline(painter, 0, frame.width, y, fill, (4, 3))
    painter.restore()
    left = format_left(look.left_s) if look.left_s >= 0 else ''
    tag = Tag(
        y, thousands(quote.last, digits), fill, color('#ffffff'),
        below=left if watch.period_s >= 5 and not stale else '', bold=True,
    )
    if -30 <= y <= frame.height + 30:
        placed = stack(tag, ask, bid, frame.height)
        clear_labels(painter, frame, scene.prices, placed, scene.axis)
        for each, top in placed:
            if 0 <= top <= frame.height - each.height:
                draw_tag(painter, each, frame.width, top, scene.axis)


def _side(y: float, price: float, digits: int, ink: str) -> Tag:
    return Tag(
        y, thousands(price, digits), shade(ink, Palette.background, 0.2),
        shade(ink, '#ffffff', 0.85),
    )


def draw_cursor(
    painter: QPainter, watch: Watch, scene: Scene, at: QPoint
) -> None:
    """The crosshair with its labels; snaps to the bar under it."""
    frame = scene.frame
    index = int(frame.index(at.x()) // 1)
    x = round(frame.x(index + 0.5))
    ink = color(Palette.cross)
    hline(painter, 0, frame.width, at.y(), ink, (3, 3))
    painter.drawLine(x, 0, x, frame.height)
    price = frame.price(at.y())
    price = round(price / watch.tick) * watch.tick
    tag = Tag(
        at.y(), thousands(price, watch.instrument.price_digits),
        color(Palette.cross_tag), color('#ffffff'),
    )
    top = max(0, min(at.y() - 10, frame.height - tag.height))
    draw_tag(painter, tag, frame.width, top, scene.axis)
    text = _moment(watch, index)
    wide = metrics(TEXT).horizontalAdvance(text) + 20
    left = max(0, min(x - wide // 2, frame.width - wide))
    painter.save()
    painter.setRenderHint(QPainter.Antialiasing)
    painter.setPen(Qt.NoPen)
    painter.setBrush(color(Palette.cross_tag))
    box = QRect(left, frame.height + 3, wide, AXIS_HEIGHT - 6)
    painter.drawRoundedRect(QRectF(box), 2, 2)
    painter.setFont(font(TEXT))
    painter.setPen(color('#ffffff'))
    painter.drawText(box, Qt.AlignCenter, text)
    painter.restore()


def _moment(watch: Watch, index: int) -> str:
    period = watch.period_s
    return format_moment(int(bar_time(index, period)), period)


@dataclass(frozen=True, slots=True)
class Legend:
    """One bar as words; ``change`` is from the close before it."""

    moment: str
    prices: tuple[str, str, str, str]
    volume: str
    change: float
    percent: str


def legend_of(watch: Watch, look: Look, index: int) -> Legend:
    """The legend of bar ``index``, or of the nearest one there is."""
    index = max(look.first, min(index, look.stop - 1))
    bars = watch.bars
    row = [
        float(bars.view(name, index, index + 1)[0])
        for name in ('open', 'high', 'low', 'close', 'volume')
    ]
    before = row[0]
    if index > look.first:
        before = float(bars.view('close', index - 1, index)[0])
    digits = watch.instrument.price_digits
    o, h, low, c = (thousands(value, digits) for value in row[:4])
    change = row[3] - before
    share = change / before * 100 if before else 0.0
    return Legend(
        moment=_moment(watch, index),
        prices=(o, h, low, c),
        volume=format_count(row[4]),
        change=change,
        percent=(
            f'{"+" if change >= 0 else "−"}'
            f'{thousands(abs(change), digits)} '
            f'({"+" if change >= 0 else "−"}{abs(share):.2f}%)'
        ),
    )


def draw_legend(painter: QPainter, legend: Legend, base: str) -> None:
    """``base`` is the currency the volume is in."""
    ink = _direction(legend.change)
    parts: list[tuple[str, QColor, int]] = [
        (legend.moment, color(Palette.dim), 18)
    ]
    for name, value in zip('OHLC', legend.prices, strict=True):
        parts.append((name, color(Palette.faint), 5))
        parts.append((value, ink, 11))
    parts.append(('Vol', color(Palette.faint), 5))
    parts.append((f'{legend.volume} {base}', ink, 14))
    parts.append((legend.percent, ink, 0))
    measure = metrics(_LEGEND)
    width = sum(measure.horizontalAdvance(t) + gap for t, _, gap in parts)
    box = QRect(8, 8, width + 20, 26)
    painter.save()
    painter.setRenderHint(QPainter.Antialiasing)
    painter.setPen(Qt.NoPen)
    painter.setBrush(color(Palette.background, 205))
    painter.drawRoundedRect(QRectF(box), 4, 4)
    painter.setFont(font(_LEGEND))
    x = box.x() + 10
    for text, shade_, gap in parts:
        painter.setPen(shade_)
        painter.drawText(x, box.y() + 18, text)
        x += measure.horizontalAdvance(text) + gap
    painter.restore()
