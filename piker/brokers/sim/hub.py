"""
Fan-out of stream messages to websocket clients.

Each event is encoded and framed at most twice, bare and wrapped for combined
streams, however many subscribers it has.  Every client has a bounded queue of
its own: one that doesn't read is cut off and never delays the others.
"""
from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

__all__ = ['Client', 'Hub', 'Transport', 'text_frame']

log = logging.getLogger(__name__)

_BATCH = 256 << 10  # bytes handed to the socket at a time


class Transport(Protocol):
    """The connection under a websocket."""

    async def send_all(self, data: bytes) -> None:
        """Send bytes; raises `trio.BrokenResourceError` and its kin."""

    def abort(self) -> None:
        """Close at once, waking whoever waits on the connection."""


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2) + payload
    return bytes((first, 127)) + size.to_bytes(8) + payload


def text_frame(payload: bytes) -> bytes:
    """``payload`` as one unmasked websocket text message (RFC 6455, 5.2)."""
    return _frame(0x81, payload)


def ping_frame(payload: bytes) -> bytes:
    """A websocket ping; ``payload`` has at most 125 bytes."""
    return _frame(0x89, payload)


class Client:
    """One websocket connection: its subscriptions and what waits for it."""

    def __init__(
        self,
        transport: Transport,
        *,
        name: str,
        combined: bool,
        max_queue: int,
        max_bytes: int,
    ) -> None:
        self.name = name
        self.combined = combined
        self.streams: dict[str, None] = {}
        self.gone = False
        self._transport = transport
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._max_queue = max_queue
        self._max_bytes = max_bytes
        self._filled = trio.Event()
        self._drained = trio.Event()

    @property
    def waiting(self) -> int:
        """Messages queued."""
        return len(self._queue)

    def push(self, frame: bytes) -> None:
        """Queue a frame; cuts the client off if it lags too far behind."""
        if self.gone:
            return
        self._queue.append(frame)
        self._bytes += len(frame)
        if (
            len(self._queue) > self._max_queue
            or self._bytes > self._max_bytes
        ):
            log.warning(
                'client %s does not read: %d messages waiting, cut off',
                self.name, len(self._queue),
            )
            self.abort()
        self._filled.set()

    def abort(self) -> None:
        """Close the connection without a word."""
        self.gone = True
        self._queue.clear()
        self._bytes = 0
        self._filled.set()
        self._drained.set()
        self._transport.abort()

    async def send_queued(
        self, gate: Callable[[], Awaitable[None]]
    ) -> None:
        """
        Send what is queued until cancelled or the connection breaks.

        ``gate`` is awaited before each write and may hold it up.
        """
        try:
            while not self.gone:
                await self._filled.wait()
                self._filled = trio.Event()
                while self._queue:
                    await gate()
                    await self._transport.send_all(self._take())
                    if not self._filled_to(4):
                        self._drained.set()
        except (
            trio.BrokenResourceError,
            trio.ClosedResourceError,
            trio.BusyResourceError,  # it is being closed right now
        ):
            self.abort()

    async def wait_room(self) -> None:
        """Wait until the queue is short, or the client gone."""
        while not self.gone and self._filled_to(2):
            self._drained = trio.Event()
            await self._drained.wait()

    def _filled_to(self, part: int) -> bool:
        """Whether more than 1/``part`` of the room is taken."""
        return (
            len(self._queue) > self._max_queue // part
            or self._bytes > self._max_bytes // part
        )

    def _take(self) -> bytes:
        batch, size = [], 0
        while self._queue and size < _BATCH:
            frame = self._queue.popleft()
            size += len(frame)
            batch.append(frame)
        self._bytes -= size
        return b''.join(batch)


class Hub:
    """Who gets what."""

    def __init__(self) -> None:
        self.clients: set[Client] = set()
        self.sent: Counter[str] = Counter()
        self.cut_off = 0
        self._subscribers: dict[str, dict[Client, None]] = {}
        self._changed = trio.Event()

    def add(self, client: Client) -> None:
        self.clients.add(client)

    def remove(self, client: Client) -> None:
        """Forget the client and its subscriptions."""
        for stream in list(client.streams):
            self.unsubscribe(client, stream)
        client.gone = True
        self.clients.discard(client)

    def subscribe(self, client: Client, stream: str) -> None:
        client.streams[stream] = None
        self._subscribers.setdefault(stream, {})[client] = None
        self._changed.set()
        self._changed = trio.Event()

    def unsubscribe(self, client: Client, stream: str) -> None:
        client.streams.pop(stream, None)
        found = self._subscribers.get(stream)
        if found is not None:
            found.pop(client, None)
            if not found:
                del self._subscribers[stream]

    def wanted(self, stream: str) -> bool:
        """Whether anybody listens to ``stream``."""
        return stream in self._subscribers

    def streams(self) -> dict[str, int]:
        """Streams with subscribers, and how many each has."""
        return {name: len(found) for name, found in self._subscribers.items()}

    async def wait_subscription(self) -> None:
        """Return when somebody has subscribed to something."""
        await self._changed.wait()

    def publish(
        self, stream: str, payload: bytes, wrapped: bytes | None = None
    ) -> None:
        """
        Queue ``payload`` for every subscriber of ``stream``.

        ``wrapped`` is the message for clients of combined streams where it
        already exists; it is made otherwise.
        """
        found = self._subscribers.get(stream)
        if found is None:
            return
        bare: bytes | None = None
        combined: bytes | None = None
        for client in list(found):
            if client.gone:
                continue
            if client.combined:
                if combined is None:
                    combined = text_frame(
                        wrapped or b'{"stream":"%b","data":%b}'
                        % (stream.encode(), payload)
                    )
                client.push(combined)
            else:
                if bare is None:
                    bare = text_frame(payload)
                client.push(bare)
            self.cut_off += client.gone
        self.sent[stream] += len(found)

    async def wait_room(self) -> None:
        """Wait until no client has a long queue."""
        for client in list(self.clients):
            await client.wait_room()
