"""
The line at the bottom, while something is typed into it.
"""
from __future__ import annotations

from collections import deque

import urwid

__all__ = ['History', 'Prompt']

_MOST_LINES = 100


class History:
    """Lines that were entered, the newest last."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=_MOST_LINES)

    def add(self, line: str) -> None:
        if not self.lines or self.lines[-1] != line:
            self.lines.append(line)


class Prompt:
    """
    A line that is edited; ``up`` and ``down`` go through the history.

    `press` says what a key came to: ``enter``, ``escape``, ``complete`` or
    nothing.
    """

    def __init__(self, text: str, history: History) -> None:
        self.edit = urwid.Edit(('prompt', '❯ '), text)
        self.edit.set_edit_pos(len(text))
        self._history = history
        self._at = len(history.lines)
        self._own = text

    @property
    def text(self) -> str:
        return str(self.edit.edit_text)

    def set(self, text: str) -> None:
        self.edit.set_edit_text(text)
        self.edit.set_edit_pos(len(text))

    def press(self, key: str, cols: int) -> str:
        match key:
            case 'enter':
                return 'enter'
            case 'esc':
                return 'escape'
            case 'tab':
                return 'complete'
            case 'up':
                self._recall(-1)
            case 'down':
                self._recall(1)
            case 'ctrl u':
                self.set('')
            case 'ctrl w':
                self.set(self.text.rstrip().rpartition(' ')[0])
            case 'ctrl a':
                self.edit.set_edit_pos(0)
            case 'ctrl e':
                self.edit.set_edit_pos(len(self.text))
            case _:
                self.edit.keypress((max(4, cols),), key)
        return ''

    def _recall(self, by: int) -> None:
        lines = self._history.lines
        if self._at == len(lines):
            self._own = self.text
        self._at = max(0, min(self._at + by, len(lines)))
        at_own = self._at == len(lines)
        self.set(self._own if at_own else lines[self._at])
