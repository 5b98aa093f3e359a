"""Connections to a small venue on loopback: REST and streams."""
from __future__ import annotations

import json
from contextlib import AsyncExitStack
from functools import partial
from types import SimpleNamespace

import pytest
import trio
from trio_websocket import ConnectionClosed, serve_websocket

from piker.brokers.binance.decode import Router
from piker.brokers.binance.link import Link, Links
from piker.brokers.binance.provider import Binance
from piker.brokers.binance.rest import Rest
from piker.clock import ManualClock, VenueClock
from piker.errors import BadMessage, VenueDown, VenueRefused


class Http:
    """Answers each request with the next of ``answers``."""

    def __init__(self):
        self.answers = []
        self.asked = []

    async def serve(self, stream):
        async with stream:
            data = b''
            while b'\r\n\r\n' not in data:
                more = await stream.receive_some()
                if not more:
                    return
                data += more
            self.asked.append((trio.current_time(), data.split()[1].decode()))
            status, headers, body = self.answers.pop(0)
            head = ''.join(f'{k}: {v}\r\n' for k, v in headers.items())
            await stream.send_all(
                f'HTTP/1.1 {status} X\r\n{head}Connection: close\r\n'
                f'Content-Length: {len(body)}\r\n\r\n'.encode() + body
            )


@pytest.fixture
async def http(nursery):
    server = Http()
    listeners = await nursery.start(
        partial(trio.serve_tcp, server.serve, 0, host='127.0.0.1')
    )
    server.url = 'http://{}:{}'.format(*listeners[0].socket.getsockname())
    yield server
    nursery.cancel_scope.cancel()


@pytest.fixture
async def rest(http):
    session = Rest(http.url)
    yield session
    await session.aclose()


async def test_answers_and_their_errors(http, rest):
    http.answers = [
        (200, {'X-MBX-USED-WEIGHT-1M': '1234'}, b'{"a":1}'),
        (400, {}, b'{"code":-1121,"msg":"Invalid symbol."}'),
        (500, {}, b'oops'),
        (200, {}, b'<html>'),
        (200, {}, b'[]'),
    ]
    with trio.fail_after(10):
        assert await rest.get('/a', symbol='X', empty=None) == {'a': 1}
        assert http.asked[0][1] == '/a?symbol=X'
        assert rest.limiter.used >= 1234
        with pytest.raises(VenueRefused, match='Invalid symbol'):
            await rest.get('/a')
        with pytest.raises(VenueDown, match='status 500: oops'):
            await rest.get('/a')
        with pytest.raises(BadMessage, match='not JSON'):
            await rest.get('/a')
        assert await rest.get('/a') == []


@pytest.mark.parametrize('status', [429, 418])
async def test_a_limit_pauses_every_request(http, rest, status):
    http.answers = [
        (status, {'Retry-After': '0.2'}, b''),
        (200, {}, b'1'), (200, {}, b'2'),
    ]
    got = []

    async def ask(path):
        got.append(await rest.get(path))

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, '/a')
            await until(lambda: rest.limiter.back_offs)
            told = trio.current_time()
            nursery.start_soon(ask, '/b')
    assert sorted(got) == [1, 2]
    assert len(http.asked) == 3
    assert all(at - told > 0.15 for at, _ in http.asked[1:])


async def test_a_long_pause_is_told_at_once(http, rest):
    http.answers = [(429, {'Retry-After': '3000'}, b'')]
    with trio.fail_after(5), pytest.raises(VenueDown, match='429'):
        await rest.get('/a')


async def test_nobody_there(rest, http):
    gone = Rest('http://127.0.0.1:1')
    with pytest.raises(VenueDown, match='cannot be reached'):
        await gone.get('/a')
    await gone.aclose()


async def test_a_clock_that_cannot_be_read_ends_nothing(autojump_clock):
    class Odd:
        asked = 0

        async def get(self, path):
            self.asked += 1
            if self.asked % 2:
                raise BadMessage('not JSON')
            raise VenueDown('down')

    backend = object.__new__(Binance)
    backend.name, backend._rest = 'binance', Odd()
    backend._base = ManualClock(0)
    with trio.move_on_after(6000):
        await backend.keep_clock()
    assert backend._rest.asked > 5


async def test_an_old_listing_is_no_reason_to_wait(autojump_clock, nursery):
    """Not for a venue that is down, or wants to be left alone for long."""
    class Venue:
        asked, answers = 0, True

        async def get(self, path, background=False):
            self.asked += 1
            if not self.answers:
                await trio.sleep(1000)
                raise VenueDown('down')
            return {'symbols': [{
                'symbol': f'X{self.asked}', 'status': 'TRADING',
                'baseAsset': 'X', 'quoteAsset': 'Y', 'filters': [
                    {'filterType': 'PRICE_FILTER', 'tickSize': '0.1'},
                    {'filterType': 'LOT_SIZE', 'stepSize': '0.1'},
                ],
            }]}

    backend = object.__new__(Binance)
    backend.name, backend._rest = 'binance', Venue()
    backend._instruments, backend._listing = {}, trio.Lock()
    nursery.start_soon(backend.keep_listing)
    await trio.sleep(7200)
    assert not backend._rest.asked
    for _ in range(3):
        assert list(await backend.instruments()) == ['x1']
    backend._rest.answers = False
    await trio.sleep(7000)
    began = trio.current_time()
    for _ in range(100):
        assert list(await backend.instruments()) == ['x1']
    assert trio.current_time() == began
    assert backend._rest.asked < 10
    backend._rest.answers = True
    await trio.sleep(2000)
    assert list(await backend.instruments()) != ['x1']
    nursery.cancel_scope.cancel()


class Streams:
    """A venue's stream: answers requests, remembers them."""

    def __init__(self):
        self.requests = []
        self.sockets = []
        self.bad = set()  # streams that a request must not name
        self.silent = False
        self.anonymous = False  # errors do not say what they are about

    async def serve(self, request):
        socket = await request.accept()
        self.sockets.append(socket)
        try:
            while True:
                message = json.loads(await socket.get_message())
                self.requests.append((message['method'], message['params']))
                if self.silent:
                    continue
                answer = {'result': None, 'id': message['id']}
                if self.bad & set(message['params']):
                    answer = {
                        'error': {'code': 2, 'msg': 'Invalid request: no'},
                        'id': None if self.anonymous else message['id'],
                    }
                await socket.send_message(json.dumps(answer))
        except ConnectionClosed:
            pass


class Told:
    """A subscription that notes what it is told."""

    def __init__(self):
        self.got, self.news = [], []

    def rows(self, rows):
        self.got += rows

    def refused(self, count):
        self.news.append('refused')

    def link_up(self):
        self.news.append('up')

    def link_down(self, reason):
        self.news.append('down')

    def link_refused(self, reason):
        self.news.append(reason)

    def link_alive(self):
        pass


async def until(condition):
    with trio.fail_after(5):
        while not condition():
            await trio.sleep(0.005)


@pytest.fixture
async def streams(nursery):
    server = Streams()
    ws = await nursery.start(
        partial(serve_websocket, server.serve, '127.0.0.1', 0, None)
    )
    server.links = Links(
        f'ws://127.0.0.1:{ws.port}',
        Router(VenueClock(ManualClock(1_700_000_000_000_000_000))), nursery,
    )
    yield server
    nursery.cancel_scope.cancel()


TRADE = json.dumps({'stream': 'a@trade', 'data': {
    'E': 1, 't': 5, 'p': '1.5', 'q': '2', 'T': 3, 'm': True,
}}, separators=(',', ':'))


async def test_a_link_comes_back_with_all_its_streams(streams):
    told, other = Told(), Told()
    async with (
        streams.links.subscribed(['a@trade', 'a@bookTicker'], told),
        streams.links.subscribed(['b@trade'], other),
    ):
        await until(lambda: told.news == other.news == ['up'])
        # both were asked for at once
        assert streams.requests == [
            ('SUBSCRIBE', ['a@bookTicker', 'a@trade', 'b@trade'])
        ]
        await streams.sockets[0].send_message(TRADE)
        await until(lambda: told.got)
        assert told.got[0][6] == 5
        assert not other.got
        await streams.sockets[0].aclose()
        await until(lambda: told.news == other.news == ['up', 'down', 'up'])
        assert len(streams.requests) == 2
        await streams.sockets[1].send_message(TRADE)
        await until(lambda: len(told.got) == 2)
        assert streams.links.status()[0]['connects'] == 2


async def test_streams_come_and_go_on_one_connection(streams):
    told, other = Told(), Told()
    async with streams.links.subscribed(['a@trade'], told):
        await until(lambda: told.news)
        async with streams.links.subscribed(['b@trade'], other):
            await until(lambda: other.news)
        await until(lambda: len(streams.requests) == 3)
        # what decodes lists is ready before a burst comes
        await until(lambda: streams.links._router._decode_list)
    assert streams.requests == [
        ('SUBSCRIBE', ['a@trade']), ('SUBSCRIBE', ['b@trade']),
        ('UNSUBSCRIBE', ['b@trade']),
    ]
    assert len(streams.sockets) == 1
    assert told.news == ['up']


REFUSED = 'the venue refuses its stream: Invalid request: no (code 2)'


@pytest.mark.parametrize('anonymous', [False, True])
async def test_a_refused_stream_leaves_the_others_alone(
    streams, monkeypatch, anonymous
):
    monkeypatch.setattr('piker.brokers.binance.link._REQUEST_PAUSE_S', 0.01)
    monkeypatch.setattr('piker.brokers.binance.link._REFUSED_S', (0.2, 0.4))
    streams.bad, streams.anonymous = {'d@trade'}, anonymous
    told = {name: Told() for name in 'abcdefg'}
    async with AsyncExitStack() as stack:
        for name, one in told.items():
            await stack.enter_async_context(streams.links.subscribed(
                [f'{name}@trade', f'{name}@bookTicker'], one
            ))
        await until(lambda: all(one.news for one in told.values()))
        assert {k for k, one in told.items() if one.news == ['up']} == set(
            'abcefg'
        )
        assert told['d'].news == [REFUSED]
        await streams.sockets[0].send_message(TRADE)
        await until(lambda: told['a'].got)
        assert len(streams.sockets) == 1
        # It is asked for again from time to time, alone.
        await until(lambda: len(told['d'].news) == 2)
        assert streams.requests[-1] == (
            'SUBSCRIBE', ['d@bookTicker', 'd@trade']
        )
        streams.bad = set()
        await until(lambda: told['d'].news[-1] == 'up')
        assert all(
            one.news == ['up'] for k, one in told.items() if k != 'd'
        )


async def test_what_is_refused_can_be_given_up(streams, monkeypatch):
    monkeypatch.setattr('piker.brokers.binance.link._REQUEST_PAUSE_S', 0.01)
    monkeypatch.setattr('piker.brokers.binance.link._REFUSED_S', (0.1, 0.1))
    streams.bad = {'a@trade'}
    told = Told()
    async with streams.links.subscribed(['a@trade'], told):
        await until(lambda: told.news)
    await until(lambda: not streams.links._links[0]._apart)
    asked = len(streams.requests)
    await trio.sleep(1.5)
    assert not [r for r in streams.requests[asked:] if r[0] == 'SUBSCRIBE']
    assert len(streams.sockets) == 1


async def test_a_request_without_an_answer(streams, monkeypatch):
    """Else the connection would stay up, and its feeds wait for ever."""
    monkeypatch.setattr('piker.brokers.binance.link._ANSWER_S', 0.2)
    streams.silent = True
    told = Told()
    async with streams.links.subscribed(['a@trade'], told):
        await until(lambda: len(streams.sockets) == 2)
        streams.silent = False
        await until(lambda: told.news[-1:] == ['up'])


async def test_a_pong_may_be_late_behind_much_data(autojump_clock, nursery):
    """Only a connection on which nothing comes is a silent one."""
    class Websocket:
        ping = staticmethod(trio.sleep_forever)

    link = Link('ws://venue', Router(VenueClock(ManualClock(0))))
    link.tap = SimpleNamespace(bytes_read=0)

    async def deliver():
        for _ in range(60):
            await trio.sleep(1)
            link.tap.bytes_read += 1000

    nursery.start_soon(deliver)
    with pytest.raises(VenueDown, match='silent for 6 s'):
        await link._watch_silence(Websocket)
    assert 65 < trio.current_time() < 75


async def test_a_lost_answer_is_told_from_late_pongs(
    autojump_clock, nursery
):
    """However far behind the connection is, it is known what was passed."""
    class Websocket:
        @staticmethod
        async def ping():
            await trio.sleep(8)

    link = Link('ws://venue', Router(VenueClock(ManualClock(0))))
    link.tap = SimpleNamespace(bytes_read=0)

    async def deliver():
        while True:
            await trio.sleep(0.5)
            link.tap.bytes_read += 1000

    nursery.start_soon(deliver)
    nursery.start_soon(link._watch_silence, Websocket)
    link._pending[1] = trio.current_time(), ['a@trade']
    with trio.fail_after(60), pytest.raises(VenueDown, match='no answer'):
        await link._watch_requests()
    nursery.cancel_scope.cancel()


async def test_a_stream_asked_for_again_at_once_comes_up(streams):
    first, second = Told(), Told()
    async with streams.links.subscribed(['a@trade'], first):
        await until(lambda: first.news)
    async with streams.links.subscribed(['a@trade'], second):
        await until(lambda: second.news == ['up'])
        await streams.sockets[0].send_message(TRADE)
        await until(lambda: second.got)
    assert not first.got


async def test_a_refused_handshake_says_so_at_once(http, nursery, caplog):
    http.answers = [(403, {}, b'\x81\x81 go away')] * 50
    links = Links(
        http.url.replace('http', 'ws'),
        Router(VenueClock(ManualClock(0))), nursery,
    )
    async with links.subscribed(['a@trade'], Told()):
        await until(lambda: '403' in caplog.text)
