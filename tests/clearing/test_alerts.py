"""Alerts against a look at each tick, and each of them once."""
from __future__ import annotations

from decimal import Decimal

from clearing_runs import BTC, run_of
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from piker.clearing.alerts import AlertBook, Reached
from piker.data.ticks import Kind
from piker.orders import Alert, AlertSide

ABOVE, BELOW, EITHER = AlertSide


def alert(aid, price, side=EITHER):
    return Alert(
        aid=aid, symbol=BTC.id, price=Decimal(price), side=AlertSide(side)
    )


class _PlainBook:
    def __init__(self):
        self.alerts = {}

    def add(self, alert):
        self.alerts.pop(alert.aid, None)
        self.alerts[alert.aid] = alert

    def on_ticks(self, ticks):
        fired, settled = [], []
        for row in ticks.rows():
            if row['kind'] != Kind.TRADE:
                continue
            price = BTC.round_price(Decimal(row['price']))
            for aid, alert in list(self.alerts.items()):
                if alert.side is EITHER:
                    side = BELOW if price > alert.price else ABOVE
                    alert = replace(alert, side=side)
                    self.alerts[aid] = alert
                    settled.append(alert)
                reached = (
                    price >= alert.price if alert.side is ABOVE
                    else price <= alert.price
                )
                if reached:
                    del self.alerts[aid]
                    fired.append(Reached(aid, price, row['time']))
        return fired, settled


prices = st.integers(9_980, 10_020).map(lambda n: Decimal(n) / 100)
levels = prices | st.integers(99_800, 100_200).map(lambda n: Decimal(n) / 1000)
aids = st.integers(0, 20).map(str)
steps = st.lists(
    st.tuples(st.just('add'), aids, levels, st.sampled_from(AlertSide))
    | st.tuples(st.just('remove'), aids)
    | st.tuples(st.just('run'), st.lists(
        st.tuples(prices, st.sampled_from([*Kind, Kind.TRADE])), min_size=1,
        max_size=20,
    )),
    max_size=50,
)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_they_go_off_as_a_look_at_each_tick_says(steps):
    book, plain = AlertBook(BTC), _PlainBook()
    now = 0
    for what, *args in steps:
        if what == 'add':
            new = alert(*args)
            assert book.add(new) == new
            plain.add(new)
        elif what == 'remove':
            book.remove(args[0])
            plain.alerts.pop(args[0], None)
        else:
            tape, kinds = zip(*args[0], strict=True)
            ticks = run_of(tape, kinds, now)
            fired, settled = plain.on_ticks(ticks)
            assert book.on_ticks(ticks) == fired
            assert book.take_settled() == settled
            now += len(ticks)
        assert len(book) == len(plain.alerts)


def test_one_goes_off_once_when_its_price_is_reached():
    book = AlertBook(BTC)
    book.add(alert('up', '101', ABOVE))
    book.add(alert('down', '99', BELOW))
    assert book.on_ticks(run_of(['100', '100.99', '99.01'])) == []
    fired = book.on_ticks(run_of(['102', '98', '102', '98'], start_ns=5))
    assert fired == [
        Reached('up', Decimal(102), 5), Reached('down', Decimal(98), 6)
    ]
    assert book.on_ticks(run_of(['102', '98'])) == []
    assert len(book) == 0


def test_either_is_settled_by_the_first_price_known():
    book = AlertBook(BTC)
    assert book.add(alert('a', '100'), Decimal('99')).side is ABOVE
    assert book.add(alert('b', '100'), Decimal('101')).side is BELOW
    assert book.add(alert('c', '100')).side is EITHER
    assert book.take_settled() == []
    assert [r.aid for r in book.on_ticks(run_of(['99']))] == ['b']
    assert book.take_settled() == [alert('c', '100', ABOVE)]
    assert book.take_settled() == []
    fired = book.on_price(Decimal('100.5'), 9)
    assert fired == [
        Reached('a', Decimal('100.5'), 9), Reached('c', Decimal('100.5'), 9)
    ]


def test_a_known_name_starts_anew():
    book = AlertBook(BTC)
    book.add(alert('a', '101', ABOVE))
    book.add(alert('a', '103', ABOVE))
    assert book.on_ticks(run_of(['102'])) == []
    assert len(book.on_ticks(run_of(['103']))) == 1
