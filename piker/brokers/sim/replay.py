"""
The replayed exchange: recordings in the place of generated flow.

Recorded messages go out byte for byte, in order, at ``speed`` times the pace
they came in; aggregate trades are derived where only single trades were
recorded (see `aggregate`), and klines that weren't recorded from the trades
played.  The venue's clock is the recording's: it stands at the first message
until the replay starts, follows the messages, and runs on after the last.
"""
from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Container, Iterator
from typing import Any

import trio

from ...clock import NS_PER_MS, Clock
from .aggregate import Aggregate, Aggregator, Trade
from .barfeed import BarFeed
from .config import VenueConfig
from .engine import Report, Side
from .guests import GuestBook
from .hub import Hub
from .listings import Listing
from .market import Market, Touch
from .matching import Desk, NoDesk, Ticket
from .played import Played, PlayedBook, units
from .recording import Body, Message, Recording, load_recording
from .wire import agg_event, encode, fixed

__all__ = ['ReplayExchange', 'ReplayMarket']

Emit = Callable[..., None]

_BREATH = 16  # messages between chances for the clients' tasks to run


class ReplayMarket:
    """One recorded symbol."""

    def __init__(self, listing: Listing, start_ms: int) -> None:
        self.spec = listing
        self.digits = listing.price_digits, listing.size_digits
        self.book = PlayedBook(self.digits)
        self.history = Played()
        self.position_ms = start_ms
        self.aggregator = Aggregator()
        self.guests = GuestBook(self.book)

    @property
    def touch(self) -> Touch:
        return self.book.touch

    def pair(self, body: Body) -> tuple[int, int]:
        """A trade's price and size in ticks and lots."""
        return units(body.p, self.digits[0]), units(body.q, self.digits[1])


class ReplayExchange:
    """
    Plays the recordings of ``config``; they are read when it is made.

    Raises `BadInput` for a recording that can't be read.
    """

    def __init__(
        self, config: VenueConfig, clock: Clock, hub: Hub, emit: Emit
    ) -> None:
        self.desk: Desk = NoDesk()
        self.ready = trio.Event()
        self.ready.set()
        self._clock = clock
        self._hub = hub
        self._emit = emit
        self._speed = config.speed
        self._start = config.start
        self._breath = max(1, min(_BREATH, config.max_queue // 16))
        self._recordings = [load_recording(path) for path in config.replay]
        first = min(_first_ms(recording) for recording in self._recordings)
        self._now_ms = first
        self._recorded: set[str] = set()
        self._markets: dict[str, ReplayMarket] = {}
        for recording in self._recordings:
            self._recorded |= recording.streams
            for symbol, listing in sorted(recording.listings.items()):
                self._markets.setdefault(symbol, ReplayMarket(listing, first))
        self.markets: dict[str, Market] = dict(self._markets)
        self._feed = BarFeed(self.markets)
        self._second = first // 1000
        self._go = trio.Event()
        self._played: Counter[str] = Counter()
        self._position_ns = 0
        self._ended_ns: int | None = None

    def now_ms(self) -> int:
        if self._ended_ns is None:
            return self._now_ms
        since_ns = self._clock.now_ns() - self._ended_ns
        return self._now_ms + since_ns // NS_PER_MS

    def replay_state(self) -> dict[str, Any]:
        if self._ended_ns is not None:
            state = 'done'
        else:
            state = 'running' if self._go.is_set() else 'waiting'
        skipped: Counter[str] = Counter()
        for recording in self._recordings:
            skipped.update(recording.skipped)
        return {
            'state': state,
            'files': [recording.path for recording in self._recordings],
            'speed': self._speed,
            'position_s': self._position_ns / 1e9,
            'messages': sum(len(r.messages) for r in self._recordings),
            'played': dict(self._played),
            'skipped': dict(skipped),
        }

    def start_replay(self) -> bool:
        self._go.set()
        return True

    async def settle(self, symbol: str) -> None:
        await trio.lowlevel.checkpoint()

    def watch(self, symbol: str) -> None:
        self._markets[symbol].guests.watched = True

    def submit(self, symbol: str, ticket: Ticket) -> Report:
        return self._markets[symbol].guests.submit(ticket)

    def cancel(self, symbol: str, order_id: int) -> int | None:
        return self._markets[symbol].guests.cancel(order_id)

    def sweep(
        self,
        symbol: str,
        side: Side,
        size: int,
        price: int | None,
        own: Container[int],
    ) -> list[tuple[int, int]]:
        return self._markets[symbol].guests.sweep(side, size, price)

    def last_price(self, symbol: str) -> int | None:
        return self._markets[symbol].guests.last

    def trade_ms(self, symbol: str) -> int:
        return self.now_ms()

    def publish(self) -> None:
        """The recording is all that is published."""

    async def run(self) -> None:
        """Wait for the start, play, and stay until cancelled."""
        if self._start == 'now':
            self._go.set()
        elif self._start == 'subscribed':
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._wait_subscribed)
                await self._go.wait()
                nursery.cancel_scope.cancel()
        await self._go.wait()
        await self._play_all()
        self._ended_ns = self._clock.now_ns()
        await trio.sleep_forever()

    async def _wait_subscribed(self) -> None:
        while not all(map(self._has_listener, self._recordings)):
            await self._hub.wait_subscription()
        self._go.set()

    def _has_listener(self, recording: Recording) -> bool:
        trades = {
            f'{m.symbol.lower()}@{kind}' for m in recording.messages
            if m.kind in {'trade', 'aggTrade'}
            for kind in ('trade', 'aggTrade')
        }
        return any(
            self._hub.wanted(name) for name in trades or recording.streams
        )

    def _merged(self) -> Iterator[Message]:
        return heapq.merge(
            *(recording.messages for recording in self._recordings),
            key=lambda message: message.after_ns,
        )

    async def _play_all(self) -> None:
        start = trio.current_time()
        for count, message in enumerate(self._merged()):
            if self._speed:
                due = start + message.after_ns / 1e9 / self._speed
                if due > trio.current_time():
                    await trio.sleep_until(due)
                elif not count % _BREATH:
                    await trio.lowlevel.checkpoint()
            elif not count % self._breath:
                await self._hub.wait_room()
                await trio.lowlevel.checkpoint()
            self._play(message)
        for market in self._markets.values():
            self._derived(market, market.aggregator.flush())

    def _play(self, message: Message) -> None:
        self._position_ns = message.after_ns
        if message.kind == 'snapshot':
            for market in self._markets.values():
                market.book.update(
                    message.body.u, message.body.b, message.body.a
                )
            return
        market = self._markets[message.symbol]
        self._take(market, message)
        self._played[message.stream] += 1
        self._emit(message.stream, message.payload, message.raw)
        if self._now_ms // 1000 != self._second:
            self._second = self._now_ms // 1000
            self._every_second()

    def _take(self, market: ReplayMarket, message: Message) -> None:
        """Let the market know what the message says."""
        body = message.body
        if body.E:
            market.position_ms = max(market.position_ms, body.E)
            self._now_ms = max(self._now_ms, body.E)
            if message.kind != 'trade':
                self._derived(market, market.aggregator.settle(body.E))
        if message.kind == 'trade':
            trade = Trade(body.t, body.T, *market.pair(body),
                          body.m)
            self._derived(market, market.aggregator.add(trade))
            market.history.add_fill(trade)
            self._guests_trade(market, trade)
        elif message.kind == 'aggTrade':
            trades = f'{message.symbol.lower()}@trade'
            alone = trades not in self._recorded
            done = Aggregate(body.a, body.T, *market.pair(body),
                             body.m, body.f, body.l)
            market.history.add_aggregate(done, recorded=alone)
            if alone:
                self._guests_trade(market, Trade(*done[:5]))
        elif message.kind == 'bookTicker':
            market.book.quote(body.u, (body.b, body.B), (body.a, body.A))
        elif message.kind == 'depth' and body.b is not None:
            market.book.update(body.u, body.b, body.a)
        if not market.guests.idle and message.kind in {'bookTicker', 'depth'}:
            with self.desk.turn():
                for report in market.guests.quoted():
                    self.desk.traded(market.spec.symbol, report,
                                     self.now_ms())

    def _guests_trade(self, market: ReplayMarket, trade: Trade) -> None:
        """Let the users' orders take part in a recorded trade."""
        if not market.guests.watched:
            market.guests.last = trade.price
            return
        report = market.guests.trade(trade.id, trade.price, trade.size,
                                     trade.sell)
        with self.desk.turn():
            self.desk.traded(market.spec.symbol, report, self.now_ms())

    def _derived(
        self, market: ReplayMarket, done: Aggregate | None
    ) -> None:
        """Publish an aggregate that wasn't recorded."""
        name = f'{market.spec.symbol.lower()}@aggTrade'
        if done is None or name in self._recorded:
            return
        market.history.add_aggregate(done, recorded=False)
        self._played[name] += 1
        if self._hub.wanted(name):
            self._emit(name, encode(agg_event(
                market.spec.symbol, max(market.position_ms, done.time_ms),
                agg_id=done.id, first=done.first, last=done.last,
                price=fixed(done.price, market.digits[0]),
                size=fixed(done.size, market.digits[1]),
                time_ms=done.time_ms, buyer_is_maker=done.sell,
            )))

    def _every_second(self) -> None:
        """Klines and tickers for the streams that weren't recorded."""
        names = [n for n in self._hub.streams() if n not in self._recorded]
        for name, payload in self._feed.messages(names, self._second):
            self._emit(name, payload)


def _first_ms(recording: Recording) -> int:
    """The venue's time at the beginning of a recording."""
    return next(
        (m.body.E for m in recording.messages if m.body.E),
        recording.first_ns // NS_PER_MS,
    )
