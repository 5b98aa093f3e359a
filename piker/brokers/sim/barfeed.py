"""
What goes out once a second: klines, tickers and average prices.

`BarFeed.messages` works out everything that is due; it may be slow and runs
in a worker thread.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator

from .market import Market
from .periods import open_of
from .streams import Stream, parse_stream
from .ticker import average_price, mini_event, stats_of, ticker_event
from .wire import encode, kline_event

__all__ = ['BarFeed']


class BarFeed:
    """Remembers what each stream was told last."""

    def __init__(self, markets: dict[str, Market]) -> None:
        self._markets = markets
        self._open: dict[str, int] = {}  # open time of each kline's last bar
        self._said: dict[str, object] = {}

    def messages(
        self, names: Iterable[str], second: int
    ) -> list[tuple[str, bytes]]:
        """
        (stream, payload) due at ``second`` for the streams ``names``.

        A kline is repeated every two seconds if it has changed, and told
        once more, closed, when its period is over; ``1s`` klines are only
        told closed.
        """
        found: list[tuple[str, bytes]] = []
        names = set(names)
        for stale in [k for k in self._said.keys() | self._open.keys()
                      if k.split('/')[0] not in names]:
            self._open.pop(stale, None)
            self._said.pop(stale, None)
        for name in sorted(names):
            stream = parse_stream(name)
            if stream is None:
                continue
            if stream.kind == 'kline':
                payloads = self._klines(stream, second)
            elif stream.kind in {'miniTicker', 'ticker'}:
                payloads = self._tickers(stream)
            elif stream.kind == 'avgPrice':
                payloads = self._average(stream)
            else:
                continue
            found.extend((name, payload) for payload in payloads)
        return found

    def _klines(self, stream: Stream, second: int) -> Iterator[bytes]:
        market = self._markets.get(stream.symbol)
        if market is None:
            return
        now, interval = market.position_ms, stream.interval
        current = open_of(interval, now)
        last = self._open.get(stream.name, current)
        if current == last and (interval == '1s' or second % 2):
            self._open[stream.name] = current
            return
        bars = market.history.klines(interval, last, None, 1000, now)
        digits = market.spec.price_digits, market.spec.size_digits
        for at in range(bars.rows):
            opened = int(bars.time[at])
            closed = opened < current
            if not closed and interval == '1s':
                continue
            row = tuple(int(column[at]) for column in bars)
            if not closed and self._said.get(stream.name) == row:
                continue
            self._said[stream.name] = row
            yield encode(kline_event(
                stream.symbol, now, interval=interval, bars=bars, at=at,
                closed=closed, digits=digits,
            ))
        self._open[stream.name] = current

    def _tickers(self, stream: Stream) -> Iterator[bytes]:
        event = ticker_event if stream.kind == 'ticker' else mini_event
        if stream.symbol:
            market = self._markets.get(stream.symbol)
            if market is not None:
                stats = stats_of(market)
                if self._changed(stream.name, stats[5:18]):
                    yield encode(event(stats))
            return
        changed = []
        for symbol, market in self._markets.items():
            stats = stats_of(market)
            key = f'{stream.name}/{symbol}'
            if self._changed(key, stats[5:18]):
                changed.append(event(stats))
        if changed:
            yield encode(changed)

    def _average(self, stream: Stream) -> Iterator[bytes]:
        market = self._markets.get(stream.symbol)
        if market is None:
            return
        found = average_price(market)
        if self._changed(stream.name, found['price']):
            yield encode({
                'e': 'avgPrice', 'E': market.position_ms, 's': stream.symbol,
                'i': '5m', 'w': found['price'], 'T': found['closeTime'],
            })

    def _changed(self, key: str, value: object) -> bool:
        if self._said.get(key) == value:
            return False
        self._said[key] = value
        return True
