"""A client's handle on a feed, across the lives of what it reads."""
from __future__ import annotations

import pytest
import trio
from fake_venue import NAME, T0, FakeVenue, after, quote, trade
from trio.testing import wait_all_tasks_blocked

from piker.clock import NS_PER_S
from piker.data.flume import Flume
from piker.data.ticks import Kind
from piker.errors import DataError


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
    flume._lose()
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
        flume._lose()
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
