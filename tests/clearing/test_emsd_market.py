"""
The feeds that emsd follows: live or not, wanted or not.
"""
from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import trio
import trio.testing
from paper_tools import INSTRUMENT, SELL, SYMBOL, ticks, trade

from piker.clearing.market import Market, latest_trade
from piker.data import Book, BookState, FeedState, Kind, Quote, Ticks
from piker.data.book import Levels
from piker.errors import ActorDied, NoSuchSymbol

QUOTE = Quote(100.0, 1.0, 99.5, 2.0, 100.5, 3.0, 10.0, 7_000, 8_000, 9_000)


class FakeFlume:
    """What a flume has that is looked at."""

    def __init__(self) -> None:
        self.instrument = INSTRUMENT
        self.state = FeedState.LIVE
        self.outages = 0
        self.streams: list[FakeStream] = []

    def quote(self) -> Quote:
        return QUOTE

    def ticks(self) -> FakeStream:
        self.streams.append(FakeStream())
        return self.streams[-1]

    def write(self, run: Ticks) -> None:
        for stream in self.streams:
            stream.send.send_nowait(run)


class FakeStream:
    def __init__(self) -> None:
        self.send, self.receive = trio.open_memory_channel[Ticks](100)
        self.closed = False

    def close(self) -> None:
        self.closed = True

    def __aiter__(self) -> FakeStream:
        return self

    async def __anext__(self) -> Ticks:
        return await self.receive.receive()


class FakeBook:
    """A book of one level a side."""

    def __init__(self) -> None:
        self.state = BookState.LIVE

    def read(self) -> Book:
        def side(price: float) -> Levels:
            return Levels(np.array([price]), np.array([0.1]))

        return Book(side(99.5), side(100.5), 1, 2, 3, self.state, 4)


class FakeFeed(dict[str, FakeFlume]):
    """The flumes, and the books that were opened."""

    def __init__(self) -> None:
        self.books: list[FakeBook] = []

    @asynccontextmanager
    async def book(
        self, symbol: str, *, levels: int
    ) -> AsyncGenerator[FakeBook, None]:
        self.books.append(FakeBook())
        yield self.books[-1]


class Feeds:
    """What `open_feed` is to the market."""

    def __init__(self) -> None:
        self.flumes = FakeFeed()
        self.opened: list[str] = []
        self.fail: Exception | None = None
        self.starts_as = FeedState.LIVE
        self.takes_s = 0.0
        self.opening: set[str] = set()

    @asynccontextmanager
    async def open(
        self, symbols: list[str], *, registry: str, client: str
    ) -> AsyncGenerator[FakeFeed, None]:
        (symbol,) = symbols
        if self.fail:
            raise self.fail
        self.opening.add(symbol)
        try:
            await trio.sleep(self.takes_s)
        finally:
            self.opening.remove(symbol)
        self.opened.append(symbol)
        self.flumes[symbol] = FakeFlume()
        self.flumes[symbol].state = self.starts_as
        try:
            yield self.flumes
        finally:
            self.opened.remove(symbol)


class Sink:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_instrument(self, instrument: Any) -> None:
        self.told.append(instrument.id)

    def on_market(self, symbol: str, quote: Quote | None) -> None:
        self.told.append((symbol, quote is not None))

    def on_ticks(self, symbol: str, run: Ticks) -> None:
        self.told.append(run.price.tolist())

    def take(self) -> list[Any]:
        told, self.told = self.told, []
        return told


@asynccontextmanager
async def running(
    feeds: Feeds, sink: Sink
) -> AsyncGenerator[Market, None]:
    market = Market('127.0.0.1:1', sink, opener=feeds.open)
    async with trio.open_nursery() as nursery:
        await nursery.start(market.run)
        yield market
        nursery.cancel_scope.cancel()


def run_at(price: float) -> Ticks:
    return ticks([trade(1, price, 1.0, SELL)])


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_ticks_of_a_live_feed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    feeds, sink = Feeds(), Sink()
    async with running(feeds, sink) as market:
        await market.opened(SYMBOL)
        assert sink.take() == [SYMBOL, (SYMBOL, True)]
        assert market.quote(SYMBOL) == QUOTE
        await settle()
        feeds.flumes[SYMBOL].write(run_at(1.0))
        await settle()
        assert sink.take() == [[1.0]]


@pytest.mark.parametrize('state', [
    FeedState.STALE, FeedState.RECONNECTING, FeedState.CLOSED,
])
async def test_nothing_of_one_that_is_not(
    state: FeedState, autojump_clock: trio.testing.MockClock
) -> None:
    """Not even the ticks that came before it was noticed."""
    feeds, sink = Feeds(), Sink()
    async with running(feeds, sink) as market:
        market.want([SYMBOL])
        await settle()
        flume = feeds.flumes[SYMBOL]
        sink.take()
        flume.state = state
        flume.write(run_at(1.0))
        await settle()
        assert sink.take() == [(SYMBOL, False)]
        assert market.quote(SYMBOL) is None
        flume.write(run_at(2.0))
        await trio.sleep(1)
        assert sink.take() == []
        flume.state = FeedState.LIVE
        await trio.sleep(1)
        assert sink.take() == [(SYMBOL, True)]
        assert [s.closed for s in flume.streams] == [True, False]
        flume.write(run_at(3.0))
        await settle()
        assert sink.take() == [[3.0]]


async def test_silence_is_noticed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Without a tick that would tell."""
    feeds, sink = Feeds(), Sink()
    async with running(feeds, sink) as market:
        market.want([SYMBOL])
        await settle()
        sink.take()
        feeds.flumes[SYMBOL].state = FeedState.STALE
        await trio.sleep(0.5)
        assert sink.take() == [(SYMBOL, False)]


async def test_an_outage_that_is_over_already(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Trades fetched for the time of it do not count as live ones."""
    feeds, sink = Feeds(), Sink()
    async with running(feeds, sink) as market:
        market.want([SYMBOL])
        await settle()
        sink.take()
        flume = feeds.flumes[SYMBOL]
        flume.outages = 1
        flume.write(run_at(1.0))
        await trio.sleep(1)
        assert sink.take() == [(SYMBOL, False), (SYMBOL, True)]


async def test_one_that_starts_late(
    autojump_clock: trio.testing.MockClock,
) -> None:
    feeds, sink = Feeds(), Sink()
    feeds.starts_as = FeedState.STARTING
    async with running(feeds, sink) as market:
        await market.opened(SYMBOL)
        assert sink.take() == [SYMBOL]
        feeds.flumes[SYMBOL].state = FeedState.LIVE
        await trio.sleep(1)
        assert sink.take() == [(SYMBOL, True)]


async def test_come_and_go(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Others are not disturbed; one that is not wanted lingers."""
    feeds, sink = Feeds(), Sink()
    async with running(feeds, sink) as market:
        market.want(['a.sim', 'b.sim'])
        await settle()
        stays = feeds.flumes['a.sim']
        market.want(['a.sim', 'c.sim'])
        await trio.sleep(30)
        assert set(feeds.opened) == {'a.sim', 'b.sim', 'c.sim'}
        await trio.sleep(40)
        assert set(feeds.opened) == {'a.sim', 'c.sim'}
        assert feeds.flumes['a.sim'] is stays
        market.want(['b.sim'])
        await settle()
        assert 'b.sim' in feeds.opened
        market.want([])
        await trio.sleep(30)
        market.want(['b.sim'])
        await trio.sleep(100)
        assert feeds.opened == ['b.sim']


async def test_depth(autojump_clock: trio.testing.MockClock) -> None:
    """Once it is wanted, and only as long as the book can be trusted."""
    feeds, sink = Feeds(), Sink()
    async with running(feeds, sink) as market:
        assert market.depth(SYMBOL) == ([], [])
        market.want([SYMBOL])
        await settle()
        assert not feeds.flumes.books
        market.want_book(SYMBOL)
        await settle()
        tenth = Decimal('0.1')
        assert market.depth(SYMBOL) == (
            [(Decimal('99.5'), tenth)], [(Decimal('100.5'), tenth)]
        )
        (book,) = feeds.flumes.books
        book.state = BookState.SYNCING
        assert market.depth(SYMBOL) == ([], [])


async def test_one_that_cannot_be(
    autojump_clock: trio.testing.MockClock,
) -> None:
    feeds, sink = Feeds(), Sink()
    feeds.fail = NoSuchSymbol('no such thing')
    async with running(feeds, sink) as market:
        for _ in range(2):
            with pytest.raises(NoSuchSymbol):
                await market.opened('nosuch.sim')
        assert not market.status
        assert sink.take() == []


async def test_one_that_is_wanted_is_tried_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    feeds, sink = Feeds(), Sink()
    feeds.fail = ActorDied('away')
    async with running(feeds, sink) as market:
        market.want([SYMBOL])
        await trio.sleep(20)
        feeds.fail = None
        await trio.sleep(20)
        assert sink.take() == [SYMBOL, (SYMBOL, True)]


async def test_what_somebody_waits_for_is_opened_first(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """However many others were wanted before it, or it among them."""
    feeds, sink = Feeds(), Sink()
    feeds.takes_s = 1.0
    async with running(feeds, sink) as market:
        many = [f's{k}.sim' for k in range(100)]
        market.want(many)
        await settle()
        assert len(feeds.opening) == 8
        async with trio.open_nursery() as nursery:
            nursery.start_soon(market.opened, SYMBOL)
            nursery.start_soon(market.opened, 's99.sim')
        assert trio.current_time() == pytest.approx(2)
        assert len(feeds.opened) < 20
        await trio.sleep(12)
        assert set(feeds.opened) == {SYMBOL, *many}


async def test_feeds_that_do_not_open_keep_none_from_opening(
    autojump_clock: trio.testing.MockClock,
) -> None:
    feeds, sink = Feeds(), Sink()
    feeds.takes_s = 1e6
    async with running(feeds, sink) as market:
        stuck = [f's{k}.sim' for k in range(30)]
        market.want(stuck)
        await trio.sleep(0.5)
        feeds.takes_s = 0.1
        await market.opened(SYMBOL)
        assert trio.current_time() < 2.5
        # nor does one that is given up before its turn
        feeds.takes_s = 1e6
        market.want([SYMBOL])
        with trio.move_on_after(0.1) as waiting:
            await market.opened('late.sim')
        assert waiting.cancelled_caught
        feeds.takes_s = 0.1
        with trio.fail_after(10):
            await market.opened('other.sim')


@pytest.mark.parametrize('wanted', [True, False])
async def test_what_is_slow_to_open_leaves_room(
    wanted: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """Too many at once would only have what somebody waits for wait there."""
    feeds, sink = Feeds(), Sink()
    feeds.takes_s = 15.0
    async with running(feeds, sink) as market:
        many = [f's{k}.sim' for k in range(100)]
        market.want(many)
        await trio.sleep(10)
        assert len(feeds.opening) == 12
        feeds.takes_s = 0.1
        # They come in any order.
        later = next(name for name in many if name not in feeds.opening)
        symbol = later if wanted else SYMBOL
        with trio.fail_after(0.2):
            await market.opened(symbol)
        # and once they are open the others follow
        feeds.takes_s = 0.0
        await trio.sleep(10)
        assert set(feeds.opened) == {symbol, *many}


async def test_feeds_that_never_open_keep_others_for_a_while(
    autojump_clock: trio.testing.MockClock,
) -> None:
    feeds, sink = Feeds(), Sink()
    feeds.takes_s = 1e6
    async with running(feeds, sink) as market:
        market.want(f's{k}.sim' for k in range(20))
        await trio.sleep(3)
        assert len(feeds.opening) == 12
        feeds.takes_s = 0.0
        await trio.sleep(18)
        assert len(feeds.opened) == 8


async def test_turns_of_failures_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    feeds, sink = Feeds(), Sink()
    feeds.fail = ActorDied('away')
    async with running(feeds, sink) as market:
        many = [f's{k}.sim' for k in range(30)]
        market.want(many)
        await trio.sleep(60)
        feeds.fail = None
        await trio.sleep(6)
        assert set(feeds.opened) == set(many)


def test_the_latest_trade() -> None:
    run = latest_trade(QUOTE)
    assert len(run) == 1
    assert (run.kind[0], run.price[0]) == (Kind.TRADE, 100.0)
    assert (run.time[0], run.recv[0]) == (7_000, 9_000)
    assert {f.name for f in dataclasses.fields(run)} >= {'seq', 'missed'}
