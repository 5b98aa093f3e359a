"""Keys, signatures, balances and what an account is told of itself."""
from __future__ import annotations

import pytest
from sim_clients import START_MS
from sim_tools import Trader

from piker.brokers.sim.accounts import amount_of
from piker.brokers.sim.venue import VenueConfig, open_venue
from piker.clock import NS_PER_MS
from piker.errors import BadInput

SMALL = VenueConfig(symbols=('LTCUSDT', 'NEWUSDT'))


@pytest.fixture
async def venue(clock):
    async with open_venue(SMALL, clock) as venue:
        yield venue


@pytest.fixture
def trader(venue, clock):
    return Trader(venue, clock)


async def test_signed_as_binance_documents_it(trader):
    """Query, body, or both; the signature covers both without a joint."""
    assert (await trader.ask('GET', 'account'))[0] == 200
    order = ('symbol=LTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1'
             f'&price=80&timestamp={START_MS}')
    body = f'{order}&signature={trader.sign(order)}'
    status, answer = await trader.send('POST', 'order/test', body.encode())
    assert (status, answer) == (200, {})
    first, rest = order[:30], order[30:]
    cut = order.index('&side')
    first, rest = order[:cut], order[cut + 1:]
    body = f'{rest}&signature={trader.sign(first + rest)}'
    status, answer = await trader.send(
        'POST', f'order/test?{first}', body.encode()
    )
    assert (status, answer) == (200, {})


async def test_who_may_not_ask(trader):
    trader.key = ''
    assert 'format' in await trader.refused(-2014, 'GET', 'account')
    trader.key = 'nobody'
    await trader.refused(-2015, 'GET', 'account')
    status, _ = await trader.ask('GET', 'account')
    assert status == 401
    trader.key, trader.secret = 'sim-key', 'wrong'
    await trader.refused(-1022, 'GET', 'account')
    trader.secret = 'sim-secret'
    status, answer = await trader.send('GET', 'account')
    assert (status, answer['code']) == (400, -1102)
    status, answer = await trader.send(
        'GET', f'account?timestamp={START_MS}'
    )
    assert (status, answer['code']) == (400, -1102)
    assert "'signature'" in answer['msg']


@pytest.mark.parametrize(
    ('offset', 'window', 'code'),
    [(-5000, None, 0), (-5001, None, -1021), (-5001, 6000, 0), (999, None, 0),
     (1000, None, -1021), (-60_000, 60_000, 0), (0, 60_001, -1131)],
)
async def test_timestamps_have_a_window(trader, offset, window, code):
    more = {} if window is None else {'recvWindow': window}
    status, answer = await trader.ask(
        'GET', 'account', timestamp=START_MS + offset, **more
    )
    assert status == (400 if code else 200)
    assert answer.get('code', 0) == code


async def test_the_default_account(trader):
    account = await trader.ok('GET', 'account')
    assert account['canTrade']
    assert account['commissionRates']['taker'] == '0.00100000'
    assert (account['makerCommission'], account['takerCommission']) == (10, 10)
    money = {b['asset']: b['free'] for b in account['balances']}
    assert money['USDT'] == '1000000.00000000'
    assert float(money['LTC']) == 1000
    commission = await trader.ok('GET', 'account/commission',
                                 symbol='LTCUSDT')
    assert commission['standardCommission']['maker'] == '0.00100000'
    some = await trader.ok('GET', 'account', omitZeroBalances='true')
    assert all(float(b['free']) for b in some['balances'])


async def test_more_accounts_deposits_and_withdrawals(venue, trader, clock):
    status, _, made = await trader.post('/sim/v1/accounts', {
        'name': 'ann', 'key': 'ann-key', 'secret': 's', 'maker': '0',
        'taker': '0.002', 'balances': {'usdt': '100', 'LTC': 2.5},
    })
    assert (status, made['name']) == (200, 'ann')
    ann = Trader(venue, clock, 'ann-key', 's')
    assert await ann.balance('LTC') == ('2.50000000', '0.00000000')
    status, _, answer = await trader.post('/sim/v1/balances', {
        'account': 'ann', 'asset': 'USDT', 'amount': '-40.5',
    })
    assert (status, answer['free']) == (200, '59.50000000')
    listed = await trader.get('/sim/v1/accounts')
    assert [a['name'] for a in listed] == ['sim', 'ann']
    assert 'secret' not in listed[1]
    books = await trader.get('/sim/v1/books?account=ann')
    assert books['balances']['USDT']['free'] == '59.50000000'
    every = await trader.get('/sim/v1/books')
    assert [b['account'] for b in every['accounts']] == ['sim', 'ann']


@pytest.mark.parametrize(
    ('path', 'given', 'text'),
    [
        ('accounts', {'name': 'sim', 'key': 'k', 'secret': 's'}, 'already'),
        ('accounts', {'name': 'x', 'key': 'sim-key', 'secret': 's'}, 'taken'),
        ('accounts', {'name': 'x', 'key': 'k'}, 'secret'),
        ('accounts', {'name': 'x', 'key': '', 'secret': 's'}, 'needs'),
        ('accounts', {'name': 'x', 'key': 'k', 'secret': 's', 'fee': 1},
         'fee'),
        ('accounts', {'name': 'x', 'key': 'k', 'secret': 's', 'taker': '1'},
         'below one'),
        ('balances', {'asset': 'USDT', 'amount': 'much'}, "'much'"),
        ('balances', {'asset': 'USDT', 'amount': '-1e9'}, 'to take out'),
        ('balances', {'asset': 'USDT', 'amount': '1', 'account': 'sum'},
         "Did you mean 'sim'"),
        ('limits', {'orders_5s': 1}, 'orders_'),
        ('limits', {'orders_10s': -1}, 'below zero'),
    ],
)
async def test_bad_requests_to_the_back_office(trader, path, given, text):
    status, _, answer = await trader.post(f'/sim/v1/{path}', given)
    assert status == 400
    assert text in answer['msg']
    assert len(await trader.get('/sim/v1/accounts')) == 1


async def test_order_limits_can_be_set_and_are_told(trader):
    bid, _ = await trader.touch()
    await trader.post('/sim/v1/limits', {'orders_10s': 2})
    info = await trader.get('/api/v3/exchangeInfo')
    assert info['rateLimits'][1]['limit'] == 2
    for count in ('1', '2'):
        await trader.limit('BUY', 1, '80')
        assert trader.headers['x-mbx-order-count-10s'] == count
        assert trader.headers['x-mbx-order-count-1d'] == count
    status, answer = await trader.ask(
        'POST', 'order', symbol='LTCUSDT', side='BUY', type='LIMIT',
        timeInForce='GTC', quantity=1, price=bid,
    )
    assert (status, answer['code']) == (429, -1015)
    assert '2 orders per 10 SECOND' in answer['msg']
    assert trader.headers['retry-after'] == '10'
    rows = await trader.ok('GET', 'rateLimit/order')
    assert [(r['interval'], r['limit'], r['count']) for r in rows] == [
        ('SECOND', 2, 2), ('DAY', 200_000, 2)
    ]
    trader.clock.advance_ns(10_000 * NS_PER_MS)
    await trader.limit('BUY', 1, '80')
    assert trader.headers['x-mbx-order-count-10s'] == '1'
    assert trader.headers['x-mbx-order-count-1d'] == '3'


async def test_books_outlive_the_venue(clock, tmp_path):
    config = VenueConfig(symbols=('LTCUSDT',), state=str(tmp_path / 'a' / 's'))
    async with open_venue(config, clock) as venue:
        trader = Trader(venue, clock)
        await trader.post('/sim/v1/accounts', {
            'name': 'ann', 'key': 'ann-key', 'secret': 's',
            'balances': {'USDT': '1e12'},  # beyond 64 bits in 10^-8
        })
        await trader.limit('BUY', 2, '60', newClientOrderId='mine')
        await trader.ok('POST', 'order', symbol='LTCUSDT', side='SELL',
                        type='MARKET', quantity=3)
        before = await trader.get('/sim/v1/books')
    async with open_venue(config, clock) as venue:
        trader = Trader(venue, clock)
        assert await trader.get('/sim/v1/books') == before
        await trader.limit('BUY', 1, '50')
        ids = [o['orderId'] for o in await trader.ok('GET', 'openOrders')]
        assert ids == [1, 3]
        await trader.ok('DELETE', 'order', symbol='LTCUSDT',
                        origClientOrderId='mine')


async def test_a_state_belongs_to_one_market_and_one_venue(clock, tmp_path):
    path = str(tmp_path / 'state')
    config = VenueConfig(symbols=('LTCUSDT',), state=path)
    async with open_venue(config, clock):
        with pytest.raises(BadInput, match='name another file'):
            async with open_venue(config, clock):
                pass
    other = VenueConfig(symbols=('LTCUSDT',), state=path, seed=2)
    with pytest.raises(BadInput, match='seed 1, not seed 2'):
        async with open_venue(other, clock):
            pass


def test_amounts_are_exact():
    assert amount_of('0.00000001', 'x') == 1
    assert amount_of('92233720368.54775808', 'x') == 1 << 63
    for text in ('1e-9', 'nan', 'inf', '', 'ten'):
        with pytest.raises(BadInput, match='x = '):
            amount_of(text, 'x')
