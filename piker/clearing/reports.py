"""
What a venue reports of orders, fills and balances, merged into what we know.

Reports may come late, twice or out of order, and be older than what is known:
an order that is over stays so, what is filled only grows, and a fill counts
once by its trade id.
"""
from __future__ import annotations

from decimal import Decimal

from ..gateway import AccountReport, FillReport, OrderReport, VenueStatus
from ..orders import Balance, Fill
from . import records as rec
from .dialog import Dialog, Placement, PlacementState
from .terms import FOREIGN
from .turn import Turn

__all__ = [
    'adopt', 'fail_change', 'note_state', 'on_account', 'on_fill',
    'on_order',
]

_ZERO = Decimal(0)
_NOTHING = Balance(_ZERO)


# orders

def _find(
    turn: Turn, account: str, cid: str, symbol: str, venue_id: str
) -> tuple[Dialog, Placement] | None:
    """Our order of that cid, or of that id at the venue."""
    state = turn.state
    dialog = state.by_cid.get((account, cid)) if cid else None
    if dialog is not None:
        return dialog, dialog.placement(cid)
    known = state.by_venue_id.get((account, symbol, venue_id))
    if known is None or not venue_id:
        return None
    return known[0], known[0].placement(known[1])


def on_order(turn: Turn, account: str, report: OrderReport) -> None:
    link = turn.runtime.link(account)
    if link.snapshot:
        link.seen.add((report.cid, report.venue_id))
    found = _find(
        turn, account, report.cid, report.symbol, report.venue_id
    )
    if found is None:
        if report.status is VenueStatus.OPEN or report.filled:
            adopt(turn, account, report)
        return
    dialog, placement = found
    _claim(turn, dialog, placement, report.venue_id)
    _note(turn, dialog, placement, report)


def adopt(turn: Turn, account: str, report: OrderReport) -> None:
    """Take on an order that was not made here."""
    oid = f'{FOREIGN}{report.venue_id}'
    if (account, oid) in turn.state.dialogs:
        oid = f'{oid}-{report.symbol}'
    turn.know(report.symbol)
    if report.symbol not in turn.state.symbols.get(account, {}):
        # There may have been trades in it before that were not told of.
        turn.record(rec.Suspected(
            time_ns=turn.now_ns, account=account, symbols=[report.symbol],
        ))
    turn.record(rec.Adopted(
        time_ns=turn.now_ns, account=account, oid=oid, report=report,
    ))
    turn.runtime.strays.pop((account, report.symbol, report.venue_id), None)
    turn.notice(
        f'{report.side} {report.size} {report.symbol}: an order found at the '
        'venue that was not made here', account, oid,
    )


def _claim(
    turn: Turn, dialog: Dialog, placement: Placement, venue_id: str
) -> None:
    """Give an order its fills that came before it was known whose."""
    key = dialog.account, dialog.symbol, venue_id
    if key in turn.state.unclaimed:
        turn.runtime.strays.pop(key, None)
        turn.record(rec.Claimed(
            time_ns=turn.now_ns, account=dialog.account, oid=dialog.oid,
            cid=placement.cid, venue_id=venue_id, symbol=dialog.symbol,
        ))


def _note(
    turn: Turn, dialog: Dialog, placement: Placement, report: OrderReport
) -> None:
    """Merge a report into what is known of an order."""
    state = _merged(placement, report)
    filled = max(placement.filled, report.filled)
    news_id = bool(report.venue_id) and not placement.venue_id
    amended = (
        dialog.foreign and state is PlacementState.OPEN
        and report.time_ns >= placement.venue_ns
        and (report.size, report.price, report.stop)
        != (placement.order.size, placement.order.price,
            placement.order.stop)
    )
    if not (
        placement.doubt or amended or news_id
        or state is not placement.state or filled != placement.filled
    ):
        return
    revived = state.live and placement.state in {
        PlacementState.LOST, PlacementState.REJECTED,
    }
    over = dialog.final
    note_state(
        turn, dialog, placement, state, filled=filled, reason=report.reason,
        venue_id=report.venue_id, venue_ns=report.time_ns,
        terms=report if amended else None,
    )
    if revived and over:
        _take_back(turn, dialog)


def _merged(placement: Placement, report: OrderReport) -> PlacementState:
    """How an order stands, given what is known and a report of any age."""
    known, said = placement.state, PlacementState(report.status)
    if known in {PlacementState.SENT, PlacementState.LOST}:
        return said
    if known is PlacementState.OPEN:
        # It was there: what says otherwise is about something else.
        return known if said is PlacementState.REJECTED else said
    if known is PlacementState.REJECTED:
        return said if said is PlacementState.OPEN or report.filled else known
    return said if said is PlacementState.FILLED else known


def _take_back(turn: Turn, dialog: Dialog) -> None:
    """An order that was given up for lost is at the venue: cancel it."""
    turn.record(rec.CancelWanted(
        time_ns=turn.now_ns, account=dialog.account, oid=dialog.oid,
        reason='it reached the venue after it had been given up',
    ))
    turn.notice(
        'it reached the venue after it had been given up; it is cancelled',
        dialog.account, dialog.oid,
    )


def note_state(
    turn: Turn,
    dialog: Dialog,
    placement: Placement,
    state: PlacementState,
    *,
    reason: str = '',
    filled: Decimal | None = None,
    venue_id: str = '',
    venue_ns: int = 0,
    terms: OrderReport | None = None,
) -> None:
    """Note how an order stands; a change that it was for has failed if so."""
    failed = (
        placement.state is PlacementState.SENT
        and state in {PlacementState.REJECTED, PlacementState.LOST}
        and bool(placement.replaces)
        and dialog.change == placement.request
    )
    turn.record(rec.Reported(
        time_ns=turn.now_ns, account=dialog.account, oid=dialog.oid,
        cid=placement.cid, state=state, venue_id=venue_id, venue_ns=venue_ns,
        filled=placement.filled if filled is None else filled,
        reason=reason,
        size=terms.size if terms else None,
        price=terms.price if terms else None,
        stop=terms.stop if terms else None,
    ))
    if failed:
        fail_change(turn, dialog, reason)


def fail_change(turn: Turn, dialog: Dialog, reason: str) -> None:
    turn.record(rec.ChangeFailed(
        time_ns=turn.now_ns, account=dialog.account, oid=dialog.oid,
        reason=reason,
    ))
    turn.notice(f'not changed: {reason}', dialog.account, dialog.oid)


# fills

def on_fill(turn: Turn, account: str, report: FillReport) -> None:
    state = turn.state
    if (account, report.symbol, report.trade_id) in state.fills:
        return
    found = _find(
        turn, account, report.cid, report.symbol, report.venue_id
    )
    oid = found[0].oid if found else ''
    fill = Fill(
        account=account, oid=oid, symbol=report.symbol, side=report.side,
        trade_id=report.trade_id, price=report.price, size=report.size,
        fee=report.fee, fee_asset=report.fee_asset, maker=report.maker,
        time_ns=report.time_ns,
    )
    turn.know(report.symbol)
    turn.record(rec.Filled(
        time_ns=turn.now_ns, account=account, oid=oid, fill=fill,
        cid=found[1].cid if found else '', venue_id=report.venue_id,
    ))
    turn.tell(fill)
    turn.tell_position(account, report.symbol)
    if found:
        _claim(turn, *found, report.venue_id)


# balances

def on_account(
    turn: Turn, account: str, report: AccountReport
) -> set[str]:
    """
    Take the balances that are newer than those known.

    Returns the assets of which there was more or less before; none at the
    first report of an account.
    """
    known = turn.state.account(account).balances
    before = dict(known)
    said = dict(report.balances)
    if report.whole:
        said |= dict.fromkeys(known.keys() - said.keys(), _NOTHING)
    times = turn.runtime.balance_ns
    changed = {}
    for asset, balance in said.items():
        if report.time_ns >= times.get((account, asset), 0):
            times[account, asset] = report.time_ns
            if known.get(asset) != balance:
                changed[asset] = balance
    if changed:
        turn.record(rec.Balances(
            time_ns=turn.now_ns, account=account, balances=changed,
        ))
        turn.tell_account(account)
    if not before:
        return set()
    return {
        asset for asset, balance in changed.items()
        if balance.total != before.get(asset, _NOTHING).total
    }
