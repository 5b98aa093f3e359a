"""
Signed requests: one account's REST endpoints, each request sent once.

Source: Binance Spot API documentation, "Request Security", "HTTP Return
Codes" and "Error Codes".
"""
from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
import trio

from ...clock import NS_PER_MS, Clock
from ...errors import BadMessage, VenueDown, VenueError, VenueRefused
from .http import Answered, HttpPool, NotSent
from .keys import Keys
from .limits import Limiter

__all__ = ['InDoubt', 'Refused', 'SignedRest', 'WEIGHTS']

log = logging.getLogger(__name__)

_RECV_WINDOW_MS = 5000
_DEFAULT_PAUSE_S = 5.0
_MOST_PAUSE_S = 3600.0
# Less than a connection is kept idle.
_WARM_S = 10.0
# The venue does not know either what became of the request.
_UNKNOWN_OUTCOME = frozenset({-1000, -1001, -1006, -1007})

# (method, path) → weight; paths are below /api/v3/.
WEIGHTS = {
    ('GET', 'ping'): 1,
    ('POST', 'order'): 1,
    ('DELETE', 'order'): 1,
    ('GET', 'order'): 4,
    ('POST', 'order/cancelReplace'): 1,
    ('POST', 'orderList/oco'): 1,
    ('GET', 'openOrders'): 80,
    ('GET', 'account'): 20,
    ('GET', 'myTrades'): 20,
    ('POST', 'userDataStream'): 2,
    ('PUT', 'userDataStream'): 2,
    ('DELETE', 'userDataStream'): 2,
}


# What needs no quoting, RFC 3986, and what joins it.
_PLAIN = re.compile(r'[A-Za-z0-9_.~&=-]*')


def _encoded(params: Mapping[str, object]) -> str:
    """`urlencode`, but at once for what is plain, as an order is."""
    text = '&'.join([f'{name}={value}' for name, value in params.items()])
    many = len(params)
    if (
        _PLAIN.fullmatch(text)
        and text.count('=') == many == text.count('&') + bool(many)
    ):
        return text
    return urlencode(params)


class InDoubt(VenueDown):
    """The venue may or may not have done what was asked."""


class Refused(VenueRefused):
    """A definite no: the venue's ``code`` and what it says besides."""

    def __init__(self, code: int, text: str, data: Any = None) -> None:
        super().__init__(f'{text} ({code})')
        self.code = code
        self.data = data


class SignedRest:
    """
    Requests of one account to ``base_url``.

    ``limiter`` is shared with all other requests of the provider, ``clock``
    is the venue's.
    """

    def __init__(
        self, base_url: str, keys: Keys, limiter: Limiter, clock: Clock,
        timeout_s: float,
    ) -> None:
        self._http = HttpPool(base_url, [keys.header])
        self._keys = keys
        self._limiter = limiter
        self._clock = clock
        self._timeout_s = timeout_s
        self.requests = 0
        self.doubts = 0

    async def ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, object] | None = None,
        *,
        signed: bool = True,
    ) -> Any:
        """
        The decoded answer of ``/api/v3/<path>``.

        Raises `Refused`, `NotSent` if it cannot have reached the venue, and
        `InDoubt` for everything in between.  All of it, waiting for the
        venue's limits included, takes at most the time-out.
        """
        if not self._limiter.take_now(WEIGHTS[method, path]):
            await self._wait_for_room(WEIGHTS[method, path])
        target = f'/api/v3/{path}'
        query = self._query(params or {}, signed)
        self.requests += 1
        try:
            with trio.move_on_after(self._timeout_s) as waiting:
                answered = await self._http.request(
                    method, f'{target}?{query}' if query else target
                )
        except NotSent:
            raise
        except VenueDown as err:
            self.doubts += 1
            raise InDoubt(str(err)) from err
        if waiting.cancelled_caught:
            self.doubts += 1
            raise InDoubt(f'no answer within {self._timeout_s:.0f} s')
        return self._read(answered)

    async def keep_warm(self) -> None:
        """
        Have a connection at hand, until cancelled.

        A trigger may come after hours without a request, and opening one
        takes some round trips to the venue and a handshake.
        """
        while True:
            await trio.sleep(_WARM_S)
            if self._http.idle_s < _WARM_S:
                continue
            try:
                await self.ask('GET', 'ping', signed=False)
            except (VenueError, BadMessage) as err:
                log.debug('no connection to keep: %s', err)

    async def _wait_for_room(self, weight: int) -> None:
        with trio.move_on_after(self._timeout_s) as admitted:
            await self._limiter.take(weight)
        if admitted.cancelled_caught:
            raise NotSent(
                'the limits of the venue leave no room for it within '
                f'{self._timeout_s:.0f} s'
            )

    def _query(self, params: Mapping[str, object], signed: bool) -> str:
        if not signed:
            return _encoded(params)
        query = _encoded({
            **params, 'recvWindow': _RECV_WINDOW_MS,
            'timestamp': self._clock.now_ns() // NS_PER_MS,
        })
        return f'{query}&signature={self._keys.sign(query)}'

    def _read(self, answered: Answered) -> Any:
        weight = answered.headers.get('x-mbx-used-weight-1m', '')
        if weight.isdigit():
            self._limiter.report(int(weight))
        try:
            body = msgspec.json.decode(answered.body)
        except msgspec.DecodeError as err:
            if answered.status == 200:
                raise BadMessage(f'not JSON: {err}') from err
            body = {}
        if answered.status == 200:
            return body
        raise self._failure(answered, body if isinstance(body, dict) else {})

    def _failure(
        self, answered: Answered, body: dict[str, Any]
    ) -> VenueError:
        status = answered.status
        code = body.get('code', -status)
        text = str(body.get('msg') or f'status {status}')
        if status in (418, 429):
            try:
                pause = float(answered.headers['retry-after'])
            except (KeyError, ValueError):
                pause = _DEFAULT_PAUSE_S
            if code == -1015:
                # too many orders, which says nothing of other requests
                return Refused(code, text)
            self._limiter.back_off(min(max(pause, 0.0), _MOST_PAUSE_S))
            return NotSent(f'the venue asks for a pause of {pause:.0f} s')
        if status >= 500 or code in _UNKNOWN_OUTCOME:
            self.doubts += 1
            return InDoubt(f'the venue says: {text} ({code})')
        return Refused(code, text, body.get('data'))

    async def aclose(self) -> None:
        await self._http.aclose()
