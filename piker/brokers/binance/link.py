"""
Stream connections: many subscriptions over few sockets, kept alive.

A `Link` is one combined-stream connection with changing subscriptions.  When
it breaks it reconnects with jittered, growing pauses and subscribes to
everything again; subscribers learn of each change.  `Links` spreads
subscriptions over as many links as are needed.

Source: Binance Spot API documentation, "WebSocket Streams": at most 1,024
streams a connection, 5 messages a second from us, requests answered by id.
"""
from __future__ import annotations

import logging
import random
import ssl
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
import trio
from trio_websocket import (
    ConnectionClosed,
    HandshakeError,
    wrap_client_stream,
)

from ...data.backend import DepthSubscription, Subscription
from ...errors import BadMessage, VenueDown
from .decode import Router
from .frames import FrameTap, JsonList

__all__ = ['Links']

log = logging.getLogger(__name__)

Subscriber = Subscription | DepthSubscription

_MOST_STREAMS = 400
# A request may name many streams; the venue takes few requests a second.
_STREAMS_A_REQUEST = 200
_REQUEST_PAUSE_S = 0.25
_PING_EVERY_S = 2.0
_SILENT_FOR_S = 6.0
_CONNECT_TIMEOUT_S = 10.0
_BACKOFF_S = (0.05, 10.0)


class Link:
    """
    One connection; run `run` in a task.
    """

    def __init__(self, url: str, router: Router) -> None:
        self._url = url
        self._router = router
        self._wanted: dict[str, Subscriber] = {}
        self._active: set[str] = set()
        self._change = trio.Event()
        self._requests = 0
        self._pending: dict[int, list[str]] = {}
        self.connects = 0
        self.connected = False
        self.tap: FrameTap | None = None

    @property
    def room(self) -> int:
        return _MOST_STREAMS - len(self._wanted)

    def add(self, streams: list[str], subscription: Subscriber) -> None:
        self._wanted |= dict.fromkeys(streams, subscription)
        # Those that the venue still sends to a former subscription are
        # asked for again: the answer is what tells the new one.
        self._active.difference_update(streams)
        self._router.add(streams, subscription)
        self._change.set()

    def remove(self, streams: list[str], subscription: Subscriber) -> None:
        for name in streams:
            self._wanted.pop(name, None)
        self._router.remove(streams, subscription)
        self._change.set()

    async def run(self) -> None:
        """Connect, and again whenever it breaks, until cancelled."""
        pause = _BACKOFF_S[0]
        while True:
            reason = 'the connection ended'
            began = trio.current_time()
            try:
                await self._connected()
            except (OSError, HandshakeError, ConnectionClosed,
                    trio.BrokenResourceError, trio.ClosedResourceError,
                    BadMessage, VenueDown) as err:
                reason = f'{type(err).__name__}: {err}'.rstrip(': ')
            except ExceptionGroup as group:
                reason = repr(group.exceptions[0])
            was_up, self.connected = self.connected, False
            self._active.clear()
            self._pending.clear()
            if was_up:
                for subscription in set(self._wanted.values()):
                    subscription.link_down(reason)
            if trio.current_time() - began > _BACKOFF_S[1]:
                pause = _BACKOFF_S[0]
            log.warning('%s: %s: reconnecting', self._url, reason)
            await trio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, _BACKOFF_S[1])

    async def _connected(self) -> None:
        """One connection, from start to break."""
        parts = urlsplit(self._url)
        secure = parts.scheme == 'wss'
        host, port = parts.hostname or '', parts.port or (
            443 if secure else 80
        )
        transport: trio.abc.Stream
        with trio.move_on_after(_CONNECT_TIMEOUT_S) as connecting:
            if secure:
                transport = await trio.open_ssl_over_tcp_stream(
                    host, port, ssl_context=ssl.create_default_context()
                )
            else:
                transport = await trio.open_tcp_stream(host, port)
        if connecting.cancelled_caught:
            raise VenueDown(f'no connection within {_CONNECT_TIMEOUT_S:.0f} s')
        self.tap = FrameTap(transport, self._deliver, self._deliver_list)
        try:
            async with trio.open_nursery() as nursery:
                with trio.fail_after(_CONNECT_TIMEOUT_S):
                    websocket = await wrap_client_stream(
                        nursery, self.tap, f'{host}:{port}', '/stream'
                    )
                self.connected = True
                self.connects += 1
                self._change.set()
                nursery.start_soon(self._request_changes, websocket)
                nursery.start_soon(self._watch_silence, websocket)
                # Data frames never get here: this returns when it closes.
                await websocket.get_message()
                raise BadMessage('a data frame in the control path')
        except trio.TooSlowError as err:
            raise VenueDown('no handshake in time') from err
        finally:
            await trio.aclose_forcefully(transport)

    def _deliver(self, payloads: list[bytes]) -> None:
        for message in self._router.route(payloads, time.time_ns()):
            self._answer(message)

    def _deliver_list(self, messages: JsonList, many: int) -> bool:
        return self._router.route_list(messages, many, time.time_ns())

    def _answer(self, message: bytes) -> None:
        """A reply to one of our requests, or something unknown."""
        try:
            reply: dict[str, Any] = msgspec.json.decode(message)
            streams = self._pending.pop(reply['id'], [])
        except (msgspec.MsgspecError, KeyError, TypeError):
            self._router.unknown += 1
            return
        if reply.get('error') or 'code' in reply:
            log.error('%s refused %s: %s', self._url, streams, reply)
            return
        up = {
            id(s): s for name in streams if (s := self._wanted.get(name))
        }
        for subscription in up.values():
            subscription.link_up()

    async def _request_changes(self, websocket: Any) -> None:
        """Bring what is subscribed in line with what is wanted."""
        while True:
            await self._change.wait()
            self._change = trio.Event()
            await self._request(
                websocket, 'SUBSCRIBE', self._wanted.keys() - self._active
            )
            await self._request(
                websocket, 'UNSUBSCRIBE', self._active - self._wanted.keys()
            )
            # now, and not within the first burst
            self._router.list_decoder()

    async def _request(
        self, websocket: Any, method: str, streams: set[str]
    ) -> None:
        todo = sorted(streams)
        while todo:
            now, todo = todo[:_STREAMS_A_REQUEST], todo[_STREAMS_A_REQUEST:]
            self._requests += 1
            if method == 'SUBSCRIBE':
                self._active.update(now)
                self._pending[self._requests] = now
            else:
                self._active.difference_update(now)
            message = {'method': method, 'params': now, 'id': self._requests}
            await websocket.send_message(
                msgspec.json.encode(message).decode()
            )
            await trio.sleep(_REQUEST_PAUSE_S)

    async def _watch_silence(self, websocket: Any) -> None:
        """Ping while nothing comes; break a connection that stays silent."""
        while True:
            with trio.move_on_after(_SILENT_FOR_S) as waiting:
                await websocket.ping()
            if waiting.cancelled_caught:
                raise VenueDown(f'silent for {_SILENT_FOR_S:.0f} s')
            for subscription in set(self._wanted.values()):
                subscription.link_alive()
            await trio.sleep(_PING_EVERY_S)

    def status(self) -> dict[str, Any]:
        return {
            'connected': self.connected,
            'streams': len(self._wanted),
            'connects': self.connects,
            'bytes': self.tap.bytes_read if self.tap else 0,
        }


class Links:
    """All connections to one venue's streams."""

    def __init__(
        self, url: str, router: Router, nursery: trio.Nursery
    ) -> None:
        self._url = url
        self._router = router
        self._nursery = nursery
        self._links: list[Link] = []

    @asynccontextmanager
    async def subscribed(
        self, streams: list[str], subscription: Subscriber
    ) -> AsyncGenerator[None, None]:
        """Hold these streams for a subscription."""
        link = next(
            (k for k in self._links if k.room >= len(streams)), None
        )
        if link is None:
            link = Link(self._url, self._router)
            self._links.append(link)
            self._nursery.start_soon(link.run)
        link.add(streams, subscription)
        try:
            yield
        finally:
            link.remove(streams, subscription)

    def status(self) -> list[dict[str, Any]]:
        return [link.status() for link in self._links]
