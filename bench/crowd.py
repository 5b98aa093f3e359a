"""
A venue with many busy symbols: ``python -m bench.crowd``, its own process.

Each symbol plays the recorded pair's trades and best bids and asks, in real
time and for ever, from a place of its own in the recording.  What is due at
any moment follows from the clock alone, so nothing is scheduled and a client
that comes back is told over REST what it missed.

A message is put together from bytes made beforehand.  What is due within a
few milliseconds goes out in one write a connection.
"""
from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from urllib.parse import parse_qs, urlsplit

import numpy as np

from . import stream
from .server import Client, Server, _listing, open_tape, say

_TICK_S = 0.004
_NS_PER_MS = 1_000_000


def names_of(many: int) -> list[str]:
    """The symbols of a venue with so many of them."""
    return [f'sym{at:03d}usdt' for at in range(many)]


class Score:
    """
    Where each symbol is in the recording, by the clock.

    A *step* numbers a symbol's messages since the recording's first one; it
    goes on rising when the recording begins again.
    """

    def __init__(self, tape: stream.Tape, many: int) -> None:
        self.tape = tape
        self.many = many
        self.phase_ns = np.arange(many, dtype='i8') * tape.span_ns // many
        self.start_ns = time.monotonic_ns()
        self.start_ms = time.time_ns() // _NS_PER_MS
        self.rank = np.cumsum(tape.is_trade) - tape.is_trade
        self.update = np.array([b[0] if b else 0 for b in tape.books])
        self.trade_at = np.flatnonzero(tape.is_trade)
        self.tails = [
            self._book_tail(*b[1:]) if b else b',"p":"%b","q":"%b","T":'
            % (t[2], t[3])
            for t, b in zip(tape.trades, tape.books, strict=True)
        ]
        self.ends = [
            b',"m":%b,"M":true}}' % t[5] if t else b'' for t in tape.trades
        ]

    @staticmethod
    def _book_tail(*numbers: bytes) -> bytes:
        return b'"b":"%b","B":"%b","a":"%b","A":"%b"}}' % numbers

    def steps(self, symbols: np.ndarray, now_ns: int) -> np.ndarray:
        """The first step of each symbol that is not due yet."""
        at = now_ns - self.start_ns + self.phase_ns[symbols]
        loop, rest = np.divmod(at, self.tape.span_ns)
        return loop * self.tape.many + self.tape.after_ns.searchsorted(
            rest, 'right'
        )

    def due_ns(self, symbols: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """When steps are due, from the start."""
        loop, at = np.divmod(steps, self.tape.many)
        return (
            loop * self.tape.span_ns + self.tape.after_ns[at]
            - self.phase_ns[symbols]
        )

    def trades_before(self, steps: np.ndarray) -> np.ndarray:
        """The number of trades before a step: the id of its trade."""
        loop, at = np.divmod(steps, self.tape.many)
        return loop * self.tape.id_span + self.rank[at]


class Player(threading.Thread):
    """Sends one connection what is due."""

    def __init__(self, crowd: Crowd, client: Client) -> None:
        super().__init__(daemon=True)
        self.crowd = crowd
        self.client = client
        self.late_ms: list[float] = []
        self._lock = threading.Lock()
        self._symbols = np.zeros(0, 'i8')
        # of each symbol the next step, and what is wanted of it
        self._next = np.zeros(0, 'i8')
        self._kinds = np.zeros((0, 2), bool)

    def add(self, names: list[str]) -> None:
        """Play these streams from now on."""
        crowd = self.crowd
        with self._lock:
            now_ns = time.monotonic_ns()
            for name in names:
                symbol, _, kind = name.partition('@')
                number = crowd.number.get(symbol)
                if number is None or kind not in {'trade', 'bookTicker'}:
                    continue
                found = np.flatnonzero(self._symbols == number)
                if not len(found):
                    step = crowd.score.steps(np.array([number]), now_ns)
                    self._symbols = np.append(self._symbols, number)
                    self._next = np.append(self._next, step)
                    self._kinds = np.vstack((self._kinds, [[False] * 2]))
                    found = [len(self._symbols) - 1]
                place = found[0]
                self._kinds[place, int(kind == 'bookTicker')] = True
                if kind == 'trade' and crowd.first_id[number] < 0:
                    crowd.first_id[number] = crowd.score.trades_before(
                        self._next[place]
                    )

    def run(self) -> None:
        try:
            while not self.crowd.stopping:
                began = time.monotonic()
                with self._lock:
                    frames = self._due()
                    if frames:
                        self.client.send(b''.join(frames))
                rest = began + _TICK_S - time.monotonic()
                time.sleep(max(0.0, rest))
        except OSError:
            self.crowd.broken += 1

    def _due(self) -> list[bytes]:
        crowd, score = self.crowd, self.crowd.score
        tape = score.tape
        now_ns = time.monotonic_ns()
        ends = score.steps(self._symbols, now_ns)
        counts = ends - self._next
        total = int(counts.sum())
        if not total:
            return []
        places = np.repeat(np.arange(len(counts)), counts)
        first = np.repeat(self._next - np.cumsum(counts) + counts, counts)
        steps = first + np.arange(total)
        symbols = self._symbols[places]
        due = score.due_ns(symbols, steps)
        at = steps % tape.many
        books = ~tape.is_trade[at]
        wanted = self._kinds[places, books.astype('i8')]
        order = np.argsort(due, kind='stable')
        order = order[wanted[order]]
        self._next = ends
        if not len(order):
            return []
        self.late_ms.append(
            (now_ns - score.start_ns - int(due[order[0]])) / _NS_PER_MS
        )
        symbols, at, books = symbols[order], at[order], books[order]
        steps = steps[order]
        ids = np.where(
            books,
            steps // tape.many * tape.update_span + score.update[at],
            score.trades_before(steps),
        )
        crowd.quotes += np.bincount(symbols[books], minlength=score.many)
        crowd.trades += np.bincount(symbols[~books], minlength=score.many)
        if len(self._symbols):
            crowd.last_id[symbols[~books]] = ids[~books]
        times = score.start_ms + due[order] // _NS_PER_MS
        event = b'%d' % (time.time_ns() // _NS_PER_MS)
        tails, lasts = score.tails, score.ends
        frames = []
        for symbol, place, book, id_, ms in zip(
            symbols.tolist(), at.tolist(), books.tolist(), ids.tolist(),
            times.tolist(), strict=True,
        ):
            if book:
                head, middle = crowd.book_parts[symbol]
                text = b'%b%d%b%b' % (head, id_, middle, tails[place])
            else:
                head, middle = crowd.trade_parts[symbol]
                text = b'%b%b%b%d%b%d%b' % (
                    head, event, middle, id_, tails[place], ms, lasts[place],
                )
            frames.append(b'\x81\x7e%b%b' % (len(text).to_bytes(2), text))
        return frames


class Crowd(Server):
    """The bench's server with many symbols, each for ever."""

    def __init__(self, tape: stream.Tape, many: int) -> None:
        super().__init__(tape, 1, np.zeros((2, 0), 'i8'))
        self.names = names_of(many)
        self.number = {name: at for at, name in enumerate(self.names)}
        self.score = Score(tape, many)
        self.trades = np.zeros(many, 'i8')
        self.quotes = np.zeros(many, 'i8')
        self.first_id = np.full(many, -1)
        self.last_id = np.full(many, -1)
        self.broken = 0
        self.stopping = False
        self._players: dict[Client, Player] = {}
        self._adding = threading.Lock()
        self.trade_parts, self.book_parts = [], []
        for name in self.names:
            low, up = name.encode(), name.upper().encode()
            self.trade_parts.append((
                b'{"stream":"%b@trade","data":{"e":"trade","E":' % low,
                b',"s":"%b","t":' % up,
            ))
            self.book_parts.append((
                b'{"stream":"%b@bookTicker","data":{"u":' % low,
                b',"s":"%b",' % up,
            ))

    def run(self) -> None:
        threading.Thread(target=self._accept, daemon=True).start()
        say(port=self.port)
        for line in sys.stdin:
            order = json.loads(line)
            if 'stop' in order:
                self.stopping = True
                for player in list(self._players.values()):
                    player.join(10)
            say(report=self.report())

    def report(self) -> dict:
        """What was sent, by symbol, and how late since the last report."""
        late: list[float] = []
        for player in list(self._players.values()):
            late += player.late_ms
            player.late_ms = []
        p50, p99 = np.percentile(late, (50, 99)) if late else (0.0, 0.0)
        first, last = self.first_id, self.last_id
        return {
            'trades': self.trades.tolist(),
            'quotes': self.quotes.tolist(),
            # between a connection and the next trades go on, unsent
            'published': np.where(first < 0, 0, last + 1 - first).tolist(),
            'late_ms': {'p50': float(p50), 'p99': float(p99),
                        'max': max(late, default=0.0)},
            'connections': len(self.clients), 'broken': self.broken,
        }

    def _subscribe(self, client: Client, names: list[str]) -> None:
        names = [name for name in names if '@' in name]
        if not names:
            return
        client.streams |= set(names)
        with self._adding:
            player = self._players.get(client)
            fresh = player is None
            if player is None:
                player = self._players[client] = Player(self, client)
        player.add(names)
        if fresh:
            player.start()

    # REST

    def _answer(self, target: str, *, binary: bool) -> bytes:
        parts = urlsplit(target)
        query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        body = json.dumps(self._crowd_rest(
            parts.path.rpartition('/api/v3/')[2], query
        )).encode()
        return (
            b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'
            b'Content-Length: %d\r\n\r\n' % len(body)
        ) + body

    def _crowd_rest(self, name: str, query: dict[str, str]) -> object:
        now_ms = time.time_ns() // _NS_PER_MS
        if name == 'time':
            return {'serverTime': now_ms}
        if name == 'exchangeInfo':
            return {
                'timezone': 'UTC', 'serverTime': now_ms,
                'rateLimits': [], 'exchangeFilters': [],
                'symbols': [_listing(n.upper()) for n in self.names],
            }
        if name == 'ticker/bookTicker':
            return {**super()._rest(name), 'symbol': query['symbol']}
        if name == 'historicalTrades':
            return self._trades(
                self.number[query['symbol'].lower()],
                int(query.get('fromId', 0)), int(query.get('limit', 500)),
            )
        return [] if name in {'klines', 'aggTrades', 'trades'} else {}

    def _trades(self, symbol: int, first: int, limit: int) -> list[dict]:
        score, tape = self.score, self.tape
        now = score.steps(np.array([symbol]), time.monotonic_ns())
        end = int(score.trades_before(now)[0])
        ids = np.arange(first, max(first, min(end, first + limit)))
        loop, rank = np.divmod(ids, tape.id_span)
        at = score.trade_at[rank]
        due = score.due_ns(
            np.full(len(ids), symbol), loop * tape.many + at
        )
        found = []
        for id_, place, ms in zip(
            ids.tolist(), at.tolist(), (due // _NS_PER_MS).tolist(),
            strict=True,
        ):
            _, _, price, size, _, sell = tape.trades[place]
            found.append({
                'id': id_, 'price': price.decode(), 'qty': size.decode(),
                'quoteQty': '0', 'time': score.start_ms + ms,
                'isBuyerMaker': sell == b'true', 'isBestMatch': True,
            })
        return found


def main(kind: type[Crowd] = Crowd) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument('--recording', default='')
    parser.add_argument('--symbols', type=int, required=True)
    given = parser.parse_args()
    kind(open_tape(given.recording), given.symbols).run()


if __name__ == '__main__':
    main()
