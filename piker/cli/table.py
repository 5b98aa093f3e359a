"""
Tables for people, on a terminal and in a pipe.
"""
from __future__ import annotations

from collections.abc import Sequence

import click
from rich.cells import cell_len, set_cell_size
from rich.console import Console

from .common import write_line

__all__ = ['Columns', 'clean', 'print_table']

# (name, 'left', 'right' or 'text'), and how easily it is done without: 0, or
# nothing, not at all; of the others the highest goes first where there is no
# room.  Text may be cut if it is the last column.
Columns = Sequence[tuple[str, str] | tuple[str, str, int]]

_GAP = 2
_LEAST_LAST = 12


def clean(text: str) -> str:
    """Without what a terminal would take for a command."""
    return ''.join(c if c.isprintable() else '·' for c in text)


def print_table(
    title: str, columns: Columns, rows: Sequence[Sequence[str]]
) -> None:
    """
    A table for people.

    A number is never cut: on a terminal that is too narrow whole columns are
    left out, which is said, and text at the end of a line ends in an
    ellipsis.  A pipe gets everything.
    """
    console = Console()
    lines = [[column[0] for column in columns]]
    lines += [[clean(cell) for cell in row] for row in rows]
    widths = [max(cell_len(row[at]) for row in lines)
              for at in range(len(columns))]
    shown = list(range(len(columns)))
    if console.is_terminal:
        shown = _chosen(columns, rows, widths, console.width)
    if title:
        write_line(title)
    for row in lines:
        cells = [
            _padded(row[at], widths[at], columns[at][1]) for at in shown
        ]
        write_line((' ' * _GAP).join(cells).rstrip())
    left_out = [
        columns[at][0] for at in range(len(columns))
        if at not in shown and columns[at][0] and any(r[at] for r in rows)
    ]
    if left_out:
        click.echo(f'no room for: {", ".join(left_out)}', err=True)


def _chosen(
    columns: Columns,
    rows: Sequence[Sequence[str]],
    widths: list[int],
    room: int,
) -> list[int]:
    """Which columns fit; the last one's width may shrink."""

    def over() -> int:
        return sum(widths[at] + _GAP for at in shown) - _GAP - room

    def rank(at: int) -> int:
        column = columns[at]
        return column[2] if len(column) == 3 else 0

    shown = list(range(len(columns)))
    if over() > 0 and rows:
        # What is empty goes before anything else.
        shown = [at for at in shown if any(row[at] for row in rows)]
    while (more := over()) > 0:
        last = shown[-1]
        if columns[last][1] == 'text' and widths[last] - more >= _LEAST_LAST:
            widths[last] -= more
            break
        worst = max(shown, key=lambda at: (rank(at), at))
        if not rank(worst):
            break
        shown.remove(worst)
    return shown


def _padded(text: str, width: int, justify: str) -> str:
    have = cell_len(text)
    if have > width:
        return set_cell_size(text, width - 1) + '…'
    space = ' ' * (width - have)
    return space + text if justify == 'right' else text + space
