"""
One limiter for all of a provider's requests.

The venue counts the weight of requests by address over a minute, answers 429
when there is too much of it, with the seconds to wait in ``Retry-After``, and
418 to whoever does not listen.  We count by ourselves over a sliding minute,
which is stricter than the venue's fixed one, take its own count from the
``X-MBX-USED-WEIGHT-1M`` header where that is higher, and stay below a share
of the limit.  Loading history may only use what is left over by more urgent
requests.

Source: Binance Spot API documentation, "Limits" and the weight given with
each endpoint.
"""
from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

import trio

__all__ = ['Limiter', 'weight_of']

log = logging.getLogger(__name__)

_WINDOW_S = 60.0
_DEFAULT_LIMIT = 6000
# Shares of the limit that we allow ourselves: other programs at the same
# address are counted as well.
_URGENT_SHARE = 0.9
_BACKGROUND_SHARE = 0.6

_WEIGHTS = {
    '/api/v3/ping': 1,
    '/api/v3/time': 1,
    '/api/v3/exchangeInfo': 20,
    '/api/v3/klines': 2,
    '/api/v3/aggTrades': 4,
    '/api/v3/trades': 25,
    '/api/v3/historicalTrades': 25,
    '/api/v3/ticker/bookTicker': 2,
}
# What a request costs whose endpoint is not in the table.
_UNKNOWN_WEIGHT = 10
# Depth costs by the number of levels asked for: (up to, weight).
_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (5000, 250))


def weight_of(path: str, limit: int | None = None) -> int:
    """The documented weight of a request; ``limit`` matters for depth."""
    if path == '/api/v3/depth':
        levels = limit or 100
        return next(
            (w for up_to, w in _DEPTH_WEIGHTS if levels <= up_to), 250
        )
    return _WEIGHTS.get(path, _UNKNOWN_WEIGHT)


class Limiter:
    """
    Admits requests so that no minute ever holds too much weight.

    ``take`` or ``take_now`` before each request, ``report`` and ``back_off``
    after it.  ``on_pause`` is called with the length of each pause that the
    venue asks for, whoever was told.
    """

    def __init__(
        self,
        limit: int = _DEFAULT_LIMIT,
        share: float = 1.0,
        on_pause: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.limit = limit
        self._on_pause = on_pause
        self._share = share
        self._taken: deque[tuple[float, int]] = deque()
        self._sum = 0
        self._blocked_until = -1.0
        self.waits = 0
        self.back_offs = 0

    @property
    def used(self) -> int:
        """Weight of the last minute, as far as we know."""
        self._forget(trio.current_time())
        return self._sum

    @property
    def blocked(self) -> bool:
        """Whether the venue has asked for a pause that is not over."""
        return self._blocked_until > trio.current_time()

    def take_now(self, weight: int) -> bool:
        """Count ``weight`` if it fits at once; does not wait."""
        if self._pause(weight, self._allowed(weight, _URGENT_SHARE)) > 0:
            return False
        self._count(weight)
        return True

    async def take(self, weight: int, *, background: bool = False) -> None:
        """
        Wait until ``weight`` fits, and count it.

        Urgent requests overtake background ones that wait.
        """
        allowed = self._allowed(
            weight, _BACKGROUND_SHARE if background else _URGENT_SHARE
        )
        waited = False
        await trio.lowlevel.checkpoint()
        while (pause := self._pause(weight, allowed)) > 0:
            waited = True
            await trio.sleep(pause)
        self.waits += waited
        self._count(weight)

    def _allowed(self, weight: int, part: float) -> float:
        return max(self.limit * self._share * part, weight)

    def _pause(self, weight: int, allowed: float) -> float:
        now = trio.current_time()
        if self._blocked_until > now:
            return self._blocked_until - now
        self._forget(now)
        excess = self._sum + weight - allowed
        if excess <= 0:
            return 0.0
        for at, taken in self._taken:
            excess -= taken
            if excess <= 0:
                return at + _WINDOW_S - now
        return _WINDOW_S

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0][0] + _WINDOW_S <= now:
            self._sum -= self._taken.popleft()[1]

    def _count(self, weight: int) -> None:
        self._taken.append((trio.current_time(), weight))
        self._sum += weight

    def report(self, used: int) -> None:
        """The venue's own count, from an answer's header."""
        missing = int(used * self._share) - self.used
        if missing > 0:
            self._count(missing)

    def back_off(self, seconds: float) -> None:
        """The venue asked for a pause: nothing is admitted until it ends."""
        until = trio.current_time() + seconds
        self._blocked_until = max(self._blocked_until, until)
        self.back_offs += 1
        self._on_pause(seconds)
        log.warning('the venue asks for a pause of %.1f s', seconds)
