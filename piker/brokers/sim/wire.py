"""
The venue's messages as Binance Spot writes them, out of whole ticks and lots.

Stream payloads: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
REST answers: https://developers.binance.com/docs/binance-spot-api-docs/rest-api
Prices and sizes are decimal strings with eight digits after the point.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from .bars import Aggs, Bars
from .history import Fills
from .periods import next_open

__all__ = [
    'Json',
    'agg_event',
    'agg_rows',
    'book_ticker_event',
    'depth_event',
    'encode',
    'fill_rows',
    'fixed',
    'kline_event',
    'kline_rows',
    'levels',
    'trade_event',
]

Json = dict[str, Any]
_PLACES = 8
_ONE = 10**_PLACES
encode = msgspec.json.encode


def fixed(units: int, digits: int) -> str:
    """``units`` × 10^-``digits`` with eight places, cut off beyond them."""
    if digits <= _PLACES:
        scaled = units * 10 ** (_PLACES - digits)
    else:
        scaled = abs(units) // 10 ** (digits - _PLACES)
        scaled = scaled if units >= 0 else -scaled
    whole, rest = divmod(abs(scaled), _ONE)
    sign = '-' if scaled < 0 else ''
    return f'{sign}{whole}.{rest:08d}'


def levels(
    depth: Iterable[tuple[int, int]], digits: tuple[int, int]
) -> list[tuple[str, str]]:
    """Book levels as pairs of strings; ``digits`` of price and size."""
    of_price, of_size = digits
    return [(fixed(p, of_price), fixed(s, of_size)) for p, s in depth]


def agg_event(
    symbol: str,
    event_ms: int,
    *,
    agg_id: int,
    price: str,
    size: str,
    first: int,
    last: int,
    time_ms: int,
    buyer_is_maker: bool,
) -> Json:
    return {
        'e': 'aggTrade', 'E': event_ms, 's': symbol, 'a': agg_id, 'p': price,
        'q': size, 'f': first, 'l': last, 'T': time_ms, 'm': buyer_is_maker,
        'M': True,
    }


def trade_event(
    symbol: str,
    event_ms: int,
    *,
    trade_id: int,
    price: str,
    size: str,
    time_ms: int,
    buyer_is_maker: bool,
) -> Json:
    return {
        'e': 'trade', 'E': event_ms, 's': symbol, 't': trade_id, 'p': price,
        'q': size, 'T': time_ms, 'm': buyer_is_maker, 'M': True,
    }


def book_ticker_event(
    symbol: str,
    update_id: int,
    bid: tuple[str, str],
    ask: tuple[str, str],
) -> Json:
    return {
        'u': update_id, 's': symbol, 'b': bid[0], 'B': bid[1], 'a': ask[0],
        'A': ask[1],
    }


def depth_event(
    symbol: str,
    event_ms: int,
    *,
    first: int,
    last: int,
    bids: list[tuple[str, str]],
    asks: list[tuple[str, str]],
) -> Json:
    return {
        'e': 'depthUpdate', 'E': event_ms, 's': symbol, 'U': first, 'u': last,
        'b': bids, 'a': asks,
    }


def kline_event(
    symbol: str,
    event_ms: int,
    *,
    interval: str,
    bars: Bars,
    at: int,
    closed: bool,
    digits: tuple[int, int],
) -> Json:
    """The bar in row ``at`` of ``bars``."""
    of_price, of_size = digits
    of_quote = of_price + of_size
    row = [int(column[at]) for column in bars]
    return {
        'e': 'kline', 'E': event_ms, 's': symbol,
        'k': {
            't': row[0], 'T': next_open(interval, row[0]) - 1, 's': symbol,
            'i': interval, 'f': row[10], 'L': row[11],
            'o': fixed(row[1], of_price), 'c': fixed(row[4], of_price),
            'h': fixed(row[2], of_price), 'l': fixed(row[3], of_price),
            'v': fixed(row[5], of_size), 'n': row[7], 'x': closed,
            'q': fixed(row[6], of_quote), 'V': fixed(row[8], of_size),
            'Q': fixed(row[9], of_quote), 'B': '0',
        },
    }


def kline_rows(
    bars: Bars, interval: str, digits: tuple[int, int]
) -> list[list[Any]]:
    """The answer of ``/api/v3/klines``."""
    of_price, of_size = digits
    of_quote = of_price + of_size
    return [
        [
            t, fixed(o, of_price), fixed(h, of_price), fixed(lo, of_price),
            fixed(c, of_price), fixed(v, of_size), next_open(interval, t) - 1,
            fixed(q, of_quote), n, fixed(bv, of_size), fixed(bq, of_quote),
            '0',
        ]
        for t, o, h, lo, c, v, q, n, bv, bq, _first, _last in zip(
            *(column.tolist() for column in bars), strict=True
        )
    ]


def agg_rows(aggs: Aggs, digits: tuple[int, int]) -> list[Json]:
    """The answer of ``/api/v3/aggTrades``."""
    of_price, of_size = digits
    return [
        {
            'a': i, 'p': fixed(p, of_price), 'q': fixed(s, of_size), 'f': f,
            'l': la, 'T': t, 'm': sell, 'M': True,
        }
        for i, t, p, s, sell, f, la in zip(
            *(column.tolist() for column in aggs), strict=True
        )
    ]


def fill_rows(fills: Fills, digits: tuple[int, int]) -> list[Json]:
    """The answer of ``/api/v3/trades`` and ``historicalTrades``."""
    of_price, of_size = digits
    return [
        {
            'id': i, 'price': fixed(p, of_price), 'qty': fixed(s, of_size),
            'quoteQty': fixed(p * s, of_price + of_size), 'time': t,
            'isBuyerMaker': sell, 'isBestMatch': True,
        }
        for i, t, p, s, sell in zip(
            *(column.tolist() for column in fills), strict=True
        )
    ]
