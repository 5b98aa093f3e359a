"""
What a core has to show: orders, positions, fills, and what it waits for.
"""
from __future__ import annotations

from itertools import islice
from typing import Any

from ..orders import (
    AccountView,
    Alert,
    Balance,
    DialogView,
    Fill,
    OrderStatus,
    PositionView,
)
from . import intake
from .state import State
from .turn import Runtime, account_view

__all__ = ['Shown']


class Shown:
    """A look at a state; changes nothing."""

    def __init__(self, state: State, runtime: Runtime) -> None:
        self._state = state
        self._runtime = runtime

    @property
    def symbols_wanted(self) -> set[str]:
        """
        The symbols whose ticks are needed: orders, alerts, positions.

        Those of which the instrument is not known yet are among them.
        """
        state = self._state
        wanted = {symbol for _, symbol in state.here}
        wanted |= {symbol for _, symbol in state.positions.open}
        wanted |= {alert.symbol for alert in state.waiting.values()}
        return wanted | state.unnamed

    def dump(self) -> dict[str, Any]:
        """All that survives, to be compared with another core's."""
        return self._state.dump()

    def dialog(self, account: str, oid: str) -> DialogView:
        """One dialog; raises `BadInput` if there is none."""
        return intake.find(self._state, account, oid).view()

    def dialogs(
        self, account: str = '', *, open_only: bool = False
    ) -> list[DialogView]:
        """Dialogs in the order they were made."""
        if open_only:
            return [d.view() for d in self._state.open_of(account)]
        return [d.view() for d in self._state.dialogs_of(account)]

    def recent_dialogs(self, most: int) -> list[DialogView]:
        """
        Those that are open and the newest ``most`` of the others, by age.

        Costs as much as that is, whatever there was before.
        """
        every = reversed(self._state.dialogs.values())
        over = list(islice((d for d in every if d.final), most))
        found = [*reversed(over), *self._state.open_of()]
        found.sort(key=lambda dialog: dialog.made_ns)
        return [dialog.view() for dialog in found]

    def count_open(self, status: OrderStatus | None = None) -> int:
        """How many dialogs are not over, of one status or of any."""
        if status is None:
            return sum(len(found) for found in self._state.open.values())
        return sum(d.status is status for d in self._state.open_of())

    def positions(self, account: str = '') -> list[PositionView]:
        """Every position ever held, marked to the market."""
        return [
            self._state.positions.view(
                name, symbol, *self._runtime.market.mark(symbol)
            )
            for name, symbol in self._state.positions
            if account in {'', name}
        ]

    def alerts(self, *, waiting_only: bool = True) -> list[Alert]:
        state = self._state
        found = state.waiting if waiting_only else state.alerts
        return list(found.values())

    def fills(self, account: str = '', oid: str = '') -> list[Fill]:
        """Fills in the order in which they became known."""
        return [
            fill for fill in self._state.fills.values()
            if account in {'', fill.account} and oid in {'', fill.oid}
        ]

    def recent_fills(self, most: int) -> list[Fill]:
        """The ``most`` that became known last, in order."""
        newest = islice(reversed(self._state.fills.values()), most)
        return list(newest)[::-1]

    def balances(self, account: str) -> dict[str, Balance]:
        return dict(self._state.account(account).balances)

    def accounts(self) -> list[AccountView]:
        """Every account of the settings."""
        return [
            account_view(self._state, self._runtime, name)
            for name in self._runtime.accounts
        ]

    @property
    def halted(self) -> dict[str, str]:
        """The reason of the halt by account; '' stands for all accounts."""
        return dict(self._state.halted)

    def ready(self, account: str) -> bool:
        """Whether the account's gateway is there and reconciled."""
        return self._runtime.link(account).ready
