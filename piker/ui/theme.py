"""
Colours and type: one dark theme, made for long hours in front of it.

Two weights of text (`Palette.text` and `Palette.dim`), one accent, and the
two colours that carry meaning.  Both of those keep a contrast of more than
4.5:1 against the background (WCAG 2.1, 1.4.3).
"""
from __future__ import annotations

from functools import cache

from PyQt5.QtGui import QColor, QFont, QFontDatabase, QFontMetrics

__all__ = ['STYLE', 'Palette', 'color', 'font', 'metrics', 'shade']

# Families whose digits are all of one width by default: a price that ticks
# must not make its neighbours dance.  Qt 5 cannot ask a font for `tnum`.
_FAMILIES = (
    'Roboto', 'Noto Sans', 'Segoe UI', 'Ubuntu', 'Open Sans', 'DejaVu Sans',
)


class Palette:
    """Every colour of the program as ``#rrggbb``."""

    background = '#0f1318'
    panel = '#151a21'
    raised = '#1f262f'
    border = '#262e38'
    grid = '#1a2028'
    grid_major = '#232b35'
    text = '#d5dbe3'
    dim = '#8893a0'
    faint = '#727d89'
    up = '#26a981'
    down = '#f0465a'
    up_wick = '#1e8a6a'
    down_wick = '#c23a4b'
    flat = '#66717e'
    accent = '#4c8dff'
    amber = '#f0a63c'
    cross = '#76818e'
    cross_tag = '#38424e'


@cache
def color(name: str, alpha: int = 255) -> QColor:
    """The `QColor` of ``#rrggbb``; treat it as a constant."""
    made = QColor(name)
    made.setAlpha(alpha)
    return made


@cache
def shade(name: str, over: str, share: float) -> QColor:
    """``name`` at ``share`` opacity over an opaque ``over``, opaque."""
    front, back = QColor(name), QColor(over)

    def mix(a: int, b: int) -> int:
        return round(a * share + b * (1 - share))

    return QColor(
        mix(front.red(), back.red()),
        mix(front.green(), back.green()),
        mix(front.blue(), back.blue()),
    )


@cache
def _family() -> str:
    have = set(QFontDatabase().families())
    for name in _FAMILIES:
        if name in have:
            return name
    return QFont().defaultFamily()


@cache
def font(pixels: int, *, bold: bool = False) -> QFont:
    """The program's typeface at a pixel size; treat it as a constant."""
    made = QFont(_family())
    made.setPixelSize(pixels)
    made.setWeight(QFont.DemiBold if bold else QFont.Normal)
    made.setHintingPreference(QFont.PreferVerticalHinting)
    return made


@cache
def metrics(pixels: int, *, bold: bool = False) -> QFontMetrics:
    """Metrics of `font`."""
    return QFontMetrics(font(pixels, bold=bold))


STYLE = f"""
QMainWindow, QWidget#body {{ background: {Palette.background}; }}
QToolTip {{
    background: {Palette.raised}; color: {Palette.text};
    border: 1px solid {Palette.border}; padding: 4px;
}}
QPushButton {{
    background: transparent; color: {Palette.dim};
    border: none; border-radius: 4px; padding: 0 10px;
}}
QPushButton#period {{ padding: 0; }}
QPushButton#menu {{
    background: {Palette.raised}; color: {Palette.accent}; padding: 0;
}}
QMenu {{
    background: {Palette.raised}; color: {Palette.text};
    border: 1px solid {Palette.border}; padding: 4px;
}}
QMenu::item {{ padding: 5px 18px; border-radius: 3px; }}
QMenu::item:selected {{
    background: {Palette.border}; color: {Palette.accent};
}}
QPushButton:hover {{ background: {Palette.raised}; color: {Palette.text}; }}
QPushButton:checked {{
    background: {Palette.raised}; color: {Palette.accent};
}}
QPushButton#live {{
    background: {Palette.raised}; color: {Palette.text};
    border: 1px solid {Palette.border}; border-radius: 13px;
    padding: 0 14px;
}}
QPushButton#live:hover {{ border-color: {Palette.accent}; }}
"""
