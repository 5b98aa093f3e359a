"""
Orders out of a request's parameters, checked as Binance checks them.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/trading-endpoints
"""
from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, TypeVar

from .engine import Side, Stp, Tif
from .market import Spec
from .orders import ALGO, LIMITS, TYPES, Order
from .params import ApiError, Params, illegal

__all__ = ['LEG_PARAMS', 'ORDER_PARAMS', 'draft_leg', 'draft_order', 'pick',
           'unique_id']

T = TypeVar('T')

_DECIMAL = re.compile(r'[0-9]{1,20}(\.[0-9]{1,20})?\Z')
_DECIMAL_RANGE = '^([0-9]{1,20})(\\.[0-9]{1,20})?$'
_CLIENT_ID = re.compile(r'[a-zA-Z0-9\-_.:/]{1,36}\Z')
_CLIENT_ID_RANGE = '^[a-zA-Z0-9-_]{1,36}$'
_DEFAULT_STP = Stp.EXPIRE_MAKER
ORDER_PARAMS = frozenset({
    'symbol', 'side', 'type', 'timeInForce', 'quantity', 'quoteOrderQty',
    'price', 'newClientOrderId', 'strategyId', 'strategyType', 'stopPrice',
    'trailingDelta', 'icebergQty', 'newOrderRespType',
    'selfTradePreventionMode',
})
LEG_PARAMS = frozenset({
    'Type', 'ClientOrderId', 'IcebergQty', 'Price', 'StopPrice',
    'TrailingDelta', 'TimeInForce', 'StrategyId', 'StrategyType',
})


def draft_order(params: Params, spec: Spec, account: str) -> Order:
    """A single order; its id and client id may still be missing."""
    kind = pick(params, 'type', {t: t for t in TYPES}, -1116,
                'Invalid orderType.')
    for name in TYPES[kind]:
        params.text(name)
    order = Order(
        id=0, account=account, symbol=spec.symbol, type=kind,
        client_id=unique_id(params, 'newClientOrderId'),
        side=_side(params), stp=_stp(params),
        strategy=params.number('strategyId'),
        strategy_type=params.number('strategyType'),
    )
    if kind == 'MARKET':
        _market_size(params, spec, order)
    else:
        _refuse(params, 'quoteOrderQty')
        order.size = _lots(params, 'quantity', spec)
    _prices(params, spec, order, {
        name: name for name in ('price', 'stopPrice', 'trailingDelta',
                                'icebergQty', 'timeInForce')
    })
    return order


def draft_leg(params: Params, spec: Spec, account: str, leg: str) -> Order:
    """The ``above`` or ``below`` order of an OCO list."""
    kinds = {t: t for t in TYPES if t == 'LIMIT_MAKER' or t in ALGO}
    kind = pick(params, f'{leg}Type', kinds, -1116, 'Invalid orderType.')
    order = Order(
        id=0, account=account, symbol=spec.symbol, type=kind,
        client_id=unique_id(params, f'{leg}ClientOrderId'),
        side=_side(params), stp=_stp(params),
        strategy=params.number(f'{leg}StrategyId'),
        strategy_type=params.number(f'{leg}StrategyType'),
        size=_lots(params, 'quantity', spec),
    )
    names = {
        'price': f'{leg}Price', 'stopPrice': f'{leg}StopPrice',
        'trailingDelta': f'{leg}TrailingDelta',
        'icebergQty': f'{leg}IcebergQty', 'timeInForce': f'{leg}TimeInForce',
    }
    if kind in LIMITS:
        params.text(names['price'])
    if kind.endswith('_LIMIT'):
        params.text(names['timeInForce'])
    _prices(params, spec, order, names)
    return order


def _market_size(params: Params, spec: Spec, order: Order) -> None:
    if ('quantity' in params.values) == ('quoteOrderQty' in params.values):
        if 'quantity' in params.values:
            raise ApiError(-1128, 'Combination of optional parameters '
                                  'invalid.')
        params.text('quantity')
    if 'quantity' in params.values:
        order.size = _lots(params, 'quantity', spec)
    else:
        order.quote_size = _units(params, 'quoteOrderQty', 8, 'LOT_SIZE')


def _prices(
    params: Params, spec: Spec, order: Order, names: dict[str, str]
) -> None:
    """Price, trigger, shown part and time in force, where they belong."""
    given = params.values
    if order.type in LIMITS:
        order.price = _ticks(params, names['price'], spec)
    else:
        _refuse(params, names['price'])
    if order.type in ALGO:
        if names['trailingDelta'] in given:
            order.trail = params.number(names['trailingDelta']) or 0
        else:
            params.text(names['stopPrice'])
        if names['stopPrice'] in given:
            order.stop = _ticks(params, names['stopPrice'], spec)
    else:
        _refuse(params, names['stopPrice'])
        _refuse(params, names['trailingDelta'])
    tif = names['timeInForce']
    if tif in given and order.type in {'LIMIT', 'STOP_LOSS_LIMIT',
                                       'TAKE_PROFIT_LIMIT'}:
        order.tif = pick(params, tif, {t.value: t for t in Tif}, -1115,
                         'Invalid timeInForce.')
    else:
        _refuse(params, tif)
    if names['icebergQty'] in given:
        if order.type not in LIMITS:
            _refuse(params, names['icebergQty'])
        display = _units(params, names['icebergQty'], spec.size_digits,
                         'LOT_SIZE', positive=False)
        if display and order.tif is not Tif.GTC:
            raise ApiError(-1128, 'Combination of optional parameters '
                                  'invalid.')
        order.display = display if display < order.size else 0


def pick(
    params: Params, name: str, values: dict[str, T], code: int, msg: str
) -> T:
    """One of several words; what ``code`` and ``msg`` say otherwise."""
    found = values.get(params.text(name))
    if found is None:
        raise ApiError(code, msg)
    return found


def unique_id(params: Params, name: str) -> str:
    """A client order id, empty if there is none."""
    if name not in params.values:
        return ''
    value = params.text(name)
    if not _CLIENT_ID.match(value):
        raise illegal(name, _CLIENT_ID_RANGE)
    return value


def _side(params: Params) -> Side:
    return pick(params, 'side', {s.value: s for s in Side}, -1117,
                'Invalid side.')


def _stp(params: Params) -> Stp:
    name = 'selfTradePreventionMode'
    if name not in params.values:
        return _DEFAULT_STP
    return pick(params, name, {s.value: s for s in Stp}, -1138,
                'Invalid selfTradePreventionMode.')


def _refuse(params: Params, name: str) -> None:
    if name in params.values:
        raise ApiError(
            -1106, f"Parameter '{name}' sent when not required."
        )


def _ticks(params: Params, name: str, spec: Spec) -> int:
    return _units(params, name, spec.price_digits, 'PRICE_FILTER')


def _lots(params: Params, name: str, spec: Spec) -> int:
    return _units(params, name, spec.size_digits, 'LOT_SIZE')


def _units(
    params: Params, name: str, digits: int, rule: str, positive: bool = True
) -> int:
    """A decimal parameter as a whole number of 10^-``digits``."""
    text = params.text(name)
    if not _DECIMAL.match(text):
        raise illegal(name, _DECIMAL_RANGE)
    value = Decimal(text)
    if len(text.partition('.')[2].rstrip('0')) > 8:
        raise ApiError(-1111, f"Parameter '{name}' has too much precision.")
    units: Any = value.scaleb(digits)
    if units != int(units) or (positive and not units):
        raise ApiError(-1013, f'Filter failure: {rule}')
    if units >= 1 << 62:
        raise ApiError(-1108, f"Parameter '{name}' overflowed.")
    return int(units)
