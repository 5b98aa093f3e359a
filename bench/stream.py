"""
A recorded stream as websocket frames, ready to be sent again and again.

The recording's trades and best bids and asks are kept, in order and with
their receive times.  Each further loop continues the first: trade ids and
update ids rise on, times move by the length of the recording.
"""
from __future__ import annotations

import gzip
import os
import random
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RECORDINGS = Path(
    os.environ.get('PIKER_RECORDINGS')
    or Path(__file__).parents[2] / 'shared' / 'recordings'
)
DEFAULT = RECORDINGS / 'binance' / 'btcusdt_20240809.gz'

_TRADE = re.compile(
    rb'"E":(\d+),"s":"(\w+)","t":(\d+),"p":"([\d.]+)","q":"([\d.]+)"'
    rb'.*?"T":(\d+),"m":(true|false)'
)
_BOOK = re.compile(
    rb'"u":(\d+),"s":"(\w+)","b":"([\d.]+)","B":"([\d.]+)",'
    rb'"a":"([\d.]+)","A":"([\d.]+)"'
)


@dataclass
class Tape:
    """
    One recording: parallel lists, and what a loop adds to each id and time.

    ``trades[i]`` holds the numbers of message ``i`` if it is a trade, else
    ``None``, and ``books`` likewise; ``after_ns`` counts from the first.
    """

    symbol: str
    after_ns: np.ndarray
    trades: list
    books: list
    start_ms: int

    def __post_init__(self) -> None:
        self.is_trade = np.array([t is not None for t in self.trades])
        self.many = len(self.trades)
        self.trade_ids = np.array([t[1] for t in self.trades if t])
        self.book_ids = np.array([b[0] for b in self.books if b])
        self.span_ns = int(self.after_ns[-1]) + 1_000_000
        self.span_ms = self.span_ns // 1_000_000 + 1
        self.id_span = len(self.trade_ids)
        self.update_span = int(self.book_ids[-1] - self.book_ids[0]) + 1
        assert (np.diff(self.trade_ids) == 1).all(), 'trades are missing'
        assert (np.diff(self.book_ids) > 0).all(), 'updates out of order'

    def cut(self, seconds: float) -> Tape:
        """Its first ``seconds``."""
        stop = int(np.searchsorted(self.after_ns, seconds * 1e9))
        return Tape(
            self.symbol, self.after_ns[:stop], self.trades[:stop],
            self.books[:stop], self.start_ms,
        )

    def positions(self, loops: int, *, trades: bool) -> np.ndarray:
        """Places of all trades, or of all others, in ``loops`` loops."""
        one = np.flatnonzero(self.is_trade == trades)
        return (np.arange(loops)[:, None] * self.many + one).ravel()

    def place_trades(self, ids: np.ndarray, loops: int) -> np.ndarray:
        """Where in the loops these trade ids are."""
        return self.positions(loops, trades=True)[ids - self.trade_ids[0]]

    def place_books(self, ids: np.ndarray, loops: int) -> np.ndarray:
        """Where in the loops these update ids are."""
        all_ids = (
            np.arange(loops)[:, None] * self.update_span + self.book_ids
        ).ravel()
        at = np.searchsorted(all_ids, ids)
        assert (all_ids[at] == ids).all(), 'unknown update ids'
        return self.positions(loops, trades=False)[at]

    def due_ns(self, loops: int) -> np.ndarray:
        """When each message of the loops is due, from the first."""
        return (
            np.arange(loops)[:, None] * self.span_ns + self.after_ns
        ).ravel()


def load(path: str | Path = DEFAULT) -> Tape:
    """Read a recording; its busiest symbol is taken."""
    after, trades, books = [], [], []
    symbol = start = b''
    with gzip.open(path) as lines:
        for line in lines:
            stamp, _, raw = line.partition(b' ')
            name = raw[11:40].partition(b'"')[0]
            if name.endswith(b'@trade'):
                found = _TRADE.search(raw)
                event, symbol, id_, price, size, time, sell = found.groups()
                trades.append(
                    (int(event), int(id_), price, size, int(time), sell)
                )
                start = start or event
                books.append(None)
            elif name.endswith(b'@bookTicker'):
                id_, _, *numbers = _BOOK.search(raw).groups()
                books.append((int(id_), *numbers))
                trades.append(None)
            else:
                continue
            after.append(int(stamp))
    times = np.array(after) - after[0]
    return Tape(
        symbol.decode().lower(), np.maximum.accumulate(times), trades, books,
        int(start),
    )


def made_up(many: int = 4000, seed: int = 1) -> Tape:
    """A stream of ``many`` messages over some seconds, where none is kept."""
    dice = random.Random(seed)
    after, trades, books = [], [], []
    price, at, id_, update = 6_000_000, 0, 1000, 5000
    start = 1_723_161_600_000
    for _ in range(many):
        at += int(dice.expovariate(1 / 2e6))
        price += dice.choice((-1, 0, 0, 0, 1))
        text = b'%d.%02d000000' % divmod(price, 100)
        size = b'0.%05d000' % dice.randint(1, 99999)
        after.append(at)
        if dice.random() < 0.2:
            now = start + at // 1_000_000
            trades.append((now, id_, text, size, now, b'true'))
            books.append(None)
            id_ += 1
        else:
            higher = b'%d.%02d000000' % divmod(price + 1, 100)
            books.append((update, text, size, higher, size))
            trades.append(None)
            update += dice.randint(1, 5)
    after = np.array(after)
    return Tape('btcusdt', after - after[0], trades, books, start)


@dataclass
class Frames:
    """
    Messages of some streams as frames, one behind the other.

    ``ends[i]`` is where message ``i`` ends in ``blob``, ``index[i]`` its
    place in the whole stream.
    """

    blob: bytes
    ends: np.ndarray
    index: np.ndarray


def _head(size: int) -> bytes:
    """The frame header of an unmasked text message (RFC 6455, 5.2)."""
    if size < 126:
        return bytes((0x81, size))
    return b'\x81\x7e' + size.to_bytes(2, 'big')


def encode(
    tape: Tape, loops: int, streams: set[str], *, combined: bool
) -> Frames:
    """
    Frames of these streams, e.g. ``{'btcusdt@trade'}``.

    ``@aggTrade`` gives each trade as an aggregate of one fill, so that all
    clients get as many messages.  ``combined`` wraps them as ``/stream``
    does.
    """
    symbol = tape.symbol
    upper = symbol.upper().encode()
    aggregated = f'{symbol}@aggTrade' in streams
    with_trades = aggregated or f'{symbol}@trade' in streams
    with_books = f'{symbol}@bookTicker' in streams
    kind = b'aggTrade' if aggregated else b'trade'
    before_trade, before_book, after = b'', b'', b''
    if combined:
        lower = symbol.encode()
        before_trade = b'{"stream":"%b@%b","data":' % (lower, kind)
        before_book = b'{"stream":"%b@bookTicker","data":' % lower
        after = b'}'
    parts, ends, index = [], [], []
    end = 0
    for loop in range(loops):
        ms, ids = loop * tape.span_ms, loop * tape.id_span
        updates = loop * tape.update_span
        place = loop * tape.many - 1
        for trade, book in zip(tape.trades, tape.books, strict=True):
            place += 1
            if trade is not None:
                if not with_trades:
                    continue
                event, id_, price, size, time, sell = trade
                id_ += ids
                if aggregated:
                    text = (
                        b'%b{"e":"aggTrade","E":%d,"s":"%b","a":%d,"p":"%b",'
                        b'"q":"%b","f":%d,"l":%d,"T":%d,"m":%b,"M":true}%b'
                    ) % (before_trade, event + ms, upper, id_, price, size,
                         id_, id_, time + ms, sell, after)
                else:
                    text = (
                        b'%b{"e":"trade","E":%d,"s":"%b","t":%d,"p":"%b",'
                        b'"q":"%b","T":%d,"m":%b,"M":true}%b'
                    ) % (before_trade, event + ms, upper, id_, price, size,
                         time + ms, sell, after)
            else:
                if not with_books:
                    continue
                id_, bid, bid_size, ask, ask_size = book
                text = (
                    b'%b{"u":%d,"s":"%b","b":"%b","B":"%b","a":"%b",'
                    b'"A":"%b"}%b'
                ) % (before_book, id_ + updates, upper, bid, bid_size, ask,
                     ask_size, after)
            parts.append(_head(len(text)) + text)
            end += len(parts[-1])
            ends.append(end)
            index.append(place)
    return Frames(b''.join(parts), np.array(ends), np.array(index))
