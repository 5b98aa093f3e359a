"""
Trio inside the Qt event loop.

Qt owns the main thread; trio runs as its guest (trio's documentation, *Using
"guest mode" to run Trio on top of other event loops*).  What happens in trio
and what happens in Qt's callbacks therefore never overlap.
"""
from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from types import FrameType, TracebackType
from typing import Any

import trio
from outcome import Outcome
from PyQt5.QtCore import QEventLoop, QObject, Qt, pyqtSignal

__all__ = ['Guest']


class _Caller(QObject):
    """Runs functions in the main thread; `post` may be called from any."""

    _posted = pyqtSignal(object)

    def __init__(self) -> None:
        super().__init__()
        connect: Any = self._posted.connect
        connect(self._call, Qt.QueuedConnection)

    def post(self, fn: Callable[[], object]) -> None:
        self._posted.emit(fn)

    @staticmethod
    def _call(fn: Callable[[], object]) -> None:
        fn()


class Guest:
    """
    One run of trio in Qt's event loop; use once.

    `run` returns when the async function has ended or was cancelled.  An
    interrupt (Ctrl-C) cancels; a second one leaves at once by
    `KeyboardInterrupt`, whatever the async function is still waiting for.
    """

    def __init__(self) -> None:
        self._scope = trio.CancelScope()
        self._caller = _Caller()
        self._loop = QEventLoop()
        self._result: Outcome[Any] | None = None
        self._interrupts = 0
        self._forced = False
        self._crash: BaseException | None = None

    def cancel(self) -> None:
        """Ask the run to end; from the main thread, at any time."""
        self._scope.cancel()

    def run(self, fn: Callable[[], Awaitable[Any]]) -> None:
        """Run ``fn`` to its end; raises what it or a Qt callback raised."""

        async def main() -> None:
            with self._scope:
                await fn()

        old_hook = sys.excepthook
        sys.excepthook = self._on_crash
        in_main = threading.current_thread() is threading.main_thread()
        old_handler: Any = None
        if in_main:
            old_handler = signal.signal(signal.SIGINT, self._on_interrupt)
        try:
            trio.lowlevel.start_guest_run(
                main,
                run_sync_soon_threadsafe=self._caller.post,
                done_callback=self._on_done,
                strict_exception_groups=False,
            )
            # Something else may quit all loops: trio has to end first.
            while self._result is None and not self._forced:
                self._loop.exec_()
                if self._result is None:
                    self.cancel()
        finally:
            if in_main:
                signal.signal(signal.SIGINT, old_handler)
            sys.excepthook = old_hook
        if self._result is None:
            raise KeyboardInterrupt
        if self._crash is not None:
            raise self._crash
        self._result.unwrap()

    def _on_done(self, result: Outcome[Any]) -> None:
        self._result = result
        self._loop.quit()

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        # Anything may be under way right now: only take note.
        self._interrupts += 1
        if self._interrupts == 1:
            self._caller.post(self.cancel)
            return
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._caller.post(self._force)

    def _force(self) -> None:
        self._forced = True
        self._loop.quit()

    def _on_crash(
        self,
        kind: type[BaseException],
        err: BaseException,
        trace: TracebackType | None,
    ) -> None:
        # PyQt hands over what a Qt callback raised; without a hook of our
        # own it would abort the process.
        if self._crash is None:
            self._crash = err
        self.cancel()
