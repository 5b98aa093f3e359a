"""
The benchmarks' venue with an account: ``python -m bench.ems_venue``.

Whatever is ordered at the market is filled at once, whatever else rests.
Signatures are not looked at.  When the bytes of an order came in is noted by
the order's size, which a client chooses to tell its orders apart, and by its
client order id.
"""
from __future__ import annotations

import itertools
import json
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from . import stream
from .server import Server, main, say

_FREE = '1000000.00000000'


class OrderVenue(Server):
    """The bench's server, and orders of one account."""

    def __init__(
        self, tape: stream.Tape, loops: int, times: np.ndarray
    ) -> None:
        super().__init__(tape, loops, times)
        self._ids = itertools.count(1)
        self._orders: dict[str, dict] = {}
        self.came: list[tuple[str, str, int]] = []

    def _obey(self, order: dict) -> None:
        if 'orders' in order:
            came, self.came = self.came, []
            say(orders=came)
        super()._obey(order)

    def _result(self, order: dict) -> dict:
        if order.get('method') == 'SUBSCRIBE':
            return super()._result(order)
        # the venue's other interface, for whoever has its events there
        return {'status': 200, 'result': {'subscriptionId': 0}}

    def _asked(
        self, method: str, target: str, body: bytes, came_ns: int
    ) -> bytes | None:
        parts = urlsplit(target)
        params = dict(parse_qsl(parts.query) + parse_qsl(body.decode()))
        name = parts.path.rpartition('/api/v3/')[2]
        if (method, name) == ('POST', 'order'):
            self.came.append((
                params['newClientOrderId'], params['quantity'], came_ns
            ))
        found = self._account_rest(method, name, params)
        if found is None:
            return None
        text = json.dumps(found).encode()
        return (
            b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'
            b'Content-Length: %d\r\n\r\n' % len(text)
        ) + text

    def _account_rest(
        self, method: str, name: str, params: dict[str, str]
    ) -> object:
        now = self.tape.start_ms
        match method, name:
            case 'POST', 'order':
                return self._place(params)
            case ('GET' | 'DELETE') as how, 'order':
                found = self._orders[
                    params.get('origClientOrderId') or params['orderId']
                ]
                if how == 'DELETE':
                    found |= {'status': 'CANCELED'}
                return found | {
                    'origClientOrderId': found['clientOrderId'],
                }
            case 'GET', 'account':
                return {
                    'balances': [
                        {'asset': a, 'free': _FREE, 'locked': '0.0'}
                        for a in ('BTC', 'USDT')
                    ],
                    'makerCommission': 10, 'takerCommission': 10,
                    'buyerCommission': 0, 'sellerCommission': 0,
                    'canTrade': True, 'canWithdraw': False,
                    'canDeposit': False, 'updateTime': now,
                    'accountType': 'SPOT', 'permissions': ['SPOT'],
                    'brokered': False, 'uid': 1,
                }
            case 'GET', ('openOrders' | 'myTrades' | 'allOrders'):
                return []
            case 'GET', '/sapi/v1/asset/tradeFee':
                return []
            case 'POST', 'userDataStream':
                return {'listenKey': 'bench'}
            case ('PUT' | 'DELETE'), 'userDataStream':
                return {}
        return None

    def _place(self, params: dict[str, str]) -> dict:
        number = next(self._ids)
        now = self.tape.start_ms
        market = params['type'] == 'MARKET'
        size = params['quantity']
        price = next(t for t in self.tape.trades if t)[2].decode()
        order = {
            'symbol': params['symbol'], 'orderId': number,
            'orderListId': -1, 'clientOrderId': params['newClientOrderId'],
            'transactTime': now, 'price': params.get('price', '0.0'),
            'origQty': size, 'executedQty': size if market else '0.0',
            'cummulativeQuoteQty': '0.0',
            'status': 'FILLED' if market else 'NEW',
            'timeInForce': params.get('timeInForce', 'GTC'),
            'type': params['type'], 'side': params['side'],
            'workingTime': now, 'selfTradePreventionMode': 'NONE',
            'fills': [{
                'price': price, 'qty': size, 'commission': '0.0',
                'commissionAsset': 'USDT', 'tradeId': number,
            }] if market else [],
        }
        self._orders[order['clientOrderId']] = order
        self._orders[str(number)] = order
        return order


if __name__ == '__main__':
    main(OrderVenue)
