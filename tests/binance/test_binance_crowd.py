"""
Very many requests at once, to a venue that answers and is slow.

Time is trio's, and goes on when everybody waits.
"""
from __future__ import annotations

import json
import os
import uuid
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from piker.brokers.binance.limits import Limiter
from piker.brokers.binance.provider import Binance
from piker.brokers.binance.rest import Rest
from piker.clock import NS_PER_S, ManualClock, VenueClock
from piker.config import FeedSettings
from piker.data import endpoints
from piker.data.bus import open_bus
from piker.data.ticks import FeedState
from piker.errors import VenueDown

NOW = 1_700_049_690 * NS_PER_S


class SlowSession:
    """A pool of connections, as asks has one; an answer takes ``takes_s``."""

    def __init__(self, takes_s=1.0):
        self.takes_s = takes_s
        self.pool = trio.Semaphore(8)
        self.status = 200
        self.headers = {}
        self.asked = []

    async def get(self, url, params):
        async with self.pool:
            path = url.removeprefix('http://venue/api/v3/')
            self.asked.append((trio.current_time(), path, params))
            await trio.sleep(self.takes_s)
            answer = []
            if path == 'ticker/bookTicker':
                answer = {
                    'symbol': params['symbol'], 'bidPrice': '99',
                    'bidQty': '1', 'askPrice': '101', 'askQty': '1',
                }
            return SimpleNamespace(
                status_code=self.status, headers=self.headers,
                content=json.dumps(answer).encode(),
            )

    async def close(self):
        pass


class Wall(ManualClock):
    def now_ns(self):
        return NOW + round(trio.current_time() * NS_PER_S)


class Links:
    """Streams that are there, and on which nothing happens."""

    @asynccontextmanager
    async def subscribed(self, streams, subscription):
        async def keep_alive():
            while True:
                subscription.link_alive()
                await trio.sleep(1)

        subscription.link_up()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_alive)
            yield
            nursery.cancel_scope.cancel()

    def status(self):
        return []


@pytest.fixture
def rest():
    rest = Rest('http://venue')
    rest._session = SlowSession()
    return rest


@pytest.fixture
async def bus(autojump_clock, rest):
    async with trio.open_nursery() as nursery:
        backend = Binance('slow', rest, 'ws://venue', 'aggTrade', nursery)
        backend._base = Wall(NOW)
        backend.clock = VenueClock(backend._base)
        backend._links = Links()
        backend._instruments = backend._usable([
            {
                'symbol': f'X{k}Y', 'status': 'TRADING',
                'baseAsset': f'X{k}', 'quoteAsset': 'Y', 'filters': [
                    {'filterType': 'PRICE_FILTER', 'tickSize': '0.1'},
                    {'filterType': 'LOT_SIZE', 'stepSize': '0.1'},
                ],
            } for k in range(100)
        ])
        prefix = f'pt{os.getpid()}-{uuid.uuid4().hex[:8]}-'
        settings = {
            **FeedSettings().model_dump(), 'ring': 256, 'linger_s': 1.0,
            'history_1s': 0, 'history_60s': 0,
        }
        async with open_bus(backend, backend._base, prefix, settings) as bus:
            yield bus


NAMES = [f'x{k}y.slow' for k in range(60)]


async def test_requests_in_a_queue_do_not_time_out(autojump_clock, rest):
    """The venue answers each of them within a second."""
    got = []

    async def ask(k):
        got.append(await rest.get('/api/v3/klines', symbol=k))

    async with trio.open_nursery() as nursery:
        for k in range(300):
            nursery.start_soon(ask, k)
            await wait_all_tasks_blocked()
        assert (rest.requests, rest.waiting) == (8, 292)
    assert len(got) == 300
    assert (rest.failures, rest.waiting) == (0, 0)
    # nobody overtook anybody within the second that one takes
    order = [params['symbol'] for _, _, params in rest._session.asked]
    assert all(abs(at - k) < 8 for at, k in enumerate(order))


async def test_a_silent_venue_is_one_all_the_same(autojump_clock, rest):
    rest._session.takes_s = 1e9
    with pytest.raises(VenueDown, match='did not answer within 10 s'):
        await rest.get('/api/v3/ping')
    assert trio.current_time() == pytest.approx(10)
    # and nobody keeps the place of one that was given up
    rest._session.takes_s = 1.0
    with trio.fail_after(1.5):
        await rest.get('/api/v3/ping')


async def test_history_leaves_places_to_others(autojump_clock, rest, nursery):
    """Also where it has to wait for the limits."""
    rest.limiter = Limiter(limit=100)
    await rest.limiter.take(60, background=True)
    for _ in range(20):
        nursery.start_soon(
            lambda: rest.get('/api/v3/klines', background=True)
        )
    await wait_all_tasks_blocked()
    assert rest.requests == 0
    with trio.fail_after(1.5):
        await rest.get('/api/v3/klines')
    nursery.cancel_scope.cancel()


async def test_cancelled_requests_give_their_places_back(
    autojump_clock, rest
):
    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(rest.get, '/api/v3/ping')
        await trio.sleep(1.5)
        nursery.cancel_scope.cancel()
    assert rest.waiting == 0
    with trio.fail_after(1.5):
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(rest.get, '/api/v3/ping')


async def test_many_feeds_open_however_long_it_takes(
    autojump_clock, bus, rest
):
    """None of them within the time that one is given."""
    rest._session.takes_s = 3.0
    async with bus.opened(NAMES, 'test', 1) as feeds:
        took = trio.current_time()
        assert took > 60
        assert [f.instrument.id for f in feeds] == NAMES
        # the first were not dropped while the last were opened
        assert {f.ring.reader().state for f in feeds} == {FeedState.LIVE}
        assert rest.failures == 0
        assert all(f.subscribers for f in feeds)
    await trio.sleep(3)
    assert not bus.status()


async def test_who_opens_many_keeps_nobody_else_waiting(
    autojump_clock, bus, rest
):
    took = []

    async def open_many():
        async with bus.opened(NAMES, 'script', 1):
            took.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_many)
        await trio.sleep(2)
        began = trio.current_time()
        async with bus.opened(['x99y.slow'], 'emsd', 2):
            one_s = trio.current_time() - began
        assert not took
    assert one_s < 15
    assert took[0] > 2 * one_s


async def test_limits_are_no_silence_either(autojump_clock, bus, rest):
    """Feeds wait for the next minute, where this one is used up."""
    rest.limiter.report(6000)
    async with bus.opened(NAMES[:3], 'test', 1) as feeds:
        assert trio.current_time() > 59
        assert all(f.ready.is_set() for f in feeds)


async def test_a_feed_that_is_waited_for_is_not_dropped(
    autojump_clock, bus, rest
):
    """However long its turn takes, and though nobody holds it yet."""
    rest.limiter.report(6000)
    feed = await bus.feed(NAMES[0])
    assert trio.current_time() > 59
    assert feed.ready.is_set()


async def test_a_pause_the_venue_asks_for_is_told(autojump_clock, bus, rest):
    """Nobody waits an hour for a feed."""
    rest.limiter.back_off(3600)
    with pytest.raises(VenueDown, match='no data within 20 s'):
        async with bus.opened(NAMES, 'test', 1):
            pytest.fail('it cannot be')
    assert trio.current_time() < 25


async def test_whoever_opens_feeds_is_told_of_a_long_pause(
    autojump_clock, bus, rest
):
    """At once, and nothing is asked again before it is over."""
    rest._session.status = 429
    rest._session.headers = {'Retry-After': '3000'}
    with pytest.raises(VenueDown, match='a pause of 3000 s'):
        async with bus.opened(NAMES, 'test', 1):
            pytest.fail('it cannot be')
    assert trio.current_time() < 2
    # the places that there are, each once
    assert len(rest._session.asked) <= 8


async def test_healing_waits_its_turn(autojump_clock, bus, rest):
    """A trade is not given up because others are asked for first."""
    async with bus.opened(NAMES[:1], 'test', 1) as (feed,):
        # what another program used up
        rest.limiter.report(6000)
        feed.link_down('cut')
        feed.link_up()
        await trio.sleep(50)
        assert feed.ring.reader().state is not FeedState.LIVE
        await trio.sleep(20)
        assert feed.ring.reader().state is FeedState.LIVE
        assert rest._session.asked[-1][1] == 'aggTrades'


async def test_history_that_waits_does_not_put_a_start_off(
    autojump_clock, bus, rest, monkeypatch
):
    """Whoever waits for a stream that does not come is told of it in time."""
    @asynccontextmanager
    async def subscribed(streams, subscription):
        yield

    monkeypatch.setattr(bus.backend._links, 'subscribed', subscribed)
    monkeypatch.setitem(bus._settings, 'history_1s', 50_000)
    # more than history may use of this minute
    rest.limiter.report(4000)
    with pytest.raises(VenueDown, match='no data within 20 s'):
        async with bus.opened(NAMES[:1], 'test', 1):
            pytest.fail('it cannot be')
    assert trio.current_time() < 25


@pytest.mark.parametrize(('pause_s', 'told'), [(3600, True), (10, False)])
async def test_a_pause_ends_the_turns_of_those_who_wait(
    autojump_clock, bus, rest, nursery, pause_s, told
):
    """Who was in the queue already is told as well; a short one passes."""
    for _ in range(40):
        nursery.start_soon(lambda: rest.get('/api/v3/ping'))
    errors = []

    async def open_one():
        try:
            async with bus.opened(NAMES[:1], 'test', 1):
                pass
        except VenueDown as err:
            errors.append(str(err))

    async with trio.open_nursery() as opening:
        opening.start_soon(open_one)
        await trio.sleep(0.5)
        rest.limiter.back_off(pause_s)
    assert bool(errors) is told
    assert trio.current_time() < 25
    nursery.cancel_scope.cancel()


class Context:
    """Of a remote call."""

    def __init__(self):
        self.told = []

    async def started(self, value):
        self.told.append(value)


@pytest.fixture
def open_feeds(bus, monkeypatch):
    """As a client calls it that lives for ``lives_s``; what it is told."""
    async def call(names, lives_s=1e6):
        ctx = Context()
        monkeypatch.setattr(
            endpoints, 'wait_exit', lambda *_: trio.sleep(lives_s)
        )
        await endpoints.open_feeds(ctx, names, 'test', 1, 0)
        return ctx.told

    monkeypatch.setattr(endpoints, '_bus', lambda: bus)
    return call


async def test_a_client_that_dies_while_its_feeds_open(
    autojump_clock, bus, rest, open_feeds
):
    """Nothing more is opened for it, nor held."""
    rest._session.takes_s = 3.0
    assert await open_feeds(NAMES, lives_s=5.0) == []
    assert trio.current_time() == pytest.approx(5)
    assert not any(feed.subscribers for feed in bus.status())
    assert len(bus.status()) <= 16


async def test_a_client_is_held_for_until_it_dies(
    autojump_clock, bus, open_feeds
):
    (first,) = await open_feeds(NAMES[:2], lives_s=100.0)
    assert len(first['flumes']) == 2
    assert trio.current_time() == pytest.approx(100)
    assert not any(feed.subscribers for feed in bus.status())


async def test_a_client_is_told_of_what_cannot_be(
    autojump_clock, open_feeds
):
    (first,) = await open_feeds([*NAMES[:2], 'nosuch.slow'])
    assert first['error'] == 'NoSuchSymbol'
