"""
A terminal for a program: a pseudo-terminal, and who draws what it says.
"""
from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from typing import Any

import urwid
from suite import wait_until
from urwid.vterm import TermCanvas, TermModes

PATIENCE_S = 40
# As the leader of a session, with the terminal as its own.
_MAIN = '''
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from piker.cli.main import piker
piker(prog_name='piker')
'''


class _Host:
    """What the terminal's canvas tells of beside the text."""

    def __init__(self) -> None:
        self.term_modes = TermModes()

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class Terminal:
    """
    ``piker ems`` in a terminal of its own; `text` is what can be seen.

    While `paused` nothing is read, as from a terminal that hangs.
    """

    def __init__(self, *args: str, cols: int = 80, rows: int = 24) -> None:
        self._master, slave = pty.openpty()
        urwid.set_encoding('utf8')
        self._screen = TermCanvas(cols, rows, _Host())  # type: ignore
        self._lock = threading.Lock()
        self._going = threading.Event()
        self._going.set()
        self.raw = b''
        self._set_size(cols, rows)
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            [sys.executable, '-c', _MAIN, 'ems', *args],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**os.environ, 'TERM': 'xterm-256color'},
        )
        self._slave = slave
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _set_size(self, cols: int, rows: int) -> None:
        size = struct.pack('HHHH', rows, cols, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def resize(self, cols: int, rows: int) -> None:
        with self._lock:
            self._screen.resize(cols, rows)
        self._set_size(cols, rows)

    def _read(self) -> None:
        while True:
            self._going.wait()
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return
            if not data:
                return
            with self._lock:
                self.raw = (self.raw + data)[-200_000:]
                self._screen.addstr(data)

    def pause(self) -> None:
        self._going.clear()

    def go_on(self) -> None:
        self._going.set()

    @property
    def text(self) -> str:
        with self._lock:
            rows = [
                b''.join(char for _, _, char in row)
                for row in self._screen.term
            ]
        return '\n'.join(row.decode(errors='replace') for row in rows)

    def shows(self, pattern: str, within_s: float = PATIENCE_S) -> None:
        """Wait until a line of the screen matches."""
        found = re.compile(pattern, re.MULTILINE)
        try:
            wait_until(lambda: found.search(self.text), within_s)
        except BaseException:
            print(self.text)  # noqa: T201
            raise

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    @property
    def settings(self) -> list[Any]:
        return termios.tcgetattr(self._slave)

    def ended(self) -> int:
        """Its exit code, once all it has written is read."""
        code = self.process.wait(20)
        os.close(self._slave)
        self._slave = -1
        self._reader.join(5)
        return code

    def close(self) -> None:
        self._going.set()
        self.process.kill()
        self.process.wait()
        if self._slave >= 0:
            os.close(self._slave)
        self._reader.join(5)
        os.close(self._master)
