"""
Panels: a titled table with a selection, drawn to the size it is given.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import urwid

from .table import Column, Line, Row, Table, fit

__all__ = ['Page', 'Panel', 'canvas_of']


def canvas_of(lines: Sequence[Line], cols: int) -> Any:
    """Lines, each exactly ``cols`` wide, as a canvas."""
    markup: list[Any] = []
    for at, line in enumerate(lines):
        if at:
            markup.append('\n')
        markup += line or [('', ' ')]
    return urwid.Text(markup, wrap='clip').render((cols,))


class Panel(urwid.Widget):
    """
    A title, names of columns, and rows of which one is selected.

    The selection stays with what it is about when rows come and go.
    """

    _sizing = frozenset([urwid.BOX])
    _selectable = False

    def __init__(
        self, name: str, key: str, columns: Sequence[Column], empty: str
    ) -> None:
        super().__init__()
        self.name = name
        self.key = key
        self.empty = empty
        self.note = ''
        self.rows: list[Row] = []
        self.active = False
        # Others of the same place, as tabs: (key, name).
        self.tabs: list[tuple[str, str]] = []
        # Rows come in the order of time, and the newest is to be seen.
        self.follows = False
        self._table = Table(columns)
        self._at = 0
        self._top = 0
        self._room = 1

    def show(self, rows: list[Row], note: str = '') -> bool:
        """New content; whether it is new."""
        if rows == self.rows and note == self.note:
            return False
        before = self.selected
        at_end = self._at >= len(self.rows) - 1
        self.rows, self.note = rows, note
        if self.follows and at_end:
            self._at = len(rows) - 1
        elif before is not None:
            keys = [row.key for row in rows]
            if before in keys:
                self._at = keys.index(before)
        self._at = max(0, min(self._at, len(rows) - 1))
        self._invalidate()
        return True

    @property
    def selected(self) -> tuple[str, ...] | None:
        """The key of the selected row."""
        return self.rows[self._at].key if self._at < len(self.rows) else None

    def select(self, key: tuple[str, ...]) -> None:
        """Select the row of this key, if there is one."""
        for at, row in enumerate(self.rows):
            if row.key == key:
                self.move(at - self._at)

    def move(self, by: int) -> None:
        self._at = max(0, min(self._at + by, len(self.rows) - 1))
        self._invalidate()

    def page(self, pages: int) -> None:
        self.move(pages * max(1, self._room - 1))

    def activate(self, active: bool) -> None:
        if active != self.active:
            self.active = active
            self._invalidate()

    def render(self, size: tuple[int, ...], focus: bool = False) -> Any:
        cols, rows = size[0], size[1]
        self._room = max(1, rows - 2)
        last_top = max(0, len(self.rows) - self._room)
        self._top = max(
            self._at - self._room + 1, min(self._top, self._at, last_top)
        )
        shown = self.rows[self._top:self._top + self._room]
        head, body = self._table.lines(shown, cols)
        lines = [self._title(cols), head]
        for at, line in enumerate(body, self._top):
            if self.active and at == self._at:
                lines.append([('selected', ''.join(t for _, t in line))])
            else:
                lines.append(line)
        if not self.rows:
            lines.append([('faint', fit(self.empty, cols))])
        lines += [[('', ' ' * cols)] for _ in range(rows - len(lines))]
        return canvas_of(lines[:rows], cols)

    def _title(self, cols: int) -> Line:
        attr = 'title-active' if self.active else 'title'
        line: Line = []
        for key, name in self.tabs or [(self.key, self.name)]:
            mine = name == self.name
            text = f' {key} {name.upper() if mine else name} '
            line.append((attr if mine else 'label', text))
        note = f' {self.note}' if self.note else ''
        if len(self.rows) > self._room:
            end = min(self._top + self._room, len(self.rows))
            note += f'  {self._top + 1}–{end} of {len(self.rows)}'
        used = sum(len(text) for _, text in line)
        left = max(0, cols - used)
        rule = fit(f'{note} ' if note else '', min(left, len(note) + 1))
        line.append(('label', rule + '─' * (left - len(rule))))
        return line


def _filled(line: Line, attr: str, cols: int) -> Line:
    found: Line = []
    left = cols
    for cell_attr, text in line:
        text = fit(text, min(left, urwid.calc_width(text, 0, len(text))))
        left -= urwid.calc_width(text, 0, len(text))
        found.append((cell_attr, text))
    return [*found, (attr, ' ' * left)] if left > 0 else found


class Page(urwid.Widget):
    """Lines in a frame that can be scrolled: help, details, a question."""

    _sizing = frozenset([urwid.BOX])
    _selectable = False

    def __init__(
        self, title: str, lines: Sequence[Line], foot: str = '',
        attr: str = 'title-active',
    ) -> None:
        super().__init__()
        self.title, self.content, self.foot = title, list(lines), foot
        self.attr = attr
        self._top = 0
        self._room = 1

    @property
    def width(self) -> int:
        widths = [sum(len(t) for _, t in line) for line in self.content]
        return max([*widths, len(self.title), len(self.foot)]) + 4

    @property
    def height(self) -> int:
        return len(self.content) + 2

    def scroll(self, by: int) -> None:
        last = max(0, len(self.content) - self._room)
        self._top = max(0, min(self._top + by, last))
        self._invalidate()

    @property
    def room(self) -> int:
        return self._room

    def render(self, size: tuple[int, ...], focus: bool = False) -> Any:
        cols, rows = size[0], size[1]
        self._room = max(1, rows - 2)
        self._top = max(0, min(self._top, len(self.content) - self._room))
        inner = cols - 4
        lines = [_edge('┌', self.title, '┐', cols, self.attr)]
        for line in self.content[self._top:self._top + self._room]:
            body = _filled(line, '', inner)
            lines.append([('frame', '│ '), *body, ('frame', ' │')])
        lines += [
            [('frame', '│' + ' ' * (cols - 2) + '│')]
            for _ in range(rows - 1 - len(lines))
        ]
        more = len(self.content) - self._top - self._room
        foot = f'{self.foot}  ↓ {more} more' if more > 0 else self.foot
        lines.append(_edge('└', foot, '┘', cols, 'label'))
        return canvas_of(lines[:rows], cols)


def _edge(left: str, text: str, right: str, cols: int, attr: str) -> Line:
    text = fit(f' {text} ', min(cols - 4, len(text) + 2)) if text else ''
    rule = '─' * (cols - 3 - len(text))
    return [('frame', f'{left}─'), (attr, text), ('frame', rule + right)]
