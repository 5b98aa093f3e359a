"""Answers that never come, lie or come late; user streams that misbehave."""
from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from sim_clients import START_MS, open_bare, open_socket
from sim_tools import Trader

from piker.brokers.sim.venue import VenueConfig, open_venue

LIMIT = {'symbol': 'LTCUSDT', 'side': 'BUY', 'type': 'LIMIT',
         'timeInForce': 'GTC', 'quantity': '1', 'price': '80'}


@pytest.fixture
async def venue(clock):
    async with open_venue(VenueConfig(symbols=('LTCUSDT',)), clock) as venue:
        yield venue


@pytest.fixture
def trader(venue, clock):
    return Trader(venue, clock)


async def spoil(trader, **faults):
    status, _, answer = await trader.post('/sim/v1/faults', faults)
    assert status == 200, answer


@pytest.mark.parametrize('executed', [True, False])
@pytest.mark.parametrize(
    ('answer', 'status', 'code'),
    [('timeout', 504, -1007), ('error', 500, -1000),
     ('unavailable', 503, -1008), ('limit', 429, -1003), ('ban', 418, -1003)],
)
async def test_an_answer_that_is_not_the_truth(
    trader, executed, answer, status, code
):
    await spoil(trader, order_answer=answer, order_executed=executed)
    got, body = await trader.ask('POST', 'order', **LIMIT)
    assert (got, body['code']) == (status, code)
    assert ('retry-after' in trader.headers) is (status in {418, 429})
    assert len(await trader.ok('GET', 'openOrders')) == executed
    await trader.ok('POST', 'order', **LIMIT)  # once only


@pytest.mark.parametrize('executed', [True, False])
async def test_silence_lasts_until_the_client_gives_up(trader, executed):
    await spoil(trader, order_answer='silence', order_executed=executed)
    with trio.move_on_after(0.2) as scope:
        await trader.ask('POST', 'order', **LIMIT)
    assert scope.cancelled_caught
    assert len(await trader.ok('GET', 'openOrders')) == executed


async def test_only_one_kind_and_so_many_times(trader):
    order = await trader.ok('POST', 'order', **LIMIT)
    await spoil(trader, order_answer='error', order_kind='cancel',
                order_requests=2, order_executed=True)
    await trader.ok('POST', 'order', **LIMIT)
    await trader.refused(-1000, 'DELETE', 'order', symbol='LTCUSDT',
                         orderId=order['orderId'])
    await trader.refused(-1000, 'DELETE', 'order', symbol='LTCUSDT',
                         orderId=order['orderId'])
    await trader.refused(-2011, 'DELETE', 'order', symbol='LTCUSDT',
                         orderId=order['orderId'])
    assert len(await trader.ok('GET', 'openOrders')) == 1
    stats = await trader.get('/sim/v1/stats')
    assert stats['faults']['orders'] == 2


async def test_answers_can_be_held_up(trader):
    await spoil(trader, order_delay_ms=150)
    before = trio.current_time()
    await trader.ok('POST', 'order', **LIMIT)
    assert trio.current_time() - before >= 0.15
    # what was asked is done at once
    with trio.move_on_after(0.05):
        await trader.ask('POST', 'order', **LIMIT)
    assert len(await trader.ok('GET', 'openOrders')) == 2


@pytest.mark.parametrize(
    ('given', 'text'),
    [({'order_answer': 'lie'}, 'silence, timeout'),
     ({'order_kind': 'all'}, 'place, cancel'),
     ({'user_reorder_rate': 2}, 'between')],
)
async def test_faults_that_there_are_not(trader, given, text):
    status, _, answer = await trader.post('/sim/v1/faults', given)
    assert status == 400
    assert text in answer['msg']


async def listen(venue, trader):
    _, made = await trader.send('POST', 'userDataStream')
    return made['listenKey']


async def subscribed(venue, key):
    with trio.fail_after(10):
        while key not in venue.stats()['subscribers']:
            await trio.sleep(0.005)


async def test_reports_come_twice(venue, trader):
    await spoil(trader, user_duplicate_rate=1)
    key = await listen(venue, trader)
    async with open_socket(venue, f'/ws/{key}') as socket:
        await subscribed(venue, key)
        await trader.ok('POST', 'order', **LIMIT)
        one, two, three, four = [await socket.get() for _ in range(4)]
    assert (one['e'], one) == ('executionReport', two)
    assert (three['e'], three) == ('outboundAccountPosition', four)


async def test_reports_come_out_of_order(venue, trader):
    await spoil(trader, user_reorder_rate=0.5)
    key = await listen(venue, trader)
    async with open_socket(venue, f'/ws/{key}') as socket:
        await subscribed(venue, key)
        for _ in range(12):
            await trader.ok('POST', 'order', **LIMIT)
        got = [await socket.get() for _ in range(24)]
    ids = [m['i'] for m in got if m['e'] == 'executionReport']
    assert sorted(ids) == list(range(1, 13))
    assert ids != sorted(ids)


async def test_only_user_streams_are_dropped(venue, trader):
    key = await listen(venue, trader)
    async with (
        open_socket(venue, '/ws/ltcusdt@bookTicker') as market,
        open_bare(venue, f'/ws/{key}') as user,
    ):
        await subscribed(venue, key)
        await subscribed(venue, 'ltcusdt@bookTicker')
        await spoil(trader, drop_user_streams=True)
        with suppress(trio.BrokenResourceError):
            assert await user.read() == []
        await trader.ok('POST', 'order', **LIMIT | {
            'price': (await trader.touch())[1], 'quantity': '200'})
        assert (await market.get())['s'] == 'LTCUSDT'
    assert (await trader.ok('GET', 'account'))['updateTime'] == START_MS
