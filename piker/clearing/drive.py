"""
What is to be done next for an order dialog.

`advance` looks at where a dialog stands and does the next step, if there is
one: it never asks what has just happened.  So it is right after a restart and
after reports in any order, and looking twice does no harm.

One command that changes something is under way for a dialog at a time, and
none is sent while it is in doubt how one of its orders stands: then the venue
is asked first.  A cancel or change that comes meanwhile is kept as a wish.
"""
from __future__ import annotations

from msgspec.structs import replace

from ..clock import NS_PER_MS
from ..errors import BadInput, RiskRefused
from ..gateway import (
    Abilities,
    CancelOrder,
    PlaceOco,
    PlaceOrder,
    QueryOrder,
    ReplaceOrder,
)
from ..orders import OrderStatus, OrderType, Tif
from . import groups
from . import records as rec
from .dialog import Dialog, Placement, PlacementState
from .limits import check_release
from .reports import fail_change
from .terms import check_abilities, made, same_terms
from .turn import Ask, Turn, make_cid

__all__ = ['advance', 'settle']

# Fills mostly come right behind the report that counts them.
_FILLS_AFTER_NS = 250 * NS_PER_MS
_AT_ONCE = frozenset({Tif.IOC, Tif.FOK})
_ENDS = {
    PlacementState.FILLED: OrderStatus.CLOSED,
    PlacementState.CANCELLED: OrderStatus.CANCELLED,
    PlacementState.EXPIRED: OrderStatus.EXPIRED,
    PlacementState.REJECTED: OrderStatus.REJECTED,
    PlacementState.LOST: OrderStatus.REJECTED,
}


def settle(turn: Turn) -> None:
    """Advance whatever the input has touched, until nothing is left to do."""
    while True:
        while turn.dirty:
            key = next(iter(turn.dirty))
            advance(turn, turn.dirty.pop(key))
        _look_who_is_ready(turn)
        if not turn.dirty:
            return


def _look_who_is_ready(turn: Turn) -> None:
    """Let an account's orders go once all of its old ones are settled."""
    for account, link in turn.runtime.links.items():
        if link.ready or not link.had_snapshot:
            continue
        dialogs = list(turn.state.open_of(account))
        if all(dialog.settled for dialog in dialogs):
            link.ready = True
            turn.tell_account(account)
            for dialog in dialogs:
                turn.mark(dialog)


def advance(turn: Turn, dialog: Dialog) -> None:
    """Do the next step for a dialog."""
    _ask(turn, dialog)
    if dialog.final:
        _look_back(turn, dialog)
        return
    _expire(turn, dialog)
    held = dialog.status is OrderStatus.HELD and dialog.cancel is None
    if held and groups.release(turn, dialog):
        return  # once more after the others that were held with it
    groups.fit(turn, dialog)
    if dialog.placements:
        _follow(turn, dialog)
    elif dialog.cancel is not None and not dialog.final:
        turn.end(dialog, dialog.cancel, dialog.reason)
    elif dialog.status in {OrderStatus.PENDING, OrderStatus.TRIGGERED}:
        _start(turn, dialog)


def _expire(turn: Turn, dialog: Dialog) -> None:
    request = dialog.request
    if request.tif is not Tif.GTD or dialog.cancel is not None:
        return
    if turn.now_ns >= request.good_till_ns:
        turn.record(rec.CancelWanted(
            time_ns=turn.now_ns, account=dialog.account, oid=dialog.oid,
            status=OrderStatus.EXPIRED, reason='its time is over',
        ))


def _look_back(turn: Turn, dialog: Dialog) -> None:
    """See whether what came after the end makes it another one."""
    whole = dialog.filled >= dialog.request.size
    if whole and dialog.status is not OrderStatus.CLOSED and dialog.filled:
        turn.end(dialog, OrderStatus.CLOSED, 'filled after all')


# the first order of a dialog

def _start(turn: Turn, dialog: Dialog) -> None:
    link = turn.runtime.link(dialog.account)
    abilities = turn.state.account(dialog.account).abilities
    fired = dialog.triggered is not None
    if abilities is not None and not fired:
        try:
            check_abilities(dialog.request, abilities)
        except BadInput as err:
            turn.end(dialog, OrderStatus.REJECTED, str(err))
            return
        pair = groups.pair_of(turn, dialog, abilities)
        if pair is not None:
            if link.ready and _may_go(turn, dialog):
                _place_pair(turn, *pair)
            return
        if groups.rests_in_the_dark(turn, dialog, abilities):
            _darken(turn, dialog)
            return
    if not link.ready or abilities is None:
        _give_up_waiting(turn, dialog)
    elif _may_go(turn, dialog) and not groups.must_wait(turn, dialog):
        _place(turn, dialog)


def _may_go(turn: Turn, dialog: Dialog) -> bool:
    """Whether it is within its limits still; one that isn't has ended."""
    try:
        check_release(turn, dialog)
    except RiskRefused as err:
        turn.end(dialog, OrderStatus.REJECTED, str(err))
        turn.notice(f'not sent: {err}', dialog.account, dialog.oid)
        return False
    return True


def _darken(turn: Turn, dialog: Dialog) -> None:
    mark, stale = turn.runtime.market.mark(dialog.symbol)
    turn.record(rec.Released(
        time_ns=turn.now_ns, account=dialog.account, oid=dialog.oid,
        status=OrderStatus.DARK, reference=None if stale else mark,
    ))


def _give_up_waiting(turn: Turn, dialog: Dialog) -> None:
    """
    End what was meant for the market of that moment and never got there.

    What was triggered goes on waiting: it is there to protect.
    """
    request = dialog.request
    at_once = request.type is OrderType.MARKET or request.tif in _AT_ONCE
    if not at_once or request.parent or dialog.triggered is not None:
        return
    due_ns = dialog.made_ns + turn.runtime.answer_within_ns
    if turn.now_ns >= due_ns:
        turn.end(
            dialog, OrderStatus.REJECTED,
            'the venue could not be reached in time',
        )
    else:
        turn.runtime.wake_at(due_ns, (dialog.account, dialog.oid))


def _place(turn: Turn, dialog: Dialog) -> None:
    order = _record_sent(turn, dialog)
    order = replace(order, ref=turn.next_ref())
    turn.send(dialog.account, order, [(dialog, order.cid)])


def _place_pair(turn: Turn, above: Dialog, below: Dialog) -> None:
    legs = [_record_sent(turn, d, paired=True) for d in (above, below)]
    cid = make_cid(
        turn.state.tag, above.account, f'{above.oid}\0{below.oid}', 0
    )
    ref = turn.next_ref()
    upper, lower = (replace(leg, ref=ref) for leg in legs)
    turn.send(
        above.account,
        PlaceOco(ref=ref, cid=cid, above=upper, below=lower),
        [(above, upper.cid), (below, lower.cid)],
    )


def _record_sent(
    turn: Turn, dialog: Dialog, *, replaces: str = '', paired: bool = False
) -> PlaceOrder:
    """Note the dialog's next order, of what is left of the wanted size."""
    revision = len(dialog.placements)
    cid = make_cid(turn.state.tag, dialog.account, dialog.oid, revision)
    wanted = dialog.wanted
    abilities = turn.state.account(dialog.account).abilities
    order = _wanted_order(dialog, cid, abilities)
    turn.record(rec.Sent(
        time_ns=turn.now_ns, account=dialog.account, oid=dialog.oid, cid=cid,
        revision=revision, order=order,
        request=None if wanted == dialog.request else wanted,
        replaces=replaces, paired=paired,
    ))
    return order


def _wanted_order(
    dialog: Dialog, cid: str, abilities: Abilities | None
) -> PlaceOrder:
    wanted = dialog.wanted
    fired = dialog.triggered is not None
    return made(wanted, wanted.size - dialog.filled, cid, fired=fired)


# what has been sent

def _follow(turn: Turn, dialog: Dialog) -> None:
    """The next step of a dialog that has orders at the venue."""
    if turn.runtime.flying[dialog.account, dialog.oid]:
        return
    if not dialog.settled:
        return
    live = dialog.live
    if not live:
        _conclude(turn, dialog)
    elif len(live) > 1:
        _cancel(turn, dialog, live[0])  # replaced, or so it was said
    elif dialog.cancel is not None:
        _cancel(turn, dialog, live[0])
    else:
        _adapt(turn, dialog, live[0])


def _adapt(turn: Turn, dialog: Dialog, placement: Placement) -> None:
    """Make the order at the venue what is wanted."""
    wanted = dialog.wanted
    left = placement.order.size - placement.known
    excess = left > wanted.size - dialog.filled
    if dialog.change is None:
        if not excess or dialog.foreign:
            return
        # The order it replaced had filled more than was known.
        turn.record(rec.ChangeWanted(
            time_ns=turn.now_ns, account=dialog.account, oid=dialog.oid,
            request=dialog.request,
        ))
    elif dialog.asking is None and wanted.size > dialog.request.size:
        # It grows with its parent: that nobody has looked at.
        try:
            check_release(turn, dialog)
        except RiskRefused as err:
            fail_change(turn, dialog, str(err))
            return
    abilities = turn.state.account(dialog.account).abilities
    order = _wanted_order(dialog, placement.cid, abilities)
    if left == order.size and same_terms(order, placement.order):
        turn.record(rec.Amended(
            time_ns=turn.now_ns, account=dialog.account, oid=dialog.oid,
            request=wanted,
        ))
    elif (
        abilities is not None and abilities.replace
        and not placement.begun and not excess
    ):
        _replace(turn, dialog, placement)
    elif turn.runtime.link(dialog.account).ready:
        # Step by step, so that what fills meanwhile is not ordered again.
        _cancel(turn, dialog, placement)


def _replace(turn: Turn, dialog: Dialog, placement: Placement) -> None:
    if not turn.runtime.link(dialog.account).ready:
        return
    order = _record_sent(turn, dialog, replaces=placement.cid)
    ref = turn.next_ref()
    turn.send(
        dialog.account,
        ReplaceOrder(
            ref=ref, cid=placement.cid, symbol=dialog.symbol,
            order=replace(order, ref=ref), venue_id=placement.venue_id,
        ),
        [(dialog, placement.cid), (dialog, order.cid)],
    )


def _cancel(turn: Turn, dialog: Dialog, placement: Placement) -> None:
    runtime = turn.runtime
    if not runtime.link(dialog.account).up:
        return
    key = dialog.account, dialog.oid
    tried = runtime.cancels.setdefault(key, Ask())
    if turn.now_ns < tried.due_ns:
        runtime.wake_once(tried, key)
        return
    tried.put_off(turn.now_ns)
    turn.send(
        dialog.account,
        CancelOrder(
            ref=turn.next_ref(), cid=placement.cid, symbol=dialog.symbol,
            venue_id=placement.venue_id,
        ),
        [(dialog, placement.cid)],
    )


def _conclude(turn: Turn, dialog: Dialog) -> None:
    """Nothing of it is at the venue: end it, or send what is still wanted."""
    turn.runtime.cancels.pop((dialog.account, dialog.oid), None)
    last = dialog.placements[-1]
    if dialog.filled >= dialog.wanted.size:
        if dialog.change is not None:
            size = max(dialog.change.size, dialog.filled)
            turn.record(rec.Amended(
                time_ns=turn.now_ns, account=dialog.account, oid=dialog.oid,
                request=replace(dialog.change, size=size),
            ))
        turn.end(dialog, OrderStatus.CLOSED)
    elif dialog.cancel is not None:
        turn.end(dialog, dialog.cancel, dialog.reason)
    elif dialog.change is None:
        _end_as(turn, dialog, last)
    elif last.state is PlacementState.FILLED and dialog.asking is not None:
        turn.record(rec.ChangeFailed(
            time_ns=turn.now_ns, account=dialog.account, oid=dialog.oid,
            reason='it was filled before it could be changed',
        ))
    elif last.state in {PlacementState.CANCELLED, PlacementState.FILLED}:
        # Made way for a change, or its parent has filled more meanwhile.
        if turn.runtime.link(dialog.account).ready:
            _place(turn, dialog)
    else:
        _end_as(turn, dialog, last)


def _end_as(turn: Turn, dialog: Dialog, last: Placement) -> None:
    status = _ENDS[last.state]
    had_any = any(p.accepted for p in dialog.placements)
    if status is OrderStatus.REJECTED and had_any:
        status = OrderStatus.CANCELLED
    turn.end(dialog, status, last.reason)


# questions

def _ask(turn: Turn, dialog: Dialog) -> None:
    """Ask the venue for what is not known of a dialog's orders."""
    runtime = turn.runtime
    for placement in dialog.placements:
        key = dialog.account, placement.cid
        if not (placement.doubt or placement.missing or placement.overdue):
            runtime.asks.pop(key, None)
            continue
        ask = runtime.asks.get(key)
        if ask is None:
            ask = runtime.asks[key] = Ask()
            if not placement.doubt:
                ask.due_ns = turn.now_ns + _FILLS_AFTER_NS
        elif placement.doubt and not ask.tries:
            ask.due_ns = turn.now_ns
        if key in runtime.asking or not runtime.link(dialog.account).up:
            continue
        if turn.now_ns < ask.due_ns:
            runtime.wake_once(ask, (dialog.account, dialog.oid))
            continue
        ask.put_off(turn.now_ns)
        turn.send(
            dialog.account,
            QueryOrder(
                ref=turn.next_ref(), cid=placement.cid,
                symbol=dialog.symbol, venue_id=placement.venue_id,
            ),
            [(dialog, placement.cid)],
        )
