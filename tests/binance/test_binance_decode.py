"""The hot pass of decoding, held equal to the models; and listings."""
from __future__ import annotations

import gzip
import json
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from piker.brokers.binance.decode import Router, stream_name
from piker.brokers.binance.provider import Binance
from piker.brokers.binance.schemas import (
    AggTrade,
    BookTicker,
    ExchangeInfo,
    Kline,
    SymbolInfo,
    Trade,
    pack_klines,
)
from piker.clock import ManualClock, VenueClock
from piker.errors import BadMessage

NOW, RECV = 1_700_000_000_000_000_000, 77
prices = st.decimals(0, 10 ** 9, places=8).map(str)
ids = st.integers(0, 2 ** 62)
times = st.integers(0, 4 * 10 ** 12)
extra = st.dictionaries(
    st.sampled_from(['M', 'X', 'nn']), st.none() | st.booleans() | st.text()
)


class Sink:
    def __init__(self):
        self.got, self.bad, self.in_columns = [], 0, 0

    def rows(self, rows):
        self.got += rows

    def columns(self, ticks):
        self.in_columns += len(ticks)
        self.got += ticks.rows()

    def refused(self, count):
        self.bad += count


def routed(payloads, kind):
    sink = Sink()
    router = Router(VenueClock(ManualClock(NOW)))
    router.add([f'x@{kind}'], sink)
    rest = router.route(payloads, RECV)
    return sink, rest


def combined(kind, data, name='x'):
    return json.dumps(
        {'stream': f'{name}@{kind}', 'data': data}, separators=(',', ':')
    ).encode()


def reference(kind, data):
    if kind == 'bookTicker':
        return BookTicker.model_validate(data).to_rows(RECV, NOW)
    model = AggTrade if kind == 'aggTrade' else Trade
    return [model.model_validate(data).to_row(RECV)]


messages = st.one_of(
    st.tuples(st.just('aggTrade'), st.fixed_dictionaries({
        'e': st.just('aggTrade'), 'E': times, 's': st.text(), 'a': ids,
        'p': prices, 'q': prices, 'f': ids, 'l': ids, 'T': times,
        'm': st.booleans(),
    })),
    st.tuples(st.just('trade'), st.fixed_dictionaries({
        'e': st.just('trade'), 'E': times, 't': ids, 'p': prices,
        'q': prices, 'T': times, 'm': st.booleans(),
    })),
    st.tuples(st.just('bookTicker'), st.fixed_dictionaries({
        'u': ids, 's': st.text(), 'b': prices, 'B': prices, 'a': prices,
        'A': prices,
    })),
)


@settings(deadline=None, max_examples=200)
@given(messages, extra)
def test_hot_decoding_equals_the_models(message, more):
    kind, data = message
    data = {**data, **more}
    sink, rest = routed([combined(kind, data)], kind)
    assert not rest
    assert not sink.bad
    assert sink.got == reference(kind, data)


@pytest.mark.parametrize('name', [
    'ws_20211012', 'btcusdt_20240809', 'ethusdt_20240809',
])
def test_hot_decoding_of_recordings(recordings, name):
    checked = 0
    with gzip.open(recordings / f'{name}.gz', 'rt') as lines:
        for line in lines:
            _, _, text = line.partition(' ')
            if not text.startswith('{"stream"'):
                continue
            message = json.loads(text)
            symbol, _, kind = message['stream'].partition('@')
            if kind not in ('aggTrade', 'trade', 'bookTicker'):
                continue
            payload = text.strip().encode()
            assert stream_name(payload) == f'{symbol}@{kind}'.encode()
            # all of the short one, the beginning of the others
            if checked < 4000:
                router_payload = payload.replace(
                    f'"{symbol}@'.encode(), b'"x@', 1
                )
                sink, _ = routed([router_payload], kind)
                assert sink.got == reference(kind, message['data'])
                checked += 1
    assert checked > 20


@st.composite
def mixed(draw):
    """Messages of some instruments, a few of them spoilt."""
    found = []
    for _ in range(draw(st.integers(1, 8))):
        kind, data = draw(messages)
        name = draw(st.sampled_from(['x', 'x', 'x', 'y', 'z']))
        payload = combined(kind, data, name)
        found += [(f'{name}@{kind}', payload)] * draw(st.integers(1, 80))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1]))):
        at = draw(st.integers(0, len(found) - 1))
        name, payload = found[at]
        old, new = draw(st.sampled_from([
            (b'"', b''), (b'}', b''), (b':', b':['), (b'"T":', b'"TT":'),
            (b'"u":', b'"u":-'), (b'"u":', b'"u":99999999999999999999'),
            (b'"m":', b'"m":1'), (b'"p":"', b'"p":"nan'), (b'@', b'@@'),
        ]))
        found[at] = name, payload.replace(old, new, 1)
    return found


def as_list(payloads):
    text = b'[' + b','.join(payloads) + b']'
    return np.frombuffer(text, np.uint8), len(payloads), RECV


@settings(deadline=None, max_examples=200)
@given(mixed())
def test_a_list_of_messages_does_what_each_of_them_does(found):
    sides = []
    for _ in range(2):
        sinks = {name: Sink() for name in 'xyz'}
        router = Router(VenueClock(ManualClock(NOW)))
        for name, _ in found:
            router.add([name], sinks[name[0]])
        sides.append((sinks, router))
    payloads = [payload for _, payload in found]
    (want, one_by_one), (got, listed) = sides
    rest = one_by_one.route(payloads, RECV)
    done = listed.route_list(*as_list(payloads))
    event(f'as a list: {done}')
    if not done:
        assert rest or one_by_one.unknown or any(
            sink.bad for sink in want.values()
        )
        assert not listed.messages
        assert listed.route(payloads, RECV) == rest
    assert listed.status() == one_by_one.status()
    assert listed._clock.offset_ns == one_by_one._clock.offset_ns
    for name, sink in want.items():
        assert repr(got[name].got) == repr(sink.got)
        assert got[name].bad == sink.bad
        if done:
            per_name = sum(n[0] == name for n, _ in found)
            event(f'columns: {got[name].in_columns > 0}')
            assert not got[name].in_columns or per_name >= 128


def book(update, name='x'):
    return combined('bookTicker', {
        'u': update, 's': 'X', 'b': '1.5', 'B': '2', 'a': '1.75', 'A': '3',
    }, name)


def test_the_newest_event_moves_the_clock():
    router = Router(VenueClock(ManualClock(NOW)))
    router.add(['x@trade'], Sink())
    ms = NOW // 10 ** 6
    payloads = [
        combined('trade', {
            'e': 'trade', 'E': ms + k % 90, 't': k, 'p': '1', 'q': '2',
            'T': ms, 'm': True,
        })
        for k in range(200)
    ]
    assert router.route_list(*as_list(payloads[:5]))
    assert router._clock.now_ns() == NOW + 4 * 10 ** 6
    assert router.route_list(*as_list(payloads))
    assert router._clock.now_ns() == NOW + 89 * 10 ** 6


MINUTES_MS = 60_000


@pytest.mark.parametrize('many', [1, 3, 200])
@pytest.mark.parametrize('listed', [False, True])
def test_one_absurd_event_time_moves_no_clock(many, listed):
    """While a recording that is played fast takes the clock with it."""
    clock = VenueClock(ManualClock(NOW))
    router = Router(clock)
    router.add(['x@trade'], Sink())

    def put(first, times_ms):
        found = [
            combined('trade', {
                'E': event, 't': first + k, 'p': '1', 'q': '1', 'T': traded,
                'm': True,
            }) for k, (event, traded) in enumerate(times_ms)
        ]
        if listed:
            assert router.route_list(*as_list(found))
        else:
            assert not router.route(found, RECV)

    now_ms = NOW // 10 ** 6
    leap = now_ms + 50 * MINUTES_MS
    put(0, [(now_ms, now_ms)] * (many - 1) + [(leap, now_ms)])
    assert clock.now_ns() == NOW
    put(many, [(leap + 3, leap)] * many)
    assert clock.now_ns() == (leap + 3) * 10 ** 6


def test_what_a_list_must_not_have():
    sink = Sink()
    router = Router(VenueClock(ManualClock(NOW)))
    good = [book(k) for k in range(200)]
    # nothing is subscribed
    assert not router.route_list(*as_list(good))
    router.add(['x@bookTicker'], sink)
    text, many, recv = as_list(good)
    assert not router.route_list(text, many + 1, recv)
    for bad in (book(5, 'gone'), b'{"result":null,"id":1}', b'7', b''):
        assert not router.route_list(*as_list([*good, bad]))
    assert not sink.got
    assert router.route_list(text, many, recv)
    assert sink.in_columns == len(sink.got) == 400
    # another stream, and one that is gone
    router.add(['y@bookTicker'], sink)
    assert router.route_list(*as_list([*good, book(5, 'y')]))
    router.remove(['x@bookTicker'], sink)
    assert not router.route_list(*as_list(good))
    assert len(sink.got) == 802


def test_a_book_among_ticks_in_a_list():
    ticks, changes = Sink(), Sink()
    router = Router(VenueClock(ManualClock(NOW)))
    router.add(['x@bookTicker'], ticks)
    router.add(['x@depth@100ms'], changes)
    depth = {'E': 1, 'U': 4, 'u': 5, 'b': [['1.5', '2']], 'a': []}
    payloads = [book(k) for k in range(200)]
    payloads[50:50] = [
        combined('depth@100ms', depth),
        combined('depth@100ms', {**depth, 'u': 3}),
    ]
    assert router.route_list(*as_list(payloads))
    assert len(ticks.got) == ticks.in_columns == 400
    assert (len(changes.got), changes.bad) == (1, 1)
    assert changes.got[0].bids == [(1.5, 2.0)]
    assert router.route_list(*as_list([combined('depth@100ms', depth)] * 200))
    assert len(changes.got) == 201


def test_a_bad_message_stops_nothing_else():
    good = combined('trade', {
        'e': 'trade', 'E': 1, 't': 5, 'p': '1.5', 'q': '2', 'T': 3,
        'm': True,
    })
    bad = [
        combined('trade', {}), combined('trade', []),
        good.replace(b'"1.5"', b'"x"'), good.replace(b'5', b'"y"', 1),
        good[:-3], good.replace(b'true', b'[]'),
    ]
    payloads = [good]
    for one in bad:
        payloads += [one, good]
    other = [b'{"result":null,"id":1}', b'not json', b'']
    sink, rest = routed(payloads + other, 'trade')
    assert sink.bad == len(bad)
    assert len(sink.got) == len(bad) + 1
    assert rest == other


def test_unknown_streams_are_counted():
    router = Router(VenueClock(ManualClock(NOW)))
    assert not router.route([combined('trade', {}, 'gone')], RECV)
    assert router.status()['unknown_messages'] == 1
    # whatever the order of the keys
    assert stream_name(b'{"data":{},"stream":"a@b"}') == b'a@b'


KLINE = [
    1_700_000_000_000, '1.5', '2.5', '0.5', '2.0', '4', 1_700_000_059_999,
    '6', 7, '0', '0', '0',
]


def test_klines():
    rows = pack_klines([Kline.parse(KLINE), Kline.parse(
        [*KLINE[:5], '0', *KLINE[6:]]
    )])
    assert rows[0].tolist() == (
        1_700_000_000_000_000_000, 1.5, 2.5, 0.5, 2.0, 4.0, 1.5, 7
    )
    assert rows[1]['vwap'] == 2.0


@pytest.mark.parametrize('row', [
    [], None, 5, {}, {'a': 1}, 'abcdefghi', KLINE[:8],
    [*KLINE[:2], 'nan', *KLINE[3:]], [*KLINE[:2], '-1', *KLINE[3:]],
    [*KLINE[:2], None, *KLINE[3:]], [float('inf'), *KLINE[1:]],
])
def test_what_is_no_kline(row):
    with pytest.raises(BadMessage, match='not a kline'):
        Kline.parse(row)


def symbol(name='BTCUSDT', tick='0.01', lot='0.001', least='5'):
    return SymbolInfo(
        symbol=name, status='TRADING', baseAsset='B', quoteAsset='Q',
        filters=[
            {'filterType': 'PRICE_FILTER', 'tickSize': tick},
            {'filterType': 'LOT_SIZE', 'stepSize': lot},
            {'filterType': 'NOTIONAL', 'minNotional': least},
        ],
    )


@pytest.mark.parametrize('bad', [
    symbol('币安人生USDT'), symbol('A B'), symbol(tick='0'),
    symbol(tick='nan'), symbol(lot='Infinity'), symbol(tick='x'),
    symbol(lot=None), symbol(least='x'), symbol(least=None),
])
def test_a_strange_symbol_leaves_out_itself_alone(bad, caplog):
    backend = object.__new__(Binance)
    backend.name = 'binance'
    found = backend._usable([bad, symbol('ETHUSDT')])
    assert list(found) == ['ethusdt']
    assert found['ethusdt'].tick_size == Decimal('0.01')
    assert found['ethusdt'].min_notional == 5
    assert 'left out' in caplog.text


def test_the_recorded_listing(recordings):
    with gzip.open(recordings / 'exchangeInfo_20211012.gz', 'rt') as file:
        text = file.read().splitlines()[0]
    info = ExchangeInfo.model_validate_json(text[text.index('{'):])
    backend = object.__new__(Binance)
    backend.name = 'binance'
    found = backend._usable(info.symbols)
    assert len(found) == len(info.symbols) > 1000
    for instrument in found.values():
        assert instrument.tick_size > 0
        assert instrument.lot_size > 0
        assert instrument.id.endswith('.binance')
    btc = found['btcusdt']
    assert (btc.price_digits, btc.size_digits) == (2, 5)
