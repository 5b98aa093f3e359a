"""
The signed endpoints that only ask, and the user data stream's.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/account-endpoints
"""
from __future__ import annotations

from typing import Any

from .accounts import Account
from .desk import UserDesk
from .limits import OrderLimits
from .matching import Matcher
from .orders import OrderList
from .params import ApiError, Params
from .reports import account_row, list_row, order_row, trade_row
from .trading import SignedEndpoint, Trading
from .wire import Json, fixed

__all__ = ['Asking']

_NO_ORDER = 'Order does not exist.'
_ORDERS_DAY_MS = 86_400_000


class Asking:
    """Answers about accounts; handlers raise `ApiError`."""

    def __init__(
        self, matcher: Matcher, desk: UserDesk, limits: OrderLimits,
        trading: Trading,
    ) -> None:
        self._matcher = matcher
        self._books = desk.books
        self._userdata = desk.userdata
        self._limits = limits
        self._trading = trading

    def endpoints(self) -> dict[tuple[str, str], SignedEndpoint]:
        """By method and path below ``/api/v3/``."""
        which = frozenset({'symbol', 'orderId', 'origClientOrderId'})
        span = frozenset({'startTime', 'endTime', 'limit'})
        key = frozenset({'listenKey'})

        def get(
            handle: Any, known: frozenset[str], weight: int
        ) -> SignedEndpoint:
            return SignedEndpoint(handle, known, weight)

        def stream(handle: Any, known: frozenset[str]) -> SignedEndpoint:
            return SignedEndpoint(handle, known, 2, acts=True, signed=False)

        return {
            ('GET', 'order'): get(self.order, which, 4),
            ('GET', 'openOrders'): get(
                self.open_orders, frozenset({'symbol'}), 6),
            ('GET', 'allOrders'): get(
                self.all_orders, span | {'symbol', 'orderId'}, 20),
            ('GET', 'orderList'): get(
                self.order_list,
                frozenset({'orderListId', 'origClientOrderId'}), 4),
            ('GET', 'allOrderList'): get(
                self.all_lists, span | {'fromId'}, 20),
            ('GET', 'openOrderList'): get(self.open_lists, frozenset(), 6),
            ('GET', 'account'): get(
                self.account, frozenset({'omitZeroBalances'}), 20),
            ('GET', 'account/commission'): get(
                self.commission, frozenset({'symbol'}), 20),
            ('GET', 'myTrades'): get(
                self.trades, span | {'symbol', 'orderId', 'fromId'}, 20),
            ('GET', 'rateLimit/order'): get(
                self.rate_limit, frozenset(), 40),
            ('POST', 'userDataStream'): stream(self.open_stream, frozenset()),
            ('PUT', 'userDataStream'): stream(self.keep_stream, key),
            ('DELETE', 'userDataStream'): stream(self.close_stream, key),
        }

    def order(self, account: Account, params: Params) -> Json:
        symbol, order_id = self._symbol(params), params.number('orderId')
        name = params.values.get('origClientOrderId', '')
        if order_id is None:
            params.text('origClientOrderId')
        order = self._books.find(account.name, symbol, order_id, name)
        if order is None:
            raise ApiError(-2013, _NO_ORDER)
        return order_row(order, self._books.specs[symbol])

    def open_orders(self, account: Account, params: Params) -> list[Json]:
        symbol = self._symbol(params) if 'symbol' in params.values else None
        return [
            order_row(order, self._books.specs[order.symbol])
            for order in self._books.open_orders(account.name, symbol)
        ]

    def all_orders(self, account: Account, params: Params) -> list[Json]:
        symbol, limit = self._symbol(params), params.limit(500, 1000)
        low, start, end = self._span(params, 'orderId')
        found = [
            order for order in self._books.orders.values()
            if order.account == account.name and order.symbol == symbol
            and order.id >= (low or 0) and start <= order.made_ms <= end
        ]
        newest = low is None and 'startTime' not in params.values
        found = found[-limit:] if newest else found[:limit]
        return [order_row(o, self._books.specs[symbol]) for o in found]

    def trades(self, account: Account, params: Params) -> list[Json]:
        symbol, limit = self._symbol(params), params.limit(500, 1000)
        low, start, end = self._span(params, 'fromId')
        order_id = params.number('orderId')
        found = [
            e for e in self._books.executions
            if e.account == account.name and e.symbol == symbol
            and e.trade_id >= (low or 0) and start <= e.time_ms <= end
            and order_id in {None, e.order_id}
        ]
        newest = low is None and 'startTime' not in params.values
        found = found[-limit:] if newest else found[:limit]
        return [trade_row(e, self._books.specs[symbol]) for e in found]

    def order_list(self, account: Account, params: Params) -> Json:
        pair = self._trading.find_list(account, params, 'origClientOrderId')
        if pair is None:
            raise ApiError(-2018, 'Order list does not exist.')
        return self._list(pair)

    def all_lists(self, account: Account, params: Params) -> list[Json]:
        low, start, end = self._span(params, 'fromId')
        found = [
            pair for pair in self._books.lists.values()
            if pair.account == account.name and pair.id >= (low or 0)
            and start <= pair.made_ms <= end
        ]
        return [self._list(pair) for pair in found[-params.limit(500, 1000):]]

    def open_lists(self, account: Account, _params: Params) -> list[Json]:
        return [
            self._list(pair) for pair in self._books.lists.values()
            if pair.account == account.name and not pair.done
        ]

    def account(self, account: Account, params: Params) -> Json:
        omit = params.values.get('omitZeroBalances') == 'true'
        return account_row(account, omit)

    def commission(self, account: Account, params: Params) -> Json:
        symbol = self._symbol(params)
        none = dict.fromkeys(('maker', 'taker', 'buyer', 'seller'),
                             fixed(0, 8))
        return {
            'symbol': symbol,
            'standardCommission': none | {
                'maker': fixed(account.maker, 8),
                'taker': fixed(account.taker, 8),
            },
            'specialCommission': none,
            'taxCommission': none,
            'discount': {
                'enabledForAccount': False, 'enabledForSymbol': False,
                'discountAsset': 'BNB', 'discount': fixed(0, 8),
            },
        }

    def rate_limit(self, account: Account, _params: Params) -> list[Json]:
        return self._limits.rows(account.name, self._matcher.now_ms())

    def open_stream(self, account: Account, _params: Params) -> Json:
        now = self._matcher.now_ms()
        return {'listenKey': self._userdata.open(account.name, now)}

    def keep_stream(self, account: Account, params: Params) -> Json:
        now = self._matcher.now_ms()
        self._userdata.expire(now)
        self._userdata.keep(account.name, params.text('listenKey'), now)
        return {}

    def close_stream(self, account: Account, params: Params) -> Json:
        self._userdata.close(account.name, params.text('listenKey'))
        return {}

    def _list(self, pair: OrderList) -> Json:
        return list_row(pair, self._books.legs(pair), pair.made_ms)

    def _symbol(self, params: Params) -> str:
        symbol = params.symbol()
        if symbol not in self._books.specs:
            raise ApiError(-1121, 'Invalid symbol.')
        return symbol

    def _span(
        self, params: Params, from_id: str
    ) -> tuple[int | None, int, int]:
        """From which id on, and from when to when."""
        start, end = params.number('startTime'), params.number('endTime')
        if start is not None and end is not None and (
            not 0 <= end - start <= _ORDERS_DAY_MS
        ):
            raise ApiError(-1127, 'More than 24 hours between startTime and '
                                  'endTime.')
        return (params.number(from_id), start or 0,
                (1 << 62) if end is None else end)
