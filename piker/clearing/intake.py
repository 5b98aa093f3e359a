"""
What clients ask for: checked here, noted as wanted, done by `drive`.

All checks of an input come before its first record, so that what is refused
has changed nothing.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal

from msgspec.structs import replace

from ..errors import BadInput, RiskRefused, did_you_mean
from ..instruments import Instrument
from ..orders import (
    Alert,
    AlertGone,
    AlertSide,
    OrderChange,
    OrderRequest,
    OrderStatus,
    OrderType,
    Tif,
)
from . import records as rec
from .dialog import Dialog
from .limits import check_limits, note_submitted
from .state import State
from .terms import (
    changed,
    check,
    check_abilities,
    check_values,
    digits,
    goes_dark,
)
from .turn import Turn

__all__ = ['Desk', 'find']


def find(state: State, account: str, oid: str) -> Dialog:
    """The dialog, or `BadInput` with those that are called alike."""
    dialog = state.dialogs.get((account, oid))
    if dialog is None:
        near = did_you_mean(oid, state.open.get(account, ()))
        raise BadInput(
            f'account {account!r} has no order {oid!r}.{near}'
        )
    return dialog


@contextmanager
def _naming(oid: str) -> Iterator[None]:
    """Have a refusal name its order at the end; not where ``oid`` is ''."""
    try:
        yield
    except (BadInput, RiskRefused) as err:
        if not oid:
            raise
        raise type(err)(f'{err} (order {oid})') from err


class Desk:
    """Takes what clients ask for; one for each input."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self._state = turn.state
        self._runtime = turn.runtime
        self._accounts = turn.runtime.accounts

    # new orders

    def submit(self, client: str, requests: Sequence[OrderRequest]) -> None:
        new: dict[tuple[str, str], OrderRequest] = {}
        known: list[Dialog] = []
        for request in requests:
            key = request.account, request.oid
            dialog = self._state.dialogs.get(key)
            before = dialog.original if dialog else new.get(key)
            if before is not None and before != request:
                raise BadInput(
                    f'{request.oid!r} is the name of another order of '
                    f'account {request.account!r} already; take a new one'
                )
            if dialog is not None:
                known.append(dialog)
            elif before is None:
                with _naming(request.oid if len(requests) > 1 else ''):
                    self._check_new(request, new)
                new[key] = request
        self.turn.tell(*(dialog.view() for dialog in known))
        for request in new.values():
            self._accept(client, request)

    def _check_new(
        self,
        request: OrderRequest,
        batch: Mapping[tuple[str, str], OrderRequest],
    ) -> None:
        self._check_account(request.account)
        self._check_halt(request.account)
        instrument = self._instrument(request.symbol)
        check(request, instrument, self.turn.now_ns)
        self._check_relations(request, batch)
        abilities = self._state.account(request.account).abilities
        if abilities is not None:
            check_abilities(request, abilities)
        check_limits(self.turn, request, batch=batch.values())

    def _check_account(self, account: str) -> None:
        if account not in self._accounts:
            raise BadInput(
                f'there is no account {account!r}.'
                f'{did_you_mean(account, self._accounts)} Accounts: '
                f'{", ".join(sorted(self._accounts))}'
            )

    def _check_halt(self, account: str) -> None:
        for name in ('', account):
            reason = self._state.halted.get(name)
            if reason is not None:
                who = f'account {name}' if name else 'trading'
                raise RiskRefused(
                    f'{who} is halted ({reason}): no orders until it is '
                    'resumed (piker ems resume)'
                )

    def _instrument(self, symbol: str) -> Instrument:
        instrument = self._runtime.instruments.get(symbol)
        if instrument is None:
            near = did_you_mean(symbol, self._runtime.instruments)
            raise BadInput(f'no instrument {symbol!r} is known.{near}')
        return instrument

    def _check_relations(
        self,
        request: OrderRequest,
        batch: Mapping[tuple[str, str], OrderRequest],
    ) -> None:
        account = request.account
        if request.parent:
            above = batch.get((account, request.parent))
            dialog = self._state.dialogs.get((account, request.parent))
            if above is None and dialog is not None and not dialog.final:
                above = dialog.original
            if above is None:
                raise BadInput(
                    f'parent {request.parent!r} is no open order of account '
                    f'{account!r}, nor before this one in what is submitted'
                )
            self._check_alike(request, above, 'parent')
        if not request.oco:
            return
        for dialog in self._state.groups.get((account, request.oco), ()):
            self._check_alike(request, dialog.original, 'oco')
            if dialog.final:
                raise BadInput(
                    f'the group {request.oco!r} of account {account!r} has '
                    'been used; name another'
                )
        for other in batch.values():
            if other.account == account and other.oco == request.oco:
                self._check_alike(request, other, 'oco')

    @staticmethod
    def _check_alike(
        request: OrderRequest, other: OrderRequest, relation: str
    ) -> None:
        if request.symbol != other.symbol:
            raise BadInput(
                f'{relation} {other.oid!r} is an order in {other.symbol}, '
                f'this one in {request.symbol}'
            )
        if relation == 'oco' and request.side is not other.side:
            raise BadInput(
                'the orders of one oco group must be of one side, '
                f'{other.oid!r} is a {other.side}'
            )

    def _accept(self, client: str, request: OrderRequest) -> None:
        turn = self.turn
        turn.know(request.symbol)
        status, reference = self._begin(request)
        key = request.account, request.oid
        turn.record(rec.Accepted(
            time_ns=turn.now_ns, account=request.account, oid=request.oid,
            request=request, status=status, client=client,
            reference=reference,
        ))
        note_submitted(turn, request)
        if request.tif is Tif.GTD:
            self._runtime.wake_at(request.good_till_ns, key)

    def _begin(
        self, request: OrderRequest
    ) -> tuple[OrderStatus, Decimal | None]:
        abilities = self._state.account(request.account).abilities
        if request.parent:
            return OrderStatus.HELD, None
        dark = request.dark or (
            abilities is not None and goes_dark(request, abilities)
        )
        if not dark:
            return OrderStatus.PENDING, None
        mark, stale = self._runtime.market.mark(request.symbol)
        return OrderStatus.DARK, None if stale else mark

    # open orders

    def change(self, client: str, change: OrderChange) -> None:
        turn = self.turn
        dialog = find(self._state, change.account, change.oid)
        request = changed(dialog.wanted, change)
        if request == dialog.wanted:
            turn.tell(dialog.view())
            return
        self._check_change(dialog, change, request)
        left = replace(request, size=request.size - dialog.filled)
        with _naming(dialog.oid):
            check_limits(self.turn, left, without=dialog)
        if dialog.placements:
            turn.record(rec.ChangeWanted(
                time_ns=turn.now_ns, account=dialog.account, oid=dialog.oid,
                request=request, asked=change.size, client=client,
            ))
        else:
            turn.record(rec.Amended(
                time_ns=turn.now_ns, account=dialog.account, oid=dialog.oid,
                request=request, asked=change.size,
            ))

    def _check_change(
        self, dialog: Dialog, change: OrderChange, request: OrderRequest
    ) -> None:
        oid = dialog.oid
        if dialog.final:
            raise BadInput(f'{oid}: cannot be changed, it is {dialog.status}')
        if dialog.cancel is not None:
            raise BadInput(f'{oid}: cannot be changed, it is being cancelled')
        self._check_account(dialog.account)
        self._check_halt(dialog.account)
        if any(p.paired for p in dialog.placements):
            raise BadInput(
                f'{oid}: is one of a pair at the venue; cancel it and submit '
                'a new pair'
            )
        if dialog.triggered is not None and (
            change.stop is not None or change.trail is not None
        ):
            raise BadInput(
                f'{oid}: was triggered at {digits(dialog.triggered)}; only '
                'its price and size can be changed'
            )
        if request.type is OrderType.MARKET and dialog.placements:
            raise BadInput(f'{oid}: a market order cannot be changed')
        with _naming(oid):
            check_values(request, self._instrument(dialog.symbol))
        if request.size <= dialog.filled:
            raise BadInput(
                f'size {digits(request.size)} is not more than what is '
                f'filled, {digits(dialog.filled)}; cancel it instead (order '
                f'{oid})'
            )

    def cancel(self, client: str, account: str, oid: str) -> None:
        dialog = find(self._state, account, oid)
        if not self._want_cancelled(client, dialog, f'cancelled by {client}'):
            self.turn.tell(dialog.view())

    def cancel_all(self, client: str, account: str, symbol: str) -> None:
        if account:
            self._check_account(account)
        for dialog in self._state.open_of(account):
            if symbol in {'', dialog.symbol}:
                self._want_cancelled(
                    client, dialog, f'cancelled by {client}'
                )

    def _want_cancelled(
        self, client: str, dialog: Dialog, reason: str
    ) -> bool:
        if dialog.final or dialog.cancel is not None:
            return False
        self.turn.record(rec.CancelWanted(
            time_ns=self.turn.now_ns, account=dialog.account, oid=dialog.oid,
            reason=reason, client=client,
        ))
        return True

    # the kill switch

    def halt(self, client: str, account: str, reason: str) -> None:
        if account:
            self._check_account(account)
        reason = reason or f'by {client}'
        if self._state.halted.get(account) != reason:
            self.turn.record(rec.Halted(
                time_ns=self.turn.now_ns, account=account, reason=reason,
                client=client,
            ))
            who = f'account {account}' if account else 'trading'
            self.turn.notice(f'{who} is halted: {reason}', account)
        self._tell_accounts(account)
        for dialog in self._state.open_of(account):
            self._want_cancelled(client, dialog, f'halted: {reason}')

    def resume(self, client: str, account: str) -> None:
        if account:
            self._check_account(account)
        if account and '' in self._state.halted:
            raise BadInput(
                f'account {account!r}: all trading is halted; resume all'
            )
        for name in list(self._state.halted):
            if account in {'', name}:
                self.turn.record(rec.Resumed(
                    time_ns=self.turn.now_ns, account=name, client=client,
                ))
                who = f'account {name}' if name else 'trading'
                self.turn.notice(f'{who} is resumed by {client}', name)
        self._tell_accounts(account)

    def _tell_accounts(self, account: str) -> None:
        for name in [account] if account else self._accounts:
            self.turn.tell_account(name)

    # alerts

    def add_alert(self, client: str, alert: Alert) -> None:
        turn, market = self.turn, self._runtime.market
        known = self._state.alerts.get(alert.aid)
        if known is not None:
            self._check_same_alert(known, alert)
            turn.tell(known)
            return
        instrument = self._instrument(alert.symbol)
        if not alert.aid:
            raise BadInput('an alert needs a name (aid)')
        if not alert.price.is_finite() or alert.price <= 0:
            raise BadInput(
                f'{alert.symbol}: price {digits(alert.price)} must be above '
                '0'
            )
        if not instrument.on_tick(alert.price):
            near = max(
                instrument.round_price(alert.price), instrument.tick_size
            )
            raise BadInput(
                f'{alert.symbol}: price {digits(alert.price)} is not a '
                f'multiple of the tick size {digits(instrument.tick_size)}; '
                f'the nearest is {instrument.format_price(near)}'
            )
        mark, stale = market.mark(alert.symbol)
        side = alert.side
        if side is AlertSide.EITHER and mark is not None and not stale:
            below = mark <= alert.price
            side = AlertSide.ABOVE if below else AlertSide.BELOW
        alert = replace(
            alert, side=side, made_ns=turn.now_ns, fired_ns=0,
            fired_price=None,
        )
        turn.know(alert.symbol)
        turn.record(rec.AlertMade(
            time_ns=turn.now_ns, alert=alert, client=client,
        ))
        market.place_alert(alert)
        turn.tell(alert)

    @staticmethod
    def _check_same_alert(known: Alert, alert: Alert) -> None:
        if (known.symbol, known.price) != (alert.symbol, alert.price):
            raise BadInput(
                f'{alert.aid!r} is the name of another alert already'
            )

    def drop_alert(self, client: str, aid: str) -> None:
        alert = self._state.alerts.get(aid)
        if alert is None:
            near = did_you_mean(aid, self._state.alerts)
            raise BadInput(f'there is no alert {aid!r}.{near}')
        self._runtime.market.remove_alert(alert)
        self.turn.record(rec.AlertDropped(
            time_ns=self.turn.now_ns, aid=aid, client=client,
        ))
        self.turn.tell(AlertGone(aid=aid))
