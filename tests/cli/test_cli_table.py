"""
Tables for people: whole columns or none.
"""
from __future__ import annotations

from collections.abc import Callable

import pytest
from rich.console import Console

from piker.cli import table
from piker.cli.table import print_table

COLUMNS = [
    ('time', 'left'), ('account', 'left', 2), ('price', 'right'),
    ('fee', 'right', 1), ('spare', 'left', 0), ('note', 'text', 3),
]
ROWS = [
    ['12:00:00', 'paper', '101992.31', '0.00000502', '', 'a long note of it'],
    ['12:00:01', 'paper', '9.5', '0.1', '', ''],
]
Out = Callable[[], tuple[list[str], str]]


@pytest.fixture
def out(capsys: pytest.CaptureFixture[str]) -> Out:
    def take() -> tuple[list[str], str]:
        found = capsys.readouterr()
        return found.out.splitlines(), found.err

    return take


def show(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """On a terminal of this width; 0 is a pipe."""
    monkeypatch.setattr(
        table, 'Console',
        lambda: Console(force_terminal=width > 0, width=width or None),
    )
    print_table('', COLUMNS, ROWS)


def test_a_pipe_gets_all(
    monkeypatch: pytest.MonkeyPatch, out: Out
) -> None:
    show(monkeypatch, 0)
    (head, first, second), said = out()
    assert head.split() == [c[0] for c in COLUMNS]
    assert first.endswith('a long note of it')
    assert second == second.rstrip()
    assert not said


@pytest.mark.parametrize(('width', 'names', 'said'), [
    (70, 'time account price fee spare note', ''),
    (62, 'time account price fee note', ''),
    (55, 'time account price fee note', ''),
    (41, 'time account price fee', 'no room for: note'),
    (33, 'time price fee', 'no room for: account, note'),
    (25, 'time price', 'no room for: account, fee, note'),
    (10, 'time price', 'no room for: account, fee, note'),
])
def test_narrow_terminals(
    monkeypatch: pytest.MonkeyPatch, out: Out, width: int, names: str,
    said: str,
) -> None:
    """What has no room is left out and named; numbers are whole."""
    show(monkeypatch, width)
    (head, *rows), err = out()
    assert head.split() == names.split()
    assert err.strip() == said
    for line in (head, *rows):
        assert len(line) <= max(width, 19)
    assert '101992.31' in rows[0]
    assert ('…' in rows[0]) == (width == 55)


def test_what_comes_from_outside_is_text(out: Out) -> None:
    print_table('', [('note', 'left')], [['\x1b[2Jcleared\a']])
    assert out()[0][1] == '·[2Jcleared·'
