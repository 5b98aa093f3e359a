"""The tape: the same for everybody, in pieces or whole, and its bars."""
from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piker.brokers.sim.engine import Book, Side
from piker.brokers.sim.flow import Flow
from piker.brokers.sim.hashing import bits, bits_at, uniform, uniform_at
from piker.brokers.sim.listings import GENESIS_MS, all_listings, pick_listings
from piker.brokers.sim.periods import INTERVALS, next_open, open_of
from piker.brokers.sim.plan import DAY_MS, fair_log_prices, make_day
from piker.brokers.sim.tape import Tape
from piker.brokers.sim.wire import fixed, kline_rows
from piker.errors import NoSuchSymbol

SYMBOLS = ('LTCUSDT', 'IOTABTC', 'ARDRBTC')


def tape_of(symbol, seed=1):
    return Tape(seed, pick_listings((symbol,))[0])


@pytest.fixture(scope='module')
def tapes():
    return {symbol: tape_of(symbol) for symbol in SYMBOLS}


def same(one, two):
    return all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_scalar_and_vector_hashes_agree():
    index = np.array([0, 1, 2**40, -5], np.int64)
    key = 0xDEADBEEFCAFEF00D
    assert bits(key, index).tolist() == [bits_at(key, i) for i in
                                         index.tolist()]
    assert uniform(bits(key, index)).tolist() == [
        uniform_at(key, i) for i in index.tolist()
    ]


def test_there_are_enough_listings_of_all_kinds():
    listings = all_listings()
    assert len(listings) >= 14
    for listing in listings:
        assert 60_000 % listing.slot_ms == 0
        assert listing.price_digits + listing.size_digits <= 9
    assert {1440, 96, 0} <= {listing.aggs for listing in listings}
    with pytest.raises(NoSuchSymbol, match='BTCUSDT'):
        pick_listings(('btcusd',))


@pytest.mark.parametrize('symbol', SYMBOLS)
def test_a_day_is_a_function_of_seed_symbol_and_day(symbol):
    listing = pick_listings((symbol,))[0]
    one, two = make_day(1, listing, 7), make_day(1, listing, 7)
    other = make_day(2, listing, 7)
    for name in ('time', 'price', 'size', 'sell', 'fill_size', 'bid'):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert not np.array_equal(one.price, other.price)


@pytest.mark.parametrize('symbol', SYMBOLS)
def test_a_day_holds_what_it_promises(symbol):
    listing = pick_listings((symbol,))[0]
    plan = make_day(1, listing, 3)
    assert len(plan.time) == listing.aggs
    assert plan.first[-1] == len(plan.fill_size) == listing.fills
    assert (np.diff(plan.first) >= 1).all()
    assert (np.diff(plan.time) >= 0).all()
    assert (plan.time % 60_000 > 0).all()
    assert (plan.time % 60_000 < 59_999).all()
    assert (plan.ask > plan.bid).all()
    assert (plan.price > 0).all()
    assert (plan.fill_size > 0).all()
    assert plan.size.sum() == plan.fill_size.sum()
    # a taker order has one side and time, and walks away from the touch
    rest = np.flatnonzero(~plan.head)
    assert (plan.time[rest] == plan.time[rest - 1]).all()
    assert (plan.sell[rest] == plan.sell[rest - 1]).all()
    away = np.where(plan.sell, -1, 1)
    moved = (plan.price[rest] - plan.price[rest - 1]) * away[rest]
    assert (moved > 0).all()


def test_days_join_without_a_seam(tapes):
    for symbol, tape in tapes.items():
        fair = [fair_log_prices(1, tape.listing, day) for day in (4, 5)]
        assert fair[0][-1] == fair[1][0]
        edge = GENESIS_MS + 5 * DAY_MS
        aggs = tape.aggs_between(edge - 7_200_000, edge + 7_200_000, 10**6,
                                 edge + DAY_MS)
        assert len(aggs.id) > 5, symbol
        assert (np.diff(aggs.id) == 1).all()
        assert (aggs.first[1:] == aggs.last[:-1] + 1).all()
        assert tape.count_until(edge) == 5 * tape.listing.aggs


@settings(max_examples=30, deadline=None)
@given(
    low=st.integers(0, 3 * DAY_MS), span=st.integers(0, 400_000),
    limit=st.integers(1, 300),
)
def test_every_way_to_ask_gives_the_same_trades(tapes, low, span, limit):
    tape = tapes['LTCUSDT']
    start, end = GENESIS_MS + low, GENESIS_MS + low + span
    now = GENESIS_MS + 3 * DAY_MS + 1_000_000
    whole = tape.aggs_between(start, end, 10**6, now)
    assert ((whole.time >= start) & (whole.time <= end)).all()
    oldest = tape.aggs_between(start, end, limit, now)
    assert same(oldest, whole.part(0, limit))
    if len(whole.id):
        first = int(whole.id[0])
        assert same(oldest, tape.aggs_from(
            first, len(oldest.id), now))
        fills = tape.fills_from(int(whole.first[0]), 10**6, end)
        sums = np.add.reduceat(fills.size, whole.first - whole.first[0])
        assert np.array_equal(sums, whole.size)
        newest = tape.aggs_between(None, end, limit, now)
        assert newest.id[-1] == whole.id[-1]


def test_nothing_is_known_of_the_future(tapes):
    tape, now = tapes['LTCUSDT'], GENESIS_MS + DAY_MS + 5_000_000
    for aggs in (
        tape.aggs_between(None, None, 50, now),
        tape.aggs_between(now - 60_000, now + 60_000, 50, now),
        tape.aggs_from(tape.count_until(now) - 3, 50, now),
    ):
        assert len(aggs.id)
        assert aggs.time[-1] <= now
    assert tape.fills_from(None, 1, now).id[0] == aggs.last[-1]
    assert not len(tape.aggs_from(tape.count_until(now), 50, now).id)


def naive_bars(tape, interval, start, stop):
    """OHLCV strings per bar, by looping over the trades."""
    aggs = tape.aggs_between(start, stop - 1, 10**7, stop)
    digits = tape.listing.price_digits, tape.listing.size_digits
    found = {}
    for t, price, size, first, last in zip(
        *(c.tolist() for c in (aggs.time, aggs.price, aggs.size, aggs.first,
                               aggs.last)), strict=True
    ):
        found.setdefault(open_of(interval, t), []).append(
            (price, size, last - first + 1)
        )
    return {
        opened: [
            fixed(rows[0][0], digits[0]), fixed(max(rows)[0], digits[0]),
            fixed(min(rows)[0], digits[0]), fixed(rows[-1][0], digits[0]),
            fixed(sum(r[1] for r in rows), digits[1]),
            sum(r[2] for r in rows),
        ]
        for opened, rows in found.items()
    }


@pytest.mark.parametrize('symbol', SYMBOLS)
@pytest.mark.parametrize('interval', list(INTERVALS))
def test_klines_are_the_trades_resampled(tapes, symbol, interval):
    tape = tapes[symbol]
    now = GENESIS_MS + 3 * DAY_MS + 31_234_567
    digits = tape.listing.price_digits, tape.listing.size_digits
    limit = 300 if interval == '1s' else 50
    rows = kline_rows(
        tape.klines(interval, None, None, limit, now), interval, digits
    )
    opens = [row[0] for row in rows]
    assert opens[-1] == open_of(interval, now)
    assert all(next_open(interval, a) == b for a, b in pairwise(opens))
    naive = naive_bars(tape, interval, max(opens[0], GENESIS_MS), now + 1)
    close = None
    for row in rows:
        assert row[6] == next_open(interval, row[0]) - 1
        if row[0] in naive:
            assert [*row[1:6], row[8]] == naive[row[0]]
        else:
            assert row[5:6] + row[7:11] == [
                '0.00000000', '0.00000000', 0, '0.00000000', '0.00000000'
            ]
            assert row[1] == row[2] == row[3] == row[4]
            assert close is None or row[1] == close
        close = row[4]


def test_klines_by_start_end_and_limit(tapes):
    tape, now = tapes['IOTABTC'], GENESIS_MS + 2 * DAY_MS + 30_000
    minute = 60_000
    edge = GENESIS_MS + DAY_MS

    def opens(start, end, limit=500):
        return tape.klines('1m', start, end, limit, now).time.tolist()

    assert opens(edge, edge + 3 * minute) == [
        edge + i * minute for i in range(4)
    ]
    assert opens(edge + 1, edge + 3 * minute - 1) == [
        edge + minute, edge + 2 * minute
    ]
    assert opens(edge, None, 2) == [edge, edge + minute]
    assert opens(None, edge, 2) == [edge - minute, edge]
    assert opens(None, None, 1) == [GENESIS_MS + 2 * DAY_MS]
    assert opens(now, now + DAY_MS) == []
    first = open_of('1m', int(tape.aggs_from(0, 1, now).time[0]))
    assert opens(0, None, 3) == [first + i * minute for i in range(3)]


def test_a_symbol_that_never_traded_has_no_past():
    tape = tape_of('NEWUSDT')
    now = GENESIS_MS + 2 * DAY_MS
    assert tape.klines('1d', None, None, 10, now).rows == 0
    assert len(tape.aggs_between(None, None, 10, now).id) == 0
    assert len(tape.fills_from(None, 10, now).id) == 0


@pytest.mark.parametrize('symbol', ['LTCUSDT', 'SHIBUSDT', 'PAXGUSDT',
                                    'IOTABTC', 'ARDRBTC', 'NEWUSDT'])
def test_the_engine_reports_what_was_planned(symbol):
    """Agents, book and matching reproduce the tape across midnight."""
    tape = tape_of(symbol, seed=5)
    start = GENESIS_MS + 2 * DAY_MS - 400_000
    end = start + 900_000
    book = Book()
    flow = Flow(tape, book, start)
    seen, touches = [], set()
    for step in flow.advance(end):
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        assert bid[0] < ask[0]
        touches.add((bid, ask))
        if step.taker is not None:
            assert step.taker.remaining == 0
            seen += [
                (fill.trade_id, step.time_ms, fill.price, fill.size,
                 step.taker.side is Side.SELL)
                for fill in step.taker.fills
            ]
    aggs = tape.aggs_between(start + 1, None, 10**6, end)
    planned = []
    if len(aggs.id):
        fills = tape.fills_from(int(aggs.first[0]), 10**6, end)
        planned = list(zip(*(c.tolist() for c in fills), strict=True))
    assert seen == planned
    assert len(touches) > 50
    for side in Side:
        assert len(book.depth(side, 100)) >= 20
