"""
Signed requests: who asks, may they, and what becomes of the answer.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from .asking import Asking
from .desk import UserDesk
from .faults import Faults
from .limits import Limits, OrderLimits
from .market import Exchange
from .matching import Matcher
from .params import ApiError, Params
from .signing import SIGNED_PARAMS, Request, account_of, check_signature
from .trading import SignedEndpoint, Trading

__all__ = ['SignedApi']

Charge = Callable[[int], None]


class SignedApi:
    """Answers requests that need a key."""

    def __init__(
        self,
        exchange: Exchange,
        matcher: Matcher,
        desk: UserDesk,
        faults: Faults,
        limits: Limits,
    ) -> None:
        self._exchange = exchange
        self._matcher = matcher
        self._desk = desk
        self._faults = faults
        self._limits = OrderLimits(limits)
        trading = Trading(exchange, matcher, desk, self._limits)
        asking = Asking(matcher, desk, self._limits, trading)
        self._endpoints = trading.endpoints() | asking.endpoints()

    def knows(self, request: Request) -> bool:
        return (request.method, request.name) in self._endpoints

    async def answer(
        self, request: Request, charge: Charge, headers: dict[str, str]
    ) -> Any:
        """
        The answer; ``headers`` are added to it.

        Raises `ApiError`, or `faults.NeverAnswered` if the client is to wait
        in vain.
        """
        endpoint = self._endpoints[request.method, request.name]
        charge(endpoint.weight)
        params = Params(b'&'.join(filter(None, (request.query,
                                                request.body))))
        known = endpoint.known
        account = account_of(request, self._desk.books.accounts)
        if endpoint.signed:
            check_signature(request, params, account, self._matcher.now_ms())
            known = known | SIGNED_PARAMS
        params.expect(known)
        if not (endpoint.acts and endpoint.signed):
            with self._desk.turn():
                return endpoint.handle(account, params)
        spoiled = self._faults.order_fault(request.method, request.name)
        now = self._matcher.now_ms()
        if spoiled is not None and not spoiled.executed:
            self._faults.spoil(spoiled, now)
        try:
            return await self._act(account.name, endpoint, params, headers)
        finally:
            if spoiled is not None and spoiled.executed:
                self._faults.spoil(spoiled, now)

    async def _act(
        self,
        name: str,
        endpoint: SignedEndpoint,
        params: Params,
        headers: dict[str, str],
    ) -> Any:
        """Do what changes orders, in one turn on a settled market."""
        symbol = params.symbol()
        if symbol not in self._exchange.markets:
            raise ApiError(-1121, 'Invalid symbol.')
        await self._matcher.settle(symbol)
        now = self._matcher.now_ms()
        self._limits.check(name, endpoint.places, now)
        account = self._desk.books.accounts.by_name[name]
        try:
            with self._desk.turn():
                found = endpoint.handle(account, params)
        except ApiError as err:
            if err.data is not None and endpoint.places:
                self._limits.add(name, endpoint.places, now)
            raise
        self._limits.add(name, endpoint.places, now)
        if endpoint.places:
            headers.update(self._limits.headers(name, now))
        delay_s = self._faults.config.order_delay_ms / 1000
        if delay_s:
            await trio.sleep(delay_s)
        return found
