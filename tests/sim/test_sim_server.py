"""The venue over HTTP and WebSocket, as its clients meet it."""
from __future__ import annotations

import json

import pytest
import trio
import trio.testing
from sim_clients import START_MS, Bare, Rest, open_bare, open_socket

from piker.brokers.sim.faults import Faults
from piker.brokers.sim.hub import Client, Hub
from piker.brokers.sim.venue import FaultConfig, VenueConfig, open_venue
from piker.clock import NS_PER_MS, ManualClock
from piker.errors import BadInput, NoSuchSymbol, PortInUse

SMALL = VenueConfig(symbols=('LTCUSDT', 'NEWUSDT'))


@pytest.fixture
async def venue(clock):
    async with open_venue(SMALL, clock) as venue:
        yield venue


@pytest.fixture
def rest(venue):
    return Rest(venue)


async def until(condition):
    with trio.fail_after(10):
        while not condition():
            await trio.sleep(0.005)


async def next_while_time_passes(socket, clock):
    """The next message, moving the clock on until there is one."""
    with trio.fail_after(10):
        while True:
            clock.advance_ns(500 * NS_PER_MS)
            with trio.move_on_after(0.1):
                return json.loads(await socket.ws.get_message())


async def test_time_stands_on_the_given_clock(rest, clock):
    assert await rest.get('/api/v3/ping') == {}
    assert await rest.get('/api/v3/time') == {'serverTime': START_MS}
    clock.advance_ns(5 * NS_PER_MS)
    assert await rest.get('/api/v3/time') == {'serverTime': START_MS + 5}


async def test_exchange_info(rest):
    info = await rest.get('/api/v3/exchangeInfo')
    assert [s['symbol'] for s in info['symbols']] == ['LTCUSDT', 'NEWUSDT']
    filters = {f['filterType']: f for f in info['symbols'][0]['filters']}
    assert filters['PRICE_FILTER']['tickSize'] == '0.01000000'
    assert filters['LOT_SIZE']['stepSize'] == '0.00100000'
    one = await rest.get('/api/v3/exchangeInfo?symbol=NEWUSDT')
    assert [s['symbol'] for s in one['symbols']] == ['NEWUSDT']
    both = await rest.get('/api/v3/exchangeInfo?symbols=["NEWUSDT"]')
    assert both['symbols'] == one['symbols']


@pytest.mark.parametrize(
    ('query', 'code'),
    [
        ('klines?interval=1m', -1102),
        ('klines?symbol=&interval=1m', -1102),
        ('klines?symbol=LTCUSDT', -1102),
        ('klines?symbol=NOPE&interval=1m', -1121),
        ('klines?symbol=l%20t&interval=1m', -1100),
        ('klines?symbol=LTCUSDT&interval=7m', -1120),
        ('klines?symbol=LTCUSDT&interval=1m&limit=x', -1100),
        ('klines?symbol=LTCUSDT&interval=1m&limit=0', -1130),
        ('klines?symbol=LTCUSDT&interval=1m&startTime=', -1105),
        ('klines?symbol=LTCUSDT&interval=1m&startTime=99999999999999999999',
         -1108),
        ('klines?symbol=LTCUSDT&interval=1m&nonsense=1', -1104),
        ('klines?symbol=LTCUSDT&symbol=LTCUSDT&interval=1m', -1101),
        ('ping?x=1', -1101),
        ('aggTrades?symbol=LTCUSDT&fromId=1&startTime=1', -1128),
        ('ticker/price?symbol=LTCUSDT&symbols=["LTCUSDT"]', -1128),
        ('ticker/price?symbols=LTCUSDT', -1100),
        ('ticker/price?symbols=["LTCUSDT","LTCUSDT"]', -1151),
        ('ticker/24hr?type=BIG', -1139),
    ],
)
async def test_errors_in_binances_form(rest, query, code):
    status, headers, body = await rest.request('/api/v3/' + query)
    assert status == 400
    assert body.keys() == {'code', 'msg'}
    assert body['code'] == code
    assert 'x-mbx-used-weight-1m' in headers or code == -1101


async def test_unknown_paths_are_not_found(rest):
    for path in ('/', '/api/v3/nope', '/sim/v1/nope'):
        assert (await rest.request(path))[0] == 404
    assert (await rest.post('/api/v3/klines'))[0] == 404


async def test_weights_add_up_and_run_out(clock):
    config = VenueConfig(symbols=('NEWUSDT',), weight_limit=30)
    async with open_venue(config, clock) as venue:
        rest = Rest(venue)
        _, headers, _ = await rest.request('/api/v3/exchangeInfo')
        assert headers['x-mbx-used-weight-1m'] == '20'
        await rest.get('/api/v3/depth?symbol=NEWUSDT')
        _, headers, _ = await rest.request('/api/v3/depth?symbol=NEWUSDT')
        assert headers['x-mbx-used-weight-1m'] == '30'
        status, headers, body = await rest.request('/api/v3/ping')
        assert (status, body['code']) == (429, -1003)
        assert headers['retry-after'] == '60'
        clock.advance_ns(60_000 * NS_PER_MS)
        await rest.get('/api/v3/ping')


async def test_a_symbol_that_never_traded(rest):
    for name in ('klines?interval=1d&', 'aggTrades?', 'trades?',
                 'historicalTrades?'):
        assert await rest.get(f'/api/v3/{name}symbol=NEWUSDT') == []
    ticker = await rest.get('/api/v3/ticker/24hr?symbol=NEWUSDT')
    assert ticker['lastPrice'] == '0.00000000'
    assert ticker['count'] == 0
    assert float(ticker['bidPrice']) > 0
    depth = await rest.get('/api/v3/depth?symbol=NEWUSDT')
    assert len(depth['bids']) >= 20
    assert len(depth['asks']) >= 20


async def test_trades_by_id_and_time(rest):
    path = '/api/v3/aggTrades?symbol=LTCUSDT'
    newest = await rest.get(f'{path}&limit=5')
    assert [t['a'] for t in newest] == list(
        range(newest[0]['a'], newest[0]['a'] + 5)
    )
    again = await rest.get(f'{path}&limit=5&fromId={newest[0]["a"]}')
    assert again == newest
    timed = await rest.get(
        f'{path}&startTime={newest[1]["T"]}&endTime={newest[-1]["T"]}'
    )
    assert timed[0]['T'] >= newest[1]['T']
    assert timed[-1]['a'] == newest[-1]['a']
    fills = await rest.get(
        '/api/v3/historicalTrades?symbol=LTCUSDT'
        f'&fromId={newest[0]["f"]}&limit=1000'
    )
    assert [f['id'] for f in fills] == list(
        range(newest[0]['f'], newest[-1]['l'] + 1)
    )
    assert await rest.get('/api/v3/trades?symbol=LTCUSDT&limit=1') == [
        fills[-1]
    ]
    price = await rest.get('/api/v3/ticker/price?symbol=LTCUSDT')
    assert price['price'] == fills[-1]['price']


async def test_the_ticker_is_the_klines_of_a_day(rest):
    ticker = await rest.get('/api/v3/ticker/24hr?symbol=LTCUSDT')
    bars = []
    for start in (ticker['openTime'], ticker['openTime'] + 60_000 * 1000):
        bars += await rest.get(
            f'/api/v3/klines?symbol=LTCUSDT&interval=1m&limit=1000'
            f'&startTime={start}&endTime={start + 60_000 * 1000 - 1}'
        )
    assert ticker['count'] == sum(bar[8] for bar in bars)
    assert ticker['lastPrice'] == bars[-1][4]
    traded = [bar for bar in bars if bar[8]]
    assert ticker['openPrice'] == traded[0][1]
    assert float(ticker['highPrice']) == max(float(b[2]) for b in traded)
    average = await rest.get('/api/v3/avgPrice?symbol=LTCUSDT')
    assert average['mins'] == 5


async def test_live_trades_are_the_history(venue, rest, clock):
    path = '/stream?streams=ltcusdt@aggTrade/ltcusdt@trade'
    async with open_socket(venue, path) as socket:
        await until(lambda: 'ltcusdt@trade' in venue.stats()['subscribers'])
        await rest.get('/api/v3/depth?symbol=LTCUSDT')  # trading has begun
        aggs, fills = [], []
        clock.advance_ns(40_000 * NS_PER_MS)
        wanted = []
        while not wanted or wanted[-1]['T'] < START_MS + 20_000:
            wanted = await rest.get(
                f'/api/v3/aggTrades?symbol=LTCUSDT&startTime={START_MS + 1}'
            )
        while not fills or fills[-1]['t'] < wanted[-1]['l'] or (
            aggs[-1]['a'] < wanted[-1]['a']
        ):
            message = await socket.get()
            kind = message['stream'].split('@')[1]
            (aggs if kind == 'aggTrade' else fills).append(message['data'])
    assert all(a['e'] == 'aggTrade' and a['E'] >= a['T'] for a in aggs)
    shared = ('a', 'p', 'q', 'f', 'l', 'T', 'm', 'M')
    assert [{k: a[k] for k in shared} for a in aggs[:len(wanted)]] == wanted
    raw = await rest.get(
        '/api/v3/historicalTrades?symbol=LTCUSDT'
        f'&fromId={fills[0]["t"]}&limit={len(fills)}'
    )
    assert [(f['t'], f['p'], f['q'], f['T'], f['m']) for f in fills] == [
        (r['id'], r['price'], r['qty'], r['time'], r['isBuyerMaker'])
        for r in raw
    ]


async def test_a_jump_of_the_clock_is_no_flood(venue, rest, clock, caplog):
    """What was missed is in the history, and the stream goes on from now."""
    async with open_socket(venue, '/ws/ltcusdt@aggTrade') as socket:
        await rest.get('/api/v3/depth?symbol=LTCUSDT')
        clock.advance_ns(7_200_000 * NS_PER_MS)
        while True:
            live = await next_while_time_passes(socket, clock)
            if live['T'] > START_MS + 7_200_000:
                break
        past = await rest.get(
            f'/api/v3/aggTrades?symbol=LTCUSDT&fromId={live["a"]}&limit=1'
        )
    shared = ('a', 'p', 'q', 'f', 'l', 'T', 'm', 'M')
    assert {key: live[key] for key in shared} == past[0]
    assert 'the clock jumped' in caplog.text
    caplog.clear()


async def test_two_venues_and_a_restart_agree():
    pages = []
    for _ in range(2):
        clock = ManualClock(START_MS * NS_PER_MS)
        async with open_venue(SMALL, clock) as venue:
            rest = Rest(venue)
            pages.append([
                await rest.get('/api/v3/aggTrades?symbol=LTCUSDT'),
                await rest.get('/api/v3/klines?symbol=LTCUSDT&interval=1h'),
            ])
    assert pages[0] == pages[1]


async def test_diff_depth_continues_the_snapshot(venue, rest, clock):
    async with open_socket(venue, '/ws/ltcusdt@depth@100ms') as socket:
        await until(lambda: venue.stats()['subscribers'])
        snapshot = await rest.get('/api/v3/depth?symbol=LTCUSDT&limit=5000')
        sides = {
            'b': dict(snapshot['bids']), 'a': dict(snapshot['asks'])
        }
        last = snapshot['lastUpdateId']
        for _ in range(30):
            event = await next_while_time_passes(socket, clock)
            if event['u'] <= snapshot['lastUpdateId']:
                continue
            assert event['U'] == last + 1 or last == snapshot['lastUpdateId']
            assert event['U'] <= last + 1
            last = event['u']
            for side, book in sides.items():
                for price, size in event[side]:
                    book[price] = size
                    if float(size) == 0:
                        del book[price]
        while last < (
            now := await rest.get('/api/v3/depth?symbol=LTCUSDT&limit=5000')
        )['lastUpdateId']:
            event = await socket.get()
            last = event['u']
            for side, book in sides.items():
                for price, size in event[side]:
                    book[price] = size
                    if float(size) == 0:
                        del book[price]
    assert sides == {'b': dict(now['bids']), 'a': dict(now['asks'])}


async def test_quotes_klines_and_tickers_stream(venue, rest, clock):
    names = ('bookTicker', 'kline_1s', 'kline_1m', 'miniTicker', 'ticker',
             'depth5@100ms', 'depth', 'avgPrice')
    path = '/stream?streams=!miniTicker@arr/' + '/'.join(
        f'ltcusdt@{name}' for name in names
    )
    async with open_socket(venue, path) as socket:
        await rest.get('/api/v3/depth?symbol=LTCUSDT')
        seen = {}
        with trio.fail_after(20):
            while not (
                len(seen) == len(names) + 1
                and seen['ltcusdt@kline_1m']['k']['x']
            ):
                clock.advance_ns(1000 * NS_PER_MS)
                with trio.move_on_after(0.05):
                    while True:
                        message = json.loads(await socket.ws.get_message())
                        seen[message['stream']] = message['data']
                        if message['data'].__class__ is dict and (
                            message['data'].get('k', {}).get('x')
                            and message['stream'] == 'ltcusdt@kline_1m'
                        ):
                            break
        bar = seen['ltcusdt@kline_1m']['k']
        rows = await rest.get(
            '/api/v3/klines?symbol=LTCUSDT&interval=1m&limit=1'
            f'&startTime={bar["t"]}'
        )
    assert [bar[k] for k in 'tohlcvTqnVQ'] == rows[0][:11]
    assert seen['ltcusdt@kline_1s']['k']['x']
    assert seen['ltcusdt@bookTicker'].keys() == {'u', 's', 'b', 'B', 'a', 'A'}
    assert len(seen['ltcusdt@depth5@100ms']['bids']) == 5
    assert seen['!miniTicker@arr'][0]['e'] == '24hrMiniTicker'


async def test_subscriptions_over_the_socket(venue, clock):
    async with open_socket(venue, '/ws') as socket:
        assert await socket.call(
            'SUBSCRIBE', 'ltcusdt@bookTicker', 'ltcusdt@trade', request_id=7
        ) == {'result': None, 'id': 7}
        assert (await socket.call('LIST_SUBSCRIPTIONS'))['result'] == [
            'ltcusdt@bookTicker', 'ltcusdt@trade'
        ]
        await socket.call('UNSUBSCRIBE', 'ltcusdt@trade')
        assert venue.stats()['subscribers'] == {'ltcusdt@bookTicker': 1}
        quote = await next_while_time_passes(socket, clock)
        assert quote['s'] == 'LTCUSDT'
        assert (await socket.call('GET_PROPERTY', 'combined'))[
            'result'
        ] is False
        await socket.call('SET_PROPERTY', 'combined', True, request_id='a')
        clock.advance_ns(3000 * NS_PER_MS)
        await socket.find(lambda m: m.get('stream') == 'ltcusdt@bookTicker')
    await until(lambda: not venue.stats()['subscribers'])
    assert venue.stats()['connections'] == 0


@pytest.mark.parametrize(
    ('text', 'code'),
    [
        ('not json', 3), ('[]', 2), ('{"id": 1}', 2),
        ('{"method": "DANCE", "id": 1}', 2),
        ('{"method": "SUBSCRIBE", "params": [1], "id": 1}', 2),
        ('{"method": "SUBSCRIBE", "params": [], "id": 1.5}', 2),
        ('{"method": "GET_PROPERTY", "params": [1], "id": 1}', 2),
        ('{"method": "GET_PROPERTY", "params": ["x"], "id": 1}', 0),
        ('{"method": "GET_PROPERTY", "params": ["x", 1], "id": 1}', 2),
        ('{"method": "SET_PROPERTY", "params": ["combined", 1], "id": 1}', 1),
    ],
)
async def test_bad_messages_get_an_error(venue, text, code):
    async with open_socket(venue, '/ws') as socket:
        await socket.ws.send_message(text)
        assert (await socket.get())['error']['code'] == code


async def test_each_message_goes_to_each_subscriber_once(venue, clock):
    async with (
        open_socket(venue, '/ws/ltcusdt@bookTicker') as one,
        open_socket(venue, '/stream?streams=ltcusdt@bookTicker') as two,
        open_socket(venue, '/ws/newusdt@bookTicker'),
    ):
        await until(lambda: venue.stats()['connections'] == 3)
        clock.advance_ns(5000 * NS_PER_MS)
        for _ in range(5):
            raw, wrapped = await one.raw(), await two.raw()
            assert wrapped == (
                '{"stream":"ltcusdt@bookTicker","data":' + raw + '}'
            )
        assert venue.stats()['sent']['ltcusdt@bookTicker'] % 2 == 0


class Blocked:
    """A transport whose other end does not read."""

    def __init__(self):
        self.aborted = trio.Event()

    async def send_all(self, data):
        await self.aborted.wait()
        raise trio.ClosedResourceError

    def abort(self):
        self.aborted.set()


async def no_gate():
    await trio.lowlevel.checkpoint()


async def test_a_client_that_does_not_read_is_cut_off(caplog):
    hub, slow = Hub(), Blocked()
    client = Client(slow, name='slow', combined=False, max_queue=10,
                    max_bytes=1000)
    hub.add(client)
    hub.subscribe(client, 'x@trade')
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send_queued, no_gate)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(30):
            hub.publish('x@trade', b'{}')
    assert client.gone
    assert hub.cut_off == 1
    assert caplog.messages == [
        'client slow does not read: 11 messages waiting, cut off'
    ]
    caplog.clear()


async def test_requests_are_counted_and_remembered(venue, rest):
    await rest.get('/api/v3/depth?symbol=LTCUSDT&limit=5')
    stats = await rest.get('/sim/v1/stats')
    assert stats['requests'] == {'depth': 1}
    assert stats['seed'] == 1
    assert (await rest.get('/sim/v1/requests'))[0] == {
        'time': START_MS, 'method': 'GET', 'path': '/api/v3/depth',
        'query': 'symbol=LTCUSDT&limit=5',
    }
    status, _, body = await rest.post('/sim/v1/replay/start')
    assert (status, body['code']) == (400, -1130)


async def test_other_websocket_paths_are_refused(venue):
    async with await trio.open_tcp_stream(venue.host, venue.port) as stream:
        assert '403' in await Bare(stream).handshake('/other')


async def test_garbage_does_not_hurt(venue, rest):
    for garbage in (b'\x00\xff\x00\r\n\r\n', b'GET / HTTP/1.1\r\n'):
        stream = await trio.open_tcp_stream(venue.host, venue.port)
        await stream.send_all(garbage)
        await stream.aclose()
    await rest.get('/api/v3/ping')


async def test_what_cannot_be_opened(clock, venue):
    taken = VenueConfig(symbols=('NEWUSDT',), port=venue.port)
    with pytest.raises(PortInUse, match=str(venue.port)):
        async with open_venue(taken, clock):
            pass
    with pytest.raises(NoSuchSymbol, match='LTCUSDT'):
        async with open_venue(VenueConfig(symbols=('LTCUSD',)), clock):
            pass
    with pytest.raises(BadInput, match='2026-01-01'):
        async with open_venue(SMALL, ManualClock(0)):
            pass


async def test_leaving_cuts_everything_at_once(clock):
    opened = trio.Event()

    async def watch(venue):
        async with open_bare(venue, '/ws/ltcusdt@bookTicker') as socket:
            opened.set()
            while await socket.read():
                pass

    with trio.fail_after(2):
        async with trio.open_nursery() as nursery, open_venue(
            SMALL, clock
        ) as venue:
            nursery.start_soon(watch, venue)
            await opened.wait()


async def faulty(rest, **given):
    status, _, body = await rest.post('/sim/v1/faults', given)
    assert status == 200, body


async def test_rest_faults(rest):
    await faulty(rest, rest_status=429, rest_requests=2, retry_after_s=7)
    for _ in range(2):
        status, headers, body = await rest.request('/api/v3/time')
        assert (status, body['code']) == (429, -1003)
        assert headers['retry-after'] == '7'
    await rest.get('/api/v3/time')
    assert (await rest.get('/sim/v1/stats'))['faults']['rest'] == 2
    for bad in ({'gap_rat': 1}, {'gap_rate': 2}, {'gap_rate': 'x'}):
        status, _, body = await rest.post('/sim/v1/faults', bad)
        assert status == 400
        assert 'gap_rate' in body['msg']


async def test_connections_dropped_and_refused(venue, rest):
    async with open_bare(venue, '/ws/ltcusdt@trade') as socket:
        await until(lambda: venue.stats()['connections'] == 1)
        await faulty(rest, drop_connections=True)
        assert await socket.read() == []
    await faulty(rest, refuse_connections_s=30.0)
    async with await trio.open_tcp_stream(venue.host, venue.port) as stream:
        assert await stream.receive_some() == b''


def spoiled(count, **given):
    """What a client gets of ``count`` numbered messages under a fault."""
    hub, got = Hub(), []

    class Taker(Client):
        def push(self, frame):
            got.append(int(frame[2:]))

    client = Taker(Blocked(), name='c', combined=False, max_queue=9,
                   max_bytes=9)
    hub.subscribe(client, 'x')
    faults = Faults(FaultConfig(**given), hub, seed=3)
    for number in range(count):
        faults.publish('x', str(number).encode())
    return got, faults.counts


async def test_stream_faults_are_seeded_and_counted():
    plain = list(range(100))
    got, counts = spoiled(100, gap_rate=0.2)
    assert len(got) == 100 - counts['gaps'] < 100
    assert got == sorted(got) == spoiled(100, gap_rate=0.2)[0]
    got, counts = spoiled(100, duplicate_rate=0.2)
    assert len(got) == 100 + counts['duplicates'] > 100
    assert sorted(set(got)) == plain
    got, counts = spoiled(101, reorder_rate=0.2)
    assert got != sorted(got)
    assert counts['reordered']
    assert set(plain) <= set(got)


async def test_latency_and_stall(autojump_clock):
    hub, got = Hub(), []

    class Taker(Client):
        def push(self, frame):
            got.append((trio.current_time(), frame[2:]))

    client = Taker(Blocked(), name='c', combined=False, max_queue=9,
                   max_bytes=9)
    hub.subscribe(client, 'x')
    faults = Faults(FaultConfig(latency_ms=250, stall_s=2.0), hub, seed=1)
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(faults.run)
        faults.publish('x', b'a')
        await trio.sleep(0.1)
        faults.publish('x', b'b')
        await trio.sleep(1)
        assert got == [(start + 0.25, b'a'), (pytest.approx(start + 0.35),
                                              b'b')]
        await faults.gate()
        assert trio.current_time() == start + 2
        nursery.cancel_scope.cancel()
