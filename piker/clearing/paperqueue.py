"""
The orders that rest, and the place of each in the queue at its price.
"""
from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from decimal import Decimal

from ..clock import NS_PER_MS
from ..orders import OrderSide
from .paperorders import PaperOrder

__all__ = ['Resting', 'shrink', 'trade_through']

_ZERO = Decimal(0)
# Trades and quotes come over different streams: for so long a trade may
# explain a shrinkage that a quote has shown before.
_EXPLAINS_NS = 250 * NS_PER_MS


class Resting:
    """
    The orders that rest, by symbol and side.

    Each side has the best price first, then those that came first; what a
    tick costs goes by the orders that it reaches.
    """

    def __init__(self, orders: Iterable[PaperOrder]) -> None:
        self._sides: dict[tuple[str, OrderSide], list[PaperOrder]] = {}
        for order in orders:
            self.add(order)

    @property
    def symbols(self) -> set[str]:
        return {symbol for symbol, _ in self._sides}

    def reached(
        self, symbol: str, side: OrderSide, price: Decimal
    ) -> list[PaperOrder]:
        """Those of a side at ``price`` or a better one, in their order."""
        orders = self._sides.get((symbol, side))
        if not orders:
            return []
        worst = -price * side.sign
        return orders[:bisect_right(orders, worst, key=_rank)]

    def add(self, order: PaperOrder) -> None:
        key = order.placed.symbol, order.placed.side
        insort(self._sides.setdefault(key, []), order, key=_rank)

    def remove(self, order: PaperOrder) -> None:
        """Of no effect for one that never rested."""
        key = order.placed.symbol, order.placed.side
        orders = self._sides.get(key, [])
        if order.placed.price is None or not orders:
            return
        at = bisect_left(orders, _rank(order), key=_rank)
        while at < len(orders) and orders[at].limit == order.limit:
            if orders[at] is order:
                del orders[at]
                break
            at += 1
        if not orders:
            del self._sides[key]


def _rank(order: PaperOrder) -> Decimal:
    """The lower the better its price; the younger are put behind."""
    return -order.limit * order.placed.side.sign


def shrink(order: PaperOrder, shown: Decimal, time_ns: int) -> bool:
    """
    A quote shows so much at its price: no more than that is before it.

    Returns whether that is news.
    """
    if order.ahead is None:
        order.ahead = shown
    elif shown < order.ahead:
        if time_ns > order.shrunk_until_ns:
            order.shrunk = _ZERO
        order.shrunk += order.ahead - shown
        order.shrunk_until_ns = time_ns + _EXPLAINS_NS
        order.ahead = shown
    else:
        return False
    return True


def trade_through(
    order: PaperOrder, size: Decimal, beyond: bool, time_ns: int
) -> Decimal:
    """
    What of a trade comes past those before the order.

    ``beyond``: it was at a worse price than the order's, so they are gone.
    """
    if beyond:
        order.ahead = order.shrunk = _ZERO
        return size
    if time_ns > order.shrunk_until_ns:
        order.shrunk = _ZERO
    explained = min(size, order.shrunk)
    order.shrunk -= explained
    size_on = size - explained
    if order.ahead is None:
        return _ZERO
    used = min(size_on, order.ahead)
    order.ahead -= used
    return size_on - used
