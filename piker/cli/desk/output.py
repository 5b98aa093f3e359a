"""
The way to the terminal, which may be slow, or stopped.
"""
from __future__ import annotations

import os
import select
import threading
from typing import Any

import trio
import urwid

from .desk import Desk

__all__ = ['DeskLoop', 'Output']

_END_WITHIN_S = 1.0


class Output:
    """
    A file for the screen that never makes it wait.

    What is written goes out in a thread, in order.  While something waits to
    go out `busy` is true, and nothing more should be drawn: a slow terminal
    gets fewer pictures, not late ones.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._parts: list[str] = []
        self._waiting = b''
        self._idle = threading.Event()
        self._idle.set()
        self._stirred = trio.Event()

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return os.isatty(self._fd)

    def write(self, text: str) -> None:
        self._parts.append(text)

    def flush(self) -> None:
        if self._parts:
            self._waiting += ''.join(self._parts).encode(errors='replace')
            self._parts.clear()
            self._stirred.set()

    @property
    def busy(self) -> bool:
        return bool(self._waiting) or not self._idle.is_set()

    async def run(self) -> None:
        """Write until cancelled; `finish` does the rest."""
        while True:
            if not self._waiting:
                self._stirred = trio.Event()
                await self._stirred.wait()
            data, self._waiting = self._waiting, b''
            self._idle.clear()
            await trio.to_thread.run_sync(
                self._write_all, data,
                abandon_on_cancel=True,  # type: ignore[call-arg]
            )

    def _write_all(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._fd, data):]
        except OSError:
            # It has hung up; who started us hears of that otherwise.
            pass
        finally:
            self._idle.set()

    def finish(self) -> None:
        """Write what is left, if the terminal takes it within a second."""
        self.flush()
        if not self._idle.wait(_END_WITHIN_S):
            return
        while self._waiting:
            if not select.select([], [self._fd], [], _END_WITHIN_S)[1]:
                return
            data, self._waiting = self._waiting[:256], self._waiting[256:]
            self._write_all(data)


class DeskLoop(urwid.MainLoop):
    """
    Draws what is new, once the terminal has taken the last picture.

    Keys show at once; all else is as new as the last `Desk.refresh`.
    """

    def __init__(
        self, desk: Desk, output: Output, *args: Any, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._desk, self._output = desk, output

    def draw_screen(self) -> None:
        if self._output.busy:
            return
        if self._desk.dirty or not self.screen_size:
            self._desk.dirty = False
            super().draw_screen()
