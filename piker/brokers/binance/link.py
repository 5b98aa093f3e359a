"""
Stream connections: many subscriptions over few sockets, kept alive.

A `Link` is one combined-stream connection with changing subscriptions.  When
it breaks it reconnects with jittered, growing pauses and subscribes to
everything again; subscribers learn of each change.  Where the venue refuses
a request, its streams are asked for by halves until it is known which of them
it will not send; the others come up.  `Links` spreads subscriptions over as
many links as are needed.

Source: Binance Spot API documentation, "WebSocket Streams": at most 1,024
streams a connection, 5 messages a second from us, requests answered by id.
"""
from __future__ import annotations

import logging
import random
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

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
from .transport import CONNECT_TIMEOUT_S, open_transport

__all__ = ['Links']

log = logging.getLogger(__name__)

Subscriber = Subscription | DepthSubscription

_MOST_STREAMS = 400
# A request may name many streams; the venue takes few requests a second.
_STREAMS_A_REQUEST = 200
_REQUEST_PAUSE_S = 0.25
_PING_EVERY_S = 2.0
_SILENT_FOR_S = 6.0
# A request that is not answered, while pings from so much later are, never
# will be.
_ANSWER_S = 15.0
# Not sent by anybody: there was no closing frame (RFC 6455, section 7.4.1).
_ABNORMAL = 1006
_BACKOFF_S = (0.05, 10.0)
# Before a refused stream is asked for again: the first time, and at most.
_REFUSED_S = (5.0, 300.0)


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
        # requests without an answer: when they were made, and for what
        self._pending: dict[int, tuple[float, list[str]]] = {}
        # streams that must be asked for in a request of their own, and when
        self._apart: list[tuple[float, list[str]]] = []
        self._refusals: dict[int, int] = {}
        # when the latest ping was sent that has been answered
        self._answered_until = 0.0
        self.connects = 0
        self.connected = False
        self.tap: FrameTap | None = None

    @property
    def room(self) -> int:
        return _MOST_STREAMS - len(self._wanted)

    def add(self, streams: list[str], subscription: Subscriber) -> None:
        self._wanted |= dict.fromkeys(streams, subscription)
        self._ask_with_others(streams)
        # Those that the venue still sends to a former subscription are
        # asked for again: the answer is what tells the new one.
        self._active.difference_update(streams)
        self._router.add(streams, subscription)
        self._change.set()

    def remove(self, streams: list[str], subscription: Subscriber) -> None:
        for name in streams:
            self._wanted.pop(name, None)
        self._ask_with_others(streams)
        self._refusals.pop(id(subscription), None)
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
            except ConnectionClosed as err:
                reason = _text_of_close(err)
            except (OSError, HandshakeError,
                    trio.BrokenResourceError, trio.ClosedResourceError,
                    BadMessage, VenueDown) as err:
                reason = f'{type(err).__name__}: {err}'.rstrip(': ')
            except ExceptionGroup as group:
                first = group.exceptions[0]
                reason = repr(first)
                if isinstance(first, ConnectionClosed):
                    reason = _text_of_close(first)
            was_up, self.connected = self.connected, False
            self._active.clear()
            self._pending.clear()
            self._apart.clear()
            self._refusals.clear()
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
        async with open_transport(self._url) as transport:
            self.tap = FrameTap(
                transport.stream, self._deliver, self._deliver_list
            )
            async with trio.open_nursery() as nursery:
                with trio.move_on_after(CONNECT_TIMEOUT_S) as shaking:
                    websocket = await wrap_client_stream(
                        nursery, self.tap, transport.netloc, '/stream'
                    )
                if shaking.cancelled_caught:
                    raise VenueDown('no handshake in time')
                self.connected = True
                self.connects += 1
                self._change.set()
                nursery.start_soon(self._request_changes, websocket)
                nursery.start_soon(self._watch_silence, websocket)
                nursery.start_soon(self._watch_requests)
                # Data frames never get here: this returns when it closes.
                await websocket.get_message()
                raise BadMessage('a data frame in the control path')

    def _deliver(self, payloads: list[bytes]) -> None:
        for message in self._router.route(payloads, time.time_ns()):
            self._answer(message)

    def _deliver_list(self, messages: JsonList, many: int) -> bool:
        return self._router.route_list(messages, many, time.time_ns())

    def _answer(self, message: bytes) -> None:
        """A reply to one of our requests, or something unknown."""
        try:
            reply: dict[str, Any] = msgspec.json.decode(message)
            error = reply.get('error') or ('code' in reply and reply)
            id_: Any = reply.get('id')
            if id_ is None and error and self._pending:
                # One that could not even be read; they are taken in order.
                id_ = min(self._pending)
            _, streams = self._pending.pop(id_)
        except (msgspec.MsgspecError, KeyError, TypeError, AttributeError):
            self._router.unknown += 1
            return
        if error:
            self._refused(streams, error)
            return
        for subscription in self._subscriptions(streams):
            self._refusals.pop(id(subscription), None)
            subscription.link_up()

    def _subscriptions(self, streams: list[str]) -> list[Subscriber]:
        """Whose streams these are, each once, in their order."""
        found = {
            id(s): s for name in streams if (s := self._wanted.get(name))
        }
        return list(found.values())

    def _refused(self, streams: list[str], error: Any) -> None:
        """Find out which streams of a request the venue will not send."""
        log.warning('%s refused %s: %s', self._url, streams, error)
        self._active.difference_update(streams)
        found = self._subscriptions(streams)
        if len(found) > 1:
            half = set(map(id, found[:len(found) // 2]))
            owned = [(id(self._wanted.get(name)), name) for name in streams]
            self._apart += [
                (0.0, [name for key, name in owned if key in half]),
                (0.0, [name for key, name in owned if key not in half]),
            ]
            self._change.set()
            return
        for subscription in found:
            times = self._refusals.get(id(subscription), 0)
            self._refusals[id(subscription)] = times + 1
            first_s, most_s = _REFUSED_S
            pause_s = min(first_s * 2 ** min(times, 10), most_s)
            due = trio.current_time() + pause_s
            self._apart.append((due, streams))
            subscription.link_refused(
                f'the venue refuses its stream: {_text_of(error)}'
            )

    def _ask_with_others(self, streams: list[str]) -> None:
        """Forget that these were to be asked for apart."""
        names = set(streams)
        self._apart = [
            (due, kept) for due, group in self._apart
            if (kept := [name for name in group if name not in names])
        ]

    async def _request_changes(self, websocket: Any) -> None:
        """Bring what is subscribed in line with what is wanted."""
        while True:
            await self._change.wait()
            self._change = trio.Event()
            apart = {name for _, group in self._apart for name in group}
            await self._request(
                websocket, 'SUBSCRIBE',
                self._wanted.keys() - self._active - apart,
            )
            await self._request(
                websocket, 'UNSUBSCRIBE', self._active - self._wanted.keys()
            )
            now = trio.current_time()
            for group in [g for due, g in self._apart if due <= now]:
                # not those that were given up meanwhile
                wanted = self._wanted.keys() & set(group)
                self._ask_with_others(group)
                await self._request(websocket, 'SUBSCRIBE', wanted)
            # now, and not within the first burst
            self._router.list_decoder()

    async def _watch_requests(self) -> None:
        """Ask again for what was refused; break an unanswered connection."""
        while True:
            await trio.sleep(1.0)
            now = trio.current_time()
            if any(due <= now for due, _ in self._apart):
                self._change.set()
            # What was asked before a ping is answered before its pong.
            latest = self._answered_until - _ANSWER_S
            if any(at < latest for at, _ in self._pending.values()):
                raise VenueDown(f'no answer to a request in {_ANSWER_S:.0f} s')

    async def _request(
        self, websocket: Any, method: str, streams: set[str]
    ) -> None:
        todo = sorted(streams)
        while todo:
            now, todo = todo[:_STREAMS_A_REQUEST], todo[_STREAMS_A_REQUEST:]
            self._requests += 1
            if method == 'SUBSCRIBE':
                self._active.update(now)
                self._pending[self._requests] = trio.current_time(), now
            else:
                self._active.difference_update(now)
            message = {'method': method, 'params': now, 'id': self._requests}
            await websocket.send_message(
                msgspec.json.encode(message).decode()
            )
            await trio.sleep(_REQUEST_PAUSE_S)

    async def _watch_silence(self, websocket: Any) -> None:
        """
        Ping now and then; break a connection that stays silent.

        On a machine that is behind, an answer queues up after all the data
        that came before it: while there is any, the connection stands.
        """
        while True:
            sent = trio.current_time()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._break_if_silent)
                await websocket.ping()
                nursery.cancel_scope.cancel()
            self._answered_until = sent
            self._tell_alive()
            await trio.sleep(_PING_EVERY_S)

    async def _break_if_silent(self) -> None:
        """For as long as a pong is waited for; one that is late counts."""
        heard, quiet_s = self._heard, 0.0
        while quiet_s < _SILENT_FOR_S:
            # By looks: we may have stood still ourselves.
            await trio.sleep(_PING_EVERY_S)
            if self._heard == heard:
                quiet_s += _PING_EVERY_S
            else:
                heard, quiet_s = self._heard, 0.0
                self._tell_alive()
        raise VenueDown(f'silent for {_SILENT_FOR_S:.0f} s')

    def _tell_alive(self) -> None:
        for subscription in set(self._wanted.values()):
            subscription.link_alive()

    @property
    def _heard(self) -> int:
        return self.tap.bytes_read if self.tap else 0

    def status(self) -> dict[str, Any]:
        return {
            'connected': self.connected,
            'streams': len(self._wanted),
            'connects': self.connects,
            'bytes': self._heard,
        }


def _text_of_close(err: ConnectionClosed) -> str:
    """What the venue says of the end of a connection."""
    close = err.reason
    if close is None or close.code == _ABNORMAL:
        return 'the connection broke off'
    words = f' ({close.reason})' if close.reason else ''
    return f'the venue closed the connection: code {close.code}{words}'


def _text_of(error: Any) -> str:
    """What the venue says of a refusal."""
    if isinstance(error, dict) and 'msg' in error:
        return f'{error["msg"]} (code {error.get("code")})'
    return str(error)


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
