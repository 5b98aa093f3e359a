"""
The signed endpoints: orders, order lists and what is asked of an account.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/trading-endpoints
https://developers.binance.com/docs/binance-spot-api-docs/rest-api/account-endpoints
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .accounts import Account
from .desk import UserDesk
from .drafts import (
    LEG_PARAMS,
    ORDER_PARAMS,
    draft_leg,
    draft_order,
    pick,
    unique_id,
)
from .engine import Side
from .filters import check_order
from .limits import OrderLimits
from .market import Exchange, Market, Spec
from .matching import Matcher
from .orders import LIMITS, Order, OrderList
from .params import ApiError, Params
from .reports import cancel_row, list_row, new_order_row
from .ticker import average_ticks
from .wire import Json, fixed

__all__ = ['SignedEndpoint', 'Trading']

_UNKNOWN_ORDER = 'Unknown order sent.'
_RESPONSES = {'ACK': 'ACK', 'RESULT': 'RESULT', 'FULL': 'FULL'}


class SignedEndpoint(NamedTuple):
    """
    A path's handler.

    ``places`` is how many orders it counts as, ``acts`` whether it changes
    orders; then it is called in a turn of the desk, on a settled market.
    ``signed`` is False where the API key is enough.
    """

    handle: Callable[[Account, Params], Any]
    known: frozenset[str]
    weight: int
    places: int = 0
    acts: bool = False
    signed: bool = True


class Trading:
    """Orders in, answers out; handlers raise `ApiError`."""

    def __init__(
        self, exchange: Exchange, matcher: Matcher, desk: UserDesk,
        limits: OrderLimits,
    ) -> None:
        self._exchange = exchange
        self._matcher = matcher
        self._desk = desk
        self._books = desk.books
        self._limits = limits
        self._averages: dict[str, tuple[int, int | None]] = {}

    def endpoints(self) -> dict[tuple[str, str], SignedEndpoint]:
        """By method and path below ``/api/v3/``."""
        which = frozenset({'symbol', 'orderId', 'origClientOrderId'})
        cancel = which | {'newClientOrderId', 'cancelRestrictions'}
        replace = ORDER_PARAMS | {
            'cancelReplaceMode', 'cancelNewClientOrderId',
            'cancelOrigClientOrderId', 'cancelOrderId', 'cancelRestrictions',
            'orderRateLimitExceededMode',
        }
        oco = frozenset({
            'symbol', 'listClientOrderId', 'side', 'quantity',
            'newOrderRespType', 'selfTradePreventionMode',
        }) | {leg + name for leg in ('above', 'below') for name in LEG_PARAMS}
        return {
            ('POST', 'order'): SignedEndpoint(
                self.new, ORDER_PARAMS, 1, places=1, acts=True),
            ('POST', 'order/test'): SignedEndpoint(
                self.test, ORDER_PARAMS | {'computeCommissionRates'}, 1),
            ('DELETE', 'order'): SignedEndpoint(
                self.cancel, cancel, 1, acts=True),
            ('POST', 'order/cancelReplace'): SignedEndpoint(
                self.replace, replace, 1, places=1, acts=True),
            ('DELETE', 'openOrders'): SignedEndpoint(
                self.cancel_all, frozenset({'symbol'}), 1, acts=True),
            ('POST', 'orderList/oco'): SignedEndpoint(
                self.oco, oco, 1, places=2, acts=True),
            ('DELETE', 'orderList'): SignedEndpoint(
                self.cancel_list, frozenset({
                    'symbol', 'orderListId', 'listClientOrderId',
                    'newClientOrderId',
                }), 1, acts=True),
        }

    def new(self, account: Account, params: Params) -> Json:
        spec = self._market(params).spec
        order = self._draft(account, params)
        kind = _response(params, order)
        self._desk.check([order])
        self._desk.place([order])
        return self._placed(order, spec, kind)

    def test(self, account: Account, params: Params) -> Json:
        spec = self._market(params).spec
        order = self._draft(account, params)
        _response(params, order)
        self._desk.check([order])
        if params.values.get('computeCommissionRates') != 'true':
            return {}
        rates = {'maker': fixed(account.maker, 8),
                 'taker': fixed(account.taker, 8)}
        none = {'maker': fixed(0, 8), 'taker': fixed(0, 8)}
        return {
            'standardCommissionForOrder': rates,
            'specialCommissionForOrder': none,
            'taxCommissionForOrder': none,
            'discount': {'enabledForAccount': False,
                         'enabledForSymbol': False, 'discountAsset':
                         spec.quote, 'discount': fixed(0, 8)},
        }

    def cancel(self, account: Account, params: Params) -> Json:
        spec = self._market(params).spec
        order = self._to_cancel(account, params, 'orderId',
                                'origClientOrderId')
        ended = self._desk.cancel(
            order, unique_id(params, 'newClientOrderId')
        )
        if order.list_id >= 0:
            return self._ended_list(self._books.lists[order.list_id], ended)
        return cancel_row(order, spec)

    def cancel_all(self, account: Account, params: Params) -> list[Json]:
        spec = self._market(params).spec
        found = self._books.open_orders(account.name, spec.symbol)
        if not found:
            raise ApiError(-2011, _UNKNOWN_ORDER)
        rows = []
        for order in found:
            if not order.is_open:
                continue
            ended = self._desk.cancel(order, '')
            if order.list_id >= 0:
                pair = self._books.lists[order.list_id]
                rows.append(self._ended_list(pair, ended))
            else:
                rows.append(cancel_row(order, spec))
        return rows

    def replace(self, account: Account, params: Params) -> Json:
        """Cancel an order and place another: one answer for both."""
        spec = self._market(params).spec
        stop = pick(
            params, 'cancelReplaceMode',
            {'STOP_ON_FAILURE': True, 'ALLOW_FAILURE': False}, -1145,
            'Invalid cancelReplaceMode.',
        )
        if not {'cancelOrderId', 'cancelOrigClientOrderId'} & (
            params.values.keys()
        ):
            params.text('cancelOrigClientOrderId')
        order = self._draft(account, params)
        kind = _response(params, order)
        cancelled, placed = 'SUCCESS', 'SUCCESS'
        cancel_answer: Json
        new_answer: Json | None = None
        try:
            old = self._to_cancel(account, params, 'cancelOrderId',
                                  'cancelOrigClientOrderId')
            self._desk.cancel(
                old, unique_id(params, 'cancelNewClientOrderId')
            )
            cancel_answer = cancel_row(old, spec)
        except ApiError as err:
            cancelled, cancel_answer = 'FAILURE', _error(err)
        if cancelled == 'FAILURE' and stop:
            placed = 'NOT_ATTEMPTED'
        else:
            try:
                self._desk.check([order])
                self._desk.place([order])
                new_answer = self._placed(order, spec, kind)
            except ApiError as err:
                placed, new_answer = 'FAILURE', _error(err)
        answer: Json = {
            'cancelResult': cancelled, 'newOrderResult': placed,
            'cancelResponse': cancel_answer, 'newOrderResponse': new_answer,
        }
        if (cancelled, placed) == ('SUCCESS', 'SUCCESS'):
            return answer
        if 'SUCCESS' in {cancelled, placed}:
            raise ApiError(-2021, 'Order cancel-replace partially failed.',
                           409, data=answer)
        raise ApiError(-2022, 'Order cancel-replace failed.', data=answer)

    def oco(self, account: Account, params: Params) -> Json:
        market = self._market(params)
        above, below = (
            draft_leg(params, market.spec, account.name, leg)
            for leg in ('above', 'below')
        )
        _check_pair(above, below)
        for leg in (above, below):
            check_order(leg, market.spec, self._average(market))
        last = self._matcher.last_price(market.spec.symbol)
        if last is not None and not (
            _edge(below) < last < _edge(above)
        ):
            raise ApiError(
                -2010, 'The relationship of the prices for the orders is not '
                       'correct.'
            )
        pair = OrderList(
            id=-1, account=account.name, symbol=market.spec.symbol,
            client_id=unique_id(params, 'listClientOrderId'),
            orders=(0, 0), made_ms=0,
        )
        legs = [below, above]  # as Binance numbers them
        kind = pick(params, 'newOrderRespType', _RESPONSES, -1134,
                    'Invalid newOrderRespType.') if (
            'newOrderRespType' in params.values) else 'RESULT'
        self._desk.check(legs)
        self._desk.place(legs, pair)
        reports = [self._placed(leg, market.spec, kind) for leg in legs]
        return list_row(pair, legs, pair.made_ms, reports)

    def cancel_list(self, account: Account, params: Params) -> Json:
        spec = self._market(params).spec
        pair = self.find_list(account, params)
        if pair is None or pair.symbol != spec.symbol or pair.done:
            raise ApiError(-2011, _UNKNOWN_ORDER)
        legs = self._books.legs(pair)
        ended = self._desk.cancel(
            legs[0], unique_id(params, 'newClientOrderId')
        )
        return self._ended_list(pair, ended)

    def find_list(
        self, account: Account, params: Params,
        client_id: str = 'listClientOrderId',
    ) -> OrderList | None:
        """The list that a request names, by its id or the client's."""
        list_id = params.number('orderListId')
        if list_id is not None:
            pair = self._books.lists.get(list_id)
            found = [pair] if pair is not None else []
        else:
            name = params.text(client_id)
            found = [pair for pair in self._books.lists.values()
                     if pair.client_id == name]
        found = [pair for pair in found if pair.account == account.name]
        return found[-1] if found else None

    def _draft(self, account: Account, params: Params) -> Order:
        market = self._market(params)
        order = draft_order(params, market.spec, account.name)
        check_order(order, market.spec, self._average(market))
        return order

    def _placed(self, order: Order, spec: Spec, kind: str) -> Json:
        return new_order_row(order, spec, kind, self._books.fills_of(order))

    def _ended_list(self, pair: OrderList, ended: list[Order]) -> Json:
        spec = self._books.specs[pair.symbol]
        return list_row(
            pair, self._books.legs(pair),
            max(leg.changed_ms for leg in ended),
            [cancel_row(leg, spec) for leg in ended],
        )

    def _to_cancel(
        self, account: Account, params: Params, by_id: str, by_name: str
    ) -> Order:
        order_id = params.number(by_id)
        name = params.values.get(by_name, '')
        if order_id is None:
            params.text(by_name)
        order = self._books.find(account.name, params.symbol(), order_id,
                                 name)
        if order is None or not order.is_open:
            raise ApiError(-2011, _UNKNOWN_ORDER)
        _check_restriction(params, order)
        return order

    def _market(self, params: Params) -> Market:
        market = self._exchange.markets.get(params.symbol())
        if market is None:
            raise ApiError(-1121, 'Invalid symbol.')
        return market

    def _average(self, market: Market) -> int | None:
        """Mean price in ticks of five minutes, a second old at most."""
        second = market.position_ms // 1000
        found = self._averages.get(market.spec.symbol)
        if found is None or found[0] != second:
            found = self._averages[market.spec.symbol] = (
                second, average_ticks(market)
            )
        return found[1]


def _response(params: Params, order: Order) -> str:
    if 'newOrderRespType' not in params.values:
        return 'FULL' if order.type in {'MARKET', 'LIMIT'} else 'ACK'
    return pick(params, 'newOrderRespType', _RESPONSES, -1134,
                'Invalid newOrderRespType.')


def _check_restriction(params: Params, order: Order) -> None:
    if 'cancelRestrictions' not in params.values:
        return
    wanted = pick(
        params, 'cancelRestrictions',
        {'ONLY_NEW': 'NEW', 'ONLY_PARTIALLY_FILLED': 'PARTIALLY_FILLED'},
        -1145, 'Invalid cancelRestrictions.',
    )
    if order.status != wanted:
        raise ApiError(
            -2011, 'Order was not canceled due to cancel restrictions.'
        )


def _check_pair(above: Order, below: Order) -> None:
    """One leg takes a profit or is a limit, the other stops a loss."""
    sells = above.side is Side.SELL
    gain, loss = (above, below) if sells else (below, above)
    if not loss.type.startswith('STOP_LOSS') or (
        gain.type.startswith('STOP_LOSS')
    ):
        raise ApiError(-1014, 'Unsupported order combination.')


def _edge(order: Order) -> int:
    """The price at which a leg of a pair acts."""
    return order.price if order.type in LIMITS - {
        'STOP_LOSS_LIMIT', 'TAKE_PROFIT_LIMIT'
    } else order.stop


def _error(err: ApiError) -> Json:
    return {'code': err.code, 'msg': err.msg}
