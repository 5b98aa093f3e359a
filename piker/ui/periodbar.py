"""The period selector: a button each, or one with a menu where it's narrow."""
from __future__ import annotations

from collections.abc import Callable

from PyQt5.QtCore import QPoint, Qt
from PyQt5.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QWidget,
)

from .commands import Commands
from .periods import PERIODS, period_label
from .theme import font, metrics

__all__ = ['PeriodBar', 'period_command']

_HEIGHT = 28
# A little air where the unit changes.
_GAP_BEFORE = (60, 3600, 86_400)


def period_command(period_s: int) -> str:
    """The command that shows one of `PERIODS`."""
    return f'period.{period_label(period_s).lower()}'


class PeriodBar(QWidget):
    """
    Runs the ``period.*`` commands.

    A period that is none of `PERIODS` gets a place of its own at the end.
    """

    def __init__(self, commands: Commands, period_s: int) -> None:
        super().__init__()
        self._commands = commands
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(1)
        self._group = QButtonGroup(self)
        self.buttons: dict[int, QPushButton] = {}
        for period in PERIODS:
            name = period_command(period)
            button = self._make(period_label(period))
            keys = commands[name].keys
            button.setToolTip(f'{commands[name].help}  ({keys[0]})')
            button.clicked.connect(self._runner(name))
            if period in _GAP_BEFORE:
                row.addSpacing(7)
            row.addWidget(button)
            self.buttons[period] = button
        self.other = self._make('')
        row.addWidget(self.other)
        self.menu_button = QPushButton()
        self.menu_button.setFont(font(13, bold=True))
        self.menu_button.setFixedSize(66, _HEIGHT)
        self.menu_button.setObjectName('menu')
        self.menu_button.setFocusPolicy(Qt.NoFocus)
        self.menu_button.setToolTip('Bar period')
        self.menu_button.clicked.connect(self._pop_up)
        row.addWidget(self.menu_button)
        self.menu = QMenu(self)
        self.menu.setFont(font(13))
        for period in PERIODS:
            command = commands[period_command(period)]
            action = self.menu.addAction(
                f'{period_label(period)}\t{command.keys[0]}'
            )
            action.triggered.connect(self._runner(command.name))
        self.narrow = False
        self._period_s = period_s
        self.show_period(period_s)

    def _make(self, text: str) -> QPushButton:
        button = QPushButton(text)
        button.setCheckable(True)
        button.setObjectName('period')
        button.setFont(font(13, bold=True))
        button.setFixedHeight(_HEIGHT)
        button.setFocusPolicy(Qt.NoFocus)
        self._group.addButton(button)
        self._set_width(button)
        return button

    @staticmethod
    def _set_width(button: QPushButton) -> None:
        text = metrics(13, bold=True).horizontalAdvance(button.text())
        button.setFixedWidth(max(30, text + 12))

    def _runner(self, name: str) -> Callable[[], None]:
        return lambda *_: self._commands.run(name)

    def _pop_up(self) -> None:
        below = self.menu_button.mapToGlobal(QPoint(0, _HEIGHT + 4))
        self.menu.popup(below)

    def show_period(self, period_s: int) -> None:
        """Mark the period that is on screen."""
        self._period_s = period_s
        label = period_label(period_s)
        if period_s not in self.buttons:
            self.other.setText(label)
            self._set_width(self.other)
        self.buttons.get(period_s, self.other).setChecked(True)
        self.menu_button.setText(f'{label}  ▾')
        self._arrange()

    def set_narrow(self, narrow: bool) -> None:
        """One button with a menu instead of one for each."""
        self.narrow = narrow
        self._arrange()

    def _arrange(self) -> None:
        for button in self.buttons.values():
            button.setVisible(not self.narrow)
        odd = self._period_s not in self.buttons
        self.other.setVisible(odd and not self.narrow)
        self.menu_button.setVisible(self.narrow)
