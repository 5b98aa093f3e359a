"""
Names of the streams and what they ask for.

Source:
https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
"""
from __future__ import annotations

from typing import NamedTuple

from .periods import INTERVALS

__all__ = ['Stream', 'parse_stream']

_PLAIN = {'aggTrade', 'trade', 'bookTicker', 'miniTicker', 'ticker',
          'avgPrice'}
_ARRAYS = {'!miniTicker@arr': 'miniTicker', '!ticker@arr': 'ticker'}


class Stream(NamedTuple):
    """
    A parsed stream name.

    ``symbol`` is upper case, empty for all-market streams; ``interval`` is of
    a kline stream, ``levels`` of a partial book (0: differences),
    ``speed_ms`` of a book stream.
    """

    name: str
    symbol: str
    kind: str
    interval: str = ''
    levels: int = 0
    speed_ms: int = 0


def parse_stream(name: str) -> Stream | None:
    """What ``name`` stands for; None if there are no such streams."""
    if name in _ARRAYS:
        return Stream(name, '', _ARRAYS[name])
    symbol, _, rest = name.partition('@')
    if not symbol or symbol != symbol.lower():
        return None
    symbol = symbol.upper()
    if rest in _PLAIN:
        return Stream(name, symbol, rest)
    if rest.startswith('kline_'):
        interval = rest.removeprefix('kline_')
        if interval in INTERVALS:
            return Stream(name, symbol, 'kline', interval=interval)
        return None
    head, _, speed = rest.partition('@')
    if speed not in {'', '100ms', '1000ms'} or not head.startswith('depth'):
        return None
    speed_ms = 100 if speed == '100ms' else 1000
    count = head.removeprefix('depth')
    if count not in {'', '5', '10', '20'}:
        return None
    return Stream(
        name, symbol, 'depth', levels=int(count or 0), speed_ms=speed_ms
    )
