"""
How each record changes the state: the only thing that does.

Nothing is decided here and nothing refused: whatever led to a record has been
decided before, and a replay applies the same records in the same order.
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from ..gateway import OrderReport, PlaceOrder
from ..orders import OrderRequest, OrderStatus
from . import records as rec
from .dialog import Dialog, Placement, PlacementState
from .state import FillMark, State

__all__ = ['apply']


def apply(record: rec.Record, state: State) -> Dialog | None:
    """Apply a record; returns the dialog it concerns, if any."""
    found = _HOW[type(record)](record, state)
    if found is not None:
        found.version += 1
        found.changed_ns = record.time_ns
    return found


@functools.singledispatch
def _apply(record: Any, state: State) -> Dialog | None:
    raise TypeError(f'not a record: {record!r}')


def _dialog_of(record: Any, state: State) -> Dialog:
    return state.dialogs[record.account, record.oid]


@_apply.register
def _(record: rec.Begun, state: State) -> None:
    state.tag = record.tag


@_apply.register
def _(record: rec.InstrumentKnown, state: State) -> None:
    state.instruments[record.instrument.id] = record.instrument
    state.positions.add_instrument(record.instrument)
    state.unnamed.discard(record.instrument.id)


@_apply.register
def _(record: rec.GatewayKnown, state: State) -> None:
    account = state.account(record.account)
    account.abilities = record.abilities
    account.since_ns = account.since_ns or record.time_ns


@_apply.register
def _(record: rec.Unsynced, state: State) -> None:
    state.account(record.account).synced = False


@_apply.register
def _(record: rec.Synced, state: State) -> None:
    state.account(record.account).synced = True


@_apply.register
def _(record: rec.Balances, state: State) -> None:
    state.account(record.account).balances.update(record.balances)


@_apply.register
def _(record: rec.Suspected, state: State) -> None:
    suspects = state.account(record.account).suspects
    suspects.update(dict.fromkeys(record.symbols))


@_apply.register
def _(record: rec.Searched, state: State) -> None:
    account, symbol = record.account, record.symbol
    state.account(account).suspects.pop(symbol, None)
    if (account, symbol) in state.positions:
        state.symbols.setdefault(account, {})[symbol] = None


@_apply.register
def _(record: rec.DayOpened, state: State) -> None:
    state.openings[record.symbol] = record.time_ns, record.price


@_apply.register
def _(record: rec.Halted, state: State) -> None:
    state.halted[record.account] = record.reason or 'halted'


@_apply.register
def _(record: rec.Resumed, state: State) -> None:
    state.halted.pop(record.account, None)


# dialogs: how they begin and end


@_apply.register
def _(record: rec.Accepted, state: State) -> Dialog:
    request = record.request
    dialog = Dialog(
        account=record.account, original=request, request=request,
        asked=request.size, status=record.status, client=record.client,
        made_ns=record.time_ns, reference=record.reference,
    )
    state.add(dialog)
    return dialog


@_apply.register
def _(record: rec.Adopted, state: State) -> Dialog:
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
    state.add(dialog)
    state.index(dialog, placement, report.symbol)
    state.claim(dialog, placement, report.venue_id)
    return dialog


@_apply.register
def _(record: rec.Released, state: State) -> Dialog:
    dialog = _dialog_of(record, state)
    state.set_status(dialog, record.status)
    dialog.reference = record.reference
    return dialog


@_apply.register
def _(record: rec.Triggered, state: State) -> Dialog:
    dialog = _dialog_of(record, state)
    state.set_status(dialog, OrderStatus.TRIGGERED)
    dialog.triggered = record.price
    return dialog


@_apply.register
def _(record: rec.Ended, state: State) -> Dialog:
    dialog = _dialog_of(record, state)
    state.set_status(dialog, record.status)
    dialog.reason = record.reason
    dialog.change = dialog.asking = None
    return dialog


# dialogs: what is wanted of them


@_apply.register
def _(record: rec.Amended, state: State) -> Dialog:
    dialog = _dialog_of(record, state)
    dialog.put_in_force(record.request)
    if record.asked is not None:
        dialog.asked = record.asked
    return dialog


@_apply.register
def _(record: rec.Peaked, state: State) -> Dialog:
    dialog = _dialog_of(record, state)
    dialog.reference = record.price
    return dialog


@_apply.register
def _(record: rec.CancelWanted, state: State) -> Dialog:
    dialog = _dialog_of(record, state)
    dialog.cancel = record.status
    dialog.reason = record.reason
    return dialog


@_apply.register
def _(record: rec.ChangeWanted, state: State) -> Dialog:
    dialog = _dialog_of(record, state)
    dialog.change = record.request
    if record.asked is not None:
        dialog.asking = record.asked
    return dialog


@_apply.register
def _(record: rec.ChangeFailed, state: State) -> Dialog:
    dialog = _dialog_of(record, state)
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
def _(record: rec.Sent, state: State) -> Dialog:
    dialog = _dialog_of(record, state)
    placement = Placement(
        cid=record.cid, order=record.order, sent_ns=record.time_ns,
        request=record.request or dialog.request,
        replaces=record.replaces, paired=record.paired,
    )
    dialog.placements.append(placement)
    state.index(dialog, placement, dialog.symbol)
    return dialog


@_apply.register
def _(record: rec.Doubted, state: State) -> Dialog:
    dialog = _dialog_of(record, state)
    dialog.placement(record.cid).doubt = True
    return dialog


@_apply.register
def _(record: rec.Reported, state: State) -> Dialog:
    dialog = _dialog_of(record, state)
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
        state.index(dialog, placement, dialog.symbol)
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
        state.set_status(dialog, OrderStatus.OPEN)
    return dialog


# fills


@_apply.register
def _(record: rec.Filled, state: State) -> Dialog | None:
    fill = record.fill
    account = state.account(record.account)
    state.fills[fill.account, fill.symbol, fill.trade_id] = fill
    state.positions.apply(fill)
    state.use(fill.symbol)
    mark = account.marks.setdefault(fill.symbol, FillMark())
    if account.synced:
        mark.add(fill)
    if not record.oid:
        key = fill.account, fill.symbol, record.venue_id
        state.unclaimed.setdefault(key, []).append(fill)
        return None
    dialog = _dialog_of(record, state)
    dialog.add_fill(fill, dialog.placement(record.cid))
    return dialog


@_apply.register
def _(record: rec.Claimed, state: State) -> Dialog:
    dialog = _dialog_of(record, state)
    placement = dialog.placement(record.cid)
    if not placement.venue_id:
        placement.venue_id = record.venue_id
        state.index(dialog, placement, dialog.symbol)
    state.claim(dialog, placement, record.venue_id)
    return dialog


# alerts


@_apply.register
def _(record: rec.AlertMade, state: State) -> None:
    state.set_alert(record.alert)


@_apply.register
def _(record: rec.AlertSided, state: State) -> None:
    alert = state.alerts[record.aid]
    state.set_alert(replace(alert, side=record.side))


@_apply.register
def _(record: rec.AlertFired, state: State) -> None:
    state.set_alert(replace(
        state.alerts[record.aid], fired_ns=record.tick_ns,
        fired_price=record.price,
    ))


@_apply.register
def _(record: rec.AlertDropped, state: State) -> None:
    state.drop_alert(record.aid)


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
        size=report.size, account=record.account, type=report.type,
        price=report.price, stop=report.stop, tif=report.tif,
        post_only=report.post_only, display=report.display,
    )


# What `singledispatch` finds through a weak dictionary, which takes as long
# as many a record.
_HOW: dict[type, Callable[[Any, State], Dialog | None]] = dict(
    _apply.registry
)
