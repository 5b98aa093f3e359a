"""
An order's place in the queue at its price.
"""
from __future__ import annotations

from decimal import Decimal

from ..clock import NS_PER_MS
from .paperorders import PaperOrder

__all__ = ['shrink', 'trade_through']

_ZERO = Decimal(0)
# Trades and quotes come over different streams: for so long a trade may
# explain a shrinkage that a quote has shown before.
_EXPLAINS_NS = 250 * NS_PER_MS


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
