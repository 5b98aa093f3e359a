"""
All that must survive: what the records say, applied.

`State.apply` is the only thing that changes it.  It decides nothing and
refuses nothing: whatever led to a record has been decided before, and a
replay applies the same records in the same order.
"""
from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from ..instruments import Instrument
from ..orders import (
    Abilities,
    Alert,
    Balance,
    Fill,
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    PlaceOrder,
)
from . import records as rec
from .dialog import Dialog, Placement, PlacementState
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
    from which to ask on.
    """

    abilities: Abilities | None = None
    since_ns: int = 0
    synced: bool = False
    balances: dict[str, Balance] = {}
    marks: dict[str, FillMark] = {}


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
        self.alerts: dict[str, Alert] = {}
        self.halted: dict[str, str] = {}
        # What follows could be worked out from the above.
        self.open: dict[str, dict[str, Dialog]] = {}
        self.open_symbols: Counter[str] = Counter()
        self.by_cid: dict[tuple[str, str], Dialog] = {}
        self.by_venue_id: dict[tuple[str, str, str], tuple[Dialog, str]] = {}
        self.groups: dict[tuple[str, str], list[Dialog]] = {}
        self.children: dict[tuple[str, str], list[Dialog]] = {}
        self.symbols: dict[str, dict[str, None]] = {}  # by account

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
            'alerts': plain(self.alerts),
            'halted': dict(self.halted),
            'open': {a: list(d) for a, d in self.open.items() if d},
        }

    # applying

    def apply(self, record: rec.Record) -> Dialog | None:
        """Apply a record; returns the dialog it concerns, if any."""
        found = self._apply(record)
        if found is not None:
            found.version += 1
            found.changed_ns = record.time_ns
        return found

    @functools.singledispatchmethod
    def _apply(self, record: Any) -> Dialog | None:
        raise TypeError(f'not a record: {record!r}')

    def _of(self, record: Any) -> Dialog:
        return self.dialogs[record.account, record.oid]

    @_apply.register
    def _(self, record: rec.Begun) -> None:
        self.tag = record.tag

    @_apply.register
    def _(self, record: rec.InstrumentKnown) -> None:
        self.instruments[record.instrument.id] = record.instrument
        self.positions.add_instrument(record.instrument)

    @_apply.register
    def _(self, record: rec.GatewayKnown) -> None:
        account = self.account(record.account)
        account.abilities = record.abilities
        account.since_ns = account.since_ns or record.time_ns

    @_apply.register
    def _(self, record: rec.Unsynced) -> None:
        self.account(record.account).synced = False

    @_apply.register
    def _(self, record: rec.Synced) -> None:
        self.account(record.account).synced = True

    @_apply.register
    def _(self, record: rec.Balances) -> None:
        self.account(record.account).balances.update(record.balances)

    @_apply.register
    def _(self, record: rec.Halted) -> None:
        self.halted[record.account] = record.reason or 'halted'

    @_apply.register
    def _(self, record: rec.Resumed) -> None:
        self.halted.pop(record.account, None)

    # dialogs: how they begin and end

    @_apply.register
    def _(self, record: rec.Accepted) -> Dialog:
        request = record.request
        dialog = Dialog(
            account=record.account, original=request, request=request,
            asked=request.size, status=record.status, client=record.client,
            made_ns=record.time_ns, reference=record.reference,
        )
        self._add(dialog)
        return dialog

    @_apply.register
    def _(self, record: rec.Adopted) -> Dialog:
        report = record.report
        request = _request_of(record)
        placement = Placement(
            cid=report.cid, order=_order_of(report), request=request,
            sent_ns=record.time_ns, venue_id=report.venue_id,
            state=PlacementState(report.status), filled=report.filled,
        )
        dialog = Dialog(
            account=record.account, original=request, request=request,
            asked=request.size, status=OrderStatus.OPEN, foreign=True,
            made_ns=record.time_ns, placements=[placement],
        )
        self._add(dialog)
        self._index(dialog, placement, report.symbol)
        self._claim(dialog, placement, report.venue_id)
        return dialog

    def _add(self, dialog: Dialog) -> None:
        account, oid = dialog.account, dialog.oid
        self.dialogs[account, oid] = dialog
        self.symbols.setdefault(account, {})[dialog.symbol] = None
        self._set_status(dialog, dialog.status)
        group, parent = dialog.original.oco, dialog.original.parent
        if group:
            self.groups.setdefault((account, group), []).append(dialog)
        if parent:
            self.children.setdefault((account, parent), []).append(dialog)

    def _set_status(self, dialog: Dialog, status: OrderStatus) -> None:
        """Set it, and keep the index of what is open."""
        dialogs = self.open.setdefault(dialog.account, {})
        was, now = dialog.oid in dialogs, not status.final
        if now and not was:
            dialogs[dialog.oid] = dialog
            self.open_symbols[dialog.symbol] += 1
        elif was and not now:
            del dialogs[dialog.oid]
            self.open_symbols[dialog.symbol] -= 1
        dialog.status = status

    @_apply.register
    def _(self, record: rec.Released) -> Dialog:
        dialog = self._of(record)
        self._set_status(dialog, record.status)
        dialog.reference = record.reference
        return dialog

    @_apply.register
    def _(self, record: rec.Triggered) -> Dialog:
        dialog = self._of(record)
        self._set_status(dialog, OrderStatus.TRIGGERED)
        dialog.triggered = record.price
        return dialog

    @_apply.register
    def _(self, record: rec.Ended) -> Dialog:
        dialog = self._of(record)
        self._set_status(dialog, record.status)
        dialog.reason = record.reason
        dialog.change = dialog.asking = None
        return dialog

    # dialogs: what is wanted of them

    @_apply.register
    def _(self, record: rec.Amended) -> Dialog:
        dialog = self._of(record)
        dialog.put_in_force(record.request)
        if record.asked is not None:
            dialog.asked = record.asked
        return dialog

    @_apply.register
    def _(self, record: rec.Peaked) -> Dialog:
        dialog = self._of(record)
        dialog.reference = record.price
        return dialog

    @_apply.register
    def _(self, record: rec.CancelWanted) -> Dialog:
        dialog = self._of(record)
        dialog.cancel = record.status
        dialog.reason = record.reason
        return dialog

    @_apply.register
    def _(self, record: rec.ChangeWanted) -> Dialog:
        dialog = self._of(record)
        dialog.change = record.request
        if record.asked is not None:
            dialog.asking = record.asked
        return dialog

    @_apply.register
    def _(self, record: rec.ChangeFailed) -> Dialog:
        dialog = self._of(record)
        change, size = dialog.change, dialog.request.size
        if change is not None and dialog.asking is None and (
            change.size > size
        ):
            dialog.most = size
        dialog.change = dialog.asking = None
        dialog.reason = record.reason
        return dialog

    # dialogs: their orders at the venue

    @_apply.register
    def _(self, record: rec.Sent) -> Dialog:
        dialog = self._of(record)
        placement = Placement(
            cid=record.cid, order=record.order, sent_ns=record.time_ns,
            request=record.request or dialog.request,
            replaces=record.replaces, paired=record.paired,
        )
        dialog.placements.append(placement)
        self._index(dialog, placement, dialog.symbol)
        return dialog

    def _index(
        self, dialog: Dialog, placement: Placement, symbol: str
    ) -> None:
        account = dialog.account
        if placement.cid:
            self.by_cid[account, placement.cid] = dialog
        if placement.venue_id:
            key = account, symbol, placement.venue_id
            self.by_venue_id[key] = dialog, placement.cid

    @_apply.register
    def _(self, record: rec.Doubted) -> Dialog:
        dialog = self._of(record)
        dialog.placement(record.cid).doubt = True
        return dialog

    @_apply.register
    def _(self, record: rec.Reported) -> Dialog:
        dialog = self._of(record)
        placement = dialog.placement(record.cid)
        before = placement.accepted
        placement.state = record.state
        placement.filled = record.filled
        placement.doubt = False
        placement.venue_ns = max(placement.venue_ns, record.venue_ns)
        if record.reason:
            placement.reason = record.reason
        if record.venue_id and not placement.venue_id:
            placement.venue_id = record.venue_id
            self._index(dialog, placement, dialog.symbol)
        if record.size is not None:
            placement.order = replace(
                placement.order, size=record.size, price=record.price,
                stop=record.stop,
            )
        if dialog.foreign and len(dialog.placements) == 1:
            dialog.request = replace(
                dialog.request, size=placement.order.size,
                price=placement.order.price, stop=placement.order.stop,
            )
        if placement.accepted and not before:
            dialog.put_in_force(placement.request)
            self._set_status(dialog, OrderStatus.OPEN)
        return dialog

    # fills

    @_apply.register
    def _(self, record: rec.Filled) -> Dialog | None:
        fill = record.fill
        account = self.account(record.account)
        self.fills[fill.account, fill.symbol, fill.trade_id] = fill
        self.positions.apply(fill)
        mark = account.marks.setdefault(fill.symbol, FillMark())
        if account.synced:
            mark.add(fill)
        if not record.oid:
            key = fill.account, fill.symbol, record.venue_id
            self.unclaimed.setdefault(key, []).append(fill)
            return None
        dialog = self._of(record)
        dialog.add_fill(fill, dialog.placement(record.cid))
        return dialog

    @_apply.register
    def _(self, record: rec.Claimed) -> Dialog:
        dialog = self._of(record)
        placement = dialog.placement(record.cid)
        if not placement.venue_id:
            placement.venue_id = record.venue_id
            self._index(dialog, placement, dialog.symbol)
        self._claim(dialog, placement, record.venue_id)
        return dialog

    def _claim(
        self, dialog: Dialog, placement: Placement, venue_id: str
    ) -> None:
        key = dialog.account, dialog.symbol, venue_id
        for fill in self.unclaimed.pop(key, []):
            trade = fill.account, fill.symbol, fill.trade_id
            self.fills[trade] = replace(fill, oid=dialog.oid)
            dialog.add_fill(fill, placement)

    # alerts

    @_apply.register
    def _(self, record: rec.AlertMade) -> None:
        self.alerts[record.alert.aid] = record.alert

    @_apply.register
    def _(self, record: rec.AlertSided) -> None:
        alert = self.alerts[record.aid]
        self.alerts[record.aid] = replace(alert, side=record.side)

    @_apply.register
    def _(self, record: rec.AlertFired) -> None:
        self.alerts[record.aid] = replace(
            self.alerts[record.aid], fired_ns=record.tick_ns,
            fired_price=record.price,
        )

    @_apply.register
    def _(self, record: rec.AlertDropped) -> None:
        self.alerts.pop(record.aid, None)


def _order_of(report: OrderReport) -> PlaceOrder:
    return PlaceOrder(
        ref=0, cid=report.cid, symbol=report.symbol, side=report.side,
        size=report.size, type=report.type, price=report.price,
        stop=report.stop, tif=report.tif, post_only=report.post_only,
        display=report.display,
    )


def _request_of(record: rec.Adopted) -> OrderRequest:
    report = record.report
    return OrderRequest(
        oid=record.oid, symbol=report.symbol, side=report.side,
        size=report.size, account=record.account, type=OrderType(report.type),
        price=report.price, stop=report.stop, tif=report.tif,
        post_only=report.post_only, display=report.display,
    )
