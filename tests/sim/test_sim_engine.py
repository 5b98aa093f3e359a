"""The matching engine against a naive reference, and its rules one by one."""
from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piker.brokers.sim.engine import Book, Side, Status, Tif


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
