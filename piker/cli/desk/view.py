"""
The desk as a widget: header, alarms, panels, and the line.
"""
from __future__ import annotations

from typing import Any

import urwid

from ...clock import format_ns
from .actions import HINTS
from .desk import Desk
from .layout import arrange
from .panels import canvas_of
from .table import Cell, Line, clean, fit

__all__ = ['View', 'alarms']


def alarms(desk: Desk) -> list[tuple[str, str]]:
    """(attribute, text) of what must not be overlooked, loudest first."""
    ems = desk.ems
    found = []
    if not ems.attached:
        found.append((
            'error', 'REATTACHING  emsd is gone: what is shown was so before'
        ))
    for name in sorted(ems.live):
        where = ems.providers.get(name)
        found += [('live', f'REAL MONEY  account {name} trades at {where}')]
    halted: dict[str, list[str]] = {}
    for view in ems.accounts.values():
        if view.halted:
            halted.setdefault(view.halted, []).append(view.account)
    for reason, names in halted.items():
        everyone = len(names) == len(ems.accounts)
        who = 'all accounts' if everyone else ', '.join(sorted(names))
        found.append((
            'warn', f'HALTED  {who}: {reason}; R takes orders again'
        ))
    return found


class View(urwid.Widget):
    """Draws a `Desk`, and hands keys to it."""

    _sizing = frozenset([urwid.BOX])
    _selectable = True
    no_cache = ('render',)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk

    def keypress(self, size: tuple[int, ...], key: str) -> None:
        self.desk.press(key)

    def render(self, size: tuple[int, ...], focus: bool = False) -> Any:
        cols, rows = size[0], size[1]
        desk = self.desk
        desk.cols = cols
        top = [self._header(cols)]
        top += [
            [(attr, fit(f'  {clean(text)}', cols))]
            for attr, text in alarms(desk)
        ]
        foot = self._foot(cols)
        body = rows - len(top) - foot.rows()
        if body < 1:
            return canvas_of(
                (top + [[('', ' ' * cols)]] * rows)[:rows], cols
            )
        middle = arrange(
            desk.panels, cols, body, tab=desk.tab, only=desk.only
        ).render((cols, body))
        if desk.page_on_top is not None:
            middle = self._with_page(middle, cols, body)
        return urwid.CanvasCombine([
            (canvas_of(top, cols), None, False), (middle, None, False),
            (foot, None, True),
        ])

    def _with_page(self, below: Any, cols: int, rows: int) -> Any:
        page = self.desk.page_on_top
        assert page is not None
        width = min(cols, max(40, page.width))
        height = min(rows, page.height)
        left, top = (cols - width) // 2, (rows - height) // 2
        return urwid.CanvasOverlay(
            page.render((width, height)), below, left, top
        )

    def _header(self, cols: int) -> Line:
        desk = self.desk
        left: Line = [('header', f' piker ems  {desk.registry}  ')]
        for name, account in sorted(desk.ems.accounts.items()):
            mark = '▸' if name == desk.account else ' '
            attr = 'header' if name == desk.account else 'header-off'
            if name in desk.ems.live:
                attr = 'live'
            ready = '●' if account.ready else '○'
            left.append((attr, f'{mark}{name} {ready} '))
        state = 'attached' if desk.ems.attached else 'reattaching'
        right = f' {state}  {format_ns(desk.now_ns)[11:19]} UTC '
        room = max(0, cols - len(right))
        line = _cut(left, room)
        used = sum(len(text) for _, text in line)
        return _cut(
            [*line, ('header', ' ' * (room - used)), ('header', right)], cols
        )

    def _foot(self, cols: int) -> Any:
        desk = self.desk
        attr, text = desk.message()
        said = canvas_of([[(attr, fit(text, cols))]], cols)
        if desk.prompt is not None:
            last = desk.prompt.edit.render((cols,), focus=True)
        else:
            last = canvas_of([_hints(cols)], cols)
        return urwid.CanvasCombine([
            (said, None, False), (last, None, True),
        ])


def _hints(cols: int) -> Line:
    line: list[Cell] = []
    used = 0
    for key, text in HINTS:
        if used + len(key) + len(text) + 4 > cols:
            break
        line += [('key', f' {key}'), ('label', f' {text} ')]
        used += len(key) + len(text) + 3
    return line


def _cut(line: Line, cols: int) -> Line:
    found: Line = []
    for attr, text in line:
        part = text[:cols]
        cols -= len(part)
        if part:
            found.append((attr, part))
    return found
