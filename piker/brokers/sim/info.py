"""
The exchange information: what can be traded and by which rules.

Shape: https://developers.binance.com/docs/binance-spot-api-docs/rest-api and
.../filters.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .engine import Stp
from .filters import symbol_filters
from .limits import Limits
from .market import Spec
from .orders import TYPES

__all__ = ['exchange_info', 'symbol_info']



def symbol_info(spec: Spec) -> dict[str, Any]:
    """One entry of ``symbols``."""
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
        'orderTypes': list(TYPES),
        'icebergAllowed': True,
        'ocoAllowed': True,
        'otoAllowed': False,
        'quoteOrderQtyMarketAllowed': True,
        'allowTrailingStop': True,
        'cancelReplaceAllowed': True,
        'amendAllowed': False,
        'isSpotTradingAllowed': True,
        'isMarginTradingAllowed': False,
        'filters': symbol_filters(spec),
        'permissions': [],
        'permissionSets': [['SPOT']],
        'defaultSelfTradePreventionMode': 'EXPIRE_MAKER',
        'allowedSelfTradePreventionModes': [stp.value for stp in Stp],
    }


def exchange_info(
    specs: Iterable[Spec], now_ms: int, limits: Limits
) -> dict[str, Any]:
    """The answer of ``/api/v3/exchangeInfo``."""
    return {
        'timezone': 'UTC',
        'serverTime': now_ms,
        'rateLimits': [
            {'rateLimitType': 'REQUEST_WEIGHT', 'interval': 'MINUTE',
             'intervalNum': 1, 'limit': limits.weight_1m},
            {'rateLimitType': 'ORDERS', 'interval': 'SECOND',
             'intervalNum': 10, 'limit': limits.orders_10s},
            {'rateLimitType': 'ORDERS', 'interval': 'DAY',
             'intervalNum': 1, 'limit': limits.orders_1d},
            {'rateLimitType': 'RAW_REQUESTS', 'interval': 'MINUTE',
             'intervalNum': 5, 'limit': 61_000},
        ],
        'exchangeFilters': [],
        'symbols': [symbol_info(spec) for spec in specs],
    }
