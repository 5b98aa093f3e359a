"""Start, replace and cancel the loading of a symbol."""
import pytest
import trio
from fake_feed import FakeFeed

from piker.errors import VenueDown
from piker.ui.session import Session


@pytest.fixture
def two(make_flume):
    return {
        'btcusdt.sim': make_flume(),
        'ethusdt.sim': make_flume(symbol='ethusdt', price=2650.0),
    }


async def settle():
    await trio.testing.wait_all_tasks_blocked()


async def test_shows_the_symbol_and_leaves_the_feed(window, two, nursery):
    feed = FakeFeed(two)
    session = Session(window, feed.open)
    async with trio.open_nursery() as inner:
        inner.start_soon(session.run, 'btcusdt.sim')
        await session.live.wait()
        assert window.canvas.watch.instrument.id == 'btcusdt.sim'
        assert not window.notice.isVisible()
        inner.cancel_scope.cancel()
    assert feed.log == ['open btcusdt.sim', 'close btcusdt.sim']


async def test_another_symbol_replaces_the_first(window, two, nursery):
    feed = FakeFeed(two)
    session = Session(window, feed.open)
    nursery.start_soon(session.run, 'btcusdt.sim')
    await session.live.wait()
    window.load_requested.emit('ethusdt.sim')
    await settle()
    assert window.canvas.watch.instrument.id == 'ethusdt.sim'
    assert sorted(feed.log) == [
        'close btcusdt.sim', 'open btcusdt.sim', 'open ethusdt.sim',
    ]


async def test_a_slow_one_is_overtaken(window, two, nursery):
    feed = FakeFeed(two, hold={'ethusdt.sim'})
    session = Session(window, feed.open)
    nursery.start_soon(session.run, 'ethusdt.sim')
    await settle()
    assert 'Loading ethusdt.sim' in window.notice.title
    assert window.pill.text == 'Loading'
    session.load('btcusdt.sim')
    await settle()
    assert window.canvas.watch.instrument.id == 'btcusdt.sim'
    assert 'close ethusdt.sim' in feed.log


async def test_an_unknown_symbol_is_a_notice(window, two, nursery):
    feed = FakeFeed(two)
    session = Session(window, feed.open)
    nursery.start_soon(session.run, 'btcusd.sim')
    await settle()
    assert window.notice.isVisible()
    assert "Did you mean 'btcusdt.sim'" in window.notice.text
    session.load('btcusdt.sim')
    await settle()
    assert not window.notice.isVisible()


async def test_a_feed_that_fails_later_is_a_notice(window, two, nursery):
    failing = trio.Event()

    async def drive(flume):
        await failing.wait()
        raise VenueDown('binance cannot be reached')

    feed = FakeFeed(two, drive=drive)
    session = Session(window, feed.open)
    nursery.start_soon(session.run, 'btcusdt.sim')
    await session.live.wait()
    failing.set()
    await settle()
    assert 'binance cannot be reached' in window.notice.text
    window.on_frame()
    assert window.pill.text == 'Failed'


async def test_strict_sessions_raise(window, two):
    session = Session(window, FakeFeed(two).open, strict=True)
    with pytest.raises(Exception, match='no instrument') as caught:
        await session.run('nope.sim')
    assert type(caught.value).__name__ == 'NoSuchSymbol'


async def test_a_period_that_is_not_there(window, two, nursery):
    window.period_s = 7
    session = Session(window, FakeFeed(two).open)
    nursery.start_soon(session.run, 'btcusdt.sim')
    await settle()
    assert 'bars of 7 s are not to be had' in window.notice.text
