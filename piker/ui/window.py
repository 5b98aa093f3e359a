# ruff: noqa: N802 - Qt names its event handlers
"""The window: header, chart and status bar, brought up to date per frame."""
from __future__ import annotations

import time

from PyQt5.QtCore import QSize, Qt, QTimer, pyqtSignal
from PyQt5.QtGui import (
    QCloseEvent,
    QImage,
    QKeyEvent,
    QKeySequence,
    QResizeEvent,
)
from PyQt5.QtWidgets import (
    QHBoxLayout,
    QMainWindow,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ..errors import PikerError
from .actions import chart_commands
from .canvas import Canvas
from .feeds import FlumeLike, Look, Watch
from .header import HEIGHT, FeedPill, Header, StatusBar
from .notes import OlderNote
from .panels import HelpPanel, Notice
from .periodbar import PeriodBar
from .scales import thousands
from .theme import STYLE, Palette, color, font

__all__ = ['ChartWindow']

_FRAME_MS = 16
# Below this width the periods are in a menu.
_NARROW = 1180


class ChartWindow(QMainWindow):
    """
    One chart.

    It is told what to show (`show_loading`, `show_flume`, `show_error`) and
    asks for another symbol by ``load_requested``; ``closed`` is emitted once
    when it goes.  It holds no feed and awaits nothing.  While the view lacks
    older bars, ``older_wanted`` says so once a frame: the period in s and how
    many bars; `show_older` tells it what comes of that.
    """

    load_requested = pyqtSignal(str)
    older_wanted = pyqtSignal(int, int)
    closed = pyqtSignal()

    def __init__(self, *, period_s: int = 60) -> None:
        super().__init__()
        self.period_s = period_s
        self.symbol = ''
        self.frames = 0
        self._look: Look | None = None
        self._older: dict[int, OlderNote] = {}
        self._closed = False
        self._frozen = False
        self.setStyleSheet(STYLE)
        self.setMinimumSize(QSize(640, 400))
        self.setWindowTitle('piker')
        self.header = Header()
        self.pill = FeedPill()
        self.canvas = Canvas()
        self.status = StatusBar()
        self.commands = chart_commands(self)
        self._build()
        self.notice = Notice(self.canvas)
        self.help = HelpPanel(self.commands, self.centralWidget())
        self.live_button = QPushButton('Go live  »', self.canvas)
        self.live_button.setObjectName('live')
        self.live_button.setFont(font(12))
        self.live_button.setFixedSize(96, 28)
        self.live_button.setFocusPolicy(Qt.NoFocus)
        self.live_button.setCursor(Qt.PointingHandCursor)
        self.live_button.clicked.connect(
            lambda: self.commands.run('view.live')
        )
        self.live_button.hide()
        self.canvas.moved.connect(self._place_floats)
        self.canvas.failed.connect(self._on_unreadable)
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.PreciseTimer)
        self._timer.timeout.connect(self.on_frame)
        self._timer.start(_FRAME_MS)

    def _build(self) -> None:
        top = QWidget()
        top.setFixedHeight(HEIGHT)
        top.setAutoFillBackground(True)
        palette = top.palette()
        palette.setColor(top.backgroundRole(), color(Palette.panel))
        top.setPalette(palette)
        row = QHBoxLayout(top)
        row.setContentsMargins(0, 0, 16, 0)
        row.setSpacing(4)
        row.addWidget(self.header)
        self.periods = PeriodBar(self.commands, self.period_s)
        # Right of the pill, which grows with what it says: a button must not
        # move away from under the pointer.
        row.addWidget(self.pill)
        row.addSpacing(14)
        row.addWidget(self.periods)
        body = QWidget()
        body.setObjectName('body')
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        line = QWidget()
        line.setFixedHeight(1)
        line.setStyleSheet(f'background: {Palette.border};')
        for part in (top, line, self.canvas, self.status):
            column.addWidget(part)
        self.setCentralWidget(body)

    # -- what is shown

    def show_loading(self, symbol: str) -> None:
        """Another symbol is on its way; nothing of the old one stays."""
        self.symbol = symbol
        self._older.clear()
        self._look = None
        self._frozen = False
        self.canvas.show_watch(None)
        self.canvas.redraw()
        self.header.show_symbol(symbol.partition('.')[0].upper(), symbol)
        self.pill.show_state(None)
        self.status.clear()
        self.live_button.hide()
        self.notice.show_text(
            f'Loading {symbol}…', 'Waiting for the first quote.', quiet=True
        )
        self.setWindowTitle(f'{symbol} — piker')

    def show_flume(self, flume: FlumeLike) -> None:
        """Follow a flume from now on; raises `NoSuchPeriod`."""
        instrument = flume.instrument
        about = ' · '.join(
            part for part in (instrument.description, instrument.id) if part
        )
        self.header.show_symbol(instrument.raw_symbol.upper(), about)
        watch = Watch(flume, self.period_s)
        self.notice.clear()
        self._look = None
        self._frozen = False
        self.canvas.show_watch(watch)
        self.on_frame()

    def show_error(self, title: str, err: PikerError) -> None:
        """Say what went wrong; what is on screen stays, and stands still."""
        self.notice.show_text(
            title, f'{err}\n\nF5 tries again.', quiet=False
        )
        self.pill.show_text('Failed', Palette.down)
        self._frozen = True

    def show_period(self, period_s: int) -> None:
        """Change the bar period."""
        watch = self.canvas.watch
        if watch is not None and not watch.has(period_s):
            self.periods.show_period(self.period_s)
            return
        self.period_s = period_s
        self.periods.show_period(period_s)
        if watch is not None:
            self.canvas.show_older(self._older.get(period_s, OlderNote()))
            try:
                self.canvas.show_period(period_s)
            except PikerError as err:
                self._on_unreadable(err)
                return
            self._look = None
            self.on_frame()

    def show_older(self, period_s: int, note: OlderNote) -> None:
        """Say how it stands with bars of a period before the oldest."""
        self._older[period_s] = note
        watch = self.canvas.watch
        if watch is not None and watch.period_s == period_s:
            self.canvas.show_older(note)

    def on_frame(self) -> None:
        """Look at shared memory; repaint if anything is new."""
        watch = self.canvas.watch
        if watch is None or self._frozen:
            return
        try:
            look = watch.look()
            counters = watch.flume.counters
            self.status.show_look(watch, look, counters, time.time())
            new = look != self._look
            if new:
                self.canvas.refresh(look)
                self.header.show_look(watch, look)
        except PikerError as err:
            self._on_unreadable(err)
            return
        if lacking := self.canvas.view.lacking:
            self.older_wanted.emit(watch.period_s, lacking)
        if not new:
            return
        self._look = look
        self.frames += 1
        self.pill.show_state(look.state, look.age_s, look.reason)
        instrument = watch.instrument
        price = thousands(look.quote.last, instrument.price_digits)
        self.setWindowTitle(
            f'{instrument.raw_symbol.upper()} {price} — piker'
        )
        self._place_floats()

    def lacking(self, period_s: int) -> int:
        """How many older bars of a period the view lacks right now."""
        self.on_frame()
        watch = self.canvas.watch
        if watch is None or watch.period_s != period_s or self._frozen:
            return 0
        return self.canvas.view.lacking

    def paint_now(self) -> None:
        """Take in what is new and paint before returning; to measure."""
        self.on_frame()
        self.repaint()
        self.canvas.viewport().repaint()

    def picture(self) -> QImage:
        """The whole window as it is now."""
        return self.grab().toImage()

    def _on_unreadable(self, err: PikerError) -> None:
        self.show_error(f'{self.symbol} cannot be read', err)

    # -- Qt

    def _place_floats(self) -> None:
        scene = self.canvas.frame_scene
        away = scene is not None and not self.canvas.view.following
        self.live_button.setVisible(away)
        if scene is not None and away:
            self.live_button.move(
                scene.frame.width - 96 - 14, scene.frame.height - 28 - 12
            )

    def keyPressEvent(self, event: QKeyEvent) -> None:
        modifiers = event.modifiers() & ~Qt.KeypadModifier
        key = QKeySequence(int(modifiers) | event.key()).toString()
        # '?' and '+' are shifted on most layouts and plain on others.
        shifted = key.removeprefix('Shift+')
        if self.help.isVisible() and key == 'Esc':
            self.help.toggle()
        elif not self.commands.press(key) and (
            shifted == key or not self.commands.press(shifted)
        ):
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.periods.set_narrow(self.width() < _NARROW)
        self.help.setGeometry(self.centralWidget().rect())
        if self.notice.isVisible():
            self.notice.place()
        self._place_floats()

    def closeEvent(self, event: QCloseEvent) -> None:
        self._timer.stop()
        event.accept()
        if not self._closed:
            self._closed = True
            self.closed.emit()
