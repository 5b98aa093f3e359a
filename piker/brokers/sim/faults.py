"""
Misbehaviour on request, seeded and counted.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import NamedTuple

import trio

from .config import FaultConfig
from .hub import Hub
from .params import ApiError

__all__ = ['Faults', 'NeverAnswered', 'OrderFault']

_TEXTS = {
    418: (
        -1003,
        (
            'Way too much request weight used; IP banned until {until}. '
            'Please use WebSocket Streams for live updates to avoid bans.'
        ),
    ),
    429: (
        -1003,
        (
            'Too much request weight used; current limit is 6000 request '
            'weight per 1 MINUTE. Please use WebSocket Streams for live '
            'updates to avoid polling the API.'
        ),
    ),
    503: (
        -1008,
        (
            'Server is currently overloaded with other requests. Please try '
            'again in a few minutes.'
        ),
    ),
}
_UNKNOWN = (-1000, 'An unknown error occurred while processing the request.')
_TIMEOUT = (
    -1007,
    (
        'Timeout waiting for response from backend server. Send status '
        'unknown; execution status unknown.'
    ),
)
_STATUSES = {'timeout': 504, 'error': 500, 'unavailable': 503, 'limit': 429,
             'ban': 418}
_LATE_S = 0.3


class NeverAnswered(Exception):
    """The client is to wait in vain."""


class OrderFault(NamedTuple):
    """What happens to one request that concerns orders."""

    answer: str
    executed: bool


class Faults:
    """Stands between the exchange and the hub, and spoils what it's told."""

    def __init__(self, config: FaultConfig, hub: Hub, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self._hub = hub
        self._random = Random(seed)
        self._held: dict[str, tuple[str, bytes, bytes | None]] = {}
        self._delayed: list[tuple[float, tuple[str, bytes, bytes | None]]] = []
        self._work = trio.Event()
        self._stalled_until = 0.0
        self._refused_until = 0.0
        self._rest_left = 0
        self._orders_left = 0
        self._nursery: trio.Nursery | None = None
        self.user_streams: Callable[[], list[str]] = list
        self.config = FaultConfig()
        self.set(config)

    def set(self, config: FaultConfig) -> None:
        """Misbehave like this from now on."""
        self.config = config
        now = trio.current_time()
        self._stalled_until = now + config.stall_s
        self._refused_until = now + config.refuse_connections_s
        self._rest_left = config.rest_requests if config.rest_status else 0
        self._orders_left = config.order_requests if config.order_answer else 0
        users = set(self.user_streams())
        for client in list(self._hub.clients):
            if config.drop_connections or (
                config.drop_user_streams and users & client.streams.keys()
            ):
                client.abort()
                self.counts['dropped'] += 1

    def publish(
        self, stream: str, payload: bytes, wrapped: bytes | None = None
    ) -> None:
        """Pass a message on to the hub, or not."""
        config = self.config
        message = stream, payload, wrapped
        if config.gap_rate and self._random.random() < config.gap_rate:
            self.counts['gaps'] += 1
            return
        held = self._held.pop(stream, None)
        if (
            held is None and config.reorder_rate
            and self._random.random() < config.reorder_rate
        ):
            self.counts['reordered'] += 1
            self._held[stream] = message
            return
        self._deliver(message)
        if held is not None:
            self._deliver(held)
        if (
            config.duplicate_rate
            and self._random.random() < config.duplicate_rate
        ):
            self.counts['duplicates'] += 1
            self._deliver(message)

    def publish_user(self, stream: str, payload: bytes) -> None:
        """Pass an event of a user data stream on, perhaps late or twice."""
        config = self.config
        message = stream, payload, None
        if (
            self._nursery is not None and config.user_reorder_rate
            and self._random.random() < config.user_reorder_rate
        ):
            self.counts['user_reordered'] += 1
            self._nursery.start_soon(
                self._late, self._random.random() * _LATE_S, message
            )
        else:
            self._deliver(message)
        if (
            config.user_duplicate_rate
            and self._random.random() < config.user_duplicate_rate
        ):
            self.counts['user_duplicates'] += 1
            self._deliver(message)

    async def _late(
        self, delay_s: float, message: tuple[str, bytes, bytes | None]
    ) -> None:
        await trio.sleep(delay_s)
        self._hub.publish(*message)

    def order_fault(self, method: str, name: str) -> OrderFault | None:
        """What is to happen to a request that places or cancels orders."""
        config = self.config
        kind = 'replace' if name == 'order/cancelReplace' else (
            'cancel' if method == 'DELETE' else 'place'
        )
        if not self._orders_left or config.order_kind not in {'', kind}:
            return None
        self._orders_left -= 1
        self.counts['orders'] += 1
        return OrderFault(config.order_answer, config.order_executed)

    def spoil(self, fault: OrderFault, now_ms: int) -> None:
        """Raise what the request is answered with: always raises."""
        if fault.answer == 'silence':
            raise NeverAnswered
        status = _STATUSES[fault.answer]
        code, text = _TIMEOUT if fault.answer == 'timeout' else (
            _TEXTS.get(status, _UNKNOWN)
        )
        retry_s = self.config.retry_after_s
        raise ApiError(
            code, text.format(until=now_ms + retry_s * 1000), status,
            {'Retry-After': str(retry_s)} if status in {418, 429} else None,
        )

    def _deliver(self, message: tuple[str, bytes, bytes | None]) -> None:
        latency = self.config.latency_ms
        if not latency and not self._delayed:
            self._hub.publish(*message)
            return
        due = trio.current_time() + latency / 1000
        if self._delayed:  # never overtake what is already on its way
            due = max(due, self._delayed[-1][0])
        self._delayed.append((due, message))
        self.counts['delayed'] += 1
        self._work.set()

    async def run(self) -> None:
        """Deliver late messages until cancelled."""
        async with trio.open_nursery() as self._nursery:
            await self._deliver_delayed()

    async def _deliver_delayed(self) -> None:
        while True:
            await self._work.wait()
            self._work = trio.Event()
            while self._delayed:
                await trio.sleep_until(self._delayed[0][0])
                now, ready = trio.current_time(), 0
                for due, message in self._delayed:
                    if due > now:
                        break
                    self._hub.publish(*message)
                    ready += 1
                del self._delayed[:ready]

    async def gate(self) -> None:
        """Wait while sockets are to stay silent."""
        if self._stalled_until > trio.current_time():
            self.counts['stalls'] += 1
            await trio.sleep_until(self._stalled_until)

    def refuse(self) -> bool:
        """Whether to hang up on a new connection."""
        refused = self._refused_until > trio.current_time()
        self.counts['refused'] += refused
        return refused

    def rest_error(self, now_ms: int) -> ApiError | None:
        """The error to answer this REST request with, if any."""
        if not self._rest_left:
            return None
        self._rest_left -= 1
        self.counts['rest'] += 1
        config = self.config
        code, text = _TEXTS.get(config.rest_status, _UNKNOWN)
        until = now_ms + config.retry_after_s * 1000
        return ApiError(
            code, text.format(until=until), config.rest_status,
            {'Retry-After': str(config.retry_after_s)},
        )
