"""
The generated exchange: every listing's agents, and what they cause published.
"""
from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import count, groupby

import trio

from ...clock import NS_PER_MS, Clock, format_ns
from ...errors import BadInput
from .barfeed import BarFeed
from .engine import Book, Report, Side
from .flow import Flow
from .hub import Hub
from .listings import GENESIS_MS, Listing, pick_listings
from .market import Market, Touch, touch_of
from .plan import DAY_MS
from .tape import Tape, day_of
from .threads import in_thread
from .wire import (
    agg_event,
    book_ticker_event,
    depth_event,
    encode,
    fixed,
    levels,
    trade_event,
)

__all__ = ['GeneratedExchange', 'GeneratedMarket']

log = logging.getLogger(__name__)

Emit = Callable[[str, bytes], None]

_TICK_MS = 100
_SPEEDS = (100, 1000)
_PAUSE_S = (0.005, 0.05)  # shortest and longest sleep of the driver
# Update ids grow faster with time than the book changes, so that they never
# fall back across a restart.
_UPDATES_PER_MS = 8
_MAX_BEHIND_MS = 600_000
_PREFETCH_MS = 120_000


class _Changes:
    """Book levels changed since a depth stream was last told."""

    def __init__(self, update_id: int) -> None:
        self.last = update_id
        self.places: dict[tuple[Side, int], None] = {}


class GeneratedMarket:
    """One listing: its tape, its book, its agents."""

    def __init__(
        self, tape: Tape, start_ms: int, quote_rate: float
    ) -> None:
        self.spec: Listing = tape.listing
        self.history = tape
        self.digits = self.spec.price_digits, self.spec.size_digits
        self.touch: Touch = (None, None)
        self._quote_rate = quote_rate
        self._start_ms = start_ms
        self.restart(start_ms)

    def restart(self, start_ms: int) -> None:
        """Empty the book; `begin` fills it."""
        self.position_ms = start_ms
        self._start_ms = start_ms
        self.book = Book((start_ms - GENESIS_MS) * _UPDATES_PER_MS)
        self.flow: Flow | None = None
        self.changes = {
            speed: _Changes(self.book.update_id) for speed in _SPEEDS
        }

    def begin(self) -> None:
        """Let the agents in; needs the day's plan."""
        self.flow = Flow(
            self.history, self.book, self._start_ms, self._quote_rate
        )
        self.touch = touch_of(self.book)
        self.book.take_changes()
        for changes in self.changes.values():
            changes.last = self.book.update_id

        self._agg_ids = count(self.history.count_until(self._start_ms))

    def next_agg_id(self) -> int:
        return next(self._agg_ids)


class GeneratedExchange:
    """All listings under one seed, driven by a clock."""

    def __init__(
        self,
        clock: Clock,
        hub: Hub,
        emit: Emit,
        *,
        seed: int,
        symbols: tuple[str, ...],
        quote_rate: float,
    ) -> None:
        self._clock = clock
        self._hub = hub
        self._emit = emit
        now = self.now_ms()
        if now < GENESIS_MS:
            raise BadInput(
                f'the clock reads {format_ns(now * NS_PER_MS)}, before the '
                f'venue began on {format_ns(GENESIS_MS * NS_PER_MS)}: set '
                'the clock right'
            )
        self._markets = {
            listing.symbol: GeneratedMarket(
                Tape(seed, listing), now, quote_rate
            )
            for listing in pick_listings(symbols)
        }
        self.markets: dict[str, Market] = dict(self._markets)
        self.ready = trio.Event()
        self._second = trio.Event()

    def now_ms(self) -> int:
        return self._clock.now_ns() // NS_PER_MS

    def replay_state(self) -> None:
        """There is no replay."""

    def start_replay(self) -> bool:
        return False

    async def run(self) -> None:
        """Trade until cancelled."""
        for market in self._markets.values():
            await self._plan(market, day_of(market.position_ms))
            market.begin()
        self.ready.set()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._every_second)
            await self._drive()

    async def _drive(self) -> None:
        tick = 0
        while True:
            now = self.now_ms()
            for market in self._markets.values():
                await self._advance(market, now)
            if now // _TICK_MS != tick:
                second = now // 1000 != tick * _TICK_MS // 1000
                tick = now // _TICK_MS
                self._publish_depth(now, _SPEEDS if second else _SPEEDS[:1])
                if second:
                    self._second.set()
                    self._second = trio.Event()
            wake = min(
                (tick + 1) * _TICK_MS,
                *(m.flow.next_ms for m in self._markets.values() if m.flow),
            )
            pause = (wake - self.now_ms()) / 1000
            await trio.sleep(min(max(pause, _PAUSE_S[0]), _PAUSE_S[1]))

    async def _advance(self, market: GeneratedMarket, now: int) -> None:
        if now - market.position_ms > _MAX_BEHIND_MS:
            log.warning(
                '%s: the clock jumped %d s, trades in between are only in '
                'the history', market.spec.symbol,
                (now - market.position_ms) // 1000,
            )
            market.restart(now)
            await self._plan(market, day_of(now))
            market.begin()
        assert market.flow is not None
        for done, step in enumerate(market.flow.advance(now)):
            if step.taker is not None:
                self._publish_trades(market, step.taker, step.time_ms, now)
            self._publish_touch(market)
            market.position_ms = step.time_ms
            if done % 200 == 199:
                await trio.lowlevel.checkpoint()
        market.position_ms = max(market.position_ms, now)

    def _publish_trades(
        self, market: GeneratedMarket, taker: Report, time_ms: int, now: int
    ) -> None:
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
        runs = groupby(taker.fills, key=lambda fill: fill.price)
        for price, run in runs:
            fills = list(run)
            agg_id = market.next_agg_id()
            if not self._hub.wanted(aggregate):
                continue
            self._emit(aggregate, encode(agg_event(
                symbol, now, agg_id=agg_id, price=fixed(price, of_price),
                size=fixed(sum(f.size for f in fills), of_size),
                first=fills[0].trade_id, last=fills[-1].trade_id,
                time_ms=time_ms, buyer_is_maker=sell,
            )))

    def _publish_touch(self, market: GeneratedMarket) -> None:
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

    def _publish_depth(self, now: int, speeds: tuple[int, ...]) -> None:
        for market in self._markets.values():
            changed = dict.fromkeys(market.book.take_changes())
            for changes in market.changes.values():
                changes.places.update(changed)
            for speed in speeds:
                self._publish_changes(market, now, speed)

    def _publish_changes(
        self, market: GeneratedMarket, now: int, speed: int
    ) -> None:
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

    async def _every_second(self) -> None:
        feed = BarFeed(self.markets)
        while True:
            await self._second.wait()
            now = self.now_ms()
            if (now - GENESIS_MS) % DAY_MS > DAY_MS - _PREFETCH_MS:
                for market in self._markets.values():
                    await self._plan(market, day_of(now) + 1)
            names = [n for n in self._hub.streams() if _is_slow(n)]
            if not names:
                continue
            messages = await in_thread(feed.messages, names, now // 1000)
            for name, payload in messages:
                self._emit(name, payload)

    async def _plan(self, market: GeneratedMarket, day: int) -> None:
        await in_thread(market.history.day, day)


def _is_slow(name: str) -> bool:
    kind = name.partition('@')[2]
    return kind.startswith('kline_') or kind in {
        'miniTicker', 'ticker', 'avgPrice', 'arr'
    }
