"""
The REST endpoints under ``/api/v3/``.

Weights and semantics:
https://developers.binance.com/docs/binance-spot-api-docs/rest-api
Handlers are synchronous and may be slow (whole days of history may have to be
made), so they run in a worker thread; they only read.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from .engine import Side
from .info import exchange_info
from .limits import Limits
from .market import Exchange, Market
from .params import ApiError, Params
from .periods import INTERVALS
from .ticker import average_price, rest_ticker, stats_of
from .wire import agg_rows, fill_rows, fixed, kline_rows, levels

__all__ = ['Endpoint', 'RestApi']

_NONE = '0.00000000'


class Endpoint(NamedTuple):
    """A path's handler, the parameters it knows, and what a call weighs."""

    handle: Callable[[Params], Any]
    known: frozenset[str]
    weigh: Callable[[Params], int]
    slow: bool = False
    book: bool = False  # needs the agents to have begun


def _always(weight: int) -> Callable[[Params], int]:
    return lambda _params: weight


def _depth_weight(params: Params) -> int:
    limit = params.limit(100, 5000)
    return 5 if limit <= 100 else 25 if limit <= 500 else (
        50 if limit <= 1000 else 250
    )


def _ticker_weight(params: Params) -> int:
    symbols = params.symbols()
    if symbols is None or len(symbols) > 100:
        return 80
    return 2 if len(symbols) <= 20 else 40


def _price_weight(params: Params) -> int:
    return 2 if 'symbol' in params.values else 4


@dataclass(frozen=True, slots=True)
class RestApi:
    """Answers about ``exchange``; handlers raise `ApiError`."""

    exchange: Exchange
    limits: Limits

    def endpoints(self) -> dict[str, Endpoint]:
        """By path below ``/api/v3/``."""
        one = frozenset({'symbol'})
        many = frozenset({'symbol', 'symbols'})
        bars = frozenset({'symbol', 'interval', 'startTime', 'endTime',
                          'timeZone', 'limit'})
        return {
            'ping': Endpoint(lambda _p: {}, frozenset(), _always(1)),
            'time': Endpoint(self.time, frozenset(), _always(1)),
            'exchangeInfo': Endpoint(
                self.info, many | {'permissions', 'showPermissionSets',
                                   'symbolStatus'}, _always(20),
            ),
            'klines': Endpoint(self.klines, bars, _always(2), slow=True),
            'uiKlines': Endpoint(self.klines, bars, _always(2), slow=True),
            'aggTrades': Endpoint(
                self.agg_trades,
                one | {'fromId', 'startTime', 'endTime', 'limit'}, _always(4),
                slow=True,
            ),
            'trades': Endpoint(self.trades, one | {'limit'}, _always(25),
                               slow=True),
            'historicalTrades': Endpoint(
                self.trades, one | {'limit', 'fromId'}, _always(25), slow=True
            ),
            'depth': Endpoint(self.depth, one | {'limit'}, _depth_weight,
                              book=True),
            'avgPrice': Endpoint(self.avg_price, one, _always(2), slow=True),
            'ticker/24hr': Endpoint(self.ticker, many | {'type'},
                                    _ticker_weight, slow=True, book=True),
            'ticker/price': Endpoint(self.price, many, _price_weight,
                                     slow=True),
            'ticker/bookTicker': Endpoint(self.book_ticker, many,
                                          _price_weight, book=True),
        }

    def time(self, _params: Params) -> dict[str, int]:
        return {'serverTime': self.exchange.now_ms()}

    def info(self, params: Params) -> dict[str, Any]:
        specs = [market.spec for market in self._markets(params)]
        return exchange_info(specs, self.exchange.now_ms(), self.limits)

    def klines(self, params: Params) -> list[list[Any]]:
        # timeZone is accepted, but bars are always aligned to UTC
        market = self._market(params)
        interval = params.text('interval')
        if interval not in INTERVALS:
            raise ApiError(-1120, 'Invalid interval.')
        bars = market.history.klines(
            interval, params.number('startTime'), params.number('endTime'),
            params.limit(500, 1000), market.position_ms,
        )
        return kline_rows(bars, interval, _digits(market))

    def agg_trades(self, params: Params) -> list[dict[str, Any]]:
        market = self._market(params)
        limit = params.limit(500, 1000)
        from_id = params.number('fromId')
        start, end = params.number('startTime'), params.number('endTime')
        now = market.position_ms
        if from_id is None:
            found = market.history.aggs_between(start, end, limit, now)
        elif start is None and end is None:
            found = market.history.aggs_from(from_id, limit, now)
        else:
            raise ApiError(-1128, 'Combination of optional parameters '
                                  'invalid.')
        return agg_rows(found, _digits(market))

    def trades(self, params: Params) -> list[dict[str, Any]]:
        market = self._market(params)
        found = market.history.fills_from(
            params.number('fromId'), params.limit(500, 1000),
            market.position_ms,
        )
        return fill_rows(found, _digits(market))

    def depth(self, params: Params) -> dict[str, Any]:
        market = self._market(params)
        limit, digits = params.limit(100, 5000), _digits(market)
        bids, asks = (
            levels(market.book.depth(side, limit), digits) for side in Side
        )
        return {
            'lastUpdateId': market.book.update_id, 'bids': bids, 'asks': asks,
        }

    def avg_price(self, params: Params) -> dict[str, Any]:
        return average_price(self._market(params))

    def ticker(self, params: Params) -> Any:
        kind = params.values.get('type', 'FULL')
        if kind not in {'FULL', 'MINI'}:
            raise ApiError(-1139, 'Invalid ticker type.')
        return self._each(
            params, lambda market: rest_ticker(stats_of(market), kind)
        )

    def price(self, params: Params) -> Any:
        def one(market: Market) -> dict[str, str]:
            fill = market.history.fills_from(None, 1, market.position_ms)
            price = _NONE
            if len(fill.id):
                price = fixed(int(fill.price[0]), market.spec.price_digits)
            return {'symbol': market.spec.symbol, 'price': price}

        return self._each(params, one)

    def book_ticker(self, params: Params) -> Any:
        def one(market: Market) -> dict[str, str]:
            (bid, bid_size), (ask, ask_size) = (
                (levels([best], _digits(market))[0] if best
                 else (_NONE, _NONE))
                for best in market.touch
            )
            return {
                'symbol': market.spec.symbol, 'bidPrice': bid,
                'bidQty': bid_size, 'askPrice': ask, 'askQty': ask_size,
            }

        return self._each(params, one)

    def _each(
        self, params: Params, one: Callable[[Market], dict[str, Any]]
    ) -> Any:
        found = [one(market) for market in self._markets(params)]
        return found[0] if 'symbol' in params.values else found

    def _markets(self, params: Params) -> list[Market]:
        symbols = params.symbols()
        if symbols is None:
            return list(self.exchange.markets.values())
        return [self._named(symbol) for symbol in symbols]

    def _market(self, params: Params) -> Market:
        return self._named(params.symbol())

    def _named(self, symbol: str) -> Market:
        market = self.exchange.markets.get(symbol)
        if market is None:
            raise ApiError(-1121, 'Invalid symbol.')
        return market


def _digits(market: Market) -> tuple[int, int]:
    return market.spec.price_digits, market.spec.size_digits
