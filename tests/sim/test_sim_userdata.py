"""Listen keys and what their streams say."""
from __future__ import annotations

import pytest
import trio
from sim_clients import START_MS, open_socket
from sim_tools import Trader

from piker.brokers.sim.userdata import KEY_VALID_MS
from piker.brokers.sim.venue import VenueConfig, open_venue
from piker.clock import NS_PER_MS

SMALL = VenueConfig(symbols=('LTCUSDT', 'NEWUSDT'))


@pytest.fixture
async def venue(clock):
    async with open_venue(SMALL, clock) as venue:
        yield venue


@pytest.fixture
def trader(venue, clock):
    return Trader(venue, clock)


@pytest.fixture
async def stream(venue, trader):
    _, answer = await trader.send('POST', 'userDataStream')
    async with open_socket(venue, f'/ws/{answer["listenKey"]}') as socket:
        await subscribed(venue, answer['listenKey'])
        yield socket


async def subscribed(venue, name):
    with trio.fail_after(10):
        while name not in venue.stats()['subscribers']:
            await trio.sleep(0.005)


async def events(socket, count):
    return [await socket.get() for _ in range(count)]


async def test_a_key_needs_no_signature_and_stays_the_same(trader):
    status, one = await trader.send('POST', 'userDataStream')
    _, two = await trader.send('POST', 'userDataStream')
    assert status == 200
    assert one == two
    assert len(one['listenKey']) == 60
    key = f'userDataStream?listenKey={one["listenKey"]}'
    assert await trader.send('PUT', key) == (200, {})
    assert await trader.send('DELETE', key) == (200, {})
    for method in ('PUT', 'DELETE'):
        status, answer = await trader.send(method, key)
        assert (status, answer['code']) == (400, -1125)
    trader.key = ''
    status, answer = await trader.send('POST', 'userDataStream')
    assert answer['code'] == -2014


async def test_a_key_ends_unless_it_is_kept_alive(venue, trader, clock):
    _, answer = await trader.send('POST', 'userDataStream')
    key = answer['listenKey']
    async with open_socket(venue, f'/stream?streams={key}') as socket:
        await subscribed(venue, key)
        clock.advance_ns((KEY_VALID_MS - 1) * NS_PER_MS)
        await trader.send('PUT', f'userDataStream?listenKey={key}')
        clock.advance_ns((KEY_VALID_MS - 1) * NS_PER_MS)
        assert (await trader.send(
            'PUT', f'userDataStream?listenKey={key}'))[0] == 200
        clock.advance_ns(KEY_VALID_MS * NS_PER_MS)
        message = await socket.get()
        assert message['stream'] == key
        assert message['data']['e'] == 'listenKeyExpired'
        assert message['data']['listenKey'] == key
    _, answer = await trader.send('POST', 'userDataStream')
    assert answer['listenKey'] != key


async def test_an_order_from_new_to_filled(trader, stream):
    _, ask = await trader.touch()
    order = await trader.limit('BUY', '0.5', ask, newClientOrderId='mine')
    assert order['status'] == 'FILLED'
    new, trade, position = await events(stream, 3)
    assert (new['e'], new['x'], new['X']) == ('executionReport', 'NEW', 'NEW')
    assert (new['c'], new['C'], new['i']) == ('mine', '', order['orderId'])
    assert (new['S'], new['o'], new['f']) == ('BUY', 'LIMIT', 'GTC')
    assert (new['q'], new['p'], new['t'], new['N']) == (
        '0.50000000', ask, -1, None
    )
    fill = order['fills'][0]
    assert (trade['x'], trade['X']) == ('TRADE', 'FILLED')
    assert (trade['l'], trade['L'], trade['t']) == (
        fill['qty'], fill['price'], fill['tradeId']
    )
    assert (trade['n'], trade['N']) == (fill['commission'], 'LTC')
    assert (trade['m'], trade['z'], trade['Z']) == (
        False, '0.50000000', order['cummulativeQuoteQty']
    )
    assert position['e'] == 'outboundAccountPosition'
    told = {b['a']: (b['f'], b['l']) for b in position['B']}
    assert told.keys() == {'LTC', 'USDT'}
    assert told['LTC'] == await trader.balance('LTC')
    assert told['USDT'] == await trader.balance('USDT')


async def test_a_resting_order_is_filled_by_the_market(trader, stream, clock):
    _, ask = await trader.touch()
    order = await trader.limit('BUY', '400', ask)
    assert order['status'] == 'PARTIALLY_FILLED'
    reports = []
    while not reports or reports[-1]['X'] != 'FILLED':
        clock.advance_ns(200 * NS_PER_MS)
        message = await stream.get()
        if message['e'] == 'executionReport':
            reports.append(message)
    makers = [r for r in reports if r['m']]
    assert makers
    assert all(r['L'] == ask for r in makers)
    total = sum(round(float(r['l']) * 1000) for r in reports)
    assert total == 400_000
    trades = await trader.ok('GET', 'myTrades', symbol='LTCUSDT')
    assert [t['id'] for t in trades] == [r['t'] for r in reports[1:]]
    assert [t['isMaker'] for t in trades] == [r['m'] for r in reports[1:]]


async def test_cancellation_names_both_ids(trader, stream):
    await trader.limit('BUY', 1, '60', newClientOrderId='old')
    await trader.ok('DELETE', 'order', symbol='LTCUSDT',
                    origClientOrderId='old', newClientOrderId='req')
    new, locked, ended, free = await events(stream, 4)
    assert (ended['x'], ended['X']) == ('CANCELED', 'CANCELED')
    assert (ended['c'], ended['C']) == ('req', 'old')
    assert locked['B'][0]['l'] == '60.00000000'
    assert free['B'][0]['l'] == '0.00000000'
    assert new['i'] == ended['i']


async def test_deposits_are_told(trader, stream):
    await trader.post('/sim/v1/balances', {'asset': 'XYZ', 'amount': '2.5'})
    await trader.post('/sim/v1/balances', {'asset': 'XYZ', 'amount': '-1'})
    one, position, two, _ = await events(stream, 4)
    assert one['e'] == 'balanceUpdate'
    assert (one['a'], one['d']) == ('XYZ', '2.50000000')
    assert position['B'] == [
        {'a': 'XYZ', 'f': '2.50000000', 'l': '0.00000000'}
    ]
    assert two['d'] == '-1.00000000'


async def test_a_list_is_told_from_start_to_end(trader, stream):
    bid, ask = map(float, await trader.touch())
    pair = await trader.ok(
        'POST', 'orderList/oco', symbol='LTCUSDT', side='SELL', quantity=2,
        aboveType='LIMIT_MAKER', abovePrice=f'{ask + 1:.2f}',
        belowType='STOP_LOSS_LIMIT', belowStopPrice=f'{bid - 1:.2f}',
        belowPrice=f'{bid - 2:.2f}', belowTimeInForce='GTC',
        listClientOrderId='both',
    )
    begun, below, above, _ = await events(stream, 4)
    assert (begun['e'], begun['l'], begun['L']) == (
        'listStatus', 'EXEC_STARTED', 'EXECUTING'
    )
    assert (begun['C'], begun['g']) == ('both', pair['orderListId'])
    assert [(r['o'], r['w']) for r in (below, above)] == [
        ('STOP_LOSS_LIMIT', False), ('LIMIT_MAKER', True)
    ]
    await trader.ok('DELETE', 'orderList', symbol='LTCUSDT',
                    listClientOrderId='both')
    one, two, done, _ = await events(stream, 4)
    assert (one['X'], two['X']) == ('CANCELED', 'CANCELED')
    assert (done['l'], done['L']) == ('ALL_DONE', 'ALL_DONE')


async def test_a_key_and_its_stream_go_on_after_a_restart(clock, tmp_path):
    config = VenueConfig(symbols=('NEWUSDT',), state=str(tmp_path / 'state'))
    async with open_venue(config, clock) as venue:
        _, made = await Trader(venue, clock).send('POST', 'userDataStream')
    async with open_venue(config, clock) as venue:
        trader = Trader(venue, clock)
        async with open_socket(venue, f'/ws/{made["listenKey"]}') as socket:
            await subscribed(venue, made['listenKey'])
            await trader.post('/sim/v1/balances',
                              {'asset': 'XYZ', 'amount': '1'})
            assert (await socket.get())['e'] == 'balanceUpdate'
    assert clock.now_ns() == START_MS * NS_PER_MS
