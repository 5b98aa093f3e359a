"""
The rules that orders must keep, as the exchange information names them.

https://developers.binance.com/docs/binance-spot-api-docs/filters
Which apply is checked in the order in which they are listed there.
"""
from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .accounts import amount_of
from .market import Spec
from .orders import ALGO, Order, base_amount, quote_amount
from .params import ApiError
from .wire import fixed

__all__ = ['MAX_ALGO_ORDERS', 'MAX_ORDERS', 'check_count', 'check_order',
           'symbol_filters']

MAX_ORDERS = 200
MAX_ALGO_ORDERS = 5
_MAX_PRICE = '1000000.00000000'
_MAX_QTY = '92141578.00000000'
_MAX_NOTIONAL = '9000000.00000000'
_PARTS = 10
_UP, _DOWN = 5, 5  # a price may be five times the average, or a fifth of it
_TRAIL = (10, 2000)


def symbol_filters(spec: Spec) -> list[dict[str, Any]]:
    """``filters`` of a symbol in the exchange information."""
    tick = fixed(1, spec.price_digits)
    lot = fixed(1, spec.size_digits)
    low, high = _TRAIL
    return [
        {'filterType': 'PRICE_FILTER', 'minPrice': tick,
         'maxPrice': _MAX_PRICE, 'tickSize': tick},
        {'filterType': 'LOT_SIZE', 'minQty': lot, 'maxQty': _MAX_QTY,
         'stepSize': lot},
        {'filterType': 'ICEBERG_PARTS', 'limit': _PARTS},
        {'filterType': 'MARKET_LOT_SIZE', 'minQty': '0.00000000',
         'maxQty': _MAX_QTY, 'stepSize': '0.00000000'},
        {'filterType': 'TRAILING_DELTA', 'minTrailingAboveDelta': low,
         'maxTrailingAboveDelta': high, 'minTrailingBelowDelta': low,
         'maxTrailingBelowDelta': high},
        {'filterType': 'PERCENT_PRICE_BY_SIDE', 'bidMultiplierUp': str(_UP),
         'bidMultiplierDown': '0.2', 'askMultiplierUp': str(_UP),
         'askMultiplierDown': '0.2', 'avgPriceMins': 5},
        {'filterType': 'NOTIONAL', 'minNotional': spec.min_notional,
         'applyMinToMarket': True, 'maxNotional': _MAX_NOTIONAL,
         'applyMaxToMarket': False, 'avgPriceMins': 5},
        {'filterType': 'MAX_NUM_ORDERS', 'maxNumOrders': MAX_ORDERS},
        {'filterType': 'MAX_NUM_ALGO_ORDERS',
         'maxNumAlgoOrders': MAX_ALGO_ORDERS},
    ]


def _failed(name: str) -> ApiError:
    return ApiError(-1013, f'Filter failure: {name}')


def check_order(order: Order, spec: Spec, average: int | None) -> None:
    """
    Refuse what a filter forbids.

    ``average`` is the mean price in ticks of the last five minutes, or the
    last price; None where nothing has traded.
    """
    top = amount_of(_MAX_PRICE, 'maxPrice') * 10**spec.price_digits // 10**8
    for price in (order.price, order.stop):
        if price > top:
            raise _failed('PRICE_FILTER')
    if base_amount(spec, order.size) > amount_of(_MAX_QTY, 'maxQty'):
        raise _failed('LOT_SIZE' if order.price else 'MARKET_LOT_SIZE')
    if order.display and -(-order.size // order.display) > _PARTS:
        raise _failed('ICEBERG_PARTS')
    if order.trail and not _TRAIL[0] <= order.trail <= _TRAIL[1]:
        raise _failed('TRAILING_DELTA')
    if average and order.price and not (
        average <= order.price * _DOWN and order.price <= average * _UP
    ):
        raise _failed('PERCENT_PRICE_BY_SIDE')
    valued_at = order.price or average
    if not valued_at and not order.quote_size:
        return
    notional = order.quote_size or quote_amount(spec, valued_at or 0,
                                                order.size)
    if notional < amount_of(spec.min_notional, 'minNotional') or (
        order.price and notional > amount_of(_MAX_NOTIONAL, 'maxNotional')
    ):
        raise _failed('NOTIONAL')


def check_count(new: Collection[Order], there: Collection[Order]) -> None:
    """Refuse ``new`` orders when too many of the symbol are open."""
    if len(there) + len(new) > MAX_ORDERS:
        raise _failed('MAX_NUM_ORDERS')
    algos = sum(order.type in ALGO for order in (*new, *there)
                if order.waiting or order in new)
    if any(order.type in ALGO for order in new) and algos > MAX_ALGO_ORDERS:
        raise _failed('MAX_NUM_ALGO_ORDERS')
