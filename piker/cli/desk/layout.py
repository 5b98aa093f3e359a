"""
Where the panels are, by the size of the terminal.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import urwid

from .panels import Panel

__all__ = ['NAMES', 'TABS', 'arrange']

# In the order of their keys, 1 to 7.
NAMES = (
    'quotes', 'orders', 'positions', 'fills', 'alerts', 'log', 'balances',
)
# Those that share a place where there is no room for all.
TABS = NAMES[3:]
# Below this a panel is no use: title, names, one row.
_LEAST = 3


def arrange(
    panels: Mapping[str, Panel],
    cols: int,
    rows: int,
    *,
    tab: str,
    only: str = '',
) -> Any:
    """
    The panels as one widget of this size.

    ``tab`` is which of `TABS` is seen where they share a place; ``only``
    fills everything with one panel.
    """
    for name in TABS:
        panels[name].tabs = []
    if only or rows < 4 * _LEAST:
        return panels[only or tab]
    if cols >= 160 and rows >= 30:
        return _wide(panels, cols, rows)
    if cols >= 100 and rows >= 30:
        return _tall(panels, rows)
    for name in TABS:
        panels[name].tabs = [(panels[n].key, n) for n in TABS]
    return _stack(panels, rows, [
        ('quotes', 3), ('orders', 5), ('positions', 3), (tab, 4),
    ])


def _wide(panels: Mapping[str, Panel], cols: int, rows: int) -> Any:
    left = _stack(panels, rows, [('orders', 5), ('fills', 4), ('log', 3)])
    right = _stack(panels, rows, [
        ('quotes', 4), ('positions', 3), ('balances', 3), ('alerts', 3),
    ])
    return urwid.Columns(
        [('weight', 10, left), ('weight', 9, right)], dividechars=2,
        box_columns=[0, 1],
    )


def _tall(panels: Mapping[str, Panel], rows: int) -> Any:
    heights = _heights(rows, [5, 7, 4, 6, 5])
    pairs: list[Any] = [
        panels['quotes'], panels['orders'], panels['positions'],
        urwid.Columns([
            ('weight', 11, panels['fills']), ('weight', 9, panels['alerts']),
        ], dividechars=2, box_columns=[0, 1]),
        urwid.Columns([
            ('weight', 11, panels['log']), ('weight', 9, panels['balances']),
        ], dividechars=2, box_columns=[0, 1]),
    ]
    return urwid.Pile([
        (height, widget)
        for height, widget in zip(heights, pairs, strict=True)
    ])


def _stack(
    panels: Mapping[str, Panel], rows: int, parts: Sequence[tuple[str, int]]
) -> Any:
    heights = _heights(rows, [weight for _, weight in parts])
    return urwid.Pile([
        (height, panels[name])
        for (name, _), height in zip(parts, heights, strict=True)
    ])


def _heights(rows: int, weights: Sequence[int]) -> list[int]:
    """Rows shared out by weight, none below the least, all of them."""
    spare = rows - _LEAST * len(weights)
    total = sum(weights)
    found = [_LEAST + spare * weight // total for weight in weights]
    found[1] += rows - sum(found)
    return found
