"""
Misbehaviour on request, seeded and counted.
"""
from __future__ import annotations

from collections import Counter
from random import Random

import trio

from .config import FaultConfig
from .hub import Hub
from .params import ApiError

__all__ = ['Faults']

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
        self.config = FaultConfig()
        self.set(config)

    def set(self, config: FaultConfig) -> None:
        """Misbehave like this from now on."""
        self.config = config
        now = trio.current_time()
        self._stalled_until = now + config.stall_s
        self._refused_until = now + config.refuse_connections_s
        self._rest_left = config.rest_requests if config.rest_status else 0
        if config.drop_connections:
            for client in list(self._hub.clients):
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
