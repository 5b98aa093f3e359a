"""The chart's own commands."""
from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PyQt5.QtWidgets import QApplication

from .commands import Commands
from .periodbar import period_command
from .periods import PERIODS, period_key, period_words
from .viewport import Viewport

if TYPE_CHECKING:
    from .window import ChartWindow

__all__ = ['chart_commands']


def chart_commands(window: ChartWindow) -> Commands:
    """Everything that can be done to ``window``, with its keys."""
    canvas = window.canvas
    commands = Commands()
    add = commands.add

    add('view.live', 'Follow the newest bar',
        lambda: canvas.apply(Viewport.go_live), 'End', 'L')
    add('view.first', 'Go to the oldest bar',
        lambda: canvas.apply(Viewport.go_first), 'Home')
    add('view.all', 'Show all bars',
        lambda: canvas.apply(Viewport.show_all), 'A')
    add('view.zoom-in', 'Zoom in',
        lambda: canvas.zoom(0.8), '+', '=', 'Up')
    add('view.zoom-out', 'Zoom out', lambda: canvas.zoom(1.25), '-', 'Down')
    add('view.back', 'Move back',
        lambda: canvas.pan_share(-0.1), 'Left')
    add('view.forward', 'Move forward',
        lambda: canvas.pan_share(0.1), 'Right')
    add('view.page-back', 'Move back by a page',
        lambda: canvas.pan_share(-0.9), 'PgUp')
    add('view.page-forward', 'Move forward by a page',
        lambda: canvas.pan_share(0.9), 'PgDown')
    add('view.fit', 'Fit the price axis to the bars',
        lambda: canvas.apply(Viewport.fit), 'F')

    for period_s in PERIODS:
        add(period_command(period_s), f'Bars of {period_words(period_s)}',
            partial(window.show_period, period_s), period_key(period_s))

    def toggle_volume() -> None:
        canvas.picture.volume = not canvas.picture.volume
        canvas.redraw()

    def toggle_quotes() -> None:
        canvas.quotes = not canvas.quotes
        canvas.redraw()

    add('show.volume', 'Volume on or off', toggle_volume, 'V')
    add('show.quotes', 'Bid and ask on or off', toggle_quotes, 'B')

    add('feed.reload', 'Open the feed again',
        lambda: window.load_requested.emit(window.symbol), 'F5', 'Ctrl+R')

    def copy() -> None:
        QApplication.clipboard().setImage(window.picture())

    def toggle_help() -> None:
        # The panel is made after the commands that it lists.
        window.help.toggle()

    def fullscreen() -> None:
        if window.isFullScreen():
            window.showNormal()
        else:
            window.showFullScreen()

    add('window.copy', 'Copy a picture to the clipboard', copy, 'Ctrl+C')
    add('window.fullscreen', 'Full screen on or off', fullscreen, 'F11')
    add('window.help', 'This list', toggle_help, 'F1', '?')
    add('window.close', 'Close the window', window.close, 'Ctrl+W', 'Ctrl+Q')
    return commands
