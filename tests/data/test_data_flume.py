"""A client's handle on a feed, across the lives of what it reads."""
from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio
from fake_venue import NAME, T0, FakeVenue, after, quote, trade
from trio.testing import wait_all_tasks_blocked

from piker.clock import NS_PER_S
from piker.data.feed import Feed
from piker.data.flume import Flume
from piker.data.ticks import FeedState, Kind
from piker.errors import ActorDied, DataError, SegmentGone, VenueRefused
from piker.messages import pack


@pytest.fixture
def venue():
    venue = FakeVenue()
    for k in range(10):
        venue.tape.append(trade(k, T0 - 30 * NS_PER_S + k * 4 * NS_PER_S))
    return venue


class Follower:
    """Notes what a stream of ticks gives."""

    def __init__(self, flume, **options):
        self.stream = flume.ticks(**options)
        self.trades, self.bids = [], []

    async def run(self):
        async for run in self.stream:
            self.trades += run.id[run.kind == Kind.TRADE].tolist()
            self.bids += run.price[run.kind == Kind.BID].tolist()


async def restart(bus, flume):
    """End the feed, and begin it anew; the flume is lost in between."""
    assert bus.drop(NAME)
    flume._lose('gone')
    await wait_all_tasks_blocked()
    feed = await bus.feed(NAME)
    flume._rebind(feed.info())
    await wait_all_tasks_blocked()
    return feed


async def test_ticks_can_be_asked_for_while_the_daemon_is_gone(
    autojump_clock, bus_of, venue, nursery
):
    async with bus_of(venue) as bus:
        flume = Flume((await bus.feed(NAME)).info(), None)
        assert bus.drop(NAME)
        flume._lose('gone')
        await wait_all_tasks_blocked()
        one = Follower(flume)
        nursery.start_soon(one.run)
        await wait_all_tasks_blocked()
        flume._rebind((await bus.feed(NAME)).info())
        venue.trade(10, after(10))
        await wait_all_tasks_blocked()
        assert one.trades[-1] == 10
        nursery.cancel_scope.cancel()


async def test_after_a_restart_every_tick_comes_once(
    autojump_clock, bus_of, venue, nursery
):
    async with bus_of(venue) as bus:
        flume = Flume((await bus.feed(NAME)).info(), None)
        one = Follower(flume, from_start=True)
        nursery.start_soon(one.run)
        for life in range(4):
            k = 10 + 3 * life
            venue.trade(k, after(k))
            venue.send(quote(life, 90.0 + life, 101.0))
            await wait_all_tasks_blocked()
            venue.trade(k + 1, after(k + 1), send=False)
            venue.trade(k + 2, after(k + 2), send=False)
            await restart(bus, flume)
        assert one.trades == list(range(8, 22))
        assert one.bids == [90.0, 91.0, 92.0, 93.0]
        nursery.cancel_scope.cancel()


async def test_a_restart_does_not_spoil_what_comes_later(
    autojump_clock, bus_of, venue, nursery
):
    """Nor do a clock that was set back, and ids that begin anew."""
    async with bus_of(venue) as bus:
        flume = Flume((await bus.feed(NAME)).info(), None)
        one = Follower(flume, from_start=True)
        nursery.start_soon(one.run)
        await wait_all_tasks_blocked()
        await restart(bus, flume)
        venue.trade(10, after(10))
        await wait_all_tasks_blocked()
        for life in range(3):
            venue.send(quote(life, 90.0 + life, 101.0, T0 - life * NS_PER_S))
            venue.send([trade(life, after(11 + life))])
            await wait_all_tasks_blocked()
        assert one.trades == [8, 9, 10, 0, 1, 2]
        assert one.bids == [90.0, 91.0, 92.0]
        nursery.cancel_scope.cancel()


async def test_the_quote_when_the_bars_have_moved_to_nowhere(
    autojump_clock, bus_of, venue
):
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        flume = Flume(feed.info(), None)
        venue.trade(10, after(10), 103.0)
        # the next buffer's generation, which a dead daemon's root unlinked
        feed._builders[1].writer._segment.header[3] = 1
        with pytest.raises(SegmentGone):
            _ = flume.bars[1].next
        assert flume.quote().last == 103


async def test_the_quote_of_a_writer_that_died_in_it(
    autojump_clock, bus_of, venue
):
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        flume = Flume(feed.info(), None)
        venue.trade(10, after(10), 103.0)
        assert flume.quote().last == 103
        # the version of the quote is odd while it is written
        feed.ring.segment.header[4] += 1
        feed.ring._floats[32] = 1.0
        with pytest.raises(DataError, match='half written'):
            flume._reader.quote()
        assert flume.quote().last == 103
        feed.ring.segment.header[4] += 1
        assert flume.quote().last == 1
        await trio.lowlevel.checkpoint()


class Daemon:
    """A tree with one daemon, whose bus is at hand."""

    def __init__(self, bus):
        self.bus = bus
        self.refuses = set()
        self.gone = False
        self.asked = []
        self.end = trio.Event()

    async def find(self, name):
        if self.gone:
            raise ActorDied(f'{name} is gone')
        return name

    @asynccontextmanager
    async def context(self, daemon, module, name, *, symbols, client):
        self.asked.append(symbols)
        for symbol in symbols:
            if symbol in self.refuses:
                raise VenueRefused(f'{symbol}: it is delisted')
        found = [await self.bus.feed(symbol) for symbol in symbols]
        yield self, {'flumes': [pack(feed.info()) for feed in found]}

    async def result(self):
        await self.end.wait()

    async def restart(self):
        self.end.set()
        self.end = trio.Event()
        await trio.sleep(10)


ETH = 'ethusdt.fake'


async def test_one_symbol_refused_keeps_no_other_waiting(
    autojump_clock, bus_of, venue, nursery
):
    async with bus_of(venue) as bus:
        daemon = Daemon(bus)
        feed = Feed(daemon, nursery)
        await nursery.start(feed.hold, 'brokerd.fake', [NAME, ETH], 'me')
        daemon.refuses = {ETH}
        await daemon.restart()
        venue.send([])
        assert not feed[NAME]._lost
        assert feed[ETH].state is FeedState.RECONNECTING
        assert feed[ETH].reason == f'{ETH}: it is delisted'
        asked = len(daemon.asked)
        # It is asked for now and then, and nothing ends for it.
        await trio.sleep(600)
        assert 5 < len(daemon.asked) - asked < 15
        daemon.refuses = set()
        await trio.sleep(120)
        assert not feed[ETH]._lost
        assert 'delisted' not in feed[ETH].reason
        nursery.cancel_scope.cancel()


async def test_a_start_that_is_refused_is_told(
    autojump_clock, bus_of, venue, nursery
):
    async with bus_of(venue) as bus:
        daemon = Daemon(bus)
        daemon.refuses = {ETH}
        feed = Feed(daemon, nursery)
        with pytest.raises(VenueRefused, match='delisted'):
            await nursery.start(feed.hold, 'brokerd.fake', [NAME, ETH], 'me')


async def test_a_daemon_that_does_not_come_back(
    autojump_clock, bus_of, venue
):
    async with bus_of(venue) as bus:
        daemon = Daemon(bus)


        async def use():
            async with trio.open_nursery() as nursery:
                feed = Feed(daemon, nursery)
                await nursery.start(feed.hold, 'brokerd.fake', [NAME], 'me')
                daemon.gone = True
                await daemon.restart()
                assert feed[NAME].reason == 'brokerd.fake is gone'

        with pytest.raises(ActorDied, match='did not come back within 60 s'):
            await use()
