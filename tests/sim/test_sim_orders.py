"""Orders over REST: types, filters, refusals, lists, replacement."""
from __future__ import annotations

import pytest
from sim_tools import Trader

from piker.brokers.sim.venue import VenueConfig, open_venue
from piker.clock import NS_PER_MS

SMALL = VenueConfig(symbols=('LTCUSDT', 'NEWUSDT'))
LIMIT = {'symbol': 'LTCUSDT', 'side': 'BUY', 'type': 'LIMIT',
         'timeInForce': 'GTC', 'quantity': '1', 'price': '80'}
MARKET = {'symbol': 'LTCUSDT', 'side': 'BUY', 'type': 'MARKET'}
STOP = {'symbol': 'LTCUSDT', 'side': 'SELL', 'type': 'STOP_LOSS_LIMIT',
        'timeInForce': 'GTC', 'quantity': '1', 'price': '60',
        'stopPrice': '61'}


@pytest.fixture
async def venue(clock):
    async with open_venue(SMALL, clock) as venue:
        yield venue


@pytest.fixture
def trader(venue, clock):
    return Trader(venue, clock)


def without(params, *names, **more):
    return {k: v for k, v in params.items() if k not in names} | more


async def place(trader, params=LIMIT, **more):
    return await trader.ok('POST', 'order', **params | more)


async def push(trader, side, price):
    """Eat the book up to a price, which makes it about the last one."""
    await trader.post('/sim/v1/balances', {'asset': 'LTC', 'amount': '9000'})
    await place(trader, side=side, timeInForce='IOC', quantity='5000',
                price=f'{price:.2f}')


@pytest.mark.parametrize(
    ('params', 'code', 'text'),
    [
        (without(LIMIT, 'symbol'), -1102, "'symbol'"),
        (without(LIMIT, 'side'), -1102, "'side'"),
        (without(LIMIT, 'price'), -1102, "'price'"),
        (without(LIMIT, 'timeInForce'), -1102, "'timeInForce'"),
        (without(LIMIT, 'quantity'), -1102, "'quantity'"),
        (without(MARKET), -1102, "'quantity'"),
        (without(STOP, 'stopPrice'), -1102, "'stopPrice'"),
        (LIMIT | {'symbol': 'NOPE'}, -1121, 'Invalid symbol'),
        (LIMIT | {'side': 'HOLD'}, -1117, 'side'),
        (LIMIT | {'type': 'FUNNY'}, -1116, 'orderType'),
        (LIMIT | {'timeInForce': 'DAY'}, -1115, 'timeInForce'),
        (LIMIT | {'quantity': '-1'}, -1100, 'quantity'),
        (LIMIT | {'price': '1e3'}, -1100, 'price'),
        (LIMIT | {'price': '80.000000001'}, -1111, 'precision'),
        (LIMIT | {'newClientOrderId': 'a b'}, -1100, 'newClientOrderId'),
        (LIMIT | {'newClientOrderId': 'x' * 37}, -1100, 'newClientOrderId'),
        (LIMIT | {'newOrderRespType': 'ALL'}, -1134, 'newOrderRespType'),
        (LIMIT | {'selfTradePreventionMode': 'ANY'}, -1138, 'selfTrade'),
        (LIMIT | {'stopPrice': '70'}, -1106, 'stopPrice'),
        (LIMIT | {'nonsense': '1'}, -1104, 'not all'),
        (MARKET | {'quantity': '1', 'price': '1'}, -1106, 'price'),
        (MARKET | {'quantity': '1', 'quoteOrderQty': '9'}, -1128, 'optional'),
        (MARKET | {'quantity': '1', 'timeInForce': 'GTC'}, -1106, 'Force'),
        (LIMIT | {'icebergQty': '0.1', 'timeInForce': 'IOC'}, -1128, 'optio'),
        (LIMIT | {'price': '80.001'}, -1013, 'PRICE_FILTER'),
        (LIMIT | {'price': '0'}, -1013, 'PRICE_FILTER'),
        (LIMIT | {'price': '1000000.01'}, -1013, 'PRICE_FILTER'),
        (LIMIT | {'quantity': '1.0001'}, -1013, 'LOT_SIZE'),
        (LIMIT | {'quantity': '0'}, -1013, 'LOT_SIZE'),
        (LIMIT | {'quantity': '99999999'}, -1013, 'LOT_SIZE'),
        (MARKET | {'quantity': '99999999'}, -1013, 'MARKET_LOT_SIZE'),
        (LIMIT | {'icebergQty': '0.099'}, -1013, 'ICEBERG_PARTS'),
        (LIMIT | {'price': '500'}, -1013, 'PERCENT_PRICE_BY_SIDE'),
        (LIMIT | {'price': '15'}, -1013, 'PERCENT_PRICE_BY_SIDE'),
        (LIMIT | {'quantity': '0.06'}, -1013, 'NOTIONAL'),
        (LIMIT | {'quantity': '200000'}, -1013, 'NOTIONAL'),
        (MARKET | {'quantity': '0.05'}, -1013, 'NOTIONAL'),
        (MARKET | {'quoteOrderQty': '4'}, -1013, 'NOTIONAL'),
        (without(STOP, 'stopPrice', trailingDelta='5'), -1013,
         'TRAILING_DELTA'),
        (LIMIT | {'quantity': '12600'}, -2010, 'insufficient balance'),
        (MARKET | {'side': 'SELL', 'quantity': '1001'}, -2010, 'insufficient'),
        (STOP | {'stopPrice': '99', 'price': '98'}, -2010,
         'trigger immediately'),
        (without(LIMIT, 'timeInForce', type='LIMIT_MAKER', price='95'),
         -2010, 'immediately match'),
    ],
)
async def test_refused_and_nothing_changed(trader, params, code, text):
    before = await trader.get('/sim/v1/books')
    for path in ('order', 'order/test'):
        msg = await trader.refused(code, 'POST', path, **params)
        assert text.lower() in msg.lower()
    assert await trader.get('/sim/v1/books') == before


async def test_every_filter_that_is_named_holds(trader):
    """What is just inside the filters of the exchange information passes."""
    info = await trader.get('/api/v3/exchangeInfo?symbol=LTCUSDT')
    symbol = info['symbols'][0]
    assert set(symbol['orderTypes']) >= {'LIMIT_MAKER', 'TAKE_PROFIT_LIMIT'}
    names = {f['filterType']: f for f in symbol['filters']}
    least = float(names['NOTIONAL']['minNotional'])
    await place(trader, price='50', quantity=f'{least / 50:.3f}')
    await place(trader, icebergQty='0.1')
    for _ in range(names['MAX_NUM_ALGO_ORDERS']['maxNumAlgoOrders']):
        await place(trader, STOP)
    msg = await trader.refused(-1013, 'POST', 'order', **STOP)
    assert 'MAX_NUM_ALGO_ORDERS' in msg
    await trader.post('/sim/v1/limits', {'orders_10s': 1000})
    for _ in range(names['MAX_NUM_ORDERS']['maxNumOrders'] - 7):
        await place(trader, newOrderRespType='ACK')
    msg = await trader.refused(-1013, 'POST', 'order', **LIMIT)
    assert 'MAX_NUM_ORDERS' in msg


async def test_answers_come_in_three_sizes(trader):
    ack = await place(trader, newOrderRespType='ACK')
    assert ack.keys() == {'symbol', 'orderId', 'orderListId', 'clientOrderId',
                          'transactTime'}
    result = await place(trader, newOrderRespType='RESULT')
    assert result['status'] == 'NEW'
    assert 'fills' not in result
    full = await place(trader, MARKET, quantity='1')
    assert full['status'] == 'FILLED'
    assert full['type'] == 'MARKET'
    spent = sum(float(f['price']) * float(f['qty']) for f in full['fills'])
    assert float(full['cummulativeQuoteQty']) == pytest.approx(spent)


async def test_commission_is_taken_from_what_is_received(venue, clock, trader):
    await trader.post('/sim/v1/accounts', {
        'name': 'ann', 'key': 'ann-key', 'secret': 's', 'taker': '0.0015',
        'balances': {'USDT': '1000', 'LTC': '10'},
    })
    ann = Trader(venue, clock, 'ann-key', 's')
    buy = await place(ann, MARKET, quantity='1.5')
    fees = sum(int(f['commission'].replace('.', '')) for f in buy['fills'])
    assert {f['commissionAsset'] for f in buy['fills']} == {'LTC'}
    assert fees == 225_000
    assert (await ann.balance('LTC'))[0] == '11.49775000'
    sell = await place(ann, MARKET, side='SELL', quantity='0.5')
    assert {f['commissionAsset'] for f in sell['fills']} == {'USDT'}
    units = int(sell['cummulativeQuoteQty'].replace('.', ''))
    fee = int(sell['fills'][0]['commission'].replace('.', ''))
    assert fee == units * 15 // 10_000
    books = await trader.get('/sim/v1/books')
    assert books['house']['LTC']['free'] == '0.00225000'


@pytest.mark.parametrize('side', ['BUY', 'SELL'])
async def test_a_market_order_by_quote_quantity(trader, side):
    order = await place(trader, MARKET, side=side, quoteOrderQty='250')
    assert order['status'] == 'FILLED'
    assert order['origQuoteOrderQty'] == '250.00000000'
    assert order['origQty'] == order['executedQty']
    assert 249.8 < float(order['cummulativeQuoteQty']) <= 250


async def test_a_market_order_takes_no_more_than_there_is(trader):
    await trader.post('/sim/v1/balances',
                      {'asset': 'USDT', 'amount': '90000000'})
    order = await place(trader, MARKET, quantity='90000')
    assert order['status'] == 'EXPIRED'
    assert 0 < float(order['executedQty']) < 90_000


async def test_what_works_only_now(trader):
    bid, ask = await trader.touch()
    depth = await trader.get('/api/v3/depth?symbol=LTCUSDT&limit=5')
    there = float(depth['asks'][0][1])
    too_much = f'{there + 5:.3f}'
    none = await place(trader, timeInForce='FOK', price=ask,
                       quantity=too_much)
    assert (none['status'], none['executedQty']) == ('EXPIRED', '0.00000000')
    part = await place(trader, timeInForce='IOC', price=ask,
                       quantity=too_much)
    assert part['status'] == 'EXPIRED'
    assert float(part['executedQty']) == there
    missed = await place(trader, timeInForce='IOC', price=bid)
    assert (missed['status'], missed['fills']) == ('EXPIRED', [])
    assert await trader.ok('GET', 'openOrders') == []
    assert (await trader.balance('USDT'))[1] == '0.00000000'


async def test_the_book_shows_users_orders(trader):
    await place(trader, price='86.00', quantity='3', icebergQty='0.5',
                side='BUY')
    depth = await trader.get('/api/v3/depth?symbol=LTCUSDT&limit=5000')
    at = dict(depth['bids'])['86.00000000']
    await trader.ok('DELETE', 'openOrders', symbol='LTCUSDT')
    depth = await trader.get('/api/v3/depth?symbol=LTCUSDT&limit=5000')
    left = dict(depth['bids']).get('86.00000000', '0')
    assert round(float(at) - float(left), 8) == 0.5


async def test_client_ids_are_unique_among_open_orders(trader):
    first = await place(trader, newClientOrderId='me')
    msg = await trader.refused(-2010, 'POST', 'order', **LIMIT,
                               newClientOrderId='me')
    assert msg == 'Duplicate order sent.'
    await trader.ok('DELETE', 'order', symbol='LTCUSDT',
                    orderId=first['orderId'])
    second = await place(trader, newClientOrderId='me')
    found = await trader.ok('GET', 'order', symbol='LTCUSDT',
                            origClientOrderId='me')
    assert found['orderId'] == second['orderId'] != first['orderId']
    await trader.refused(-2013, 'GET', 'order', symbol='NEWUSDT',
                         origClientOrderId='me')
    await trader.refused(-2013, 'GET', 'order', symbol='LTCUSDT', orderId=77)


async def test_cancelling(trader):
    order = await place(trader, newClientOrderId='me')
    which = {'symbol': 'LTCUSDT', 'origClientOrderId': 'me'}
    await trader.refused(-2011, 'DELETE', 'order', **which,
                         cancelRestrictions='ONLY_PARTIALLY_FILLED')
    gone = await trader.ok('DELETE', 'order', **which,
                           newClientOrderId='request')
    assert (gone['status'], gone['origClientOrderId']) == ('CANCELED', 'me')
    assert (gone['clientOrderId'], gone['orderId']) == (
        'request', order['orderId']
    )
    msg = await trader.refused(-2011, 'DELETE', 'order', **which)
    assert msg == 'Unknown order sent.'
    await trader.refused(-2011, 'DELETE', 'openOrders', symbol='LTCUSDT')
    assert await trader.balance('USDT') == ('1000000.00000000', '0.00000000')


async def test_self_trades_are_prevented(trader):
    bid, ask = await trader.touch()
    middle = f'{float(bid) + 0.01:.2f}'
    assert middle <= ask

    async def meet(mode):
        await trader.ask('DELETE', 'openOrders', symbol='LTCUSDT')
        sell = await place(trader, side='SELL', price='80', quantity='60',
                           timeInForce='GTC')
        resting = await trader.ok('GET', 'order', symbol='LTCUSDT',
                                  orderId=sell['orderId'])
        assert resting['status'] in {'NEW', 'PARTIALLY_FILLED'}
        buy = await place(trader, price='80', quantity='1',
                          selfTradePreventionMode=mode)
        resting = await trader.ok('GET', 'order', symbol='LTCUSDT',
                                  orderId=sell['orderId'])
        return resting['status'], buy['status']

    # all bids down to 80 are eaten, so that sales rest there
    await push(trader, 'SELL', 80)
    assert await meet('EXPIRE_TAKER') == ('NEW', 'EXPIRED_IN_MATCH')
    assert await meet('EXPIRE_MAKER') == ('EXPIRED_IN_MATCH', 'NEW')
    assert await meet('EXPIRE_BOTH') == ('EXPIRED_IN_MATCH',
                                         'EXPIRED_IN_MATCH')
    maker, taker = await meet('NONE')
    assert (maker, taker) == ('PARTIALLY_FILLED', 'FILLED')
    trades = await trader.ok('GET', 'myTrades', symbol='LTCUSDT')
    assert trades[-1]['id'] == trades[-2]['id']


async def test_stops_wait_for_the_last_price(trader, clock):
    bid, ask = map(float, await trader.touch())
    stop = await place(trader, STOP, stopPrice=f'{bid - 0.2:.2f}',
                       price=f'{bid - 1:.2f}')
    row = await trader.ok('GET', 'order', symbol='LTCUSDT',
                          orderId=stop['orderId'])
    assert (row['isWorking'], row['workingTime']) == (False, -1)
    assert await trader.balance('LTC') == ('999.00000000', '1.00000000')
    gain = await place(
        trader, without(STOP, 'price', 'timeInForce', type='TAKE_PROFIT',
                        stopPrice=f'{ask + 0.2:.2f}'))
    buy = await place(
        trader, without(STOP, 'price', 'timeInForce', type='STOP_LOSS',
                        side='BUY', stopPrice=f'{ask + 0.2:.2f}'))

    async def status(order):
        row = await trader.ok('GET', 'order', symbol='LTCUSDT',
                              orderId=order['orderId'])
        return row['status']

    # walk the book down, then up, through the triggers
    await push(trader, 'SELL', bid - 0.1)
    assert await status(stop) == 'NEW'
    await push(trader, 'SELL', bid - 0.3)
    assert await status(stop) == 'FILLED'
    assert [await status(gain), await status(buy)] == ['NEW', 'NEW']
    await push(trader, 'BUY', ask + 0.3)
    assert [await status(gain), await status(buy)] == ['FILLED', 'FILLED']
    assert await trader.ok('GET', 'openOrders') == []


async def test_a_trailing_stop_follows(trader, clock):
    _, ask = map(float, await trader.touch())
    order = await place(
        trader, without(STOP, 'price', 'timeInForce', 'stopPrice',
                        type='STOP_LOSS', trailingDelta='50'))
    which = {'symbol': 'LTCUSDT', 'orderId': order['orderId']}
    await push(trader, 'BUY', ask + 0.5)
    high = float((await trader.ok('GET', 'myTrades',
                                  symbol='LTCUSDT'))[-1]['price'])
    assert high > ask
    row = await trader.ok('GET', 'order', **which)
    assert (row['status'], row['trailingDelta']) == ('NEW', 50)
    # half a per cent below the highest price, not below where it began
    await push(trader, 'SELL', high * 0.9955)
    assert (await trader.ok('GET', 'order', **which))['status'] == 'NEW'
    await push(trader, 'SELL', high * 0.994)
    row = await trader.ok('GET', 'order', **which)
    assert row['status'] == 'FILLED'
    trades = await trader.ok('GET', 'myTrades', symbol='LTCUSDT')
    own = [t for t in trades if t['orderId'] == order['orderId']]
    before = [float(t['price']) for t in trades if t['id'] < own[0]['id']]
    assert before[-1] <= max(before) * 0.995


def oco(bid, ask, **more):
    return {
        'symbol': 'LTCUSDT', 'side': 'SELL', 'quantity': '2',
        'aboveType': 'LIMIT_MAKER', 'abovePrice': f'{ask + 0.3:.2f}',
        'belowType': 'STOP_LOSS_LIMIT', 'belowStopPrice': f'{bid - 0.3:.2f}',
        'belowPrice': f'{bid - 1:.2f}', 'belowTimeInForce': 'GTC',
    } | more


async def test_of_a_pair_one_fills_and_one_expires(trader):
    bid, ask = map(float, await trader.touch())
    pair = await trader.ok('POST', 'orderList/oco', **oco(bid, ask))
    assert pair['contingencyType'] == 'OCO'
    assert pair['listStatusType'] == 'EXEC_STARTED'
    assert [r['type'] for r in pair['orderReports']] == [
        'STOP_LOSS_LIMIT', 'LIMIT_MAKER'
    ]
    # both legs need the same money: it is held once
    assert await trader.balance('LTC') == ('998.00000000', '2.00000000')
    assert len(await trader.ok('GET', 'openOrderList')) == 1
    await push(trader, 'SELL', bid - 0.4)
    rows = await trader.ok('GET', 'allOrders', symbol='LTCUSDT')
    states = {r['type']: r['status'] for r in rows}
    assert states['STOP_LOSS_LIMIT'] == 'FILLED'
    assert states['LIMIT_MAKER'] == 'EXPIRED'
    assert await trader.ok('GET', 'openOrderList') == []
    done = await trader.ok('GET', 'orderList',
                           orderListId=pair['orderListId'])
    assert done['listOrderStatus'] == 'ALL_DONE'
    assert (await trader.balance('LTC'))[1] == '0.00000000'


async def test_of_a_pair_a_part_of_the_limit_ends_the_stop(
    venue, clock, trader
):
    await trader.post('/sim/v1/accounts', {
        'name': 'ann', 'key': 'ann-key', 'secret': 's',
        'balances': {'LTC': '2'},
    })
    ann = Trader(venue, clock, 'ann-key', 's')
    bid, ask = map(float, await trader.touch())
    await ann.ok('POST', 'orderList/oco', **oco(bid, ask))
    price = ask + 0.3
    there = sum(
        float(size) for at, size in (await trader.get(
            '/api/v3/depth?symbol=LTCUSDT&limit=100'))['asks']
        if float(at) <= price + 0.001
    )
    await place(trader, timeInForce='IOC', price=f'{price:.2f}',
                quantity=f'{there - 0.5:.3f}')
    rows = await ann.ok('GET', 'allOrders', symbol='LTCUSDT')
    states = {r['type']: (r['status'], r['executedQty']) for r in rows}
    assert states == {
        'LIMIT_MAKER': ('PARTIALLY_FILLED', '1.50000000'),
        'STOP_LOSS_LIMIT': ('EXPIRED', '0.00000000'),
    }
    assert await ann.balance('LTC') == ('0.00000000', '0.50000000')


async def test_pairs_that_are_refused(trader):
    bid, ask = map(float, await trader.touch())
    for more, code in (
        ({'abovePrice': f'{bid - 1:.2f}'}, -2010),
        ({'belowStopPrice': f'{ask + 1:.2f}'}, -2010),
        ({'aboveType': 'STOP_LOSS', 'abovePrice': '99'}, -1106),
        ({'belowType': 'LIMIT_MAKER', 'belowStopPrice': '1'}, -1106),
        ({'quantity': '1001'}, -2010),
        ({'aboveClientOrderId': 'x', 'belowClientOrderId': 'x'}, -2010),
    ):
        await trader.refused(code, 'POST', 'orderList/oco',
                             **oco(bid, ask, **more))
    two_limits = without(oco(bid, ask), 'belowStopPrice', 'belowTimeInForce',
                         belowType='LIMIT_MAKER')
    await trader.refused(-1014, 'POST', 'orderList/oco', **two_limits)
    assert await trader.ok('GET', 'openOrders') == []
    assert (await trader.balance('LTC'))[1] == '0.00000000'


async def test_cancelling_one_of_a_pair_cancels_both(trader):
    bid, ask = map(float, await trader.touch())
    pair = await trader.ok('POST', 'orderList/oco', **oco(bid, ask))
    gone = await trader.ok('DELETE', 'order', symbol='LTCUSDT',
                           orderId=pair['orders'][1]['orderId'])
    assert gone['listOrderStatus'] == 'ALL_DONE'
    assert {r['status'] for r in gone['orderReports']} == {'CANCELED'}
    await trader.refused(-2011, 'DELETE', 'orderList', symbol='LTCUSDT',
                         orderListId=pair['orderListId'])


REPLACE = LIMIT | {'price': '79', 'cancelReplaceMode': 'STOP_ON_FAILURE'}


async def test_replacing_an_order(trader):
    old = await place(trader)
    done = await trader.ok(
        'POST', 'order/cancelReplace', **REPLACE,
        cancelOrderId=old['orderId'], newClientOrderId='new',
    )
    assert (done['cancelResult'], done['newOrderResult']) == (
        'SUCCESS', 'SUCCESS'
    )
    assert done['cancelResponse']['status'] == 'CANCELED'
    assert done['newOrderResponse']['clientOrderId'] == 'new'
    rows = await trader.ok('GET', 'openOrders', symbol='LTCUSDT')
    assert [r['price'] for r in rows] == ['79.00000000']


@pytest.mark.parametrize(
    ('there', 'mode', 'good', 'status', 'code', 'results'),
    [
        (False, 'STOP_ON_FAILURE', True, 400, -2022,
         ('FAILURE', 'NOT_ATTEMPTED')),
        (False, 'ALLOW_FAILURE', True, 409, -2021, ('FAILURE', 'SUCCESS')),
        (False, 'ALLOW_FAILURE', False, 400, -2022, ('FAILURE', 'FAILURE')),
        (True, 'STOP_ON_FAILURE', False, 409, -2021, ('SUCCESS', 'FAILURE')),
        (True, 'ALLOW_FAILURE', False, 409, -2021, ('SUCCESS', 'FAILURE')),
    ],
)
async def test_replacements_that_fail(
    trader, there, mode, good, status, code, results
):
    if there:
        await place(trader, newClientOrderId='old')
    given = REPLACE | {'cancelReplaceMode': mode,
                       'quantity': '1' if good else '12700'}
    got, answer = await trader.ask(
        'POST', 'order/cancelReplace', **given,
        cancelOrigClientOrderId='old', newClientOrderId='new',
    )
    assert (got, answer['code']) == (status, code)
    data = answer['data']
    assert (data['cancelResult'], data['newOrderResult']) == results
    if not there:
        assert data['cancelResponse']['code'] == -2011
    if results[1] == 'NOT_ATTEMPTED':
        assert data['newOrderResponse'] is None
    elif results[1] == 'FAILURE':
        assert data['newOrderResponse']['code'] == -2010
    rows = await trader.ok('GET', 'openOrders', symbol='LTCUSDT')
    assert [r['clientOrderId'] for r in rows] == (
        ['new'] if results[1] == 'SUCCESS' else []
    )


async def test_a_replacement_that_breaks_a_filter_cancels_nothing(trader):
    await place(trader, newClientOrderId='old')
    await trader.refused(
        -1013, 'POST', 'order/cancelReplace', **REPLACE | {'price': '79.001'},
        cancelOrigClientOrderId='old',
    )
    assert len(await trader.ok('GET', 'openOrders')) == 1


async def test_asking_for_what_was(trader, clock):
    orders = []
    for _ in range(3):
        orders.append(await place(trader, MARKET, quantity='1'))
        clock.advance_ns(1000 * NS_PER_MS)
    ids = [o['orderId'] for o in orders]
    path = {'symbol': 'LTCUSDT'}

    async def ids_of(what, name='orderId', **params):
        rows = await trader.ok('GET', what, **path, **params)
        return [row[name] for row in rows]

    assert await ids_of('allOrders') == ids
    assert await ids_of('allOrders', limit=1) == ids[-1:]
    assert await ids_of('allOrders', orderId=ids[1]) == ids[1:]
    assert await ids_of('allOrders', startTime=orders[1]['transactTime'],
                        endTime=orders[1]['transactTime']) == ids[1:2]
    trades = await ids_of('myTrades', 'id')
    assert trades == [f['tradeId'] for o in orders for f in o['fills']]
    assert await ids_of('myTrades', 'id', fromId=trades[-1]) == trades[-1:]
    assert await ids_of('myTrades', orderId=ids[0]) == [
        ids[0] for _ in orders[0]['fills']
    ]
    await trader.refused(-1127, 'GET', 'myTrades', **path, startTime=0,
                         endTime=86_400_001)
    public = await trader.get('/api/v3/historicalTrades?symbol=LTCUSDT'
                              f'&fromId={trades[0]}&limit=1')
    mine = (await trader.ok('GET', 'myTrades', **path))[0]
    shared = ('id', 'price', 'qty', 'quoteQty', 'time')
    assert [public[0][k] for k in shared] == [mine[k] for k in shared]
