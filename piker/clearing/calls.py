"""
What clients call on ``emsd``: orders, changes, the kill switch, alerts.

An order has what it needs opened first: the symbol's feed, the account's
gateway.  The core then takes it on or refuses it.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import trio

from ..errors import BadInput, PikerError
from ..instruments import InstrumentId
from ..orders import Alert, DialogView, OrderChange, OrderRequest
from .ems import OPEN_WITHIN_S, Ems

__all__ = ['Calls']


class Calls:
    """
    The calls of one client.

    Each raises `BadInput` with nothing changed, or returns once what it
    changed is on the disk.
    """

    def __init__(self, ems: Ems, client: str) -> None:
        self._ems = ems
        self._core = ems.core
        self._client = client

    async def submit(self, requests: list[OrderRequest]) -> list[DialogView]:
        """Take on orders, all or none; their dialogs, journalled."""
        requests = [self._checked(request) for request in requests]
        await self._ready(
            {r.symbol for r in requests}, {r.account for r in requests}
        )
        await self._ems.do(
            lambda now: self._core.submit(self._client, requests, now)
        )
        return [self.dialog(r.account, r.oid) for r in requests]

    async def change(self, change: OrderChange) -> DialogView:
        """Give an open order new values."""
        await self._ems.do(
            lambda now: self._core.change(self._client, change, now)
        )
        return self.dialog(change.account, change.oid)

    async def cancel(self, account: str, oid: str) -> DialogView:
        """Cancel an order."""
        await self._ems.do(
            lambda now: self._core.cancel(self._client, account, oid, now)
        )
        return self.dialog(account, oid)

    async def cancel_all(self, account: str, symbol: str) -> None:
        """Cancel every order of an account and symbol (empty: of all)."""
        await self._ems.do(lambda now: self._core.cancel_all(
            self._client, account, symbol, now_ns=now
        ))

    def dialog(self, account: str, oid: str) -> DialogView:
        """An order as it stands."""
        return self._core.dialog(account, oid)

    async def halt(self, account: str, reason: str) -> None:
        """Block new orders and cancel all, until `resume`."""
        await self._ems.do(lambda now: self._core.halt(
            self._client, account, reason, now_ns=now
        ))

    async def resume(self, account: str) -> None:
        """Lift a halt."""
        await self._ems.do(
            lambda now: self._core.resume(self._client, account, now_ns=now)
        )

    async def add_alert(self, alert: Alert) -> Alert:
        """Tell of a price once."""
        symbol = str(InstrumentId.parse(alert.symbol))
        alert = msgspec.structs.replace(alert, symbol=symbol)
        await self._ready({symbol}, set())
        await self._ems.do(
            lambda now: self._core.add_alert(self._client, alert, now)
        )
        found = self._core.alerts(waiting_only=False)
        return next((a for a in found if a.aid == alert.aid), alert)

    async def drop_alert(self, aid: str) -> None:
        """Forget an alert."""
        await self._ems.do(
            lambda now: self._core.drop_alert(self._client, aid, now)
        )

    # what comes first

    def _checked(self, request: OrderRequest) -> OrderRequest:
        symbol = InstrumentId.parse(request.symbol)
        provider = self._ems.gateways.check(request.account).provider
        if provider and symbol.provider != provider:
            raise BadInput(
                f'{symbol} is not traded at {provider}, where account '
                f'{request.account!r} is: name one of its symbols, or '
                'another account'
            )
        return msgspec.structs.replace(request, symbol=str(symbol))

    async def _ready(self, symbols: set[str], accounts: set[str]) -> None:
        """
        Have what orders need opened, side by side, if it is not.

        An instrument or account that is known already is not waited for
        longer than is polite.
        """
        market, gateways = self._ems.market, self._ems.gateways
        instruments = self._ems.instruments
        errors: list[PikerError] = []

        async def open_one(
            opened: Callable[[str], Any], name: str, known: bool
        ) -> None:
            try:
                with trio.move_on_after(OPEN_WITHIN_S):
                    await opened(name)
            except PikerError as err:
                if not known:
                    errors.append(err)

        missing = [s for s in symbols if not market.is_open(s)]
        shut = [a for a in accounts if not gateways.is_open(a)]
        if missing or shut:
            async with trio.open_nursery() as nursery:
                for name in missing:
                    nursery.start_soon(
                        open_one, market.opened, name, name in instruments
                    )
                for name in shut:
                    nursery.start_soon(open_one, gateways.opened, name, False)
        if errors:
            raise errors[0]
        for name in symbols:
            if any(not gateways.check(a).provider for a in accounts):
                market.want_book(name)
            if name not in instruments:
                raise PikerError(
                    f'{name}: its feed could not be opened within '
                    f'{OPEN_WITHIN_S:.0f} s'
                )
