"""
What a tick costs the dark book, by how many orders wait in it.

The trades and quotes of the recording, as `Flume.ticks` would hand them over,
go to the books of symbols that have orders, to each in turn; symbols without
any are not listened to by ``emsd`` and have no book.
"""
from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import numpy as np

from piker.clearing.dark import DarkBook
from piker.data.ticks import Kind, Ticks
from piker.instruments import Instrument
from piker.orders import OrderSide, OrderType

from . import stream
from .common import Options, show, spread
from .server import open_tape

_SYMBOLS = 50
_ORDERS = (10, 50, 1_000, 10_000)
_WINDOW_NS = 1_000_000  # what comes within a ms comes as one run
_WAITING = (
    OrderType.STOP, OrderType.TAKE_PROFIT, OrderType.TRAILING_STOP,
    OrderType.THROUGH,
)


def _runs(tape: stream.Tape) -> list[Ticks]:
    """The tape cut where a reader would have found it."""
    rows: list[tuple[int, int, float]] = []
    windows: list[int] = []
    for i in range(tape.many):
        window = int(tape.after_ns[i]) // _WINDOW_NS
        trade, book = tape.trades[i], tape.books[i]
        if trade:
            new = [(int(trade[4]) * 1_000_000, Kind.TRADE, float(trade[2]))]
        else:
            now = tape.start_ms * 1_000_000 + int(tape.after_ns[i])
            new = [(now, Kind.BID, float(book[1])),
                   (now, Kind.ASK, float(book[3]))]
        rows += new
        windows += [window] * len(new)
    times, kinds, prices = (np.array(c) for c in zip(*rows, strict=True))
    zeros = np.zeros(len(rows), np.int64)
    columns = {
        'seq': np.arange(len(rows), dtype=np.uint64),
        'time': times.astype(np.int64), 'recv': zeros,
        'kind': kinds.astype(np.uint8), 'side': zeros.astype(np.int8),
        'price': prices, 'size': zeros.astype(np.float64), 'id': zeros,
        'count': zeros.astype(np.uint32),
    }
    cuts = np.flatnonzero(np.diff(windows)) + 1
    pieces = {f: np.split(c, cuts) for f, c in columns.items()}
    return [
        Ticks(**{f: pieces[f][i] for f in pieces})
        for i in range(len(cuts) + 1)
    ]


def _books(
    orders: int, kinds: tuple[OrderType, ...], price: Decimal
) -> list[DarkBook]:
    """Books with ``orders`` in all, none of which will fire."""
    many = min(orders, _SYMBOLS)
    books = [
        DarkBook(Instrument(
            id=f's{i}.sim', raw_symbol=f'S{i}', base='s', quote='usdt',
            tick_size=Decimal('0.01'), lot_size=Decimal('0.00001'),
        ))
        for i in range(many)
    ]
    for i in range(orders):
        side = OrderSide.SELL if i % 2 else OrderSide.BUY
        kind = kinds[i // many % len(kinds)]
        off = price / 10 + i * Decimal('0.01')
        good = kind is OrderType.TAKE_PROFIT
        stop = price + off * side.sign * (-1 if good else 1)
        books[i % many].add(str(i), side, kind, stop, off, price)
    return books


def _cost_ns(books: list[DarkBook], runs: list[Ticks], ticks: int) -> float:
    """CPU ns a tick."""
    began = time.process_time_ns()
    for i, run in enumerate(runs):
        fired = books[i % len(books)].on_ticks(run)
        assert not fired, 'an order has fired that was out of reach'
    return (time.process_time_ns() - began) / ticks


def run(options: Options) -> dict[str, Any]:
    """CPU ns a tick with 10 to 10,000 orders, all sorts and trailing only."""
    tape = open_tape('' if options.smoke else options.recording)
    runs = _runs(tape)
    ticks = sum(len(r) for r in runs)
    price = Decimal(next(t for t in tape.trades if t)[2].decode())
    found: dict[str, Any] = {'ticks': ticks, 'runs': len(runs)}
    rows = []
    for name, kinds in {
        'of every sort': _WAITING,
        'trailing stops': (OrderType.TRAILING_STOP,),
    }.items():
        books = {n: _books(n, kinds, price) for n in _ORDERS}
        spent: dict[int, list[float]] = {n: [] for n in _ORDERS}
        for _ in range(options.pick(1, 3, 9)):
            for n in _ORDERS:  # in turn, so that none has the better moments
                spent[n].append(_cost_ns(books[n], runs, ticks))
        figures = {n: spread(spent[n]) for n in _ORDERS}
        found[name] = figures
        least = figures[_ORDERS[0]]['median']
        rows += [
            [f'{n:,} {name}', ns['median'],
             ns['median'] * ticks / len(runs) / 1000, ns['median'] / least]
            for n, ns in figures.items()
        ]
    show(
        f'Dark book, CPU; {ticks:,} ticks in {len(runs):,} runs, '
        f'{_SYMBOLS} symbols',
        ('orders', 'ns a tick', 'µs a run', 'of 10 orders'), rows,
    )
    return found
