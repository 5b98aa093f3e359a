"""
How much the venue takes: request weight, and orders of an account.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits
Orders that fill are not taken off the count, as Binance does.
"""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from .params import ApiError

__all__ = ['Limits', 'OrderLimits']

_WINDOWS = (
    (10_000, '10S', 'SECOND', 10, '10 SECOND'),
    (86_400_000, '1D', 'DAY', 1, '1 DAY'),
)


@dataclass(slots=True)
class Limits:
    """What is enforced now: weight a minute, orders in 10 s and in a day."""

    weight_1m: int
    orders_10s: int
    orders_1d: int

    @property
    def orders(self) -> tuple[int, int]:
        return self.orders_10s, self.orders_1d


class OrderLimits:
    """Counts orders by account."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._counts: Counter[tuple[str, int, int]] = Counter()

    def check(self, account: str, orders: int, now_ms: int) -> None:
        """Refuse ``orders`` more if they would be too many."""
        for at, (span, _, _, _, text) in enumerate(_WINDOWS):
            most = self._limits.orders[at]
            if self._count(account, at, now_ms) + orders > most:
                raise ApiError(
                    -1015, f'Too many new orders; current limit is {most} '
                           f'orders per {text}.', 429,
                    {'Retry-After': str(-((now_ms % span - span) // 1000))},
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
             'limit': self._limits.orders[at],
             'count': self._count(account, at, now_ms)}
            for at, (_, _, unit, num, _) in enumerate(_WINDOWS)
        ]

    def _count(self, account: str, at: int, now_ms: int) -> int:
        return self._counts[account, at, now_ms // _WINDOWS[at][0]]
