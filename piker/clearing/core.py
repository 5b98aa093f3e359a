"""
The core of clearing: inputs in, `Effects` out; no I/O, no clock, no tasks.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..config import AccountSettings
from ..data.ticks import Ticks
from ..instruments import Instrument
from ..orders import (
    Abilities,
    Alert,
    Balance,
    DialogView,
    Fill,
    GatewayMessage,
    OrderChange,
    OrderRequest,
    PositionView,
)
from .effects import Effects
from .records import Record

__all__ = ['Core']


class Core:
    """
    Every order, alert and position of every account.

    ``answer_within_ns`` is how long a gateway may take to answer.
    """

    def __init__(
        self,
        accounts: Mapping[str, AccountSettings],
        answer_within_ns: int = 5_000_000_000,
    ) -> None:
        self._accounts = accounts

    # clients: each raises `BadInput` (`RiskRefused`) with nothing changed

    def submit(
        self, client: str, requests: Sequence[OrderRequest], now_ns: int
    ) -> Effects:
        """Take on orders, all or none."""
        raise NotImplementedError

    def change(
        self, client: str, change: OrderChange, now_ns: int
    ) -> Effects:
        """Give an open order new values."""
        raise NotImplementedError

    def cancel(
        self, client: str, account: str, oid: str, now_ns: int
    ) -> Effects:
        """Cancel an order; of no effect for one that is over."""
        raise NotImplementedError

    def cancel_all(
        self, client: str, account: str = '', symbol: str = '', *, now_ns: int
    ) -> Effects:
        """Cancel every order of an account and symbol (empty: of all)."""
        raise NotImplementedError

    def halt(
        self, client: str, account: str = '', reason: str = '', *, now_ns: int
    ) -> Effects:
        """Block new orders and cancel all, until `resume`."""
        raise NotImplementedError

    def resume(
        self, client: str, account: str = '', *, now_ns: int
    ) -> Effects:
        """Lift a halt."""
        raise NotImplementedError

    def add_alert(self, client: str, alert: Alert, now_ns: int) -> Effects:
        """Tell of a price once; the same alert again changes nothing."""
        raise NotImplementedError

    def drop_alert(self, client: str, aid: str, now_ns: int) -> Effects:
        """Forget an alert."""
        raise NotImplementedError

    # gateways

    def gateway_up(
        self, account: str, abilities: Abilities, now_ns: int
    ) -> Effects:
        """A gateway is there: reconcile, then send what waits."""
        raise NotImplementedError

    def gateway_lost(self, account: str, now_ns: int) -> Effects:
        """The gateway died; what it had not answered is in doubt."""
        raise NotImplementedError

    def on_messages(
        self, account: str, messages: Sequence[GatewayMessage], now_ns: int
    ) -> Effects:
        """Take in what a gateway says."""
        raise NotImplementedError

    # market and time

    def add_instrument(self, instrument: Instrument) -> None:
        """Make an instrument known; needed before an order in it."""
        raise NotImplementedError

    def on_ticks(self, symbol: str, ticks: Ticks, now_ns: int) -> Effects:
        """Live ticks, in order; never while the feed is stale."""
        raise NotImplementedError

    def on_market(self, symbol: str, live: bool, now_ns: int) -> Effects:
        """The feed of ``symbol`` is live, or is not (stale, gone)."""
        raise NotImplementedError

    def on_time(self, now_ns: int) -> Effects:
        """Do what is due."""
        raise NotImplementedError

    def deadline_ns(self) -> int | None:
        """When `on_time` is wanted next."""
        raise NotImplementedError

    @property
    def symbols_wanted(self) -> set[str]:
        """The symbols whose ticks are needed now."""
        raise NotImplementedError

    # state

    def apply(self, record: Record) -> None:
        """Apply one record: replay is to apply all of them in order."""
        raise NotImplementedError

    def dialog(self, account: str, oid: str) -> DialogView:
        """One dialog; raises `BadInput` if there is none."""
        raise NotImplementedError

    def dialogs(
        self, account: str = '', *, open_only: bool = False
    ) -> list[DialogView]:
        """Dialogs in the order they were made."""
        raise NotImplementedError

    def positions(self, account: str = '') -> list[PositionView]:
        """Every position ever held, marked to the market."""
        raise NotImplementedError

    def alerts(self, *, waiting_only: bool = True) -> list[Alert]:
        raise NotImplementedError

    def fills(self, account: str = '', oid: str = '') -> list[Fill]:
        """Fills in the order in which they became known."""
        raise NotImplementedError

    def balances(self, account: str) -> dict[str, Balance]:
        raise NotImplementedError

    @property
    def halted(self) -> dict[str, str]:
        """The reason of the halt by account; '' stands for all accounts."""
        raise NotImplementedError

    def ready(self, account: str) -> bool:
        """Whether the account's gateway is there and reconciled."""
        raise NotImplementedError
