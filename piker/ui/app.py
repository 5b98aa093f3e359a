"""The chart program: Qt and trio in one process."""
from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from ..errors import BadInput, PikerError
from .display import open_application, require_display

if TYPE_CHECKING:
    from .feeds import OpenFeed
    from .window import ChartWindow

__all__ = ['run_chart']


def run_chart(
    open_feed: OpenFeed,
    symbol: str,
    *,
    period_s: int = 60,
    screenshot: Path | None = None,
    after_s: float = 3.0,
    size: tuple[int, int] = (1600, 900),
    fullscreen: bool = False,
) -> None:
    """
    Show the live chart of ``symbol`` until its window is closed.

    Call it outside of any trio run: it makes its own, inside Qt's event
    loop, and ``open_feed`` is entered there.  With ``screenshot``, nothing is
    put on a display; ``after_s`` seconds after the first quote the picture is
    written as PNG and the function returns.

    Closing the window or Ctrl-C leaves the feed's context and returns; a
    second Ctrl-C raises `KeyboardInterrupt` at once.  Raises `NoDisplay`
    where no window can be opened, `BadInput` for a file that cannot be
    written, whatever ``open_feed`` raises that is no `PikerError`, and with
    ``screenshot`` the `PikerError` too, which otherwise the window shows.
    """
    offscreen = screenshot is not None
    require_display(offscreen=offscreen)
    if screenshot is not None:
        _require_writable(screenshot)
    app = open_application(offscreen=offscreen)
    # Qt is there: what needs it can be imported.
    from .guest import Guest
    from .session import Session
    from .window import ChartWindow

    app.setQuitOnLastWindowClosed(False)
    window = ChartWindow(period_s=period_s)
    window.resize(*size)
    guest = Guest()
    window.closed.connect(guest.cancel)

    async def main() -> None:
        session = Session(window, open_feed, strict=offscreen)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run, symbol)
            if screenshot is not None:
                await session.live.wait()
                await trio.sleep(after_s)
                _write(window, screenshot)
                nursery.cancel_scope.cancel()

    if fullscreen and not offscreen:
        window.showFullScreen()
    else:
        window.show()
    try:
        guest.run(main)
    finally:
        window.close()
        window.deleteLater()


def _require_writable(path: Path) -> None:
    if path.is_dir():
        raise BadInput(f'{path} is a directory; name a file to write')
    folder = path.absolute().parent
    if not folder.is_dir():
        raise BadInput(f'{folder} does not exist, so {path} cannot be written')
    target = path if path.exists() else folder
    if not os.access(target, os.W_OK):
        raise BadInput(f'{path} cannot be written: permission denied')


def _write(window: ChartWindow, path: Path) -> None:
    from PyQt5.QtGui import QImageWriter

    writer = QImageWriter(str(path), b'png')
    if not writer.write(window.picture()):
        raise PikerError(f'{path} cannot be written: {writer.errorString()}')
