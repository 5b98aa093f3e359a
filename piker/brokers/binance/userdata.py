"""
The user-data stream: what the venue says of our orders by itself.

A listen key is asked for, kept alive and connected with; when the connection
breaks or the key expires, another is asked for, with jittered, growing
pauses.  Low rate, so trio-websocket does all of it.

Source: Binance Spot API documentation, "User Data Streams": a key lives for
60 minutes and is to be renewed every 30.
"""
from __future__ import annotations

import logging
import random
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import trio
from trio_websocket import (
    ConnectionClosed,
    HandshakeError,
    wrap_client_stream,
)

from ...errors import BadMessage, PikerError, VenueDown, as_piker_error
from .transport import CONNECT_TIMEOUT_S, open_transport

__all__ = ['UserStream']

log = logging.getLogger(__name__)

_KEY = re.compile(r'[\w-]+\Z', re.ASCII)
_RENEW_EVERY_S = 1800.0
_PING_EVERY_S = 5.0
_SILENT_FOR_S = 10.0
_BACKOFF_S = (0.1, 10.0)
_STEADY_S = 2.0  # a connection that has lasted so long begins anew

# (method) → the answer of the listen key's endpoint, with ``listenKey`` for
# PUT and DELETE.
KeyRequest = Callable[..., Awaitable[dict[str, Any]]]


class UserStream:
    """
    One account's stream; run `run` in a task.

    ``on_event`` gets each event, ``on_link`` whether it is up, and why not.
    """

    def __init__(
        self,
        stream_url: str,
        ask: KeyRequest,
        on_event: Callable[[dict[str, Any]], None],
        on_link: Callable[[bool, str], None],
    ) -> None:
        self._url = stream_url
        self._ask = ask
        self._on_event = on_event
        self._on_link = on_link
        self.connects = 0

    async def run(self) -> None:
        """Connect, and again whenever it breaks, until cancelled."""
        pause = _BACKOFF_S[0]
        while True:
            began = trio.current_time()
            before = self.connects
            try:
                await self._connected()
                reason = 'the venue ended it'
            except (PikerError, OSError, HandshakeError, ConnectionClosed,
                    trio.TooSlowError) as err:
                reason = f'{type(err).__name__}: {err}'.rstrip(': ')
            except ExceptionGroup as group:
                reason = _reason_of(group)
            connected = self.connects > before
            if connected:
                self._on_link(False, reason)
            log.warning('user data stream: %s: reconnecting', reason)
            if connected and trio.current_time() - began > _STEADY_S:
                pause = _BACKOFF_S[0]
            await trio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, _BACKOFF_S[1])

    async def _connected(self) -> None:
        answer = await self._ask('POST')
        key = answer.get('listenKey')
        if not isinstance(key, str) or not _KEY.match(key):
            raise BadMessage(f'not a listen key: {key!r:.100}')
        async with (
            open_transport(self._url) as transport,
            trio.open_nursery() as nursery,
        ):
            with trio.fail_after(CONNECT_TIMEOUT_S):
                websocket = await wrap_client_stream(
                    nursery, transport.stream, transport.netloc, f'/ws/{key}'
                )
            self.connects += 1
            self._on_link(True, '')
            nursery.start_soon(self._renew, key)
            nursery.start_soon(_watch_silence, websocket)
            while True:
                text = await websocket.get_message()
                try:
                    event = msgspec.json.decode(text)
                except msgspec.DecodeError as err:
                    raise BadMessage(f'user data: not JSON: {err}') from err
                if isinstance(event, dict):
                    if event.get('e') == 'listenKeyExpired':
                        raise VenueDown('the listen key has expired')
                    self._on_event(event)

    async def _renew(self, key: str) -> None:
        while True:
            await trio.sleep(_RENEW_EVERY_S)
            await self._ask('PUT', listenKey=key)


async def _watch_silence(websocket: Any) -> None:
    """Break a connection on which not even a pong comes back."""
    while True:
        with trio.move_on_after(_SILENT_FOR_S) as waiting:
            await websocket.ping()
        if waiting.cancelled_caught:
            raise VenueDown(f'silent for {_SILENT_FOR_S:.0f} s')
        await trio.sleep(_PING_EVERY_S)


def _reason_of(group: BaseExceptionGroup[BaseException]) -> str:
    """What broke a connection; raises what is no such thing."""
    known = as_piker_error(group)
    if known is not None:
        return str(known)
    usual, rest = group.split(
        (PikerError, OSError, HandshakeError, ConnectionClosed,
         trio.TooSlowError)
    )
    if rest is not None or usual is None:
        raise group
    first: BaseException = usual
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return f'{type(first).__name__}: {first}'.rstrip(': ')
