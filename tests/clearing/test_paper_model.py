"""
The paper model: what fills, when, at which price, and what is refused.
"""
from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from paper_tools import (
    BUY,
    FOK,
    IOC,
    MS,
    SELL,
    SYMBOL,
    Row,
    ask,
    bid,
    cancel,
    engine,
    fills,
    last_report,
    place,
    ticks,
    trade,
)

from piker.clearing.paper import PaperEngine, no_depth
from piker.clearing.paperbooks import PaperBooks
from piker.clearing.papermarket import Level
from piker.clearing.paperorders import PaperChanges
from piker.config import PaperSettings
from piker.data.ticks import Kind
from piker.gateway import (
    Answer,
    FillReport,
    OrderReport,
    Outcome,
    ReplaceOrder,
    VenueStatus,
)
from piker.orders import OrderSide, Tif


def arrive(made: PaperEngine, *commands: Any, at_ms: int = 1) -> None:
    for command in commands:
        made.send(command, at_ms * MS)
    made.advance(SYMBOL, at_ms * MS)


def outcome(made: PaperEngine) -> Answer:
    return next(
        m for m in reversed(made.books.out) if isinstance(m, Answer)
    )


class TestQueue:
    def test_behind_what_is_shown(self) -> None:
        """Five stand before it: trades of five leave it, the sixth is its."""
        made = engine()
        arrive(made, place('a', BUY, '2', '100'))
        made.on_ticks(SYMBOL, ticks([
            trade(2, 100.0, 4.0, SELL), trade(3, 100.0, 1.0, SELL),
        ]))
        assert fills(made) == []
        made.on_ticks(SYMBOL, ticks([trade(4, 100.0, 1.5, SELL)]))
        assert fills(made) == [('100', '1.5')]
        made.on_ticks(SYMBOL, ticks([trade(5, 100.0, 9.0, SELL)]))
        assert fills(made) == [('100', '1.5'), ('100', '0.5')]
        assert last_report(made, 'a').status is VenueStatus.FILLED

    def test_buyers_do_not_fill_a_bid(self) -> None:
        made = engine()
        arrive(made, place('a', BUY, '2', '100'))
        made.on_ticks(SYMBOL, ticks([trade(2, 100.0, 50.0, BUY)]))
        assert fills(made) == []

    def test_shrinkage_uses_up_the_queue(self) -> None:
        made = engine()
        arrive(made, place('a', SELL, '1', '100.5'))
        made.on_ticks(SYMBOL, ticks([
            ask(2, 100.5, 0.5), trade(900, 100.5, 1.0, BUY),
        ]))
        assert fills(made) == [('100.5', '0.5')]

    def test_growth_goes_behind(self) -> None:
        made = engine()
        arrive(made, place('a', SELL, '1', '100.5'))
        made.on_ticks(SYMBOL, ticks([
            ask(2, 100.5, 50), trade(3, 100.5, 3.5, BUY),
        ]))
        assert fills(made) == [('100.5', '0.5')]

    def test_trade_told_after_its_quote_counts_once(self) -> None:
        """The quote shows the shrinkage first, the trade explains it."""
        made = engine()
        arrive(made, place('a', BUY, '1', '100'))
        made.on_ticks(SYMBOL, ticks([
            bid(2, 100.0, 1.0), trade(2, 100.0, 4.0, SELL),
        ]))
        assert fills(made) == []
        made.on_ticks(SYMBOL, ticks([trade(3, 100.0, 1.5, SELL)]))
        assert fills(made) == [('100', '0.5')]

    def test_deep_level_is_known_once_it_is_the_touch(self) -> None:
        made = engine()
        arrive(made, place('a', BUY, '1', '98'))
        made.on_ticks(SYMBOL, ticks([
            bid(2, 98.0, 2.0), trade(3, 98.0, 2.0, SELL),
        ]))
        assert fills(made) == []
        made.on_ticks(SYMBOL, ticks([trade(4, 98.0, 0.25, SELL)]))
        assert fills(made) == [('98', '0.25')]

    def test_deep_level_from_the_book(self) -> None:
        books = [(Decimal('99.5'), Decimal(1)), (Decimal(98), Decimal(7))]
        made = PaperEngine(engine().books, 0, lambda _: (books, []))
        made.on_market(SYMBOL, True)
        made.show_touch(SYMBOL, (100.0, 5.0), (100.5, 3.0))
        arrive(made, place('a', BUY, '1', '98'))
        (order,) = made.books.open_orders
        assert order.ahead == 7

    def test_first_in_a_new_level(self) -> None:
        made = engine()
        made.show_touch(SYMBOL, (99.0, 5.0), (100.5, 3.0))
        arrive(made, place('a', BUY, '1', '100'))
        made.on_ticks(SYMBOL, ticks([trade(2, 100.0, 0.5, SELL)]))
        assert fills(made) == [('100', '0.5')]

    def test_trade_through_fills_at_the_limit(self) -> None:
        made = engine()
        arrive(made, place('a', BUY, '2', '100'))
        made.on_ticks(SYMBOL, ticks([trade(2, 99.5, 0.5, SELL)]))
        assert fills(made) == [('100', '0.5')]

    def test_own_orders_share_a_trade(self) -> None:
        """Better price first, then the older one; never more than traded."""
        made = engine()
        arrive(
            made, place('a', BUY, '1', '99'), place('b', BUY, '1', '99.5'),
            place('c', BUY, '1', '99'),
        )
        made.on_ticks(SYMBOL, ticks([trade(2, 98.0, 2.25, SELL)]))
        assert fills(made, 'b') == [('99.5', '1')]
        assert fills(made, 'a') == [('99', '1')]
        assert fills(made, 'c') == [('99', '0.25')]

    def test_far_side_comes_to_it(self) -> None:
        """An ask at or below our bid would have met it."""
        made = engine()
        arrive(made, place('a', BUY, '2', '100'))
        made.on_ticks(SYMBOL, ticks([
            ask(2, 99.5, 0.5), ask(3, 99.5, 0.75), ask(4, 99.5, 0.25),
        ]))
        assert fills(made) == [('100', '0.5'), ('100', '0.25')]

    def test_ticks_from_before_its_arrival_do_not_count(self) -> None:
        made = engine(latency_ms=20)
        made.send(place('a', BUY, '1', '100'), 10 * MS)
        made.on_ticks(SYMBOL, ticks([
            trade(29, 99.0, 9.0, SELL), trade(30, 99.0, 9.0, SELL),
        ]))
        assert fills(made) == []
        made.on_ticks(SYMBOL, ticks([trade(31, 99.0, 9.0, SELL)]))
        assert fills(made) == [('100', '1')]

    def test_nor_do_quotes_from_before_it(self) -> None:
        """They may come after it, over another stream."""
        made = engine()
        arrive(made, place('a', BUY, '1', '100'), at_ms=10)
        made.on_ticks(SYMBOL, ticks([ask(5, 99.5, 1), ask(10, 99.5, 1)]))
        assert fills(made) == []
        made.on_ticks(SYMBOL, ticks([ask(11, 99.5, 1)]))
        assert fills(made) == [('100', '1')]


class TestTaking:
    def test_market_order_takes_what_is_shown(self) -> None:
        """Where only the touch is known, nothing behind it is made up."""
        made = engine()
        made.show_touch(SYMBOL, (100.0, 5.0), (100.5, 0.01))
        arrive(made, place('a', BUY, '7'))
        assert fills(made) == [('100.5', '0.01')]
        made.on_ticks(SYMBOL, ticks([
            ask(n, 100.5, 0.01) for n in range(2, 50)
        ]))
        assert fills(made) == [('100.5', '0.01')]
        report = last_report(made, 'a')
        assert report.status is VenueStatus.EXPIRED
        assert report.reason == (
            '0.01 of 7 filled: no more was shown at 100.5, and the order '
            'book behind it is not known'
        )

    def test_one_that_finds_nothing_left_says_so(self) -> None:
        made = engine()
        arrive(made, place('a', BUY, '3'))
        arrive(made, place('b', BUY, '1', '100.5', tif=IOC))
        assert last_report(made, 'b').reason == (
            '0 of 1 filled: no more was offered at 100.5 or better; what '
            'earlier paper orders have had of it is not had twice'
        )

    def test_market_order_walks_the_book(self) -> None:
        asks = [(Decimal('100.5'), Decimal(3)), (Decimal(104), Decimal(1))]
        made = PaperEngine(engine().books, 0, lambda _: ([], asks))
        made.on_market(SYMBOL, True)
        made.show_touch(SYMBOL, (100.0, 5.0), (100.5, 3.0))
        arrive(made, place('a', BUY, '7'))
        assert fills(made) == [('100.5', '3'), ('104', '1')]
        report = last_report(made, 'a')
        assert report.status is VenueStatus.EXPIRED
        assert report.reason == (
            '4 of 7 filled: the order book, as far as it is followed, '
            'showed no more'
        )

    def test_slippage(self) -> None:
        made = engine(slippage_ticks=2)
        arrive(made, place('a', SELL, '1'))
        assert fills(made) == [('99', '1')]

    def test_what_is_shown_is_taken_once(self) -> None:
        made = engine()
        arrive(made, place('a', BUY, '2', '100.5'))
        arrive(made, place('b', BUY, '2', '100.5'))
        assert fills(made, 'b') == [('100.5', '1')]
        made.on_ticks(SYMBOL, ticks([ask(2, 101.0, 1), ask(3, 100.5, 3)]))
        assert fills(made, 'b') == [('100.5', '1'), ('100.5', '1')]

    def test_taken_until_the_touch_moves_whoever_looks(self) -> None:
        """With no order open nobody follows it, but it has moved."""
        made = engine()
        arrive(made, place('a', BUY, '2', '100.5'))
        assert not made.symbols
        made.on_ticks(SYMBOL, ticks([bid(2, 100.0, 4), ask(3, 100.5, 3)]))
        arrive(made, place('b', BUY, '2', '100.5', tif=IOC), at_ms=4)
        assert fills(made, 'b') == [('100.5', '1')]
        made.on_ticks(SYMBOL, ticks([ask(5, 101.0, 1), ask(6, 100.5, 3)]))
        arrive(made, place('c', BUY, '2', '100.5'), at_ms=7)
        assert fills(made, 'c') == [('100.5', '2')]

    def test_limit_takes_to_its_price_and_rests(self) -> None:
        made = engine()
        arrive(made, place('a', BUY, '4', '100.5'))
        assert fills(made) == [('100.5', '3')]
        report = last_report(made, 'a')
        assert (report.status, report.filled) == (VenueStatus.OPEN, 3)

    def test_ioc_and_fok(self) -> None:
        made = engine()
        arrive(made, place('a', BUY, '4', '100.5', tif=FOK))
        assert fills(made) == []
        arrive(made, place('b', BUY, '4', '100.5', tif=IOC))
        assert fills(made) == [('100.5', '3')]
        for cid, reason in {
            'a': 'not filled, since not whole: 3 of 4 was offered at 100.5 '
            'or better',
            'b': '3 of 4 filled: no more was offered at 100.5 or better',
        }.items():
            report = last_report(made, cid)
            assert report.status is VenueStatus.EXPIRED
            assert report.reason.startswith(reason)
        arrive(made, place('c', SELL, '5', '100', tif=FOK))
        assert last_report(made, 'c').status is VenueStatus.FILLED
        assert not made.books.open_orders

    def test_fees_are_in_what_is_received(self) -> None:
        made = engine(taker_fee='0.002', maker_fee='0.001')
        arrive(made, place('a', BUY, '1'), place('b', SELL, '1', '101'))
        made.on_ticks(SYMBOL, ticks([
            trade(2, 101.5, 1.0, BUY),
        ]))
        bought, sold = (
            m for m in made.books.out if isinstance(m, FillReport)
        )
        assert (bought.fee, bought.fee_asset) == (Decimal('0.002'), 'btc')
        assert (sold.fee, sold.fee_asset) == (Decimal('0.101'), 'usdt')
        assert (bought.maker, sold.maker) == (False, True)
        have = made.books.balances
        assert have['btc'].total == 100 - Decimal('0.002')
        assert have['usdt'].total == 100_000 + Decimal('0.5') - Decimal(
            '0.101'
        )


class Shelf:
    """A depth that is not there until somebody puts it there."""

    def __init__(self) -> None:
        self.asks: list[Level] = []
        self.looked = 0

    def __call__(self, symbol: str) -> tuple[list[Level], list[Level]]:
        self.looked += 1
        return [], self.asks


class TestAwaitedBook:
    """An order that is larger than the touch waits for the book."""

    def test_it_walks_the_book_once_that_is_there(self) -> None:
        shelf = Shelf()
        made = engine(depth=shelf)
        arrive(made, place('a', BUY, '7'))
        made.on_ticks(SYMBOL, ticks([ask(30, 101.0, 1.0)]))
        made.advance(SYMBOL, 700 * MS)
        assert made.books.out == []
        assert made.symbols == {SYMBOL}
        shelf.asks = [
            (Decimal(101), Decimal(1)), (Decimal(102), Decimal(9)),
        ]
        made.advance(SYMBOL, made.due_ns()[SYMBOL])
        assert fills(made) == [('101', '1'), ('102', '6')]
        report = last_report(made, 'a')
        assert report.status is VenueStatus.FILLED
        assert 700 * MS < report.time_ns < 800 * MS
        assert not made.symbols

    def test_not_for_ever(self) -> None:
        """Nor again, until there was a book, or the data broke off."""
        shelf = Shelf()
        made = engine(depth=shelf)
        arrive(made, place('a', BUY, '7'))
        made.advance(SYMBOL, 4000 * MS)
        assert made.books.out == []
        made.advance(SYMBOL, 9000 * MS)
        report = last_report(made, 'a')
        assert (report.filled, report.time_ns) == (3, 4001 * MS)
        assert 'not known' in report.reason
        made.on_ticks(SYMBOL, ticks([
            ask(9001, 101.0, 1), ask(9002, 100.5, 3),
        ]))
        arrive(made, place('b', BUY, '7'), at_ms=9003)
        assert last_report(made, 'b').filled == 3
        made.on_market(SYMBOL, False)
        made.on_market(SYMBOL, True)
        arrive(made, place('c', BUY, '7'), at_ms=9004)
        assert made.symbols == {SYMBOL}

    @pytest.mark.parametrize('order', [
        place('a', BUY, '3'), place('a', BUY, '7', '100.5'),
        place('a', BUY, '7', '100'), place('a', BUY, '7', '100.5', tif=FOK),
    ])
    def test_only_if_it_would_go_further(self, order: Any) -> None:
        made = engine(depth=Shelf())
        arrive(made, order)
        assert outcome(made).outcome is Outcome.DONE

    def test_what_was_sent_later_stays_behind_it(self) -> None:
        shelf = Shelf()
        made = engine(depth=shelf)
        arrive(made, place('a', BUY, '7', '103'), at_ms=1)
        arrive(made, place('b', BUY, '1'), at_ms=2)
        arrive(made, cancel('a'), at_ms=3)
        assert made.books.out == []
        shelf.asks = [(Decimal(102), Decimal(5))]
        made.advance(SYMBOL, 90 * MS)
        assert fills(made, 'a') == [('100.5', '3'), ('102', '4')]
        assert fills(made, 'b') == [('102', '1')]
        assert [m.time_ns for m in made.books.out
                if isinstance(m, FillReport)] == [90 * MS] * 3

    def test_without_data_it_is_refused(self) -> None:
        made = engine(depth=Shelf())
        arrive(made, place('a', BUY, '7'))
        made.on_market(SYMBOL, False)
        made.advance(SYMBOL, 90 * MS)
        assert 'not live' in outcome(made).reason

    def test_looks_are_few(self) -> None:
        shelf = Shelf()
        made = engine(depth=shelf)
        arrive(made, place('a', BUY, '7'))
        made.on_ticks(SYMBOL, ticks([
            trade(n, 100.5, 1.0, BUY) for n in range(2, 1002)
        ]))
        assert shelf.looked < 60


class TestRefusals:
    @pytest.mark.parametrize(('order', 'why'), [
        (place('a', BUY, '1', '100.3'), 'price'),
        (place('a', BUY, '1.005', '100'), 'size'),
        (place('a', BUY, '0.02', '100'), 'worth 2 USDT'),
        (place('a', SELL, '0.02'), 'worth 2 USDT'),
        (place('a', BUY, '1', '100.5', post_only=True), 'post-only'),
        (place('a', SELL, '1', '100', post_only=True), 'post-only'),
        (place('a', BUY, '1001', '100'), 'insufficient balance: 100100 usdt'),
        (place('a', SELL, '101', '100'), 'insufficient balance: 101 btc'),
        (place('a', BUY, '996'), 'insufficient balance: 100098 usdt'),
    ])
    def test_refused(self, order: Any, why: str) -> None:
        made = engine()
        arrive(made, order)
        assert outcome(made).outcome is Outcome.REFUSED
        assert why in outcome(made).reason
        assert not made.books.open_orders
        assert made.books.balances['usdt'].free == 100_000

    def test_no_live_market(self) -> None:
        made = engine()
        arrive(made, place('a', BUY, '1', '99'))
        made.on_market(SYMBOL, False)
        arrive(made, place('b', BUY, '1'))
        assert 'not live' in outcome(made).reason
        arrive(made, cancel('a'))
        assert outcome(made).outcome is Outcome.DONE

    def test_open_orders_hold_what_they_need(self) -> None:
        made = engine()
        arrive(made, place('a', BUY, '900', '100'))
        arrive(made, place('b', BUY, '200', '100'))
        assert '20000 usdt needed, 10000 free' in outcome(made).reason
        arrive(made, cancel('a'), place('b', BUY, '200', '100'))
        assert outcome(made).outcome is Outcome.DONE

    def test_twice_the_same_id(self) -> None:
        made = engine()
        arrive(made, place('a', BUY, '1', '99'))
        arrive(made, place('a', BUY, '1', '99'))
        assert outcome(made).outcome is Outcome.REFUSED
        assert len(made.books.open_orders) == 1


class TestReplacing:
    def test_both(self) -> None:
        made = engine()
        arrive(made, place('a', BUY, '900', '100'))
        arrive(made, ReplaceOrder(
            ref=3, cid='a', symbol=SYMBOL, order=place('b', BUY, '950', '99')
        ))
        assert outcome(made).outcome is Outcome.DONE
        assert last_report(made, 'a').status is VenueStatus.CANCELLED
        assert [o.placed.cid for o in made.books.open_orders] == ['b']

    @pytest.mark.parametrize('size', ['1001', '0.001'])
    def test_neither(self, size: str) -> None:
        made = engine()
        arrive(made, place('a', BUY, '900', '100'))
        arrive(made, ReplaceOrder(
            ref=3, cid='a', symbol=SYMBOL, order=place('b', BUY, size, '100')
        ))
        assert outcome(made).outcome is Outcome.REFUSED
        assert [o.placed.cid for o in made.books.open_orders] == ['a']
        assert made.books.balances['usdt'].free == 10_000

    def test_of_one_that_is_over(self) -> None:
        made = engine()
        arrive(made, ReplaceOrder(
            ref=3, cid='a', symbol=SYMBOL, order=place('b', BUY, '1', '99')
        ))
        assert outcome(made).outcome is Outcome.REFUSED
        assert not made.books.open_orders


# any tape, any orders

PRICES = st.integers(190, 210).map(lambda n: n / 2)
SIZES = st.integers(1, 400).map(lambda n: n / 100)
ROWS = st.one_of(
    st.tuples(st.just(Kind.BID), st.just(0), PRICES, SIZES),
    st.tuples(st.just(Kind.ASK), st.just(0), PRICES, SIZES),
    st.tuples(
        st.just(Kind.TRADE), st.sampled_from([-1, 0, 1]), PRICES, SIZES
    ),
)
ORDERS = st.builds(
    lambda side, size, price, tif: (side, f'{size:.2f}', price, tif),
    st.sampled_from(list(OrderSide)), SIZES,
    st.none() | PRICES.map(lambda p: f'{p:.1f}'),
    st.sampled_from([Tif.GTC, Tif.GTC, Tif.IOC, Tif.FOK]),
)
STEPS = st.lists(st.one_of(
    ROWS, ORDERS, st.integers(0, 20).map(lambda n: ('cancel', n))
), min_size=20, max_size=80)


def play(
    steps: list[Any], split: int = 1, made: PaperEngine | None = None,
    began: int = 0,
) -> PaperEngine:
    """
    Each step a millisecond after ``began``; ticks come in runs of ``split``.

    Orders are named by when they were sent, and cancelled by the step.
    """
    made = made or engine(latency_ms=2)
    run: list[Row] = []
    sent = [order.placed.cid for order in made.books.open_orders]

    def flush() -> None:
        if run:
            made.on_ticks(SYMBOL, ticks(run))
            run.clear()

    for at, step in enumerate(steps, began + 1):
        if isinstance(step[0], Kind):
            run.append((at, *step))  # type: ignore[arg-type]
            if len(run) >= split:
                flush()
            continue
        if step[0] == 'cancel':
            if sent:
                cid = sent[step[1] % len(sent)]
                made.send(cancel(cid), at * MS)
        else:
            side, size, price, tif = step
            sent.append(str(at))
            made.send(place(str(at), side, size, price, tif=tif), at * MS)
    flush()
    made.advance(SYMBOL, (began + len(steps) + 5) * MS)
    return made


@given(STEPS, st.integers(2, 9))
def test_equal_tape_and_orders_give_equal_fills(
    steps: list[Any], split: int
) -> None:
    """Whichever way the tape is cut into runs."""
    # Runs are cut where a command is sent, as they are where it is live.
    assert play(steps).books.out == play(steps).books.out
    cut = [s for s in steps if not isinstance(s[0], Kind)]
    tape = [s for s in steps if isinstance(s[0], Kind)]
    assert (
        play(cut + tape, 1).books.out == play(cut + tape, split).books.out
    )


BOOK = [(Decimal(n) / 2, Decimal(1)) for n in range(180, 221, 2)]


@given(STEPS, st.booleans())
def test_no_more_of_a_quote_than_it_shows(
    steps: list[Any], has_book: bool
) -> None:
    """
    All orders together, until the best price is another; and one order has
    of a level once.  What ends with a rest says why.
    """
    def depth(_: str) -> tuple[list[Level], list[Level]]:
        return (BOOK[::-1], BOOK) if has_book else ([], [])

    made = play(steps, made=engine(
        latency_ms=2, depth=depth if has_book else no_depth
    ))
    shown = {
        BUY: (Decimal(100), Decimal(5)),
        SELL: (Decimal('100.5'), Decimal(3)),
    }
    had: dict[tuple[OrderSide, Decimal], Decimal] = {}
    met: set[tuple[str, Decimal]] = set()
    tape = [
        (at * MS, *step) for at, step in enumerate(steps, 1)
        if isinstance(step[0], Kind)
    ]
    kinds = {row[0]: row[1] for row in tape}
    for message in made.books.out:
        if isinstance(message, OrderReport):
            whole = message.filled == message.size
            if message.status is VenueStatus.EXPIRED:
                assert not whole
                assert 'filled' in message.reason
            continue
        if not isinstance(message, FillReport):
            continue
        while tape and tape[0][0] <= message.time_ns:
            _, kind, _, price, size = tape.pop(0)
            if kind is Kind.TRADE:
                continue
            side = BUY if kind is Kind.BID else SELL
            new = Decimal(repr(price)), Decimal(repr(size))
            if new[0] != shown[side][0]:
                had = {k: v for k, v in had.items() if k[0] is not side}
            shown[side] = new
        far = message.side.other
        best, size = shown[far]
        level = best if message.maker else message.price
        if message.maker and kinds[message.time_ns] is Kind.TRADE:
            continue
        if not message.maker:
            assert (message.cid, level) not in met
            met.add((message.cid, level))
        key = far, level
        had[key] = had.get(key, Decimal(0)) + message.size
        if level != best:
            assert has_book
            size = dict(BOOK)[level]
        assert had[key] <= size


@given(STEPS, st.integers(2, 9))
def test_awaiting_a_book_is_all_the_same_however_the_tape_is_cut(
    steps: list[Any], split: int
) -> None:
    cut = [s for s in steps if not isinstance(s[0], Kind)]
    tape = [s for s in steps if isinstance(s[0], Kind)]
    ends = []
    for size in (1, split):
        made = engine(latency_ms=2, depth=lambda _: ([], []))
        play(cut + tape, size, made)
        made.advance(SYMBOL, 20_000 * MS)
        assert not made.due_ns()
        ends.append(made.books.out)
    assert ends[0] == ends[1]


@given(STEPS)
def test_never_better_than_the_tape_allows(steps: list[Any]) -> None:
    """
    A maker is filled at its limit, by what traded there or beyond it or was
    offered to it; a taker never inside the far touch.
    """
    made = play(steps)
    asked = {
        m.cid: m for m in made.books.out if not isinstance(m, FillReport)
        and hasattr(m, 'cid')
    }
    tape = [
        (at * MS, *step) for at, step in enumerate(steps, 1)
        if isinstance(step[0], Kind)
    ]
    passive: dict[tuple[int, OrderSide], Decimal] = {}
    for fill in made.books.out:
        if not isinstance(fill, FillReport):
            continue
        order: Any = asked[fill.cid]
        if order.price is not None:
            better = (fill.price - order.price) * fill.side.sign
            assert better <= 0
            if fill.maker:
                assert better == 0
        if fill.maker:
            key = (fill.time_ns, fill.side)
            passive[key] = passive.get(key, Decimal(0)) + fill.size
        else:
            far = Kind.ASK if fill.side is BUY else Kind.BID
            shown = [
                Decimal(repr(row[3])) for row in tape
                if row[1] is far and row[0] <= fill.time_ns
            ] or [Decimal('100.5') if fill.side is BUY else Decimal(100)]
            assert (fill.price - shown[-1]) * fill.side.sign >= 0
    for (time_ns, side), size in passive.items():
        met = [row for row in tape if row[0] == time_ns]
        assert sum(Decimal(repr(row[4])) for row in met) >= size
        assert all(
            row[1] is Kind.TRADE
            or row[1] is (Kind.ASK if side is BUY else Kind.BID)
            for row in met
        )


@given(STEPS)
def test_balances_are_conserved(steps: list[Any]) -> None:
    """Balances are what they were, and the fills; holds match the orders."""
    made = play(steps)
    want = {'usdt': Decimal(100_000), 'btc': Decimal(100)}
    filled: dict[str, Decimal] = {}
    for m in made.books.out:
        if isinstance(m, FillReport):
            want['btc'] += m.size * m.side.sign
            want['usdt'] -= m.size * m.price * m.side.sign
            want[m.fee_asset] -= m.fee
            filled[m.cid] = filled.get(m.cid, Decimal(0)) + m.size
    have = made.books.balances
    assert {asset: have[asset].total for asset in have} == want
    assert all(b.free >= 0 and b.locked >= 0 for b in have.values())
    held = {'usdt': Decimal(0), 'btc': Decimal(0)}
    for order in made.books.open_orders:
        assert order.filled == filled.get(order.placed.cid, 0)
        assert order.left > 0
        if order.placed.side is BUY:
            held['usdt'] += order.left * order.limit
        else:
            held['btc'] += order.left
    assert {asset: have[asset].locked for asset in have} == held
    numbers = [
        int(m.trade_id) for m in made.books.out if isinstance(m, FillReport)
    ]
    assert all(b == a + 1 for a, b in pairwise(numbers))


@given(STEPS, st.integers(0, 60))
@example([
    (Kind.ASK, 0, 100.5, 0.01), (BUY, '3.01', '100.5', Tif.GTC),
], 2)
def test_kept_books_go_on_alike(steps: list[Any], cut: int) -> None:
    """What `changes` gives is all that there is to an account."""
    before = play(steps[:cut]).books
    found = before.changes()
    kept = found and msgspec.json.decode(
        msgspec.json.encode(found), type=PaperChanges
    )
    orders = kept.orders if kept else []
    again = PaperBooks(
        PaperSettings(),
        orders=[o for o in orders if o.status is VenueStatus.OPEN],
        balances=kept.balances if kept else None,
        numbers=(
            max((int(o.venue_id) for o in orders), default=0),
            max((int(f.trade_id) for f in kept.fills), default=0)
            if kept else 0,
        ),
        taken=[t for t in kept.taken if t.levels] if kept else [],
    )
    assert {o.placed.cid: o for o in again.open_orders} == {
        o.placed.cid: o for o in before.open_orders
    }
    assert again.balances == before.balances
    rest = [
        *steps[cut:],
        (Kind.TRADE, -1, 90.0, 900.0), (Kind.TRADE, 1, 110.0, 900.0),
    ]
    done = []
    for books in (before, again):
        books.out.clear()
        made = engine(latency_ms=2, books=books)
        done.append(play(rest, made=made, began=1000).books.out)
    assert done[0] == done[1]
