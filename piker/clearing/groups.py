"""
Orders that depend on each other: OCO groups and brackets.

How large an order of a group should be is worked out anew whenever something
has happened, from what is known then: the size that the client wants, at
most what the parent's fills have left to close, less what the others of its
OCO group have filled.  So it comes out the same whatever the order of events
was, and after a restart.

At a venue that knows OCO the two orders of a pair go there as one and the
venue does the rest.  Elsewhere one limit order of a group rests at the venue
and the others wait in the dark, so that never two of them can fill at once;
one that is triggered first has the others that are at the venue cancelled,
and takes what they have left.
"""
from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from ..gateway import Abilities
from ..orders import OrderSide, OrderStatus, OrderType
from . import records as rec
from .dialog import Dialog
from .terms import goes_dark
from .turn import Turn

__all__ = [
    'fit', 'must_wait', 'pair_of', 'release', 'rests_in_the_dark',
]

_ZERO = Decimal(0)
_PAIR = 2


def fit(turn: Turn, dialog: Dialog) -> None:
    """Give an order that is not over the size that its group leaves it."""
    if not dialog.original.oco and not dialog.original.parent:
        return
    if any(p.paired for p in dialog.placements):
        return  # the venue sees to it
    target = _target(turn, dialog)
    if target == dialog.wanted.size or dialog.cancel is not None:
        return
    if dialog.status is OrderStatus.HELD:
        return  # not before it is released
    request = replace(dialog.wanted, size=target)
    if target <= dialog.filled:
        turn.record(rec.CancelWanted(
            time_ns=turn.now_ns, account=dialog.account, oid=dialog.oid,
            reason='the others of its group have filled',
        ))
    elif dialog.placements:
        turn.record(rec.ChangeWanted(
            time_ns=turn.now_ns, account=dialog.account, oid=dialog.oid,
            request=request,
        ))
    else:
        turn.record(rec.Amended(
            time_ns=turn.now_ns, account=dialog.account, oid=dialog.oid,
            request=request,
        ))


def _target(turn: Turn, dialog: Dialog) -> Decimal:
    size = dialog.asked if dialog.asking is None else dialog.asking
    parent = turn.state.parent(dialog)
    if parent is not None:
        size = min(size, _gained(turn, parent))
    for other in turn.state.siblings(dialog):
        size -= other.filled
    if dialog.most is not None:
        size = min(size, dialog.most)
    return max(size, _ZERO)


def _gained(turn: Turn, parent: Dialog) -> Decimal:
    """
    What a parent's fills have left to close, in whole lots.

    Where the fee is taken out of what was bought, that much less can be sold.
    """
    instrument = turn.runtime.instruments.get(parent.symbol)
    if instrument is None or parent.request.side is not OrderSide.BUY:
        return parent.filled
    gained = parent.filled - parent.fees.get(instrument.base.lower(), _ZERO)
    return gained - gained % instrument.lot_size


def release(turn: Turn, dialog: Dialog) -> bool:
    """
    Let a held order go once its parent has filled, or end it.

    Returns whether it is held no more.
    """
    parent = turn.state.parent(dialog)
    assert parent is not None
    target = _target(turn, dialog)
    if parent.filled and target:
        if target != dialog.request.size:
            turn.record(rec.Amended(
                time_ns=turn.now_ns, account=dialog.account, oid=dialog.oid,
                request=replace(dialog.request, size=target),
            ))
        turn.record(rec.Released(
            time_ns=turn.now_ns, account=dialog.account, oid=dialog.oid,
            status=OrderStatus.PENDING,
        ))
    elif parent.final:
        turn.end(
            dialog, OrderStatus.CANCELLED,
            f'{parent.oid} ended and nothing of it is left for this one',
        )
    else:
        return False
    return True


def rests_in_the_dark(
    turn: Turn, dialog: Dialog, abilities: Abilities
) -> bool:
    """
    Whether an order that is about to be sent waits here instead.

    Of a group without a pair at the venue, all but one do.
    """
    if goes_dark(dialog.request, abilities):
        return True
    if not dialog.original.oco:
        return False
    others = [o for o in turn.state.siblings(dialog) if not o.final]
    if dialog.request.type is not OrderType.LIMIT:
        return bool(others)
    return any(other.placements or other.triggered for other in others)


def must_wait(turn: Turn, dialog: Dialog) -> bool:
    """
    Have the others of a triggered order's group taken off the venue.

    Returns whether any of them may still fill there.
    """
    waits = False
    for other in turn.state.siblings(dialog):
        if other.final or not other.placements:
            continue
        waits = True
        if other.cancel is None:
            turn.record(rec.CancelWanted(
                time_ns=turn.now_ns, account=other.account, oid=other.oid,
                reason=f'{dialog.oid} of its group was triggered',
            ))
    return waits


def pair_of(
    turn: Turn, dialog: Dialog, abilities: Abilities
) -> tuple[Dialog, Dialog] | None:
    """
    The pair, above and below, that can go to the venue as one.

    ``None`` if the venue knows no OCO or the orders are not such a pair.
    """
    if not abilities.oco or not dialog.original.oco:
        return None
    state = turn.state
    pair = [dialog, *state.siblings(dialog)]
    if len(pair) != _PAIR or any(not _can_pair(turn, d) for d in pair):
        return None
    one, two = (d.request for d in pair)
    if one.side is not two.side or one.size != two.size:
        return None
    if {one.type, two.type} not in _PAIRS:
        return None
    if any(goes_dark(d.request, abilities) for d in pair):
        return None
    pair.sort(key=_level)
    return pair[1], pair[0]


_PAIRS = (
    {OrderType.LIMIT, OrderType.STOP},
    {OrderType.TAKE_PROFIT, OrderType.STOP},
)


def _can_pair(turn: Turn, dialog: Dialog) -> bool:
    parent = turn.state.parent(dialog)
    return (
        dialog.status is OrderStatus.PENDING
        and not dialog.placements
        and dialog.cancel is None
        and not dialog.filled
        and (parent is None or parent.final)
    )


def _level(dialog: Dialog) -> Decimal:
    request = dialog.request
    return request.stop or request.price or _ZERO
