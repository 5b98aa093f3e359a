# ruff: noqa: N802 - Qt names its event handlers
"""The bar on top (instrument, price, feed) and the one at the bottom."""
from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from PyQt5.QtCore import QRect, QRectF, Qt
from PyQt5.QtGui import QColor, QPainter, QPaintEvent
from PyQt5.QtWidgets import QSizePolicy, QWidget

from ..data.ticks import FeedState
from .feeds import Look, Watch
from .periods import period_words
from .scales import format_count, thousands
from .theme import Palette, color, font, metrics, shade

__all__ = ['FeedPill', 'Header', 'StatusBar', 'pill_of']

HEIGHT = 58
STATUS_HEIGHT = 26


@dataclass(frozen=True, slots=True)
class Cell:
    """A caption with a value under it."""

    caption: str
    value: str
    ink: str = Palette.text


class Header(QWidget):
    """Who, how much, and which way it goes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(HEIGHT)
        self.setMinimumWidth(200)
        self.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Fixed)
        self._name = ''
        self._about = ''
        self._price = ''
        self._ink = Palette.text
        self._last = 0.0
        self._change = ''
        self._change_ink = Palette.dim
        self._cells: tuple[Cell, ...] = ()

    @property
    def texts(self) -> list[str]:
        """All words shown, for tests and screen readers."""
        cells = [f'{c.caption} {c.value}' for c in self._cells]
        return [self._name, self._about, self._price, self._change, *cells]

    def show_symbol(self, name: str, about: str) -> None:
        self._name, self._about = name, about
        self._price = self._change = ''
        self._cells = ()
        self._last = 0.0
        self.update()

    def show_look(self, watch: Watch, look: Look) -> None:
        instrument, quote = watch.instrument, look.quote
        digits = instrument.price_digits
        if quote.last != self._last:
            if self._last:
                rising = quote.last > self._last
                self._ink = Palette.up if rising else Palette.down
            self._last = quote.last
        self._price = thousands(quote.last, digits)
        before, span = watch.reference()
        change = quote.last - before if before else 0.0
        share = change / before * 100 if before else 0.0
        sign = '+' if change >= 0 else '−'
        self._change = (
            f'{sign}{thousands(abs(change), digits)}  '
            f'{sign}{abs(share):.2f}%  {span}'
        )
        self._change_ink = Palette.up if change > 0 else (
            Palette.down if change else Palette.dim
        )
        spread = quote.ask - quote.bid if quote.ask and quote.bid else 0.0
        self._cells = (
            Cell('Bid', self._side(quote.bid, digits), Palette.up),
            Cell('Ask', self._side(quote.ask, digits), Palette.down),
            Cell('Spread', thousands(spread, digits) if spread else '–'),
            Cell(
                'Volume today',
                f'{format_count(quote.volume)} {instrument.base.upper()}',
            ),
        )
        self.setAccessibleName(' '.join(self.texts))
        self.update()

    @staticmethod
    def _side(price: float, digits: int) -> str:
        return thousands(price, digits) if price > 0 else '–'

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), color(Palette.panel))
        x = 18
        x += self._pair(painter, x, self._name, self._about) + 30
        if self._price:
            painter.setFont(font(25, bold=True))
            painter.setPen(color(self._ink))
            painter.drawText(x, 38, self._price)
            wide = metrics(25, bold=True)
            # Room for the widest digits, so that the rest stands still.
            x += wide.horizontalAdvance(self._price) + 16
            painter.setFont(font(13))
            painter.setPen(color(self._change_ink))
            painter.drawText(x, 37, self._change)
            x += metrics(13).horizontalAdvance(self._change) + 34
        for cell in self._cells:
            width = max(
                metrics(11).horizontalAdvance(cell.caption),
                metrics(13).horizontalAdvance(cell.value),
            )
            if x + width > self.width():
                break
            painter.setFont(font(11))
            painter.setPen(color(Palette.faint))
            painter.drawText(x, 25, cell.caption)
            painter.setFont(font(13))
            painter.setPen(color(cell.ink))
            painter.drawText(x, 43, cell.value)
            x += width + 26

    def _pair(
        self, painter: QPainter, x: int, name: str, about: str
    ) -> int:
        painter.setFont(font(17, bold=True))
        painter.setPen(color(Palette.text))
        painter.drawText(x, 27, name)
        painter.setFont(font(12))
        painter.setPen(color(Palette.dim))
        about = metrics(12).elidedText(about, Qt.ElideRight, 260)
        painter.drawText(x, 45, about)
        return max(
            metrics(17, bold=True).horizontalAdvance(name),
            metrics(12).horizontalAdvance(about),
        )


def pill_of(state: FeedState | None, age_s: int) -> tuple[str, str]:
    """Words and colour for the state of a feed; `None` while loading."""
    if state is None:
        return 'Loading', Palette.accent
    if state is FeedState.LIVE:
        return 'Live', Palette.up
    if state is FeedState.STALE:
        return f'Stale {_age(age_s)}', Palette.amber
    if state is FeedState.RECONNECTING:
        return f'Reconnecting {_age(age_s)}', Palette.down
    if state is FeedState.CLOSED:
        return 'Closed', Palette.dim
    return 'Starting', Palette.accent


def _age(seconds: int) -> str:
    if seconds < 100:
        return f'{seconds} s'
    if seconds < 6000:
        return f'{seconds // 60} min'
    return f'{seconds // 3600} h'


class FeedPill(QWidget):
    """How far what is on screen can be trusted."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(28)
        self.text = self.reason = ''
        self._ink = Palette.dim
        self.show_text('', Palette.dim)

    def show_state(
        self, state: FeedState | None, age_s: int = 0, reason: str = ''
    ) -> None:
        self.show_text(*pill_of(state, age_s), reason)

    def show_text(self, text: str, ink: str, reason: str = '') -> None:
        """Say how it stands; ``reason`` is told to a pointer that rests."""
        if (text, ink, reason) == (self.text, self._ink, self.reason):
            return
        self.text, self._ink, self.reason = text, ink, reason
        self.setFixedWidth(metrics(12).horizontalAdvance(text) + 40)
        # In a paragraph, so that it is wrapped; it may be the venue's words.
        self.setToolTip(f'<p>{escape(reason)}</p>' if reason else '')
        self.setAccessibleName(f'feed: {text}')
        self.setAccessibleDescription(reason)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self.text:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.Antialiasing)
        painter.setPen(Qt.NoPen)
        painter.setBrush(shade(self._ink, Palette.panel, 0.16))
        box = QRectF(self.rect()).adjusted(0, 1, 0, -1)
        painter.drawRoundedRect(box, 13, 13)
        painter.setBrush(color(self._ink))
        painter.drawEllipse(QRectF(13, 10.5, 7, 7))
        painter.setFont(font(12))
        painter.setPen(shade(self._ink, '#ffffff', 0.8))
        painter.drawText(
            QRect(27, 0, self.width(), 28), Qt.AlignVCenter, self.text
        )


class StatusBar(QWidget):
    """Bars loaded, what the feed counted, why it is not live, the time."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(STATUS_HEIGHT)
        self._left: list[tuple[str, str]] = []
        self._right = ''

    @property
    def text(self) -> str:
        return '  '.join(text for text, _ in self._left)

    @property
    def colored(self) -> list[tuple[str, str]]:
        """What is shown on the left, with its colours."""
        return list(self._left)

    def show_look(
        self, watch: Watch, look: Look, counters: dict[str, int], now_s: float
    ) -> None:
        count = look.stop - look.first
        bars = f'{count:,} bar{"" if count == 1 else "s"}'
        left = [(f'{bars} of {period_words(watch.period_s)}', Palette.dim)]
        missing = counters.get('missed', 0)
        if missing:
            left.append((
                f'{missing:,} trade{"" if missing == 1 else "s"} missing',
                Palette.amber,
            ))
        if look.backfilling:
            left.append(('loading history…', Palette.accent))
        # Why it is not live takes the place of what stands still then.
        left.extend(
            (f'{name} {counters[name]:,}', Palette.faint)
            for name in ('trades', 'quotes')
            if name in counters and not look.reason
        )
        left.extend(
            (f'{name} {counters[name]:,}', Palette.amber)
            for name in ('gaps', 'refused', 'reconnects')
            if counters.get(name)
        )
        if look.reason:
            # Last: it is cut where there is no room, and numbers are not.
            _, ink = pill_of(look.state, look.age_s)
            left.append((look.reason, ink))
        right = f'{datetime.fromtimestamp(now_s, UTC):%H:%M:%S} UTC'
        if (left, right) != (self._left, self._right):
            self._left, self._right = left, right
            self.update()

    def clear(self) -> None:
        self._left, self._right = [], ''
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), color(Palette.panel))
        painter.fillRect(0, 0, self.width(), 1, color(Palette.border))
        painter.setFont(font(12))
        right = f'F1 help      {self._right}' if self._right else 'F1 help'
        words = metrics(12)
        end = self.width() - 14 - words.horizontalAdvance(right) - 22
        x = 18
        for text, ink in self._left:
            shown = words.elidedText(text, Qt.ElideRight, max(0, end - x))
            if shown == '…':
                break
            painter.setPen(QColor(ink))
            painter.drawText(x, 17, shown)
            x += words.horizontalAdvance(shown) + 22
        painter.setPen(color(Palette.dim))
        painter.drawText(
            self.rect().adjusted(0, 1, -14, 0),
            int(Qt.AlignVCenter | Qt.AlignRight),
            right,
        )
