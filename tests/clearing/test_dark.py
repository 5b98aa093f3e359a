"""The dark book against one that looks at every order at every tick."""
from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from statistics import median

import numpy as np
import pytest
from clearing_runs import BTC, run_of
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from piker.clearing.dark import DarkBook, Trigger
from piker.clearing.levels import Grid
from piker.data.ticks import Kind
from piker.errors import BadInput
from piker.orders import OrderSide, OrderType

BUY, SELL = OrderSide.BUY, OrderSide.SELL
LIMIT, STOP, TAKE_PROFIT, TRAILING_STOP, THROUGH = (
    OrderType.LIMIT, OrderType.STOP, OrderType.TAKE_PROFIT,
    OrderType.TRAILING_STOP, OrderType.THROUGH,
)


@dataclass
class _Plain:
    side: OrderSide
    type: OrderType
    stop: Decimal | None
    trail: Decimal | None
    reference: Decimal | None

    def at(self, price: Decimal) -> bool:
        """Take in a trade; whether it fires."""
        buy = self.side is BUY
        if self.type is STOP:
            return price >= self.stop if buy else price <= self.stop
        if self.type in {TAKE_PROFIT, LIMIT}:
            return price <= self.stop if buy else price >= self.stop
        if self.reference is None:
            self.reference = price
        if self.type is THROUGH:
            if self.reference <= self.stop:
                return price >= self.stop
            return price <= self.stop
        if buy:
            if price >= self.reference + self.trail:
                return True
            self.reference = min(self.reference, price)
        else:
            if price <= self.reference - self.trail:
                return True
            self.reference = max(self.reference, price)
        return False


class _PlainBook:
    def __init__(self, instrument):
        self.instrument = instrument
        self.orders = {}

    def add(self, key, side, type_, stop, trail, reference):
        self.orders.pop(key, None)
        if type_ is TRAILING_STOP and reference is not None:
            reference = self.instrument.round_price(reference)
        self.orders[key] = _Plain(side, type_, stop, trail, reference)

    def on_ticks(self, ticks):
        fired = []
        for row in ticks.rows():
            if row['kind'] != Kind.TRADE:
                continue
            price = self.instrument.round_price(Decimal(row['price']))
            gone = [k for k, o in self.orders.items() if o.at(price)]
            for key in gone:
                del self.orders[key]
                fired.append(Trigger(key, price, row['time']))
        return fired

    def peaks(self):
        return {
            key: order.reference for key, order in self.orders.items()
            if order.type in {THROUGH, TRAILING_STOP}
            and order.reference is not None
        }


# A narrow band, so that levels are met; some lie between two ticks.
prices = st.integers(9_950, 10_050).map(lambda n: Decimal(n) / 100)
levels = prices | st.integers(99_500, 100_500).map(lambda n: Decimal(n) / 1000)
trails = st.integers(1, 400).map(lambda n: Decimal(n) / 1000)
keys = st.integers(0, 30).map(str)
adds = st.tuples(
    st.just('add'), keys, st.sampled_from(OrderSide),
    st.sampled_from([t for t in OrderType if t is not OrderType.MARKET]),
    levels, trails, st.none() | levels,
)
# Trades a third of a tick off the grid go to the nearest tick.
tapes = st.lists(
    st.tuples(
        prices, st.sampled_from([0, 0, 0, 0.003, -0.003]),
        st.sampled_from([Kind.TRADE, Kind.TRADE, Kind.TRADE, Kind.BID]),
    ),
    min_size=1, max_size=40,
)
steps = st.lists(
    adds | adds | st.tuples(st.just('remove'), keys)
    | st.tuples(st.just('run'), tapes)
    | st.tuples(st.just('price'), prices)
    | st.tuples(st.just('peak'), keys, prices),
    max_size=60,
)


def _ticks(tape, start_ns):
    return run_of(
        [float(price) + off for price, off, _ in tape],
        [kind for _, _, kind in tape], start_ns,
    )


@settings(max_examples=400, deadline=None)
@given(steps)
def test_it_fires_what_and_when_a_look_at_each_tick_would(steps):
    book, plain = DarkBook(BTC), _PlainBook(BTC)
    now = 0
    for what, *args in steps:
        if what == 'add':
            key, side, type_, stop, trail, reference = args
            book.add(key, side, type_, stop, trail, reference)
            plain.add(key, side, type_, stop, trail, reference)
        elif what == 'remove':
            book.remove(args[0])
            plain.orders.pop(args[0], None)
        elif what == 'run':
            ticks = _ticks(args[0], now)
            assert book.on_ticks(ticks) == plain.on_ticks(ticks)
            now += len(ticks)
        elif what == 'price':
            want = plain.on_ticks(run_of([args[0]], start_ns=now))
            assert book.on_price(args[0], now) == want
            now += 1
        elif args[0] in book:
            key, peak = args
            book.set_peak(key, peak)
            plain.orders[key].reference = peak
        assert len(book) == len(plain.orders)
        assert book.peaks() == plain.peaks()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(adds, min_size=1, max_size=40), tapes,
    st.lists(st.integers(0, 40), max_size=5),
)
def test_it_does_not_matter_how_a_tape_is_cut(adds, tape, cuts):
    def fired(pieces):
        book = DarkBook(BTC)
        for _, *args in adds:
            book.add(*args)
        found, now = [], 0
        for piece in pieces:
            found += book.on_ticks(_ticks(piece, now))
            now += len(piece)
        return found, book.peaks()

    at = sorted({0, len(tape), *(c for c in cuts if c < len(tape))})
    pieces = [tape[a:b] for a, b in pairwise(at)]
    assert fired([tape]) == fired(pieces)
    assert fired([tape]) == fired([[tick] for tick in tape])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(adds, min_size=1, max_size=30), tapes, tapes,
)
def test_peaks_carry_a_book_over_a_restart(adds, before, after):
    book = DarkBook(BTC)
    known = {}
    for _, key, *rest in adds:
        book.add(key, *rest)
        known.pop(key, None)
        known[key] = rest
    book.on_ticks(_ticks(before, 0))
    again = DarkBook(BTC)
    for key, rest in known.items():
        if key in book:
            again.add(key, *rest)
    for key, peak in book.peaks().items():
        again.set_peak(key, peak)
    assert again.peaks() == book.peaks()
    ticks = _ticks(after, 100)
    assert again.on_ticks(ticks) == book.on_ticks(ticks)


def test_orders_fire_at_their_level_and_not_a_tick_before():
    for side, type_, before, at in [
        (BUY, STOP, '100.49', '100.50'),
        (SELL, STOP, '100.51', '100.50'),
        (BUY, TAKE_PROFIT, '100.51', '100.50'),
        (SELL, TAKE_PROFIT, '100.49', '100.50'),
        (BUY, LIMIT, '100.51', '100.50'),
        (SELL, LIMIT, '100.49', '100.50'),
    ]:
        book = DarkBook(BTC)
        book.add('a', side, type_, Decimal('100.50'))
        assert book.on_ticks(run_of([before] * 3)) == []
        fired = book.on_ticks(run_of([before, at, before], start_ns=7))
        assert fired == [Trigger('a', Decimal(at), 8)], (side, type_)
        assert len(book) == 0
        assert book.on_ticks(run_of([at])) == []


def test_a_trailing_stop_follows_the_best_price_since_it_was_added():
    book = DarkBook(BTC)
    book.on_ticks(run_of(['150']))
    book.add('a', SELL, TRAILING_STOP, None, Decimal(2), Decimal(100))
    assert book.on_ticks(run_of(['101', '99.01', '103', '101.01'])) == []
    assert book.peaks() == {'a': Decimal(103)}
    assert book.on_ticks(run_of(['101'])) == [Trigger('a', Decimal(101), 0)]


def test_a_rise_and_fall_within_one_run_fires_at_the_right_tick():
    book = DarkBook(BTC)
    book.add('a', SELL, TRAILING_STOP, None, Decimal(2), Decimal(100))
    book.add('b', SELL, TRAILING_STOP, None, Decimal(3), Decimal(100))
    book.add('c', BUY, TRAILING_STOP, None, Decimal(4), Decimal(100))
    fired = book.on_ticks(run_of(['105', '103', '102', '99', '98', '102']))
    assert [(t.key, t.time_ns) for t in fired] == [
        ('c', 0), ('a', 1), ('b', 2),
    ]


def test_through_is_reached_from_the_side_the_price_was_on():
    book = DarkBook(BTC)
    book.add('from below', SELL, THROUGH, Decimal(100), None, Decimal(99))
    book.add('from above', SELL, THROUGH, Decimal(100), None, Decimal(101))
    book.add('by the next', SELL, THROUGH, Decimal(100))
    assert [t.key for t in book.on_ticks(run_of(['98', '99']))] == [
        'from above'
    ]
    assert book.peaks()['by the next'] == 98
    assert [t.key for t in book.on_ticks(run_of(['99', '100']))] == [
        'from below', 'by the next'
    ]


def test_a_price_at_the_stop_counts_as_below_it():
    book = DarkBook(BTC)
    book.add('a', SELL, THROUGH, Decimal(100), None, Decimal(100))
    assert book.on_ticks(run_of(['99.99'])) == []
    assert len(book.on_ticks(run_of(['100.01']))) == 1
    book.add('b', SELL, THROUGH, Decimal(100))
    assert len(book.on_ticks(run_of(['100']))) == 1


def test_quotes_do_not_trigger():
    book = DarkBook(BTC)
    book.add('a', BUY, STOP, Decimal(100))
    kinds = [Kind.BID, Kind.ASK]
    assert book.on_ticks(run_of(['200', '200'], kinds)) == []


def test_a_trade_without_a_price_does_not_trigger():
    book = DarkBook(BTC)
    book.add('a', SELL, STOP, Decimal(100))
    book.add('b', SELL, TRAILING_STOP, None, Decimal(1))
    assert book.on_ticks(run_of(['nan', 'inf', '-inf'])) == []
    assert book.peaks() == {}


@pytest.mark.parametrize(
    ('type_', 'stop', 'trail'),
    [
        (OrderType.MARKET, None, None), (STOP, None, None),
        (TAKE_PROFIT, None, None), (THROUGH, None, None),
        (LIMIT, None, None), (TRAILING_STOP, Decimal(1), None),
        (TRAILING_STOP, None, Decimal(0)), (TRAILING_STOP, None, Decimal(-1)),
    ],
)
def test_what_cannot_wait_is_refused(type_, stop, trail):
    book = DarkBook(BTC)
    with pytest.raises(BadInput):
        book.add('a', BUY, type_, stop, trail)
    assert len(book) == 0


@settings(max_examples=300)
@given(
    st.integers(1, 10**13), st.integers(-8, 2),
    st.sampled_from([1, 2, 5, 25]),
)
def test_a_float_of_a_grid_price_is_that_price(many, exponent, step):
    tick = Decimal(step).scaleb(exponent)
    price = many * tick
    instrument = changed(BTC, tick_size=tick)
    run = Grid(instrument).trades(run_of([float(price)]))
    got = Grid(instrument).price(int(run.levels[0]))
    assert got == price == instrument.round_price(Decimal(float(price)))


def _cost_ns(per_symbol: int, trailing: bool) -> float:
    """CPU ns of a run, median, with so many orders that do not fire."""
    rng = np.random.default_rng(1)
    book = DarkBook(BTC)
    for i in range(per_symbol):
        off = Decimal(100 + i)
        side = BUY if i % 2 else SELL
        if trailing:
            book.add(str(i), side, TRAILING_STOP, None, off, Decimal(1000))
        else:
            stop = Decimal(1000) + off * side.sign
            book.add(str(i), side, STOP, stop)
    runs = [
        run_of(np.round(1000 + rng.normal(0, 1, 3).cumsum(), 2).tolist())
        for _ in range(300)
    ]
    for run in runs:
        book.on_ticks(run)
    spent = []
    for _ in range(9):
        began = time.process_time_ns()
        for run in runs:
            assert not book.on_ticks(run)
        spent.append(time.process_time_ns() - began)
    return median(spent)


@pytest.mark.parametrize('trailing', [False, True])
def test_many_orders_cost_what_few_do(trailing):
    # Not a benchmark (that is `bench dark`): a cost that grows with the
    # number of orders would be a hundredfold here.
    assert _cost_ns(2_000, trailing) < 3 * _cost_ns(20, trailing)
