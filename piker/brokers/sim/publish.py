"""
What a generated market's events look like on the streams.
"""
from __future__ import annotations

from collections.abc import Callable

from .edits import prints_of
from .engine import Report, Side
from .hub import Hub
from .live import LiveMarket
from .market import touch_of
from .wire import (
    agg_event,
    book_ticker_event,
    depth_event,
    encode,
    fixed,
    levels,
    trade_event,
)

__all__ = ['Emit', 'Publisher']

Emit = Callable[[str, bytes], None]


class Publisher:
    """Encodes what somebody listens to and hands it to ``emit``."""

    def __init__(self, hub: Hub, emit: Emit) -> None:
        self._hub = hub
        self._emit = emit

    def trades(
        self, market: LiveMarket, taker: Report, time_ms: int, now: int
    ) -> None:
        """The fills of a taker order, and the aggregates they make."""
        symbol = market.spec.symbol
        of_price, of_size = market.digits
        sell = taker.side is Side.SELL
        low = symbol.lower()
        single, aggregate = f'{low}@trade', f'{low}@aggTrade'
        if self._hub.wanted(single):
            for fill in taker.fills:
                self._emit(single, encode(trade_event(
                    symbol, now, trade_id=fill.trade_id,
                    price=fixed(fill.price, of_price),
                    size=fixed(fill.size, of_size), time_ms=time_ms,
                    buyer_is_maker=sell,
                )))
        at = 0
        for printed in prints_of(taker.fills, sell):
            fills = taker.fills[at : at + len(printed.sizes)]
            at += len(fills)
            agg_id = market.next_agg_id()
            if not self._hub.wanted(aggregate):
                continue
            self._emit(aggregate, encode(agg_event(
                symbol, now, agg_id=agg_id,
                price=fixed(printed.price, of_price),
                size=fixed(sum(printed.sizes), of_size),
                first=fills[0].trade_id, last=fills[-1].trade_id,
                time_ms=time_ms, buyer_is_maker=sell,
            )))

    def touch(self, market: LiveMarket) -> None:
        """The best bid and ask, if they have changed."""
        touch = touch_of(market.book)
        if touch == market.touch:
            return
        market.touch = touch
        name = f'{market.spec.symbol.lower()}@bookTicker'
        if touch[0] and touch[1] and self._hub.wanted(name):
            bid, ask = levels((touch[0], touch[1]), market.digits)
            self._emit(name, encode(book_ticker_event(
                market.spec.symbol, market.book.update_id, bid, ask
            )))

    def depth(
        self, market: LiveMarket, now: int, speeds: tuple[int, ...]
    ) -> None:
        """The levels that changed since each of ``speeds`` was last told."""
        changed = dict.fromkeys(market.book.take_changes())
        for changes in market.changes.values():
            changes.places.update(changed)
        for speed in speeds:
            self._changes(market, now, speed)

    def _changes(self, market: LiveMarket, now: int, speed: int) -> None:
        changes, book = market.changes[speed], market.book
        if not changes.places:
            return
        first, changes.last = changes.last + 1, book.update_id
        places, changes.places = changes.places, {}
        symbol, digits = market.spec.symbol, market.digits
        stem = f'{symbol.lower()}@depth'
        names = (f'{stem}@100ms',) if speed == 100 else (
            stem, f'{stem}@1000ms'
        )
        if any(self._hub.wanted(name) for name in names):
            bids, asks = (
                sorted(
                    ((p, book.size_at(side, p)) for s, p in places
                     if s is side),
                    reverse=side is Side.BUY,
                )
                for side in Side
            )
            payload = encode(depth_event(
                symbol, now, first=first, last=book.update_id,
                bids=levels(bids, digits), asks=levels(asks, digits),
            ))
            for name in names:
                self._emit(name, payload)
        for depth in (5, 10, 20):
            tail = ('@100ms',) if speed == 100 else ('', '@1000ms')
            for name in (f'{stem}{depth}{end}' for end in tail):
                if self._hub.wanted(name):
                    bids, asks = (book.depth(side, depth) for side in Side)
                    self._emit(name, encode({
                        'lastUpdateId': book.update_id,
                        'bids': levels(bids, digits),
                        'asks': levels(asks, digits),
                    }))
