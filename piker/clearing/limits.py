"""
What the risk checks need to know of an account, gathered when they need it.
"""
from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from msgspec.structs import replace

from ..clock import NS_PER_S
from ..config import AccountSettings, RiskSettings
from ..orders import OrderRequest, OrderStatus, OrderType
from .dialog import Dialog
from .exposure import OpenOrder
from .positions import day_of
from .risk import RiskView, Tally
from .turn import Turn

__all__ = ['check_limits', 'check_release', 'note_submitted']

_ZERO = Decimal(0)
_NONE = RiskSettings()


def check_limits(
    turn: Turn,
    request: OrderRequest,
    batch: Iterable[OrderRequest] = (),
    without: Dialog | None = None,
) -> None:
    """
    Raise `RiskRefused` for an order beyond a limit of its account.

    ``batch`` are those that are submitted before it at once, ``without`` is
    the dialog that it is a change of.
    """
    settings = turn.runtime.accounts[request.account]
    own = settings.instruments.get(request.symbol, _NONE)
    if settings.risk == own == _NONE:
        return  # to look at each open order is not for nothing
    turn.runtime.risk.check(
        request, _view(turn, settings, request, batch, without)
    )


def check_release(turn: Turn, dialog: Dialog) -> None:
    """
    Raise `RiskRefused` for an order that may not go to the venue any more.

    What waits elsewhere is looked at when its own time has come, so only
    what is at the venue counts beside it.
    """
    settings = turn.runtime.accounts.get(dialog.account)
    if settings is None:
        return
    own = settings.instruments.get(dialog.symbol, _NONE)
    if all(
        limit.max_position is None and limit.max_daily_loss is None
        for limit in (settings.risk, own)
    ):
        return
    request = dialog.wanted
    request = replace(request, size=request.size - dialog.filled)
    here = turn.state.open_in(dialog.account, dialog.symbol)
    lost = _day_pnl(turn, settings.risk, request)
    lost_here = _day_pnl(turn, own, request, only=dialog.symbol)
    turn.runtime.risk.check_release(request, RiskView(
        position=turn.state.positions.size(dialog.account, dialog.symbol),
        orders=tuple(
            _open_order(d) for d in here if d is not dialog and d.placements
        ),
        account=Tally(day_pnl=lost), instrument=Tally(day_pnl=lost_here),
    ))


def _view(
    turn: Turn,
    settings: AccountSettings,
    request: OrderRequest,
    batch: Iterable[OrderRequest],
    without: Dialog | None,
) -> RiskView:
    state = turn.state
    account, symbol = request.account, request.symbol
    others = len(state.open.get(account, ())) - (without is not None)
    here = [d for d in state.open_in(account, symbol) if d is not without]
    new = [r for r in batch if r.account == account]
    new_here = [r for r in new if r.symbol == symbol]
    orders = [_open_order(d) for d in here]
    orders += [_new_order(r) for r in new_here]
    mark, stale = turn.runtime.market.mark(symbol)
    recent = _recent(turn)
    return RiskView(
        position=state.positions.size(account, symbol),
        orders=tuple(orders),
        market=None if stale else mark,
        account=Tally(
            open_orders=others + len(new),
            last_second=len(new) + sum(a == account for a, _ in recent),
            day_pnl=_day_pnl(turn, settings.risk, request),
        ),
        instrument=Tally(
            open_orders=len(here) + len(new_here),
            last_second=len(new_here) + recent.count((account, symbol)),
            day_pnl=_day_pnl(
                turn, settings.instruments.get(symbol, _NONE), request,
                only=symbol,
            ),
        ),
    )


def note_submitted(turn: Turn, request: OrderRequest) -> None:
    """Count an order among those of its second."""
    _recent(turn)
    turn.runtime.submitted.append(
        (turn.now_ns, request.account, request.symbol)
    )


def _recent(turn: Turn) -> list[tuple[str, str]]:
    """Account and symbol of what was submitted within a second."""
    submitted = turn.runtime.submitted
    while submitted and submitted[0][0] <= turn.now_ns - NS_PER_S:
        submitted.popleft()
    return [(account, symbol) for _, account, symbol in submitted]


def _day_pnl(
    turn: Turn,
    limits: RiskSettings,
    request: OrderRequest,
    only: str = '',
) -> Decimal:
    """
    The day's profit in one instrument, or in all of its quote currency.

    0 where ``limits`` don't ask for it.
    """
    if limits.max_daily_loss is None:
        return _ZERO
    state, market = turn.state, turn.runtime.market
    quote = turn.runtime.instruments[request.symbol].quote
    total = _ZERO
    for account, symbol in state.positions:
        instrument = state.instruments.get(symbol)
        if (
            account == request.account and only in {'', symbol}
            and instrument is not None and instrument.quote == quote
        ):
            total += state.positions.day_pnl(
                account, symbol, day_of(turn.now_ns),
                market.mark(symbol)[0], market.opening(symbol),
            ).net
    return total


def _open_order(dialog: Dialog) -> OpenOrder:
    request = dialog.original
    return OpenOrder(
        oid=dialog.oid, side=request.side, oco=request.oco,
        left=max(dialog.wanted.size - dialog.filled, _ZERO),
        parent=request.parent, held=dialog.status is OrderStatus.HELD,
        at_once=(
            dialog.triggered is not None or request.type is OrderType.MARKET
        ),
    )


def _new_order(request: OrderRequest) -> OpenOrder:
    return OpenOrder(
        oid=request.oid, side=request.side, left=request.size,
        oco=request.oco, parent=request.parent, held=bool(request.parent),
    )
