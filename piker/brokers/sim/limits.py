"""
How many orders an account may place in ten seconds and in a day.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits
Orders that fill are not taken off the count, as Binance does.
"""
from __future__ import annotations

from collections import Counter
from typing import Any

from .params import ApiError

__all__ = ['OrderLimits']

_WINDOWS = (
    (10_000, '10S', 'SECOND', 10, '10 SECOND'),
    (86_400_000, '1D', 'DAY', 1, '1 DAY'),
)


class OrderLimits:
    """Counts orders by account; ``limits`` are those of both windows."""

    def __init__(self, limits: tuple[int, int]) -> None:
        self._limits = limits
        self._counts: Counter[tuple[str, int, int]] = Counter()

    def check(self, account: str, orders: int, now_ms: int) -> None:
        """Refuse ``orders`` more if they would be too many."""
        for at, (span, _, _, _, text) in enumerate(_WINDOWS):
            if self._count(account, at, now_ms) + orders > self._limits[at]:
                raise ApiError(
                    -1015, f'Too many new orders; current limit is '
                           f'{self._limits[at]} orders per {text}.', 429,
                    {'Retry-After': str((span - now_ms % span) // 1000 + 1)},
                )

    def add(self, account: str, orders: int, now_ms: int) -> None:
        """Count orders that were placed."""
        for at, window in enumerate(_WINDOWS):
            slot = now_ms // window[0]
            key = account, at, slot
            if key not in self._counts:
                for old in [k for k in self._counts
                            if k[:2] == (account, at) and k[2] < slot]:
                    del self._counts[old]
            self._counts[key] += orders

    def headers(self, account: str, now_ms: int) -> dict[str, str]:
        return {
            f'x-mbx-order-count-{window[1].lower()}':
            str(self._count(account, at, now_ms))
            for at, window in enumerate(_WINDOWS)
        }

    def rows(self, account: str, now_ms: int) -> list[dict[str, Any]]:
        """The answer of ``/api/v3/rateLimit/order``."""
        return [
            {'rateLimitType': 'ORDERS', 'interval': unit, 'intervalNum': num,
             'limit': self._limits[at],
             'count': self._count(account, at, now_ms)}
            for at, (_, _, unit, num, _) in enumerate(_WINDOWS)
        ]

    def _count(self, account: str, at: int, now_ms: int) -> int:
        return self._counts[account, at, now_ms // _WINDOWS[at][0]]
