"""
Orders in the venue's words, and the venue's words as reports.

Pure.  Source: Binance Spot API documentation, "Trading endpoints", "Account
endpoints" and "User Data Streams".
"""
from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from ...clock import NS_PER_MS
from ...errors import BadMessage
from ...gateway import (
    Abilities,
    AccountReport,
    CancelOrder,
    FillReport,
    OrderReport,
    PlaceOco,
    PlaceOrder,
    QueryOrder,
    VenueStatus,
)
from ...orders import Balance, OrderSide, OrderType, Tif

__all__ = [
    'ABILITIES',
    'account_event',
    'account_report',
    'execution_reports',
    'fills_of_answer',
    'oco_params',
    'order_params',
    'order_report',
    'trade_report',
    'which_params',
]

ABILITIES = Abilities(
    types=frozenset({
        OrderType.MARKET, OrderType.LIMIT, OrderType.STOP,
        OrderType.TAKE_PROFIT,
    }),
    iceberg=True,
    oco=True,
)

Params = dict[str, str]

_ONE = Decimal(1)

# (our type, whether it has a limit) → the venue's, and back.
_TYPES = {
    (OrderType.MARKET, False): 'MARKET',
    (OrderType.LIMIT, True): 'LIMIT',
    (OrderType.STOP, False): 'STOP_LOSS',
    (OrderType.STOP, True): 'STOP_LOSS_LIMIT',
    (OrderType.TAKE_PROFIT, False): 'TAKE_PROFIT',
    (OrderType.TAKE_PROFIT, True): 'TAKE_PROFIT_LIMIT',
}
_KINDS = {name: kind for (kind, _), name in _TYPES.items()} | {
    'LIMIT_MAKER': OrderType.LIMIT,
}
_STATUSES = {
    'PENDING_NEW': VenueStatus.OPEN,
    'NEW': VenueStatus.OPEN,
    'PARTIALLY_FILLED': VenueStatus.OPEN,
    'PENDING_CANCEL': VenueStatus.OPEN,
    'FILLED': VenueStatus.FILLED,
    'CANCELED': VenueStatus.CANCELLED,
    'REJECTED': VenueStatus.REJECTED,
    'EXPIRED': VenueStatus.EXPIRED,
    'EXPIRED_IN_MATCH': VenueStatus.EXPIRED,
}


# to the venue

def order_params(order: PlaceOrder, raw_symbol: str) -> Params:
    """What a new order is asked for with."""
    params = {
        'symbol': raw_symbol,
        'side': order.side.name,
        'newClientOrderId': order.cid,
        'quantity': _plain(order.size),
        'newOrderRespType': 'FULL',
    }
    return params | _terms(order)


def oco_params(pair: PlaceOco, raw_symbol: str) -> Params:
    """What a pair of orders is asked for with."""
    params = {
        'symbol': raw_symbol,
        'side': pair.above.side.name,
        'quantity': _plain(pair.above.size),
        'listClientOrderId': pair.cid,
        'newOrderRespType': 'FULL',
    }
    for leg, order in (('above', pair.above), ('below', pair.below)):
        terms = _terms(order)
        if order.type is OrderType.LIMIT:
            # the only limit order that may stand in a pair
            terms |= {'type': 'LIMIT_MAKER'}
            terms.pop('timeInForce', None)
        terms['clientOrderId'] = order.cid
        params |= {f'{leg}{k[0].upper()}{k[1:]}': v for k, v in terms.items()}
    return params


def which_params(
    command: CancelOrder | QueryOrder, raw_symbol: str
) -> Params:
    """
    What an order is named by: the venue's id where we know it.

    Ours is taken again by whoever uses the same, and is looked up slower.
    """
    if command.venue_id:
        return {'symbol': raw_symbol, 'orderId': command.venue_id}
    return {'symbol': raw_symbol, 'origClientOrderId': command.cid}


def _terms(order: PlaceOrder) -> Params:
    """Type, prices and how long it works."""
    limit = order.price is not None
    terms = {'type': _TYPES[order.type, limit]}
    if order.post_only and order.type is OrderType.LIMIT:
        terms['type'] = 'LIMIT_MAKER'
    elif limit:
        tif = Tif.GTC if order.tif is Tif.GTD else order.tif
        terms['timeInForce'] = tif.name
    if order.price is not None:
        terms['price'] = _plain(order.price)
    if order.stop is not None:
        terms['stopPrice'] = _plain(order.stop)
    if order.display is not None:
        terms['icebergQty'] = _plain(order.display)
    return terms


def _plain(value: Decimal) -> str:
    return f'{value.normalize():f}'


# from the venue.  ``symbol`` is our id of the instrument.

def _read(what: str, read: Callable[[], Any], row: Any) -> Any:
    try:
        return read()
    except (KeyError, TypeError, ValueError, InvalidOperation) as err:
        raise BadMessage(f'not {what} ({err!r}): {row!r:.300}') from err


def order_report(row: dict[str, Any], symbol: str) -> OrderReport:
    """An order as it is queried, placed or cancelled."""

    def read() -> OrderReport:
        time_ms = row.get('updateTime') or row.get('transactTime') or row.get(
            'time') or 0
        return OrderReport(
            # a cancellation has an id of its own and names the order's
            cid=row.get('origClientOrderId') or row['clientOrderId'],
            venue_id=str(row['orderId']),
            symbol=symbol,
            side=OrderSide[row['side']],
            size=_decimal(row['origQty']),
            filled=_decimal(row['executedQty']),
            type=_kind(row['type']),
            status=_STATUSES[row['status']],
            price=_price(row.get('price')),
            stop=_price(row.get('stopPrice')),
            tif=Tif[row.get('timeInForce', 'GTC')],
            post_only=row['type'] == 'LIMIT_MAKER',
            display=_price(row.get('icebergQty')),
            time_ns=int(time_ms) * NS_PER_MS,
        )

    report: OrderReport = _read('an order', read, row)
    return report


def fills_of_answer(row: dict[str, Any], symbol: str) -> list[FillReport]:
    """What a new order has taken at once, from the answer to it."""

    def read() -> list[FillReport]:
        return [
            FillReport(
                cid=row['clientOrderId'],
                venue_id=str(row['orderId']),
                symbol=symbol,
                side=OrderSide[row['side']],
                trade_id=str(fill['tradeId']),
                price=_decimal(fill['price']),
                size=_decimal(fill['qty']),
                fee=_decimal(fill['commission']),
                fee_asset=str(fill['commissionAsset']).lower(),
                time_ns=int(row['transactTime']) * NS_PER_MS,
            )
            for fill in row.get('fills', ())
        ]

    fills: list[FillReport] = _read('fills', read, row)
    return fills


def trade_report(row: dict[str, Any], symbol: str, cid: str) -> FillReport:
    """One of ``myTrades``, which does not say the order's ``cid``."""

    def read() -> FillReport:
        return FillReport(
            cid=cid,
            venue_id=str(row['orderId']),
            symbol=symbol,
            side=OrderSide.BUY if row['isBuyer'] else OrderSide.SELL,
            trade_id=str(row['id']),
            price=_decimal(row['price']),
            size=_decimal(row['qty']),
            fee=_decimal(row['commission']),
            fee_asset=str(row['commissionAsset']).lower(),
            maker=bool(row['isMaker']),
            time_ns=int(row['time']) * NS_PER_MS,
        )

    fill: FillReport = _read('a trade', read, row)
    return fill


def execution_reports(
    event: dict[str, Any], symbol: str
) -> list[OrderReport | FillReport]:
    """An ``executionReport``: the order, and what it has traded if it has."""

    def read() -> list[OrderReport | FillReport]:
        # of a cancelled order, C is its id and c that of the cancellation
        cid = event['C'] or event['c']
        side = OrderSide[event['S']]
        reason = event.get('r', '')
        order = OrderReport(
            cid=cid,
            venue_id=str(event['i']),
            symbol=symbol,
            side=side,
            size=_decimal(event['q']),
            filled=_decimal(event['z']),
            type=_kind(event['o']),
            status=_STATUSES[event['X']],
            price=_price(event['p']),
            stop=_price(event['P']),
            tif=Tif[event['f']],
            post_only=event['o'] == 'LIMIT_MAKER',
            display=_price(event['F']),
            reason='' if reason == 'NONE' else str(reason),
            time_ns=int(event['T']) * NS_PER_MS,
        )
        if event['x'] != 'TRADE':
            return [order]
        fill = FillReport(
            cid=cid,
            venue_id=order.venue_id,
            symbol=symbol,
            side=side,
            trade_id=str(event['t']),
            price=_decimal(event['L']),
            size=_decimal(event['l']),
            fee=_decimal(event['n']),
            fee_asset=str(event['N'] or '').lower(),
            maker=bool(event['m']),
            time_ns=order.time_ns,
        )
        return [fill, order]

    reports: list[OrderReport | FillReport] = _read(
        'an executionReport', read, event
    )
    return reports


def account_report(answer: dict[str, Any]) -> AccountReport:
    """The answer of ``/api/v3/account``."""

    def read() -> AccountReport:
        return AccountReport(
            balances={
                row['asset'].lower(): Balance(
                    _decimal(row['free']), _decimal(row['locked'])
                )
                for row in answer['balances']
            },
            whole=True,
            time_ns=int(answer.get('updateTime') or 0) * NS_PER_MS,
        )

    report: AccountReport = _read('an account', read, answer)
    return report


def account_event(event: dict[str, Any]) -> AccountReport:
    """``outboundAccountPosition``: the balances that have changed."""

    def read() -> AccountReport:
        return AccountReport(
            balances={
                row['a'].lower(): Balance(
                    _decimal(row['f']), _decimal(row['l'])
                )
                for row in event['B']
            },
            time_ns=int(event['u']) * NS_PER_MS,
        )

    report: AccountReport = _read('balances', read, event)
    return report


def _kind(name: str) -> OrderType:
    return _KINDS[name]


def _decimal(text: Any) -> Decimal:
    value = Decimal(str(text))
    if not value.is_finite() or value < 0:
        raise ValueError(f'{text!r} is not a size or price')
    # The venue writes eight places, whether they say anything or not.
    short = value.normalize()
    return short.quantize(_ONE) if short == short.to_integral() else short


def _price(text: Any) -> Decimal | None:
    """A price, ``None`` where the venue writes 0 for none."""
    return (_decimal(text) or None) if text is not None else None
