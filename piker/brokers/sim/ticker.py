"""
Rolling statistics of a symbol: the 24 h tickers and the average price.

The 24 h window is made of whole minutes and the current one; its open time
says where it really begins.
"""
from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from .market import Market
from .wire import fixed

__all__ = ['Stats', 'average_price', 'average_ticks', 'mini_event',
           'rest_ticker', 'stats_of', 'ticker_event']

_DAY_MS = 86_400_000
_MINUTE_MS = 60_000
_NOTHING = '0.00000000'


class Stats(NamedTuple):
    """Strings as they go on the wire."""

    symbol: str
    open_time: int
    close_time: int
    change: str
    change_percent: str
    average: str
    previous: str
    last: str
    last_size: str
    bid: tuple[str, str]
    ask: tuple[str, str]
    open: str
    high: str
    low: str
    volume: str
    quote_volume: str
    first_id: int
    last_id: int
    count: int  # type: ignore[assignment]


def stats_of(market: Market) -> Stats:
    """The last 24 hours of ``market``; may make whole days, so may be slow."""
    spec, now = market.spec, market.position_ms
    digits = spec.price_digits, spec.size_digits
    bid, ask = (_strings(market, level) for level in market.touch)
    start = (now - _DAY_MS) // _MINUTE_MS * _MINUTE_MS + _MINUTE_MS
    bars = market.history.klines('1m', start, None, 1440, now)
    traded = bars.count > 0
    fill = market.history.fills_from(None, 1, now)
    if not len(fill.id):
        return Stats(
            spec.symbol, start, now, _NOTHING, '0.000', _NOTHING, _NOTHING,
            _NOTHING, _NOTHING, bid, ask, _NOTHING, _NOTHING, _NOTHING,
            _NOTHING, _NOTHING, -1, -1, 0,
        )
    last, last_size = int(fill.price[0]), int(fill.size[0])
    before = market.history.aggs_between(None, start - 1, 1, now)
    previous = int(before.price[0]) if len(before.id) else 0
    if not traded.any():
        flat = fixed(last, digits[0])
        return Stats(
            spec.symbol, start, now, _NOTHING, '0.000', flat, flat, flat,
            fixed(last_size, digits[1]), bid, ask, flat, flat, flat, _NOTHING,
            _NOTHING, -1, -1, 0,
        )
    opened = int(bars.open[traded][0])
    volume, quote = int(bars.volume.sum()), int(bars.quote.sum())
    percent = Decimal(last - opened) * 100 / Decimal(opened)
    return Stats(
        spec.symbol, start, now,
        fixed(last - opened, digits[0]),
        f'{percent:.3f}',
        fixed(quote * 10**8 // volume, digits[0] + 8),
        fixed(previous or opened, digits[0]),
        fixed(last, digits[0]),
        fixed(last_size, digits[1]),
        bid, ask,
        fixed(opened, digits[0]),
        fixed(int(bars.high[traded].max()), digits[0]),
        fixed(int(bars.low[traded].min()), digits[0]),
        fixed(volume, digits[1]),
        fixed(quote, sum(digits)),
        int(bars.first[traded][0]), int(bars.last[traded][-1]),
        int(bars.count.sum()),
    )


def _strings(
    market: Market, level: tuple[int, int] | None
) -> tuple[str, str]:
    if level is None:
        return _NOTHING, _NOTHING
    spec = market.spec
    price, size = level
    return fixed(price, spec.price_digits), fixed(size, spec.size_digits)


def rest_ticker(stats: Stats, kind: str = 'FULL') -> dict[str, Any]:
    """The answer of ``/api/v3/ticker/24hr``."""
    s = stats
    if kind == 'MINI':
        return {
            'symbol': s.symbol, 'openPrice': s.open, 'highPrice': s.high,
            'lowPrice': s.low, 'lastPrice': s.last, 'volume': s.volume,
            'quoteVolume': s.quote_volume, 'openTime': s.open_time,
            'closeTime': s.close_time, 'firstId': s.first_id,
            'lastId': s.last_id, 'count': s.count,
        }
    return {
        'symbol': s.symbol, 'priceChange': s.change,
        'priceChangePercent': s.change_percent, 'weightedAvgPrice': s.average,
        'prevClosePrice': s.previous, 'lastPrice': s.last,
        'lastQty': s.last_size, 'bidPrice': s.bid[0], 'bidQty': s.bid[1],
        'askPrice': s.ask[0], 'askQty': s.ask[1], 'openPrice': s.open,
        'highPrice': s.high, 'lowPrice': s.low, 'volume': s.volume,
        'quoteVolume': s.quote_volume, 'openTime': s.open_time,
        'closeTime': s.close_time, 'firstId': s.first_id,
        'lastId': s.last_id, 'count': s.count,
    }


def ticker_event(stats: Stats) -> dict[str, Any]:
    """The payload of ``<symbol>@ticker``."""
    s = stats
    return {
        'e': '24hrTicker', 'E': s.close_time, 's': s.symbol, 'p': s.change,
        'P': s.change_percent, 'w': s.average, 'x': s.previous, 'c': s.last,
        'Q': s.last_size, 'b': s.bid[0], 'B': s.bid[1], 'a': s.ask[0],
        'A': s.ask[1], 'o': s.open, 'h': s.high, 'l': s.low, 'v': s.volume,
        'q': s.quote_volume, 'O': s.open_time, 'C': s.close_time,
        'F': s.first_id, 'L': s.last_id, 'n': s.count,
    }


def mini_event(stats: Stats) -> dict[str, Any]:
    """The payload of ``<symbol>@miniTicker``."""
    s = stats
    return {
        'e': '24hrMiniTicker', 'E': s.close_time, 's': s.symbol, 'c': s.last,
        'o': s.open, 'h': s.high, 'l': s.low, 'v': s.volume,
        'q': s.quote_volume,
    }


def average_price(market: Market) -> dict[str, Any]:
    """The answer of ``/api/v3/avgPrice``: five minutes, volume weighted."""
    now = market.position_ms
    digits = market.spec.price_digits
    bars = market.history.klines('1m', None, None, 5, now)
    last = market.history.fills_from(None, 1, now)
    price, volume = _NOTHING, int(bars.volume.sum()) if bars.rows else 0
    if volume:
        price = fixed(int(bars.quote.sum()) * 10**8 // volume, digits + 8)
    elif len(last.id):
        price = fixed(int(last.price[0]), digits)
    closed = int(last.time[0]) if len(last.id) else 0
    return {'mins': 5, 'price': price, 'closeTime': closed}


def average_ticks(market: Market) -> int | None:
    """The average price in whole ticks; None if nothing has traded."""
    bars = market.history.klines('1m', None, None, 5, market.position_ms)
    volume = int(bars.volume.sum()) if bars.rows else 0
    if volume:
        return int(bars.quote.sum()) // volume
    return int(bars.close[-1]) if bars.rows else None
