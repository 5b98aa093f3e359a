"""Recordings in the place of generated flow."""
from __future__ import annotations

import gzip
import json
import os
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from sim_clients import Rest, open_bare, open_socket

from piker.brokers.sim.aggregate import SETTLE_MS, Aggregator, Trade
from piker.brokers.sim.recording import load_recording
from piker.brokers.sim.venue import VenueConfig, open_venue
from piker.clock import NS_PER_MS
from piker.errors import BadInput

T0 = 1_723_161_600_000
RECORDINGS = Path(
    os.environ.get('PIKER_RECORDINGS')
    or Path(__file__).parents[3] / 'shared' / 'recordings'
) / 'binance'
recorded = pytest.mark.skipif(
    not RECORDINGS.is_dir(),
    reason=f'no recordings in {RECORDINGS}; PIKER_RECORDINGS names others',
)


def event(stream, **data):
    return json.dumps({'stream': stream, 'data': data},
                      separators=(',', ':'))


def trade(symbol, number, after_ms, price, size='0.50000', sell=False):
    return event(
        f'{symbol}@trade', e='trade', E=T0 + after_ms + 1, s=symbol.upper(),
        t=number, p=price, q=size, T=T0 + after_ms, m=sell, M=True,
    )


def depth(symbol, update, after_ms, bids=(), asks=()):
    return event(
        f'{symbol}@depth@100ms', e='depthUpdate', E=T0 + after_ms,
        s=symbol.upper(), U=update, u=update, b=bids, a=asks,
    )


LINES = [
    (0, depth('aaabtc', 1, 0, [['1.10', '3.0']], [['1.20', '2.0']])),
    (10, trade('aaabtc', 1, 9, '1.20')),
    (10, trade('aaabtc', 2, 9, '1.20', '0.25000')),
    (11, trade('aaabtc', 3, 9, '1.21')),
    (20, event('aaabtc@bookTicker', u=2, s='AAABTC', b='1.10', B='3.0',
               a='1.21', A='1.0')),
    (700, trade('aaabtc', 4, 699, '1.19', sell=True)),
    (900, depth('aaabtc', 3, 899, [['1.09', '1.0']], [])),
    (950, event('aaabtc@rare', x=1)),
    (1500, depth('aaabtc', 4, 1499, [], [['1.20', '0.0']])),
]
AGGREGATES = [(1, 1, 2, '1.20000000', '0.75000000'),
              (2, 3, 3, '1.21000000', '0.50000000'),
              (3, 4, 4, '1.19000000', '0.50000000')]
STREAMS = '/'.join(f'aaabtc@{name}' for name in
                   ('depth@100ms', 'trade', 'bookTicker', 'aggTrade'))


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / 'aaa.gz', LINES)


def write(path, lines):
    text = ''.join(f'{T0 * NS_PER_MS + ms * NS_PER_MS} {raw}\n'
                   for ms, raw in lines)
    path.write_bytes(gzip.compress(text.encode()))
    return str(path)


def replaying(*paths, **options):
    options = {'speed': 0.0} | options
    return VenueConfig(replay=paths, **options)


async def finished(rest):
    with trio.fail_after(30):
        while True:
            replay = (await rest.get('/sim/v1/stats'))['replay']
            if replay['state'] == 'done':
                return replay
            await trio.sleep(0.01)


async def test_messages_pass_byte_for_byte(clock, path):
    async with open_venue(replaying(path), clock) as venue:
        rest = Rest(venue)
        assert (await rest.get('/sim/v1/stats'))['replay'][
            'state'
        ] == 'waiting'
        assert await rest.get('/api/v3/time') == {'serverTime': T0}
        async with open_socket(venue, f'/stream?streams={STREAMS}') as socket:
            got = [await socket.raw() for _ in range(8 + 3)]
            state = await finished(rest)
    aggregates = [json.loads(m)['data'] for m in got if '@aggTrade' in m]
    assert [m for m in got if '@aggTrade' not in m] == [
        raw for _, raw in LINES if '@rare' not in raw
    ]
    assert [(a['a'], a['f'], a['l'], a['p'], a['q']) for a in aggregates] == (
        AGGREGATES
    )
    assert state['skipped'] == {'aaabtc@rare': 1}
    assert state['played']['aaabtc@trade'] == 4


async def test_raw_streams_carry_the_recorded_data(clock, path):
    config = replaying(path, start='manual')
    async with (
        open_venue(config, clock) as venue,
        open_socket(venue, '/ws/aaabtc@trade') as socket,
    ):
        rest = Rest(venue)
        assert venue.stats()['replay']['state'] == 'waiting'
        await rest.post('/sim/v1/replay/start')
        got = [await socket.raw() for _ in range(4)]
    assert got == [raw.split('"data":')[1][:-1] for _, raw in LINES
                   if '@trade' in raw]


async def test_rest_knows_what_has_been_played(clock, path):
    async with open_venue(replaying(path, start='manual'), clock) as venue:
        rest = Rest(venue)
        info = await rest.get('/api/v3/exchangeInfo')
        assert info['symbols'][0]['symbol'] == 'AAABTC'
        assert info['symbols'][0]['quoteAsset'] == 'BTC'
        assert info['symbols'][0]['filters'][0]['tickSize'] == '0.01000000'
        for name in ('trades', 'aggTrades', 'historicalTrades'):
            assert await rest.get(f'/api/v3/{name}?symbol=AAABTC') == []
        await rest.post('/sim/v1/replay/start')
        await finished(rest)
        trades = await rest.get('/api/v3/trades?symbol=AAABTC')
        assert [t['id'] for t in trades] == [1, 2, 3, 4]
        aggs = await rest.get('/api/v3/aggTrades?symbol=AAABTC&fromId=2')
        assert [(a['a'], a['f'], a['l'], a['p'], a['q']) for a in aggs] == (
            AGGREGATES[1:]
        )
        bars = await rest.get('/api/v3/klines?symbol=AAABTC&interval=1s')
        assert [bar[:6] + bar[8:9] for bar in bars] == [
            [T0, '1.20000000', '1.21000000', '1.19000000', '1.19000000',
             '1.75000000', 4],
            [T0 + 1000, *['1.19000000'] * 4, '0.00000000', 0],
        ]
        book = await rest.get('/api/v3/depth?symbol=AAABTC')
        assert book['bids'] == [['1.10000000', '3.00000000'],
                                ['1.09000000', '1.00000000']]
        # the touch is ahead of the levels: 1.21 has been in no update yet
        assert book['asks'] == []
        assert book['lastUpdateId'] == 4
        ticker = await rest.get('/api/v3/ticker/24hr?symbol=AAABTC')
        assert (ticker['count'], ticker['lastPrice']) == (4, '1.19000000')
        before = (await rest.get('/api/v3/time'))['serverTime']
        clock.advance_ns(5 * NS_PER_MS)
        after = (await rest.get('/api/v3/time'))['serverTime']
        assert (before, after) == (T0 + 1499, T0 + 1504)


async def test_two_files_play_together(clock, tmp_path, path):
    other = write(tmp_path / 'bbb.gz', [
        (86_400_000, trade('bbbbtc', 1, 86_400_000, '2.5')),
        (86_400_015, trade('bbbbtc', 2, 86_400_015, '2.6')),
    ])
    async with open_venue(replaying(path, other), clock) as venue:
        names = 'aaabtc@trade/bbbbtc@trade'
        async with open_socket(venue, f'/stream?streams={names}') as socket:
            got = [(await socket.get())['data'] for _ in range(6)]
    assert [(m['s'], m['t']) for m in got] == [
        ('BBBBTC', 1), ('AAABTC', 1), ('AAABTC', 2), ('AAABTC', 3),
        ('BBBBTC', 2), ('AAABTC', 4),
    ]


async def test_a_paced_replay_takes_its_time(clock, path):
    config = replaying(path, speed=10.0)
    async with (
        open_venue(config, clock) as venue,
        open_socket(venue, '/ws/aaabtc@trade') as socket,
    ):
        times = []
        for _ in range(4):
            await socket.get()
            times.append(trio.current_time())
    assert 0.05 < times[3] - times[0] < 0.5


async def test_unpaced_waits_for_the_slowest(clock, tmp_path):
    """More than the queue and the kernel hold, read late, comes whole."""
    count = 3000
    padding = 'x' * 4000
    lines = [
        (i, event('aaabtc@trade', e='trade', E=T0 + i, s='AAABTC', t=i,
                  p='1.5', q='1.0', T=T0 + i, m=False, M=padding))
        for i in range(count)
    ]
    path = write(tmp_path / 'long.gz', lines)
    config = replaying(path, max_queue=100, start='manual')
    got = {'quick': [], 'slow': []}

    async def read(socket, name):
        while len(got[name]) < count:
            got[name] += [json.loads(f)['t'] for f in await socket.read()]

    async with (
        open_venue(config, clock) as venue,
        open_bare(venue, '/ws/aaabtc@trade') as slow,
        open_bare(venue, '/ws/aaabtc@trade') as quick,
    ):
        await Rest(venue).post('/sim/v1/replay/start')
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, quick, 'quick')
            # the replay stands still behind the one that doesn't read
            seen = -1
            while not got['quick'] or seen < len(got['quick']):
                seen = len(got['quick'])
                await trio.sleep(0.1)
            assert seen < count
            await read(slow, 'slow')
        assert venue.stats()['cut_off'] == 0
    assert got == {'quick': list(range(count)), 'slow': list(range(count))}


async def test_a_paced_replay_cuts_the_slow_off(clock, tmp_path, caplog):
    lines = [
        (i // 100, event('aaabtc@trade', e='trade', E=T0, s='AAABTC', t=i,
                         p='1.5', q='1.0', T=T0, m=False, M='x' * 4000))
        for i in range(3000)
    ]
    config = replaying(
        write(tmp_path / 'long.gz', lines), max_queue=100, speed=1.0
    )
    async with (
        open_venue(config, clock) as venue,
        open_bare(venue, '/ws/aaabtc@trade'),
    ):
        await finished(Rest(venue))
        assert venue.stats()['cut_off'] == 1
    assert 'does not read' in caplog.text
    caplog.clear()


@pytest.mark.parametrize(
    ('text', 'error'),
    [
        (None, 'missing.txt'),
        ('', 'no recorded messages'),
        ('1 {"stream":"a@trade","data":{}}\nnonsense\n', 'line 2'),
        ('1 {"stream":"a@trade","data":{}}\n2 {"stream":}\n', 'line 2'),
    ],
)
def test_what_cannot_be_replayed(tmp_path, text, error):
    path = tmp_path / 'missing.txt'
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadInput, match=error) as caught:
        load_recording(str(path))
    assert 'missing.txt' in str(caught.value)


async def test_a_bad_recording_fails_at_opening(clock, tmp_path):
    with pytest.raises(BadInput, match='nowhere'):
        async with open_venue(replaying(str(tmp_path / 'nowhere')), clock):
            pass


TRADES = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 2), st.integers(1, 9),
              st.booleans()),
    max_size=40,
)


@given(TRADES)
def test_aggregates_are_the_runs(rows):
    now, trades = 0, []
    for number, (pause, price, size, sell) in enumerate(rows):
        now += pause
        trades.append(Trade(number, now, price, size, sell))
    aggregator = Aggregator()
    found = [done for t in trades if (done := aggregator.add(t))]
    if last := aggregator.flush():
        found.append(last)
    assert [a.id for a in found] == list(range(1, len(found) + 1))
    assert [i for a in found for i in range(a.first, a.last + 1)] == [
        t.id for t in trades
    ]
    for a in found:
        run = trades[a.first : a.last + 1]
        assert {(t.time_ms, t.price, t.sell) for t in run} == {
            (a.time_ms, a.price, a.sell)
        }
        assert a.size == sum(t.size for t in run)
    keys = [(a.time_ms, a.price, a.sell) for a in found]
    assert all(one != two for one, two in pairwise(keys))


def test_a_run_settles_when_time_has_passed():
    aggregator = Aggregator(next_id=5)
    assert aggregator.settle(10**6) is None
    aggregator.add(Trade(1, 1000, 7, 2, True))
    assert aggregator.settle(1000 + SETTLE_MS) is None
    done = aggregator.settle(1001 + SETTLE_MS)
    assert (done.id, done.first, done.last) == (5, 1, 1)
    assert aggregator.flush() is None


@recorded
async def test_the_shared_recordings_replay_whole(clock):
    """Both busy pairs, every byte, and aggregates that add up."""
    paths = [str(RECORDINGS / f'{name}_20240809.gz')
             for name in ('btcusdt', 'ethusdt')]
    sent = defaultdict(list)
    for path in paths:
        for line in gzip.decompress(Path(path).read_bytes()).splitlines():
            raw = line.split(b' ', 1)[1].decode()
            sent[raw[11:raw.index('"', 11)]].append(raw)
    names = '/'.join([*sent, 'btcusdt@aggTrade', 'ethusdt@aggTrade'])
    async with open_venue(replaying(*paths), clock) as venue:
        rest = Rest(venue)
        info = await rest.get('/api/v3/exchangeInfo')
        assert [(s['symbol'], s['filters'][1]['stepSize'])
                for s in info['symbols']] == [
            ('BTCUSDT', '0.00001000'), ('ETHUSDT', '0.00010000')
        ]
        got = defaultdict(list)
        count = 0
        async with open_bare(venue, f'/stream?streams={names}') as socket:
            while (
                venue.stats()['replay']['state'] != 'done'
                or count < sum(venue.stats()['sent'].values())
            ):
                for frame in await socket.read():
                    raw = frame.decode()
                    got[raw[11:raw.index('"', 11)]].append(raw)
                    count += 1
    for name, messages in sent.items():
        assert got[name] == messages
    aggregates = [json.loads(m)['data'] for m in got['btcusdt@aggTrade']]
    trades = [json.loads(m)['data'] for m in sent['btcusdt@trade']]
    assert len(aggregates) == 5536
    assert aggregates[0]['f'] == trades[0]['t']
    assert aggregates[-1]['l'] == trades[-1]['t']
    assert sum(a['l'] - a['f'] + 1 for a in aggregates) == len(trades)


@recorded
async def test_the_older_format_replays(clock):
    path = RECORDINGS / 'ws_20211012.gz'
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    sent = [line.split(': ', 1)[1] for line in lines
            if 'nknusdt@' in line[:60] and not line.startswith('wss')]
    names = ('aggTrade', 'bookTicker', 'depth@100ms', 'kline_1m')
    path_of = '/stream?streams=' + '/'.join(f'nknusdt@{n}' for n in names)
    config = replaying(str(path))
    async with open_venue(config, clock) as venue:
        async with open_socket(venue, path_of) as socket:
            assert [await socket.raw() for _ in sent] == sent
        rest = Rest(venue)
        bars = await rest.get('/api/v3/klines?symbol=NKNUSDT&interval=1m')
        assert bars[0][4] == '0.35280000'
        aggs = await rest.get('/api/v3/aggTrades?symbol=NKNUSDT')
        assert aggs[0]['a'] == 15683430
