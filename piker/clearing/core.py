"""
The core of clearing: inputs in, `Effects` out; no I/O, no clock, no tasks.

What each part does:

=============  ============================================================
`core`         the inputs; `shown` what there is to look at
`intake`       what clients ask for: checked, then noted as wanted
`drive`        the next step of a dialog, whatever has happened
`groups`       OCO and brackets
`reports`      what venues say of orders, fills and balances
`reconcile`    what gateways answer, and how a break is mended
`strays`       what was done at the venue without us, and has to be asked for
`watching`     prices: dark books, alerts, marks
`state`        what survives; `replay` has it changed by `records` alone
=============  ============================================================
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..config import AccountSettings
from ..data.ticks import Ticks
from ..gateway import Abilities, GatewayMessage
from ..instruments import Instrument
from ..orders import Alert, OrderChange, OrderRequest
from . import intake, reconcile, replay
from . import records as rec
from .dialog import Dialog, PlacementState
from .drive import settle
from .effects import Effects
from .positions import day_of
from .records import Record
from .shown import Shown
from .state import State
from .strays import look_for
from .turn import Runtime, Turn

__all__ = ['Core']


class Core(Shown):
    """
    Every order, alert and position of every account.

    To start: `apply` what was journalled, `add_instrument`, then inputs.
    ``answer_within_ns`` is how long a gateway may take to answer.
    """

    def __init__(
        self,
        accounts: Mapping[str, AccountSettings],
        answer_within_ns: int = 5_000_000_000,
    ) -> None:
        super().__init__(State(), Runtime(accounts, answer_within_ns))

    def _turn(self, now_ns: int) -> Turn:
        return Turn(self._state, self._runtime, now_ns)

    def _desk(self, now_ns: int) -> intake.Desk:
        return intake.Desk(self._turn(now_ns))

    def _finish(self, turn: Turn) -> Effects:
        for symbol in self._runtime.learnt:
            if symbol in self._state.unnamed:
                turn.know(symbol)
        self._runtime.learnt.clear()
        settle(turn)
        if turn.effects.urgent:
            turn.effects.late = turn.finish
            return turn.effects
        return turn.finish()

    # clients: each raises `BadInput` (`RiskRefused`) with nothing changed

    def submit(
        self, client: str, requests: Sequence[OrderRequest], now_ns: int
    ) -> Effects:
        """Take on orders, all or none; those known already are let be."""
        desk = self._desk(now_ns)
        desk.submit(client, requests)
        return self._finish(desk.turn)

    def change(
        self, client: str, change: OrderChange, now_ns: int
    ) -> Effects:
        """Give an open order new values."""
        desk = self._desk(now_ns)
        desk.change(client, change)
        return self._finish(desk.turn)

    def cancel(
        self, client: str, account: str, oid: str, now_ns: int
    ) -> Effects:
        """Cancel an order; of no effect for one that is over."""
        desk = self._desk(now_ns)
        desk.cancel(client, account, oid)
        return self._finish(desk.turn)

    def cancel_all(
        self, client: str, account: str = '', symbol: str = '', *, now_ns: int
    ) -> Effects:
        """Cancel every order of an account and symbol (empty: of all)."""
        desk = self._desk(now_ns)
        desk.cancel_all(client, account, symbol)
        return self._finish(desk.turn)

    def halt(
        self, client: str, account: str = '', reason: str = '', *, now_ns: int
    ) -> Effects:
        """Block new orders and cancel all, until `resume`."""
        desk = self._desk(now_ns)
        desk.halt(client, account, reason)
        return self._finish(desk.turn)

    def resume(
        self, client: str, account: str = '', *, now_ns: int
    ) -> Effects:
        """Lift a halt; without ``account``, the one of all and each one's."""
        desk = self._desk(now_ns)
        desk.resume(client, account)
        return self._finish(desk.turn)

    def add_alert(self, client: str, alert: Alert, now_ns: int) -> Effects:
        """Tell of a price once; the same alert again changes nothing."""
        desk = self._desk(now_ns)
        desk.add_alert(client, alert)
        return self._finish(desk.turn)

    def drop_alert(self, client: str, aid: str, now_ns: int) -> Effects:
        """Forget an alert."""
        desk = self._desk(now_ns)
        desk.drop_alert(client, aid)
        return self._finish(desk.turn)

    # gateways

    def gateway_up(
        self, account: str, abilities: Abilities, now_ns: int
    ) -> Effects:
        """
        A gateway is there: reconcile, then send what waits.

        Orders that may have been sent are asked for one by one, the others
        by a snapshot; nothing new is sent before all is known.
        """
        turn = self._turn(now_ns)
        reconcile.lose_gateway(turn, account)
        self._runtime.forget_asks(account)
        self._runtime.link(account).up = True
        if self._state.account(account).abilities != abilities:
            turn.record(rec.GatewayKnown(
                time_ns=now_ns, account=account, abilities=abilities,
            ))
        for dialog in self._state.open_of(account):
            for placement in dialog.placements:
                if placement.state is PlacementState.SENT:
                    turn.doubt(dialog, placement, 'not known to have arrived')
            turn.mark(dialog)
        reconcile.request_snapshot(turn, account)
        look_for(turn, account)
        return self._finish(turn)

    def gateway_lost(self, account: str, now_ns: int) -> Effects:
        """The gateway died; what it had not answered is in doubt."""
        turn = self._turn(now_ns)
        reconcile.lose_gateway(turn, account)
        return self._finish(turn)

    def on_messages(
        self, account: str, messages: Sequence[GatewayMessage], now_ns: int
    ) -> Effects:
        """Take in what a gateway says."""
        turn = self._turn(now_ns)
        for message in messages:
            reconcile.on_message(turn, account, message)
        look_for(turn, account)
        return self._finish(turn)

    # market and time

    def add_instrument(self, instrument: Instrument) -> None:
        """Make an instrument known; needed before an order in it."""
        self._runtime.instruments[instrument.id] = instrument
        self._runtime.learnt.add(instrument.id)
        self._runtime.market.know(instrument)

    def on_ticks(self, symbol: str, ticks: Ticks, now_ns: int) -> Effects:
        """Live ticks, in order; never while the feed is stale."""
        passed = self._runtime.market.pass_ticks(
            symbol, ticks, now_ns, self._waiting
        )
        turn = self._turn(now_ns)
        for key, price in passed.peaks.items():
            dialog = self._by_dark_key(key)
            if dialog.reference != price:
                turn.record(rec.Peaked(
                    time_ns=now_ns, account=dialog.account, oid=dialog.oid,
                    price=price,
                ))
        for trigger in passed.triggers:
            dialog = self._by_dark_key(trigger.key)
            turn.effects.urgent = True
            turn.record(rec.Triggered(
                time_ns=now_ns, account=dialog.account, oid=dialog.oid,
                price=trigger.price, tick_ns=trigger.time_ns,
            ))
        if passed.first:
            self._tell_positions(turn, symbol)
        if passed.opening is not None and self._held(symbol):
            turn.record(rec.DayOpened(
                time_ns=now_ns, symbol=symbol, price=passed.opening,
            ))
        for alert in passed.settled:
            turn.record(rec.AlertSided(
                time_ns=now_ns, aid=alert.aid, side=alert.side,
            ))
        for aid, price, time_ns in passed.alerts:
            turn.record(rec.AlertFired(
                time_ns=now_ns, aid=aid, price=price, tick_ns=time_ns,
            ))
            turn.tell(self._state.alerts[aid])
        return self._finish(turn)

    def _tell_positions(self, turn: Turn, symbol: str) -> None:
        for account, held in self._state.positions:
            if held == symbol:
                turn.tell_position(account, symbol)

    def _held(self, symbol: str) -> bool:
        return any(held == symbol for _, held in self._state.positions.open)

    def _waiting(
        self, symbol: str
    ) -> tuple[Iterable[Dialog], Iterable[Alert]]:
        """What waits for prices of an instrument."""
        dialogs = [
            dialog for (_, name), found in self._state.here.items()
            if name == symbol for dialog in found.values()
        ]
        alerts = [
            a for a in self._state.waiting.values() if a.symbol == symbol
        ]
        return dialogs, alerts

    def _by_dark_key(self, key: str) -> Dialog:
        account, _, oid = key.partition('/')
        return self._state.dialogs[account, oid]

    def on_market(self, symbol: str, live: bool, now_ns: int) -> Effects:
        """The feed of ``symbol`` is live, or is not (stale, gone)."""
        turn = self._turn(now_ns)
        if self._runtime.market.set_live(symbol, live):
            self._tell_positions(turn, symbol)
        return self._finish(turn)

    def on_time(self, now_ns: int) -> Effects:
        """Do what is due."""
        turn = self._turn(now_ns)
        for what in self._runtime.due(now_ns):
            if isinstance(what, int):
                flight = self._runtime.flights.get(what)
                if flight is not None:
                    reconcile.on_late(turn, flight)
            elif isinstance(what, str):
                link = self._runtime.link(what)
                if link.up and link.retry_ns and now_ns >= link.retry_ns:
                    link.retry_ns = 0
                    reconcile.request_snapshot(turn, what)
                look_for(turn, what)
            else:
                turn.mark(self._state.dialogs[what])
        return self._finish(turn)

    def deadline_ns(self) -> int | None:
        """When `on_time` is wanted next."""
        return self._runtime.deadline_ns()

    # state

    def apply(self, record: Record) -> None:
        """Apply one record: replay is to apply all of them in order."""
        replay.apply(record, self._state)
        if isinstance(record, rec.InstrumentKnown):
            self.add_instrument(record.instrument)
        elif isinstance(record, rec.Accepted) and record.request.good_till_ns:
            key = record.account, record.oid
            self._runtime.wake_at(record.request.good_till_ns, key)
        elif isinstance(record, rec.DayOpened):
            self._runtime.market.set_opening(
                record.symbol, day_of(record.time_ns), record.price
            )
