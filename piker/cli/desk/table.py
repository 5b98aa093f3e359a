"""
Tables as lines of text: which columns fit, how wide they are.

A line is a list of (attribute, text), as the terminal library's markup.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import urwid

from ..table import clean

__all__ = ['Cell', 'Column', 'Line', 'Row', 'Table', 'clean', 'fit']

Cell = tuple[str, str]  # (attribute, text)
Line = list[Cell]
_GAP = 2
_LEAST_LAST = 12


@dataclass(frozen=True, slots=True)
class Column:
    """
    ``rank`` 0 is always shown; of the others the highest goes first where
    there is no room.  ``most`` is how wide it may grow.
    """

    name: str
    right: bool = False
    rank: int = 0
    least: int = 0
    most: int = 24


@dataclass(frozen=True, slots=True)
class Row:
    """``key`` says what it is about, for as long as that is shown."""

    key: tuple[str, ...]
    cells: tuple[Cell, ...]


def fit(text: str, width: int, right: bool = False) -> str:
    """Exactly ``width`` columns of the terminal; cut with an ellipsis."""
    text = clean(text)
    have = urwid.calc_width(text, 0, len(text))
    if have > width:
        end, have = urwid.calc_text_pos(text, 0, len(text), max(0, width - 1))
        text, have = f'{text[:end]}…', have + 1
        if not width:
            return ''
    pad = ' ' * (width - have)
    return pad + text if right else text + pad


class Table:
    """
    Columns that keep their width, so that a table does not tremble.

    They only grow with what they have shown, up to the `Column`'s ``most``,
    until the room for them changes.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = columns
        self._cols = -1
        self._widths: list[int] = []

    def lines(self, rows: Sequence[Row], cols: int) -> tuple[Line, list[Line]]:
        """The line of names, and one for each row, ``cols`` wide."""
        if cols != self._cols:
            self._cols = cols
            self._widths = [max(len(c.name), c.least) for c in self.columns]
        for row in rows:
            for at, (_, text) in enumerate(row.cells):
                if len(text) > self._widths[at]:
                    most = max(self.columns[at].most, self._widths[at])
                    self._widths[at] = min(len(text), most)
        shown = self._choose(cols)
        head: Line = []
        for at, width in shown:
            column = self.columns[at]
            head.append(('label', fit(column.name, width, column.right)))
        return _joined(head, cols), [
            _joined([
                (row.cells[at][0],
                 fit(row.cells[at][1], width, self.columns[at].right))
                for at, width in shown
            ], cols)
            for row in rows
        ]

    def _choose(self, cols: int) -> list[tuple[int, int]]:
        """(index, width) of the columns that fit."""
        shown = list(range(len(self.columns)))

        def need() -> int:
            last = shown[-1]
            wanted = sum(self._widths[at] + _GAP for at in shown) - _GAP
            if self.columns[last].right:
                return wanted
            # The last one has what is left, more or less.
            return wanted - max(0, self._widths[last] - _LEAST_LAST)

        while need() > cols:
            worst = max(shown, key=lambda at: (self.columns[at].rank, at))
            if not self.columns[worst].rank:
                break
            shown.remove(worst)
        widths = {at: self._widths[at] for at in shown}
        last = shown[-1]
        others = sum(widths[at] + _GAP for at in shown[:-1])
        if not self.columns[last].right or others + widths[last] > cols:
            widths[last] = max(0, cols - others)
        return [(at, widths[at]) for at in shown]


def _joined(cells: Line, cols: int) -> Line:
    line: Line = []
    left = cols
    for attr, text in cells:
        if line:
            line.append(('', ' ' * _GAP))
            left -= _GAP
        line.append((attr, text))
        left -= urwid.calc_width(text, 0, len(text))
    if left > 0:
        line.append(('', ' ' * left))
    return line
