"""
What a client sees of ``emsd``: a copy that follows its events.
"""
from __future__ import annotations

from collections import deque
from weakref import WeakSet

import trio

from ..orders import (
    AccountView,
    Alert,
    AlertGone,
    Balance,
    DialogView,
    Fill,
    Notice,
    PositionView,
)
from .eventstream import EventStream
from .wire import EmsSnapshot, Event

__all__ = ['Mirror']

_KEPT = 10_000


class Mirror:
    """
    What ``emsd`` holds, as far as it was told.

    ``dialogs`` are by (account, oid) and ``positions`` by (account, symbol);
    ``alerts`` by aid, those that wait or have fired since; ``accounts`` by
    name; ``fills`` and ``notices`` in the order in which they came.
    ``providers`` is where each account trades, empty for one on paper; orders
    of the accounts in ``live`` leave this machine.
    """

    def __init__(self) -> None:
        self.dialogs: dict[tuple[str, str], DialogView] = {}
        self.positions: dict[tuple[str, str], PositionView] = {}
        self.alerts: dict[str, Alert] = {}
        self.accounts: dict[str, AccountView] = {}
        self.providers: dict[str, str] = {}
        self.live: frozenset[str] = frozenset()
        self.fills: deque[Fill] = deque(maxlen=_KEPT)
        self.notices: deque[Notice] = deque(maxlen=_KEPT)
        self._known_fills: set[tuple[str, str, str]] = set()
        self._changed = trio.Event()
        self._streams: WeakSet[EventStream] = WeakSet()

    @property
    def balances(self) -> dict[str, dict[str, Balance]]:
        """By account, then by asset in lower case."""
        return {
            name: account.balances for name, account in self.accounts.items()
        }

    def events(self) -> EventStream:
        """What happens from now on, in order; may be left at any time."""
        return EventStream(self._streams)

    async def changed(self) -> None:
        """Wait for the next news, of whatever kind."""
        await self._changed.wait()

    def reflect(self, snapshot: EmsSnapshot) -> None:
        """All of it anew; `events` do not tell of that."""
        self.dialogs = {_key(view): view for view in snapshot.dialogs}
        self.positions = {(p.account, p.symbol): p for p in snapshot.positions}
        self.alerts = {alert.aid: alert for alert in snapshot.alerts}
        self.accounts = {a.account: a for a in snapshot.accounts}
        self.providers = snapshot.providers
        self.live = frozenset(snapshot.live)
        self.fills.clear()
        self._known_fills.clear()
        for fill in snapshot.fills:
            self._add_fill(fill)
        self.notices.clear()
        self.notices += snapshot.notices

    def follow(self, event: Event) -> None:
        """One event, in the order in which they happen."""
        self._take(event)
        for stream in self._streams:
            stream.put(event)

    def wake(self) -> None:
        """Let those go on that wait for news."""
        self._changed.set()
        self._changed = trio.Event()

    def _take(self, event: Event) -> None:
        match event:
            case DialogView():
                self.dialogs[_key(event)] = event
            case Fill():
                self._add_fill(event)
            case PositionView():
                self.positions[event.account, event.symbol] = event
            case AccountView():
                self.accounts[event.account] = event
            case Alert():
                self.alerts[event.aid] = event
            case AlertGone():
                self.alerts.pop(event.aid, None)
            case Notice():
                self.notices.append(event)

    def _add_fill(self, fill: Fill) -> None:
        key = _trade(fill)
        if key not in self._known_fills:
            self._known_fills.add(key)
            self.fills.append(fill)
            if len(self._known_fills) > 2 * _KEPT:
                self._known_fills = {_trade(fill) for fill in self.fills}


def _trade(fill: Fill) -> tuple[str, str, str]:
    return fill.account, fill.symbol, fill.trade_id


def _key(view: DialogView) -> tuple[str, str]:
    return view.request.account, view.request.oid
