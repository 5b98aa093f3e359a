"""The matching engine against a naive reference, and its rules one by one."""
from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piker.brokers.sim.engine import Book, Side, Status, Stp, Tif


@dataclass
class Resting:
    order_id: int
    side: Side
    price: int
    size: int


class Naive:
    """The same rules by scanning a list of orders in arrival order."""

    def __init__(self):
        self.orders: list[Resting] = []

    def candidates(self, side, price):
        found = [
            order for order in self.orders
            if order.side is not side and (
                price is None
                or (order.price <= price if side is Side.BUY
                    else order.price >= price)
            )
        ]
        sign = 1 if side is Side.BUY else -1
        return sorted(found, key=lambda order: sign * order.price)

    def submit(self, order_id, side, size, price, tif, post_only):
        matches = self.candidates(side, price)
        if post_only and matches:
            return Status.REJECTED, size, []
        if tif is Tif.FOK and sum(o.size for o in matches) < size:
            return Status.EXPIRED, size, []
        fills = []
        for order in matches:
            if not size:
                break
            traded = min(size, order.size)
            fills.append((order.order_id, order.price, traded))
            order.size -= traded
            size -= traded
        self.orders = [order for order in self.orders if order.size]
        if not size:
            return Status.FILLED, 0, fills
        if price is None or tif is not Tif.GTC:
            return Status.EXPIRED, size, fills
        self.orders.append(Resting(order_id, side, price, size))
        return Status.OPEN, size, fills

    def depth(self, side):
        totals = {}
        for order in self.orders:
            if order.side is side:
                totals[order.price] = totals.get(order.price, 0) + order.size
        return sorted(totals.items(), reverse=side is Side.BUY)


PRICES = st.one_of(st.none(), st.integers(1, 12))
ORDERS = st.tuples(
    st.sampled_from(Side), st.integers(1, 9), PRICES,
    st.sampled_from(Tif), st.booleans(),
)
STEPS = st.lists(st.one_of(ORDERS, st.integers(0, 60)), max_size=60)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_engine_agrees_with_the_naive_reference(steps):
    book, naive = Book(update_id=7, next_trade_id=100), Naive()
    mirror = {Side.BUY: {}, Side.SELL: {}}
    traded = 0
    for order_id, step in enumerate(steps):
        before = book.update_id
        if isinstance(step, int):
            known = [o for o in naive.orders if o.order_id == step]
            expected = known[0].size if known else None
            naive.orders = [o for o in naive.orders if o.order_id != step]
            assert book.cancel(step) == expected
        else:
            side, size, price, tif, post_only = step
            post_only = post_only and price is not None and tif is Tif.GTC
            report = book.submit(
                order_id, side, size, price, tif=tif, post_only=post_only
            )
            status, left, fills = naive.submit(
                order_id, side, size, price, tif, post_only
            )
            assert (report.status, report.remaining) == (status, left)
            assert [f[1:] for f in report.fills] == fills
            assert [f.trade_id for f in report.fills] == list(
                range(100 + traded, 100 + traded + len(fills))
            )
            traded += len(fills)
        changes = book.take_changes()
        assert book.update_id - before == len(changes)
        for side, price in changes:
            mirror[side][price] = book.size_at(side, price)
        for side in Side:
            depth = book.depth(side, 100)
            assert depth == naive.depth(side)
            assert dict(depth) == {
                p: size for p, size in mirror[side].items() if size
            }
            assert book.best(side) == (depth[0] if depth else None)
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        assert not (bid and ask) or bid[0] < ask[0]


def test_time_priority_survives_a_partial_fill():
    book = Book()
    for order_id, size in ((1, 5), (2, 5)):
        book.submit(order_id, Side.SELL, size, 10)
    book.submit(3, Side.BUY, 2, 10)
    assert book.queue(Side.SELL, 10) == [(1, 3), (2, 5)]
    report = book.submit(4, Side.BUY, 4)
    assert [(f.maker_id, f.size) for f in report.fills] == [(1, 3), (2, 1)]
    assert book.is_open(2)
    assert not book.is_open(1)


@pytest.mark.parametrize(
    'arguments',
    [
        {'size': 0, 'price': 1},
        {'size': 1, 'price': 0},
        {'size': 1, 'price': None, 'post_only': True},
        {'size': 1, 'price': 1, 'post_only': True, 'tif': Tif.IOC},
    ],
)
def test_nonsense_is_refused(arguments):
    with pytest.raises(ValueError, match='must be'):
        Book().submit(1, Side.BUY, **arguments)


def test_an_open_id_is_not_used_twice():
    book = Book()
    book.submit(1, Side.BUY, 1, 1)
    with pytest.raises(ValueError, match='already open'):
        book.submit(1, Side.BUY, 1, 1)


def test_an_iceberg_shows_its_parts_and_queues_anew_with_each():
    book = Book()
    book.submit(1, Side.SELL, 7, 10, display=3)
    book.submit(2, Side.SELL, 2, 10)
    assert book.queue(Side.SELL, 10) == [(1, 3), (2, 2)]
    assert book.sweep(Side.BUY, 99) == [(10, 9)]
    report = book.submit(3, Side.BUY, 4, 10)
    assert [(f.maker_id, f.size) for f in report.fills] == [(1, 3), (2, 1)]
    assert book.queue(Side.SELL, 10) == [(2, 1), (1, 3)]
    assert book.size_at(Side.SELL, 10) == 4
    report = book.submit(4, Side.BUY, 5, 10, tif=Tif.FOK)
    assert [(f.maker_id, f.size) for f in report.fills] == [
        (2, 1), (1, 3), (1, 1)
    ]
    assert not book.is_open(1)
    assert book.best(Side.SELL) is None


def test_a_cancelled_iceberg_gives_back_all_of_it():
    book = Book()
    book.submit(1, Side.SELL, 7, 10, display=3)
    book.submit(2, Side.BUY, 4, 10)
    assert book.cancel(1) == 3
    assert book.submit(1, Side.SELL, 2, 10, display=5).status is Status.OPEN
    assert book.queue(Side.SELL, 10) == [(1, 2)]


ICEBERGS = st.lists(st.tuples(
    st.sampled_from(Side), st.integers(1, 9), st.integers(1, 6),
    st.integers(0, 4), st.sampled_from(Tif),
), max_size=40)


@settings(max_examples=100, deadline=None)
@given(ICEBERGS)
def test_lots_are_neither_made_nor_lost(steps):
    """With icebergs: what is open and what was filled is what was sent."""
    book = Book()
    left, total = {}, {}
    for order_id, (side, size, price, display, tif) in enumerate(steps):
        before = book.sweep(side, size, price)
        report = book.submit(order_id, side, size, price, tif=tif,
                             display=display)
        filled = sum(fill.size for fill in report.fills)
        assert filled + report.remaining == size
        if tif is not Tif.FOK or report.status is Status.FILLED:
            got = {}
            for fill in report.fills:
                got[fill.price] = got.get(fill.price, 0) + fill.size
            assert list(got.items()) == before
        for fill in report.fills:
            left[fill.maker_id] -= fill.size
        if report.status is Status.OPEN:
            left[order_id], total[order_id] = report.remaining, display
        for side_ in Side:
            for at, lots in book.depth(side_, 99):
                queue = book.queue(side_, at)
                assert lots == sum(shown for _, shown in queue)
                for i, shown in queue:
                    assert shown <= (total[i] or left[i])
        assert {i for i, lots in left.items() if lots} == {
            i for i in left if book.is_open(i)
        }
    for order_id, lots in left.items():
        assert (book.cancel(order_id) or 0) == lots


@pytest.mark.parametrize(
    ('stp', 'filled', 'status', 'gone'),
    [
        (Stp.EXPIRE_TAKER, 2, Status.EXPIRED, ()),
        (Stp.EXPIRE_MAKER, 6, Status.OPEN, (2, 4)),
        (Stp.EXPIRE_BOTH, 2, Status.EXPIRED, (2,)),
        (Stp.NONE, 9, Status.FILLED, ()),
    ],
)
def test_who_gives_way_when_an_owner_meets_himself(stp, filled, status, gone):
    book = Book()
    for order_id, size, price in ((1, 2, 10), (2, 3, 10), (3, 4, 11),
                                  (4, 5, 12)):
        book.submit(order_id, Side.SELL, size, price)
    report = book.submit(5, Side.BUY, 9, 12, own={2, 4}, stp=stp)
    assert sum(fill.size for fill in report.fills) == filled
    assert (report.status, report.expired) == (status, gone)
    assert report.prevented is (status is Status.EXPIRED)
    assert not any(map(book.is_open, gone))
    bid, ask = book.best(Side.BUY), book.best(Side.SELL)
    assert not (bid and ask) or bid[0] < ask[0]


def test_fill_or_kill_does_not_count_on_its_owner():
    book = Book()
    book.submit(1, Side.SELL, 5, 10)
    book.submit(2, Side.SELL, 5, 10)
    report = book.submit(3, Side.BUY, 8, 10, tif=Tif.FOK, own={2},
                         stp=Stp.EXPIRE_MAKER)
    assert (report.status, report.fills) == (Status.EXPIRED, ())
    assert book.is_open(2)
