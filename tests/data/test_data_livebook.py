"""Why an order book waits, as its writer and `piker services` say it."""
from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio
from fake_venue import NAME, FakeVenue, down

from piker.clock import NS_PER_S
from piker.data.depth import DepthEvent, DepthSnapshot


class BookVenue(FakeVenue):
    """Gives a book of two levels a side; ``late_s`` is how late."""

    late_s = 0.0
    book_id = 10

    async def depth_snapshot(self, instrument, *, background=False):
        await trio.sleep(self.late_s)
        self._answer('depth')
        now = self.wall.now_ns()
        return DepthSnapshot(
            self.book_id, now, now, [(99.0, 1.0), (98.0, 1.0)],
            [(101.0, 1.0), (102.0, 1.0)],
        )

    @asynccontextmanager
    async def subscribe_depth(self, instrument, subscription):
        async with self.subscribe(instrument, subscription):
            yield

    def change(self, first, last):
        now = self.wall.now_ns()
        self.send([DepthEvent(first, last, now, now, [(99.0, 2.0)], [])])


@pytest.fixture
def venue():
    return BookVenue()


async def test_a_book_says_why_it_waits(autojump_clock, bus_of, venue):
    async with bus_of(venue) as bus:

        def told():
            status, = bus.books.status()
            assert status.reason == book._reader.reason
            return status.state, status.reason

        async with bus.books.opened(NAME, 'test') as book:
            assert told() == ('live', '')
            venue.change(11, 11)
            assert told() == ('live', '')

            # a hole, and a venue that takes its time with the book
            venue.late_s, venue.book_id = 2.0, 20
            venue.change(15, 15)
            assert told() == ('syncing', 'the book is being fetched')
            await trio.sleep(4)
            assert told() == ('live', '')

            # a hole, and a venue that does not give it
            venue.late_s, venue.fail = 0.0, down()
            venue.change(25, 25)
            await trio.sleep(4)
            assert told() == ('syncing', 'the fake is out')
            venue.down()
            assert told() == ('stale', 'cut by the test')
            venue.up()
            assert told() == ('syncing', 'the book is being fetched')
            venue.fail = None
            await trio.sleep(4)
            assert told() == ('live', '')

            venue.wall.advance_ns(6 * NS_PER_S)
            await trio.sleep(1)
            assert told() == ('stale', 'nothing is heard of the venue')
            book.link_alive()
            assert told() == ('live', '')
