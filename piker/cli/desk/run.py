"""
``piker ems`` in its terminal, from the first picture to the last.
"""
from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import trio
import urwid

from ...clock import SystemClock
from ...data import open_feed
from ...errors import BadInput
from ...service import Tree
from ..ems.client import check_account, open_existing
from .desk import Desk
from .output import DeskLoop, Output
from .palette import PALETTE
from .quotes import Quotes
from .view import View

__all__ = ['run_desk']

_REFRESH_S = 0.1
# The least time between two pictures while there is news of orders.
_LEAST_S = 0.05


async def run_desk(
    registry: str, watched: list[str], account: str
) -> None:
    """
    Show the desk until it is left.

    Raises `BadInput` without a terminal, `NoDaemon` without a tree, and what
    `open_ems` raises while it is open, once the terminal is as it was.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise BadInput(
            'the desk needs a terminal; for scripts there are commands: '
            '`piker ems -h`'
        )
    address = str(Tree.parse(registry))
    async with (
        open_existing(registry, 'desk') as ems,
        trio.open_nursery() as nursery,
    ):
        check_account(ems, account)
        quotes = Quotes(lambda symbol: open_feed(
            [symbol], registry=address, client='desk'
        ))
        await nursery.start(quotes.run)
        output = Output(sys.stdout.fileno())
        desk = Desk(
            ems, quotes, SystemClock(),
            spawn=nursery.start_soon, leave=nursery.cancel_scope.cancel,
            ring=partial(output.write, '\a'),
            registry=address, account=account, watched=watched,
        )
        news = trio.lowlevel.ParkingLot()
        nursery.start_soon(_follow, desk, news)
        nursery.start_soon(_end_with_signals, desk)
        with _logged(desk):
            await _show(desk, output, news)


async def _follow(desk: Desk, news: trio.lowlevel.ParkingLot) -> None:
    with desk.ems.events() as events:
        async for event in events:
            desk.on_event(event)
            news.unpark_all()


async def _end_with_signals(desk: Desk) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGHUP) as signals:
        async for _ in signals:
            desk.quit()


async def _show(
    desk: Desk, output: Output, news: trio.lowlevel.ParkingLot
) -> None:
    """Draw until cancelled, then give the terminal back as it was."""
    # Pasted text must be told from keys: a key can send an order.
    screen = urwid.display.raw.Screen(
        input=sys.stdin, output=output, bracketed_paste_mode=True,
        focus_reporting=False,
    )
    if os.environ.get('NO_COLOR'):
        screen.set_terminal_properties(colors=1)
    events = urwid.TrioEventLoop()
    loop = DeskLoop(
        desk, output, View(desk), PALETTE, screen=screen, event_loop=events,
        handle_mouse=False,
    )
    desk.clear = screen.clear
    try:
        with loop.start():
            # Ctrl-C is a key like others, and ends with all else in order.
            screen.tty_signal_keys(intr='undefined')
            async with trio.open_nursery() as nursery:
                nursery.start_soon(output.run)
                nursery.start_soon(_refresh, desk, news)
                await events.run_async()
    finally:
        output.finish()


async def _refresh(desk: Desk, news: trio.lowlevel.ParkingLot) -> None:
    while True:
        desk.refresh()
        await trio.sleep(_LEAST_S)
        if not desk.has_news:
            with trio.move_on_after(_REFRESH_S - _LEAST_S):
                await news.park()


@contextmanager
def _logged(desk: Desk) -> Iterator[None]:
    """What is logged goes into the desk, not across it."""
    handler: Any = _Handler(desk)
    root, own = logging.getLogger(), logging.getLogger('piker')
    before = root.handlers[:], own.handlers[:]
    root.handlers[:], own.handlers[:] = [handler], []
    try:
        yield
    finally:
        root.handlers[:], own.handlers[:] = before


class _Handler(logging.Handler):
    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk

    def emit(self, record: logging.LogRecord) -> None:
        bad = record.levelno >= logging.ERROR
        self._desk.log(record.getMessage(), 'error' if bad else 'warn')
