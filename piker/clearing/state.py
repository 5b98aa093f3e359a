"""
All that must survive: what the records say, applied by `replay`.
"""
from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from ..gateway import Abilities
from ..instruments import Instrument
from ..orders import Alert, Balance, Fill, OrderStatus
from .dialog import Dialog, Placement
from .positions import Positions

__all__ = ['AccountState', 'FillMark', 'State', 'TradeKey']

TradeKey = tuple[str, str, str]  # account, symbol, trade id

_ZERO = Decimal(0)
_OVERLAP_NS = 60_000_000_000


class FillMark(msgspec.Struct):
    """
    From which fill of a symbol on to ask for more.

    ``sure`` is the newest trade id of which all before are known; ``next``
    takes its place once a fill comes that is a minute later, so that fills
    that come a little out of order are asked for again rather than missed.
    """

    sure: str = ''
    next: str = ''
    next_ns: int = 0

    def add(self, fill: Fill) -> None:
        if not self.next:
            self.next, self.next_ns = fill.trade_id, fill.time_ns
        elif fill.time_ns >= self.next_ns + _OVERLAP_NS:
            self.sure = self.next
            self.next, self.next_ns = fill.trade_id, fill.time_ns


class AccountState(msgspec.Struct):
    """
    What is known of an account.

    ``since_ns`` is when its gateway was there for the first time: fills
    before are none of ours.  ``synced``: the venue's reports have come
    without a break since the last snapshot, so that the newest fill is a mark
    from which to ask on.  ``suspects`` are symbols in which there may have
    been trades that are not known of, those that are asked for first.
    """

    abilities: Abilities | None = None
    since_ns: int = 0
    synced: bool = False
    balances: dict[str, Balance] = {}
    marks: dict[str, FillMark] = {}
    suspects: dict[str, None] = {}


class State:
    """Orders, fills, positions, alerts, balances and halts."""

    def __init__(self) -> None:
        self.tag = ''
        self.instruments: dict[str, Instrument] = {}
        self.accounts: dict[str, AccountState] = {}
        self.dialogs: dict[tuple[str, str], Dialog] = {}
        self.fills: dict[TradeKey, Fill] = {}
        # fills whose order is not known, by account, symbol and venue id
        self.unclaimed: dict[tuple[str, str, str], list[Fill]] = {}
        self.positions = Positions()
        # by symbol: when the first trade of a day came, the price before it
        self.openings: dict[str, tuple[int, Decimal]] = {}
        self.alerts: dict[str, Alert] = {}
        self.halted: dict[str, str] = {}
        # What follows could be worked out from the above.
        self.open: dict[str, dict[str, Dialog]] = {}
        # those that are open by account and symbol, without empty ones
        self.here: dict[tuple[str, str], dict[str, Dialog]] = {}
        self.by_cid: dict[tuple[str, str], Dialog] = {}
        self.by_venue_id: dict[tuple[str, str, str], tuple[Dialog, str]] = {}
        self.groups: dict[tuple[str, str], list[Dialog]] = {}
        self.children: dict[tuple[str, str], list[Dialog]] = {}
        self.symbols: dict[str, dict[str, None]] = {}  # by account
        self.waiting: dict[str, Alert] = {}  # alerts that have not fired
        # what something was done in before its instrument was known
        self.unnamed: set[str] = set()

    def account(self, name: str) -> AccountState:
        found = self.accounts.get(name)
        if found is None:
            found = self.accounts[name] = AccountState()
        return found

    def open_of(self, account: str = '') -> Iterator[Dialog]:
        """Dialogs that are not over, of one account or of all."""
        if account:
            yield from list(self.open.get(account, {}).values())
            return
        for dialogs in list(self.open.values()):
            yield from list(dialogs.values())

    def open_in(self, account: str, symbol: str) -> list[Dialog]:
        """Those of one account in one instrument."""
        return list(self.here.get((account, symbol), {}).values())

    def dialogs_of(self, account: str = '') -> Iterator[Dialog]:
        """All dialogs, also those that are over."""
        for (name, _), dialog in list(self.dialogs.items()):
            if account in {'', name}:
                yield dialog

    def siblings(self, dialog: Dialog) -> list[Dialog]:
        """The others of its OCO group."""
        if not dialog.original.oco:
            return []
        group = self.groups[dialog.account, dialog.original.oco]
        return [other for other in group if other is not dialog]

    def children_of(self, dialog: Dialog) -> list[Dialog]:
        return self.children.get((dialog.account, dialog.oid), [])

    def parent(self, dialog: Dialog) -> Dialog | None:
        if not dialog.original.parent:
            return None
        return self.dialogs[dialog.account, dialog.original.parent]

    def dump(self) -> dict[str, Any]:
        """
        Everything as builtins, to be compared with another's.

        Numbers are compared with their digits (``1.0`` is not ``1.00``).
        """
        def plain(value: Any) -> Any:
            return msgspec.to_builtins(value, order='sorted')

        return {
            'tag': self.tag,
            'instruments': plain(self.instruments),
            'accounts': plain(self.accounts),
            'dialogs': [plain(d) for d in self.dialogs.values()],
            'fills': [plain(f) for f in self.fills.values()],
            'unclaimed': {
                ' '.join(key): plain(fills)
                for key, fills in self.unclaimed.items()
            },
            'positions': [
                plain(self.positions.view(*key)) for key in self.positions
            ],
            'openings': plain(self.openings),
            'alerts': plain(self.alerts),
            'halted': dict(self.halted),
            'open': {a: list(d) for a, d in self.open.items() if d},
        }

    # what `replay` changes it by

    def add(self, dialog: Dialog) -> None:
        """Take a new dialog into every index."""
        account, oid = dialog.account, dialog.oid
        self.dialogs[account, oid] = dialog
        self.symbols.setdefault(account, {})[dialog.symbol] = None
        self.use(dialog.symbol)
        self.set_status(dialog, dialog.status)
        group, parent = dialog.original.oco, dialog.original.parent
        if group:
            self.groups.setdefault((account, group), []).append(dialog)
        if parent:
            self.children.setdefault((account, parent), []).append(dialog)

    def use(self, symbol: str) -> None:
        """Something is done in an instrument, known or not."""
        if symbol not in self.instruments:
            self.unnamed.add(symbol)

    def set_alert(self, alert: Alert) -> None:
        self.alerts[alert.aid] = alert
        if alert.fired_ns:
            self.waiting.pop(alert.aid, None)
        else:
            self.waiting[alert.aid] = alert

    def drop_alert(self, aid: str) -> None:
        self.alerts.pop(aid, None)
        self.waiting.pop(aid, None)

    def set_status(self, dialog: Dialog, status: OrderStatus) -> None:
        """Set it, and keep the index of what is open."""
        dialogs = self.open.setdefault(dialog.account, {})
        was, now = dialog.oid in dialogs, not status.final
        where = dialog.account, dialog.symbol
        if now and not was:
            dialogs[dialog.oid] = dialog
            self.here.setdefault(where, {})[dialog.oid] = dialog
        elif was and not now:
            del dialogs[dialog.oid]
            del self.here[where][dialog.oid]
            if not self.here[where]:
                del self.here[where]
        dialog.status = status

    def index(
        self, dialog: Dialog, placement: Placement, symbol: str
    ) -> None:
        """Have an order found by its cid and its id at the venue."""
        account = dialog.account
        if placement.cid:
            self.by_cid[account, placement.cid] = dialog
        if placement.venue_id:
            key = account, symbol, placement.venue_id
            self.by_venue_id[key] = dialog, placement.cid

    def claim(
        self, dialog: Dialog, placement: Placement, venue_id: str
    ) -> None:
        """Give an order the fills that waited for it."""
        key = dialog.account, dialog.symbol, venue_id
        for fill in self.unclaimed.pop(key, []):
            trade = fill.account, fill.symbol, fill.trade_id
            self.fills[trade] = replace(fill, oid=dialog.oid)
            dialog.add_fill(fill, placement)
