"""
Gateways: what they answer, and how all is brought together after a break.

What an answer leaves open is asked for, and after each break a snapshot tells
how everything stands; what it is silent of is asked for one by one.
"""
from __future__ import annotations

from ..clock import NS_PER_S
from ..gateway import (
    AccountReport,
    Answer,
    CancelOrder,
    FillReport,
    GatewayMessage,
    LinkReport,
    OrderReport,
    Outcome,
    QueryOrder,
    ReplaceOrder,
    Snapshot,
)
from . import records as rec
from .dialog import Dialog, Placement, PlacementState
from .reports import (
    fail_change,
    note_state,
    on_account,
    on_fill,
    on_order,
)
from .strays import adopt_fills, on_searched, suspect
from .turn import Flight, Turn, back_off_ns

__all__ = ['lose_gateway', 'on_late', 'on_message', 'request_snapshot']

_GRACE_NS = NS_PER_S  # how late an order may still reach its venue
_TWICE = 2


def on_message(turn: Turn, account: str, message: GatewayMessage) -> None:
    """Take in one message."""
    match message:
        case OrderReport():
            on_order(turn, account, message)
        case FillReport():
            on_fill(turn, account, message)
        case AccountReport():
            moved = on_account(turn, account, message)
            if message.whole and turn.runtime.link(account).snapshot:
                suspect(turn, account, moved)
        case LinkReport():
            _on_link(turn, account, message)
        case Answer():
            _on_answer(turn, account, message)


# the link

def _on_link(turn: Turn, account: str, report: LinkReport) -> None:
    if report.up:
        request_snapshot(turn, account)
        return
    if turn.state.account(account).synced:
        turn.record(rec.Unsynced(
            time_ns=turn.now_ns, account=account, reason=report.reason,
        ))
    turn.notice(
        f'the stream of orders is down: {report.reason}', account
    )


def request_snapshot(turn: Turn, account: str) -> None:
    """Ask for everything; once more if it is being asked for already."""
    link = turn.runtime.link(account)
    if link.snapshot:
        link.again = True
        return
    known = turn.state.account(account)
    ref = turn.next_ref()
    link.snapshot, link.again, link.seen = ref, False, set()
    turn.send(account, Snapshot(
        ref=ref,
        symbols=list(turn.state.symbols.get(account, ())),
        since={s: mark.sure for s, mark in known.marks.items() if mark.sure},
        since_ns=known.since_ns,
    ))


def _on_snapshot(
    turn: Turn, account: str, asked: Snapshot, answer: Answer
) -> None:
    link = turn.runtime.link(account)
    if link.snapshot != answer.ref:
        link.again = bool(link.snapshot)
        on_searched(turn, account, asked, answer.outcome)
        return
    link.snapshot = 0
    if answer.outcome is not Outcome.DONE:
        link.retry_ns = turn.now_ns + back_off_ns(link.tries)
        link.tries += 1
        turn.runtime.wake_at(link.retry_ns, account)
        turn.notice(
            f'the venue does not say how things stand: {answer.reason}; it '
            'is asked again', account,
        )
        return
    link.tries = link.retry_ns = 0
    if link.again:
        request_snapshot(turn, account)
        return
    for dialog in turn.state.open_of(account):
        for placement in dialog.placements:
            # Those it was silent of have ended, or came after it was made.
            if placement.state is PlacementState.OPEN and not (
                {(placement.cid, placement.venue_id)} & link.seen
            ):
                turn.doubt(dialog, placement, 'not among the open orders')
    link.seen = set()
    link.had_snapshot = True
    turn.record(rec.Synced(time_ns=turn.now_ns, account=account))


def lose_gateway(turn: Turn, account: str) -> None:
    """Nobody answers any more: what was under way is in doubt."""
    runtime = turn.runtime
    link = runtime.link(account)
    was_ready = link.ready
    link.up = link.ready = link.had_snapshot = link.again = False
    link.snapshot = link.tries = link.retry_ns = link.searching = 0
    for ref, flight in list(runtime.flights.items()):
        if flight.account == account:
            del runtime.flights[ref]
            _leave_open(turn, flight, 'the gateway died')
    if turn.state.account(account).synced:
        turn.record(rec.Unsynced(
            time_ns=turn.now_ns, account=account, reason='gateway lost',
        ))
    if was_ready:
        turn.tell_account(account)


# answers

def _on_answer(turn: Turn, account: str, answer: Answer) -> None:
    flight = turn.runtime.flights.get(answer.ref)
    link = turn.runtime.link(account)
    if flight is None or flight.account != account:
        if answer.ref < 0 and link.snapshot:
            link.again = True  # what a `probe` was told counts as seen
        return
    # What was said before this may be older than the break that is mended.
    for _, placement in _orders_of(turn, flight):
        link.seen.discard((placement.cid, placement.venue_id))
    del turn.runtime.flights[answer.ref]
    if not flight.late:
        turn.landed(flight)
    command = flight.command
    if isinstance(command, Snapshot):
        _on_snapshot(turn, account, command, answer)
    elif isinstance(command, QueryOrder):
        if answer.outcome is Outcome.UNKNOWN:
            _on_unknown(turn, flight)
    elif isinstance(command, CancelOrder):
        _on_cancelled(turn, flight, answer)
    else:
        _on_placed(turn, flight, answer)


def on_late(turn: Turn, flight: Flight) -> None:
    """An answer has not come in time: what was asked is in doubt."""
    if flight.late:
        return
    _leave_open(turn, flight, 'no answer in time')
    flight.late = True
    if isinstance(flight.command, Snapshot):
        _on_snapshot(turn, flight.account, flight.command, Answer(
            ref=flight.command.ref, outcome=Outcome.DOUBT,
            reason='no answer in time',
        ))


def _leave_open(turn: Turn, flight: Flight, why: str) -> None:
    if not flight.late:
        turn.landed(flight)
    if flight.asks:
        return
    for dialog, placement in _orders_of(turn, flight):
        if placement.state.live:
            turn.doubt(dialog, placement, why)


def _orders_of(
    turn: Turn, flight: Flight
) -> list[tuple[Dialog, Placement]]:
    dialogs = turn.state.dialogs
    return [
        (dialogs[key], dialogs[key].placement(cid))
        for key, cid in flight.cids
    ]


def _on_placed(turn: Turn, flight: Flight, answer: Answer) -> None:
    """
    An order was placed, or a pair, or one in another's stead; or not.

    What the venue has said of orders by now counts for more than the answer.
    """
    refused = {
        Outcome.REFUSED: PlacementState.REJECTED,
        Outcome.UNSENT: PlacementState.LOST,
    }.get(answer.outcome)
    for dialog, placement in _orders_of(turn, flight):
        if placement.state is PlacementState.SENT:
            if refused is not None:
                note_state(
                    turn, dialog, placement, refused, reason=answer.reason,
                )
            elif not flight.late:
                turn.doubt(dialog, placement, answer.reason)
        elif _is_replaced(flight, placement) and refused is None:
            # The order that was to make room still counts as open.
            turn.doubt(dialog, placement, answer.reason)


def _is_replaced(flight: Flight, placement: Placement) -> bool:
    command = flight.command
    return (
        isinstance(command, ReplaceOrder)
        and placement.cid == command.cid
        and placement.state is PlacementState.OPEN
        and not flight.late
    )


def _on_cancelled(turn: Turn, flight: Flight, answer: Answer) -> None:
    for dialog, placement in _orders_of(turn, flight):
        if placement.state is not PlacementState.OPEN or flight.late:
            continue
        if answer.outcome is Outcome.UNSENT:
            continue
        if answer.outcome is Outcome.REFUSED:
            if dialog.change is not None and dialog.cancel is None:
                fail_change(turn, dialog, answer.reason)
            else:
                turn.notice(
                    f'the venue will not cancel it: {answer.reason}; it is '
                    'asked again', dialog.account, dialog.oid,
                )
            continue
        turn.doubt(dialog, placement, answer.reason)


def _on_unknown(turn: Turn, flight: Flight) -> None:
    """The venue has never heard of an order: take its word the second time."""
    command = flight.command
    assert isinstance(command, QueryOrder)
    if not flight.cids:
        adopt_fills(turn, flight.account, command)
        return
    for dialog, placement in _orders_of(turn, flight):
        ask = turn.runtime.asks.get((dialog.account, placement.cid))
        if ask is None or not placement.doubt:
            continue
        ask.unknown += 1
        over_ns = placement.sent_ns + _GRACE_NS
        if ask.unknown < _TWICE or turn.now_ns < over_ns:
            ask.due_ns = max(ask.due_ns, over_ns)
        elif placement.state is PlacementState.SENT:
            note_state(
                turn, dialog, placement, PlacementState.LOST,
                reason='never reached the venue',
            )
        else:
            note_state(
                turn, dialog, placement, PlacementState.CANCELLED,
                reason='the venue knows it no longer',
            )
