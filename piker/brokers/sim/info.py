"""
The exchange information: what can be traded and by which rules.

Shape: https://developers.binance.com/docs/binance-spot-api-docs/rest-api and
.../filters; values of filters that the venue doesn't enforce are Binance's
usual ones.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .market import Spec
from .wire import fixed

__all__ = ['exchange_info', 'symbol_info']

_ORDER_TYPES = ['LIMIT', 'LIMIT_MAKER', 'MARKET']
_STP = ['EXPIRE_TAKER', 'EXPIRE_MAKER', 'EXPIRE_BOTH']


def symbol_info(spec: Spec) -> dict[str, Any]:
    """One entry of ``symbols``."""
    tick = fixed(1, spec.price_digits)
    lot = fixed(1, spec.size_digits)
    return {
        'symbol': spec.symbol,
        'status': 'TRADING',
        'baseAsset': spec.base,
        'baseAssetPrecision': 8,
        'quoteAsset': spec.quote,
        'quotePrecision': 8,
        'quoteAssetPrecision': 8,
        'baseCommissionPrecision': 8,
        'quoteCommissionPrecision': 8,
        'orderTypes': _ORDER_TYPES,
        'icebergAllowed': False,
        'ocoAllowed': False,
        'otoAllowed': False,
        'quoteOrderQtyMarketAllowed': False,
        'allowTrailingStop': False,
        'cancelReplaceAllowed': False,
        'amendAllowed': False,
        'isSpotTradingAllowed': True,
        'isMarginTradingAllowed': False,
        'filters': [
            {'filterType': 'PRICE_FILTER', 'minPrice': tick,
             'maxPrice': '1000000.00000000', 'tickSize': tick},
            {'filterType': 'LOT_SIZE', 'minQty': lot,
             'maxQty': '92141578.00000000', 'stepSize': lot},
            {'filterType': 'ICEBERG_PARTS', 'limit': 10},
            {'filterType': 'MARKET_LOT_SIZE', 'minQty': '0.00000000',
             'maxQty': '92141578.00000000', 'stepSize': '0.00000000'},
            {'filterType': 'TRAILING_DELTA', 'minTrailingAboveDelta': 10,
             'maxTrailingAboveDelta': 2000, 'minTrailingBelowDelta': 10,
             'maxTrailingBelowDelta': 2000},
            {'filterType': 'PERCENT_PRICE_BY_SIDE', 'bidMultiplierUp': '5',
             'bidMultiplierDown': '0.2', 'askMultiplierUp': '5',
             'askMultiplierDown': '0.2', 'avgPriceMins': 5},
            {'filterType': 'NOTIONAL', 'minNotional': spec.min_notional,
             'applyMinToMarket': True, 'maxNotional': '9000000.00000000',
             'applyMaxToMarket': False, 'avgPriceMins': 5},
            {'filterType': 'MAX_NUM_ORDERS', 'maxNumOrders': 200},
            {'filterType': 'MAX_NUM_ALGO_ORDERS', 'maxNumAlgoOrders': 5},
        ],
        'permissions': [],
        'permissionSets': [['SPOT']],
        'defaultSelfTradePreventionMode': 'EXPIRE_MAKER',
        'allowedSelfTradePreventionModes': _STP,
    }


def exchange_info(
    specs: Iterable[Spec], now_ms: int, weight_limit: int
) -> dict[str, Any]:
    """The answer of ``/api/v3/exchangeInfo``."""
    return {
        'timezone': 'UTC',
        'serverTime': now_ms,
        'rateLimits': [
            {'rateLimitType': 'REQUEST_WEIGHT', 'interval': 'MINUTE',
             'intervalNum': 1, 'limit': weight_limit},
            {'rateLimitType': 'ORDERS', 'interval': 'SECOND',
             'intervalNum': 10, 'limit': 100},
            {'rateLimitType': 'ORDERS', 'interval': 'DAY',
             'intervalNum': 1, 'limit': 200_000},
            {'rateLimitType': 'RAW_REQUESTS', 'interval': 'MINUTE',
             'intervalNum': 5, 'limit': 61_000},
        ],
        'exchangeFilters': [],
        'symbols': [symbol_info(spec) for spec in specs],
    }
