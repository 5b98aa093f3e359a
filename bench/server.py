"""
The venue of the benchmarks: ``python -m bench.server``, a process of its own.

It speaks as much of Binance Spot's protocol as the clients ask for: a few
REST answers, the websocket handshake, ``SUBSCRIBE`` and pongs.  What it sends
is encoded beforehand, so that it is never what limits a client.

It is told what to do by lines of JSON on stdin and answers on stdout.  Plain
threads and blocking sockets: a sleeping thread wakes some 20 µs late, an
event loop up to a millisecond.
"""
from __future__ import annotations

import argparse
import base64
import ctypes
import hashlib
import json
import socket
import struct
import sys
import threading
import time
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from . import stream

_GUID = b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
_CHUNK = 1 << 15
_PR_SET_TIMERSLACK = 29
_lock = threading.Lock()


def say(**what: object) -> None:
    with _lock:
        sys.stdout.write(json.dumps(what) + '\n')
        sys.stdout.flush()


class Client:
    """One websocket connection: what it subscribed, and its sending end."""

    def __init__(self, sock: socket.socket, *, combined: bool) -> None:
        self.sock = sock
        self.combined = combined
        self.streams: set[str] = set()
        self.lock = threading.Lock()
        self.frames: stream.Frames | None = None

    def send(self, data: bytes | memoryview) -> None:
        with self.lock:
            self.sock.sendall(data)

    def send_text(self, text: bytes) -> None:
        self.send(stream._head(len(text)) + text)


class Server:
    """Accepts clients and, told to go, sends them the tape."""

    def __init__(
        self, tape: stream.Tape, loops: int, times: np.ndarray
    ) -> None:
        self.tape = tape
        self.loops = loops
        self.due, self.sent = times
        self.clients: list[Client] = []
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.port = self.listener.getsockname()[1]

    def run(self) -> None:
        threading.Thread(target=self._accept, daemon=True).start()
        say(port=self.port)
        for line in sys.stdin:
            self._obey(json.loads(line))

    def _obey(self, order: dict) -> None:
        if 'go' in order:
            self._go(**order['go'])

    def _accept(self) -> None:
        while True:
            sock, _ = self.listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(
                target=self._serve, args=(sock,), daemon=True
            ).start()

    # HTTP

    def _serve(self, sock: socket.socket) -> None:
        try:
            data, came_ns = b'', 0
            while True:
                while b'\r\n\r\n' not in data:
                    more = sock.recv(1 << 16)
                    came_ns = time.monotonic_ns()
                    if not more:
                        return
                    data += more
                head, _, data = data.partition(b'\r\n\r\n')
                lines = head.decode('latin-1').split('\r\n')
                headers = dict(
                    line.lower().split(': ', 1)
                    if 'sec-websocket-key' not in line.lower()
                    else ('sec-websocket-key', line.split(': ', 1)[1])
                    for line in lines[1:]
                )
                method, target, _ = lines[0].split()
                if 'upgrade' in headers.get('connection', ''):
                    self._websocket(sock, target, headers, data)
                    return
                size = int(headers.get('content-length', 0))
                while len(data) < size:
                    data += sock.recv(1 << 16)
                body, data = data[:size], data[size:]
                asked = self._asked(method, target, body, came_ns)
                if asked is None:
                    binary = headers.get('accept') == 'application/sbe'
                    asked = self._answer(target, binary=binary)
                sock.sendall(asked)
        except OSError:
            pass
        finally:
            sock.close()

    def _asked(
        self, method: str, target: str, body: bytes, came_ns: int
    ) -> bytes | None:
        """The answer to what only some servers know, else ``None``."""
        return None

    def _answer(self, target: str, *, binary: bool) -> bytes:
        name = urlsplit(target).path.rpartition('/api/v3/')[2]
        kind = b'json'
        if binary and name in {'exchangeInfo', 'time'}:
            kind = b'sbe'
            body = (
                _sbe_time(self.tape.start_ms) if name == 'time'
                else _sbe_listing(self.tape.symbol.upper())
            )
        else:
            body = json.dumps(self._rest(name)).encode()
        return (
            b'HTTP/1.1 200 OK\r\nContent-Type: application/%b\r\n'
            b'Content-Length: %d\r\n\r\n' % (kind, len(body))
        ) + body

    def _rest(self, name: str) -> object:
        tape = self.tape
        symbol = tape.symbol.upper()
        if name == 'time':
            return {'serverTime': tape.start_ms}
        if name == 'exchangeInfo':
            return {
                'timezone': 'UTC', 'serverTime': tape.start_ms,
                'rateLimits': [], 'exchangeFilters': [],
                'symbols': [_listing(symbol)],
            }
        if name == 'ticker/bookTicker':
            _, bid, bid_size, ask, ask_size = next(filter(None, tape.books))
            return {
                'symbol': symbol, 'bidPrice': bid.decode(),
                'bidQty': bid_size.decode(), 'askPrice': ask.decode(),
                'askQty': ask_size.decode(),
            }
        if name in {'klines', 'aggTrades', 'trades', 'historicalTrades'}:
            return []
        return {}

    # websocket

    def _websocket(
        self, sock: socket.socket, target: str, headers: dict, data: bytes
    ) -> None:
        key = headers['sec-websocket-key'].encode()
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
        sock.sendall(
            b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n'
            b'Connection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n'
            % accept
        )
        parts = urlsplit(unquote(target))
        client = Client(sock, combined=parts.path.startswith('/stream'))
        names = parse_qs(parts.query).get('streams', [''])[0].split('/')
        if parts.path.startswith('/ws/'):
            names = parts.path.removeprefix('/ws/').split('/')
        self.clients.append(client)
        try:
            self._subscribe(client, names)
            while True:
                opcode, payload, data = _read_frame(sock, data)
                if opcode == 8:
                    return
                if opcode == 9:
                    client.send(bytes((0x8A, len(payload))) + payload)
                elif opcode in (1, 2):
                    order = json.loads(payload)
                    if order.get('method') == 'SUBSCRIBE':
                        self._subscribe(client, order['params'])
                    reply = {'id': order.get('id')} | self._result(order)
                    client.send_text(json.dumps(reply).encode())
        finally:
            self.clients.remove(client)
            client.sock.close()

    def _result(self, order: dict) -> dict:
        """What a request over the websocket is answered with."""
        return {'result': None}

    def _subscribe(self, client: Client, names: list[str]) -> None:
        client.streams |= {name for name in names if '@' in name}
        say(subscribed=sorted(
            {name for c in self.clients for name in c.streams}
        ))

    # sending

    def _go(self, speed: float, for_s: float = 1e9) -> None:
        """Send everything, paced, or with ``speed`` 0 as fast as it goes."""
        clients = [c for c in self.clients if c.streams]
        for client in clients:
            client.frames = stream.encode(
                self.tape, self.loops, client.streams,
                combined=client.combined,
            )
        say(encoded=[len(c.frames.ends) for c in clients])
        time.sleep(0.3)
        self.sent[:] = 0
        began, cpu = time.monotonic(), time.process_time()
        try:
            if speed:
                self._paced(clients, speed)
            else:
                self._flood(clients, for_s)
        except OSError as err:
            say(broken=repr(err))
        say(
            done=int(np.count_nonzero(self.sent)),
            seconds=time.monotonic() - began,
            cpu=time.process_time() - cpu,
        )

    def _paced(self, clients: list[Client], speed: float) -> None:
        # Threads of this process wake as exactly as the kernel can.
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
        due = self.tape.due_ns(self.loops)
        self.due[:] = (
            time.monotonic_ns() + 100_000_000 + (due / speed).astype('i8')
        )
        # In plain Python, and stamps kept for later: what this process takes
        # of the processor it takes from whoever is measured.
        todo = []
        for client in clients:
            frames = client.frames
            todo.append((
                client, memoryview(frames.blob), [0, *frames.ends.tolist()],
                self.due[frames.index].tolist(), [],
            ))
        done = [0] * len(todo)
        clock = time.monotonic_ns
        while True:
            nearest = 1 << 62
            for at, (client, blob, ends, due, stamps) in enumerate(todo):
                low = high = done[at]
                now = clock()
                while high < len(due) and due[high] <= now:
                    high += 1
                if high > low:
                    stamps.append((low, high, clock()))
                    client.send(blob[ends[low]:ends[high]])
                    done[at] = high
                if high < len(due):
                    nearest = min(nearest, due[high])
            if nearest == 1 << 62:
                break
            wait = (nearest - clock()) / 1e9
            if wait > 0:
                time.sleep(wait)
        for client, _, _, _, stamps in todo:
            for low, high, at in stamps:
                self.sent[client.frames.index[low:high]] = at

    def _flood(self, clients: list[Client], for_s: float) -> None:
        stop = time.monotonic() + for_s
        threads = [
            threading.Thread(target=self._flood_one, args=(client, stop))
            for client in clients
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _flood_one(self, client: Client, stop: float) -> None:
        frames = client.frames
        blob = memoryview(frames.blob)
        low = start = 0
        try:
            while low < len(frames.ends) and time.monotonic() < stop:
                high = int(
                    frames.ends.searchsorted(start + _CHUNK, 'right')
                )
                end = int(frames.ends[high - 1])
                self.sent[frames.index[low:high]] = time.monotonic_ns()
                client.send(blob[start:end])
                low, start = high, end
        except OSError as err:
            say(broken=repr(err))


def _read_frame(
    sock: socket.socket, data: bytes
) -> tuple[int, bytes, bytes]:
    """The next (short, masked) frame of a client and what came after it."""

    def need(size: int) -> None:
        nonlocal data
        while len(data) < size:
            more = sock.recv(1 << 16)
            if not more:
                raise ConnectionError
            data += more

    need(2)
    opcode, size, at = data[0] & 15, data[1] & 127, 2
    masked = data[1] & 128
    if size == 126:
        need(4)
        size, at = struct.unpack_from('!H', data, 2)[0], 4
    mask = bytes(4)
    if masked:
        need(at + 4)
        mask, at = data[at:at + 4], at + 4
    need(at + size)
    payload = bytes(
        byte ^ mask[i & 3] for i, byte in enumerate(data[at:at + size])
    )
    return opcode, payload, data[at + size:]


def _listing(symbol: str) -> dict:
    """A market with all that any of the clients looks at."""
    return {
        'symbol': symbol, 'status': 'TRADING', 'baseAsset': symbol[:-4],
        'baseAssetPrecision': 8, 'quoteAsset': symbol[-4:],
        'quotePrecision': 8, 'quoteAssetPrecision': 8,
        'baseCommissionPrecision': 8, 'quoteCommissionPrecision': 8,
        'orderTypes': ['LIMIT', 'MARKET'], 'icebergAllowed': True,
        'ocoAllowed': True, 'otoAllowed': True,
        'quoteOrderQtyMarketAllowed': True, 'allowTrailingStop': True,
        'cancelReplaceAllowed': True, 'amendAllowed': True,
        'isSpotTradingAllowed': True, 'isMarginTradingAllowed': False,
        'filters': [
            {'filterType': 'PRICE_FILTER', 'minPrice': '0.01000000',
             'maxPrice': '1000000.00000000', 'tickSize': '0.01000000'},
            {'filterType': 'LOT_SIZE', 'minQty': '0.00001000',
             'maxQty': '9000.00000000', 'stepSize': '0.00001000'},
            {'filterType': 'NOTIONAL', 'minNotional': '5.00000000',
             'applyMinToMarket': True, 'maxNotional': '9000000.00000000',
             'applyMaxToMarket': False, 'avgPriceMins': 5},
        ],
        'permissions': [], 'permissionSets': [['SPOT']],
        'defaultSelfTradePreventionMode': 'EXPIRE_MAKER',
        'allowedSelfTradePreventionModes': ['EXPIRE_MAKER'],
    }


# Some clients take these two in Binance's binary form only.  Source: Binance
# Spot API documentation, "SBE", schema 3:5.
_SBE = struct.Struct('<4H')
_GROUP = struct.Struct('<HI')


def _sbe_time(now_ms: int) -> bytes:
    return _SBE.pack(8, 102, 3, 5) + struct.pack('<q', now_ms * 1000)


def _sbe_listing(symbol: str) -> bytes:
    """An ``ExchangeInfoResponse`` of one market."""

    def short(data: bytes) -> bytes:
        return bytes((len(data),)) + data

    grid = struct.Struct('<b3q')
    price = grid.pack(-8, 1_000_000, 10**14, 1_000_000)
    lot = grid.pack(-8, 1000, 9 * 10**11, 1000)
    return b''.join((
        _SBE.pack(0, 103, 3, 5),
        _GROUP.pack(11, 0),
        _GROUP.pack(0, 0),
        _GROUP.pack(19, 1),
        # status, precisions, order types, what is allowed
        struct.pack('<5BH9B3B', 0, 8, 8, 8, 8, 0x7F, *[1] * 8, 0, 2, 4, 0),
        _GROUP.pack(0, 2),
        short(_SBE.pack(25, 1, 3, 5) + price),
        short(_SBE.pack(25, 4, 3, 5) + lot),
        _GROUP.pack(0, 1),
        _GROUP.pack(0, 1),
        short(b'SPOT'),
        short(symbol.encode()),
        short(symbol[:-4].encode()),
        short(symbol[-4:].encode()),
        _GROUP.pack(0, 0),
    ))


def main(kind: type[Server] = Server) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument('--recording', default='')
    parser.add_argument('--seconds', type=float, default=0)
    parser.add_argument('--loops', type=int, default=1)
    parser.add_argument('--times', required=True)
    given = parser.parse_args()
    tape = open_tape(given.recording, given.seconds)
    times = np.lib.format.open_memmap(
        given.times, 'w+', 'i8', (2, tape.many * given.loops)
    )
    kind(tape, given.loops, times).run()


def open_tape(recording: str, seconds: float = 0) -> stream.Tape:
    """A recording by path, or one made up; at most ``seconds`` of it."""
    tape = stream.load(recording) if recording else stream.made_up()
    return tape.cut(seconds) if seconds else tape


if __name__ == '__main__':
    main()
