"""Users' orders in a replay: filled by the recording, which stays as it is."""
from __future__ import annotations

import gzip
import json

import pytest
import trio
from sim_clients import open_socket
from sim_tools import Trader

from piker.brokers.sim.engine import Side, Status, Tif
from piker.brokers.sim.guests import GuestBook
from piker.brokers.sim.matching import Ticket
from piker.brokers.sim.played import PlayedBook
from piker.brokers.sim.venue import VenueConfig, open_venue

START = 1_700_000_000_000


@pytest.fixture
def book():
    """Bids 1.00 × 5 and 0.99 × 9, asks 1.01 × 4 and 1.02 × 8, in cents."""
    book = PlayedBook((2, 0))
    book.update(1, [('1.00', '5'), ('0.99', '9')],
                [('1.01', '4'), ('1.02', '8')])
    return book


@pytest.fixture
def guests(book):
    return GuestBook(book)


def buy(order_id, size, price=None, **more):
    return Ticket(order_id, Side.BUY, size, price, **more)


def got(report):
    return report.status, report.remaining, [
        (f.maker_id, f.price, f.size) for f in report.fills
    ]


def test_the_recorded_levels_are_taken_and_stay(guests, book):
    for _ in range(2):
        assert got(guests.submit(buy(1, 10, 102))) == (
            Status.FILLED, 0, [(0, 101, 4), (0, 102, 6)]
        )
    assert book.depth(Side.SELL, 2) == [(101, 4), (102, 8)]
    ids = [f.trade_id for f in guests.submit(buy(2, 10, 102)).fills]
    assert len(set(ids)) == 2
    assert got(guests.submit(buy(3, 20))) == (
        Status.EXPIRED, 8, [(0, 101, 4), (0, 102, 8)]
    )
    assert got(guests.submit(buy(4, 5, 101, tif=Tif.FOK)))[0] is Status.EXPIRED
    assert got(guests.submit(buy(5, 5, 101, tif=Tif.IOC))) == (
        Status.EXPIRED, 1, [(0, 101, 4)]
    )
    post = guests.submit(buy(6, 5, 101, post_only=True))
    assert (post.status, post.fills) == (Status.REJECTED, ())


def test_the_recorded_queue_is_served_first(guests):
    assert guests.submit(buy(1, 6, 100)).status is Status.OPEN

    def trade(price, size, sell=True):
        return [(f.maker_id, f.price, f.size)
                for f in guests.trade(1, price, size, sell).fills[1:]]

    assert trade(100, 3) == []  # two lots are still ahead
    assert trade(100, 9, sell=False) == []  # that was on the other side
    assert trade(100, 4) == [(1, 100, 2)]
    assert trade(100, 1) == [(1, 100, 1)]
    assert trade(99, 1) == [(1, 100, 3)]  # through it
    assert guests.idle


def test_a_book_that_goes_through_an_order_fills_it(guests, book):
    guests.submit(buy(1, 6, 100))
    assert list(guests.quoted()) == []
    book.update(2, [], [('1.00', '1')])
    assert [got(r)[2] for r in guests.quoted()] == [[(1, 100, 6)]]
    assert guests.idle
    assert guests.cancel(1) is None


def line(after_ms, stream, data):
    message = {'stream': stream, 'data': data}
    text = json.dumps(message, separators=(',', ':'))
    return f'{(START + after_ms) * 10**6} {text}\n'


@pytest.fixture
def recording(tmp_path):
    """A quote, then a trade a second: 100, 99, 101."""
    lines = [line(0, 'btcusdt@bookTicker', {
        'u': 1, 's': 'BTCUSDT', 'b': '100.00', 'B': '2.5', 'a': '100.10',
        'A': '3.5',
    })]
    for i, (price, seller) in enumerate((('100.00', True), ('99.00', True),
                                         ('101.00', False))):
        at = START + 1000 * (i + 1)
        lines.append(line(1000 * (i + 1), 'btcusdt@trade', {
            'e': 'trade', 'E': at, 's': 'BTCUSDT', 't': 50 + i, 'p': price,
            'q': '1.5', 'T': at, 'm': seller, 'M': True,
        }))
    path = tmp_path / 'btcusdt.gz'
    with gzip.open(path, 'wt') as out:
        out.writelines(lines)
    return path


async def test_orders_during_a_replay(recording, clock):
    config = VenueConfig(replay=(str(recording),), start='manual', speed=50,
                         state='/nowhere/at/all')
    async with open_venue(config, clock) as venue:
        trader = Trader(venue, clock)

        async def ok(method, path, **params):
            now = (await trader.get('/api/v3/time'))['serverTime']
            return await trader.ok(method, path, timestamp=now, **params)

        order = {'symbol': 'BTCUSDT', 'type': 'LIMIT', 'timeInForce': 'GTC'}
        rests = await ok('POST', 'order', side='BUY', quantity='0.5',
                         price='99.5', **order)
        assert rests['status'] == 'NEW'
        stop = await ok('POST', 'order', symbol='BTCUSDT', side='SELL',
                        type='STOP_LOSS', quantity='1.0', stopPrice='99.2')
        async with open_socket(venue, '/ws/btcusdt@trade') as socket:
            with trio.fail_after(10):
                while not venue.stats()['subscribers']:
                    await trio.sleep(0.005)
            await trader.post('/sim/v1/replay/start')
            trades = [await socket.get() for _ in range(3)]
        assert [t['t'] for t in trades] == [50, 51, 52]
        with trio.fail_after(10):
            while venue.stats()['replay']['state'] != 'done':
                await trio.sleep(0.01)
        rows = await ok('GET', 'allOrders', symbol='BTCUSDT')
        states = {row['orderId']: row for row in rows}
        assert states[rests['orderId']]['status'] == 'FILLED'
        assert states[rests['orderId']]['cummulativeQuoteQty'] == (
            '49.75000000'
        )
        assert states[stop['orderId']]['status'] in {'FILLED', 'EXPIRED'}
        mine = await ok('GET', 'myTrades', symbol='BTCUSDT')
        assert min(t['id'] for t in mine) > 1 << 40
        public = await trader.get('/api/v3/trades?symbol=BTCUSDT')
        assert [t['id'] for t in public] == [50, 51, 52]
