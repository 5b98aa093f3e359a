"""
Orders, fills and balances as Binance writes them, in answers and events.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/trading-endpoints
https://developers.binance.com/docs/binance-spot-api-docs/user-data-stream
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence

from .accounts import Account
from .engine import Side
from .market import Spec
from .orders import Execution, Order, OrderList
from .wire import Json, fixed

__all__ = [
    'account_event', 'account_row', 'balance_event', 'cancel_row',
    'execution_report', 'list_event', 'list_row', 'new_order_row',
    'order_row', 'trade_row',
]

_NOTHING = '0.00000000'


def _strings(order: Order, spec: Spec) -> dict[str, str]:
    of_price, of_size = spec.price_digits, spec.size_digits
    return {
        'price': fixed(order.price, of_price),
        'origQty': fixed(order.size, of_size),
        'executedQty': fixed(order.filled, of_size),
        'origQuoteOrderQty': fixed(order.quote_size, 8),
        'cummulativeQuoteQty': fixed(order.spent, 8),
    }


def _rules(order: Order) -> Json:
    return {
        'status': order.status, 'timeInForce': order.tif.value,
        'type': order.type, 'side': order.side.value,
    }


def _options(order: Order, spec: Spec) -> Json:
    """What only some orders have."""
    found: Json = {}
    if order.stop:
        found['stopPrice'] = fixed(order.stop, spec.price_digits)
    if order.display:
        found['icebergQty'] = fixed(order.display, spec.size_digits)
    if order.trail:
        found['trailingDelta'] = order.trail
    if order.strategy is not None:
        found['strategyId'] = order.strategy
    if order.strategy_type is not None:
        found['strategyType'] = order.strategy_type
    return found


def order_row(order: Order, spec: Spec) -> Json:
    """An order as it is queried."""
    return {
        'symbol': order.symbol, 'orderId': order.id,
        'orderListId': order.list_id, 'clientOrderId': order.client_id,
        **_strings(order, spec), **_rules(order),
        'stopPrice': _NOTHING, 'icebergQty': _NOTHING,
        'time': order.made_ms, 'updateTime': order.changed_ms,
        'isWorking': not order.waiting, 'workingTime': order.working_ms,
        'selfTradePreventionMode': order.stp.value,
        **_options(order, spec),
    }


def new_order_row(
    order: Order, spec: Spec, kind: str, fills: Iterable[Execution]
) -> Json:
    """The answer to a new order: ``ACK``, ``RESULT`` or ``FULL``."""
    row: Json = {
        'symbol': order.symbol, 'orderId': order.id,
        'orderListId': order.list_id, 'clientOrderId': order.client_id,
        'transactTime': order.changed_ms,
    }
    if kind == 'ACK':
        return row
    row |= {
        **_strings(order, spec), **_rules(order),
        'workingTime': order.working_ms,
        'selfTradePreventionMode': order.stp.value,
        **_options(order, spec),
    }
    if kind == 'FULL':
        row['fills'] = [
            {
                'price': fixed(fill.price, spec.price_digits),
                'qty': fixed(fill.size, spec.size_digits),
                'commission': fixed(fill.fee, 8),
                'commissionAsset': fill.fee_asset, 'tradeId': fill.trade_id,
            }
            for fill in fills
        ]
    return row


def cancel_row(order: Order, spec: Spec) -> Json:
    """The answer to a cancellation."""
    return {
        'symbol': order.symbol, 'origClientOrderId': order.client_id,
        'orderId': order.id, 'orderListId': order.list_id,
        'clientOrderId': order.cancel_id, 'transactTime': order.changed_ms,
        **_strings(order, spec), **_rules(order),
        'selfTradePreventionMode': order.stp.value,
        **_options(order, spec),
    }


def list_row(
    found: OrderList, legs: Sequence[Order], now_ms: int,
    reports: list[Json] | None = None,
) -> Json:
    """An order list as it is queried, placed (with reports) or cancelled."""
    row: Json = {
        'orderListId': found.id, 'contingencyType': 'OCO',
        'listStatusType': 'ALL_DONE' if found.done else 'EXEC_STARTED',
        'listOrderStatus': 'ALL_DONE' if found.done else 'EXECUTING',
        'listClientOrderId': found.client_id, 'transactionTime': now_ms,
        'symbol': found.symbol,
        'orders': [
            {'symbol': leg.symbol, 'orderId': leg.id,
             'clientOrderId': leg.client_id} for leg in legs
        ],
    }
    if reports is not None:
        row['orderReports'] = reports
    return row


def trade_row(fill: Execution, spec: Spec) -> Json:
    """One of ``myTrades``."""
    return {
        'symbol': fill.symbol, 'id': fill.trade_id, 'orderId': fill.order_id,
        'orderListId': fill.list_id,
        'price': fixed(fill.price, spec.price_digits),
        'qty': fixed(fill.size, spec.size_digits),
        'quoteQty': fixed(fill.quote, 8), 'commission': fixed(fill.fee, 8),
        'commissionAsset': fill.fee_asset, 'time': fill.time_ms,
        'isBuyer': fill.side is Side.BUY, 'isMaker': fill.maker,
        'isBestMatch': True,
    }


def account_row(account: Account, omit_zero: bool) -> Json:
    """The answer of ``/api/v3/account``."""
    rates = {
        'maker': fixed(account.maker, 8), 'taker': fixed(account.taker, 8),
        'buyer': _NOTHING, 'seller': _NOTHING,
    }
    return {
        'makerCommission': account.maker // 10_000,
        'takerCommission': account.taker // 10_000,
        'buyerCommission': 0, 'sellerCommission': 0,
        'commissionRates': rates, 'canTrade': True, 'canWithdraw': True,
        'canDeposit': True, 'brokered': False,
        'requireSelfTradePrevention': False, 'preventSor': False,
        'updateTime': account.updated_ms, 'accountType': 'SPOT',
        'balances': [
            {'asset': asset, 'free': fixed(account.free[asset], 8),
             'locked': fixed(account.locked[asset], 8)}
            for asset in account.assets()
            if account.total(asset) or not omit_zero
        ],
        'permissions': ['SPOT'], 'uid': account.uid,
    }


def execution_report(
    order: Order, spec: Spec, kind: str, now_ms: int,
    fill: Execution | None = None,
) -> Json:
    """``executionReport``; ``kind`` is the execution type."""
    of_price, of_size = spec.price_digits, spec.size_digits
    cancelled = kind == 'CANCELED'
    row: Json = {
        'e': 'executionReport', 'E': now_ms, 's': order.symbol,
        'c': order.cancel_id if cancelled else order.client_id,
        'S': order.side.value, 'o': order.type, 'f': order.tif.value,
        'q': fixed(order.size, of_size), 'p': fixed(order.price, of_price),
        'P': fixed(order.stop, of_price), 'F': fixed(order.display, of_size),
        'g': order.list_id, 'C': order.client_id if cancelled else '',
        'x': kind, 'X': order.status, 'r': 'NONE', 'i': order.id,
        'l': fixed(fill.size if fill else 0, of_size),
        'z': fixed(order.filled, of_size),
        'L': fixed(fill.price if fill else 0, of_price),
        'n': fixed(fill.fee, 8) if fill else '0',
        'N': fill.fee_asset if fill else None,
        'T': order.changed_ms, 't': fill.trade_id if fill else -1,
        'I': 0, 'w': order.is_open and not order.waiting,
        'm': fill.maker if fill else False, 'M': False, 'O': order.made_ms,
        'Z': fixed(order.spent, 8),
        'Y': fixed(fill.quote if fill else 0, 8),
        'Q': fixed(order.quote_size, 8),
        'V': order.stp.value,
    }
    if order.working_ms >= 0:
        row['W'] = order.working_ms
    if order.trail:
        row['d'] = order.trail
    if order.strategy is not None:
        row['j'] = order.strategy
    if order.strategy_type is not None:
        row['J'] = order.strategy_type
    return row


def account_event(
    account: Account, assets: Iterable[str], now_ms: int
) -> Json:
    """``outboundAccountPosition``."""
    return {
        'e': 'outboundAccountPosition', 'E': now_ms, 'u': account.updated_ms,
        'B': [
            {'a': asset, 'f': fixed(account.free[asset], 8),
             'l': fixed(account.locked[asset], 8)} for asset in sorted(assets)
        ],
    }


def balance_event(asset: str, amount: int, now_ms: int) -> Json:
    """``balanceUpdate``."""
    return {'e': 'balanceUpdate', 'E': now_ms, 'a': asset,
            'd': fixed(amount, 8), 'T': now_ms}


def list_event(
    found: OrderList, legs: Iterable[Order], now_ms: int
) -> Json:
    """``listStatus``."""
    return {
        'e': 'listStatus', 'E': now_ms, 's': found.symbol, 'g': found.id,
        'c': 'OCO', 'l': 'ALL_DONE' if found.done else 'EXEC_STARTED',
        'L': 'ALL_DONE' if found.done else 'EXECUTING', 'r': 'NONE',
        'C': found.client_id, 'T': now_ms,
        'O': [{'s': leg.symbol, 'i': leg.id, 'c': leg.client_id}
              for leg in legs],
    }
