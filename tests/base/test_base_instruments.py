"""Names of instruments, and the grid they are traded on."""
from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piker.errors import BadInput
from piker.instruments import Instrument, InstrumentId
from piker.messages import FlumeInfo, Steps, pack, unpack

parts = st.from_regex(r'[a-z0-9][a-z0-9_\-]{0,8}', fullmatch=True)
expiries = st.from_regex(r'[0-9]{8}', fullmatch=True)
steps = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent),
    st.integers(1, 999), st.integers(-8, 2),
)


@st.composite
def ids(draw):
    venue = draw(st.none() | parts)
    expiry = draw(st.none() | expiries) if venue else None
    return InstrumentId(draw(parts), draw(parts), venue or '', expiry or '')


@settings(deadline=None, max_examples=200)
@given(ids())
def test_an_id_reads_back_as_it_was_written(one):
    text = str(one)
    assert InstrumentId.parse(text) == one
    assert InstrumentId.parse(f'  {text.upper()}\n') == one
    assert text == f'{one.local}.{one.provider}'
    assert one.local.split('.')[0] == one.symbol


def test_the_parts_of_an_id():
    assert InstrumentId.parse('MNQ.cme.20261218.ib') == InstrumentId(
        'mnq', 'ib', 'cme', '20261218'
    )
    assert InstrumentId.parse('tsla.nasdaq.ib').local == 'tsla.nasdaq'
    assert InstrumentId.parse('btcusdt.sim').provider == 'sim'


@pytest.mark.parametrize(('text', 'fault'), [
    ('', 'SYMBOL.PROVIDER'),
    ('btcusdt', 'SYMBOL.PROVIDER'),
    ('a.b.20261218.c.d', 'SYMBOL.PROVIDER'),
    ('.sim', "''"),
    ('btcusdt.', "''"),
    ('btc usdt.sim', "'btc usdt'"),
    ('../x.sim', "''"),
    ('_x.sim', "'_x'"),
    ('бтц.sim', "'бтц'"),
    ('mnq.cme.2026.ib', "expiry '2026'"),
    ('mnq.cme.december.ib', "expiry 'december'"),
])
def test_what_is_no_id_is_said_with_the_fault(text, fault):
    with pytest.raises(BadInput) as caught:
        InstrumentId.parse(text)
    assert repr(text) in str(caught.value)
    assert fault in str(caught.value)


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=20))
def test_any_text_is_an_id_or_refused(text):
    try:
        one = InstrumentId.parse(text)
    except BadInput:
        return
    assert InstrumentId.parse(str(one)) == one


def make(tick, lot='0.001'):
    return Instrument(
        id='btcusdt.sim', raw_symbol='BTCUSDT', base='BTC', quote='USDT',
        tick_size=Decimal(tick), lot_size=Decimal(lot),
    )


@settings(deadline=None, max_examples=300)
@given(steps, st.integers(0, 10 ** 15), st.integers(-9, 0))
def test_rounding_gives_the_nearest_price_of_the_grid(tick, digits, exponent):
    instrument = make(tick)
    price = Decimal(digits).scaleb(exponent)
    near = instrument.round_price(price)
    assert instrument.on_tick(near)
    assert abs(near - price) <= tick / 2
    assert instrument.round_price(near) == near
    assert instrument.on_tick(price) == (near == price)
    # what is shown of a grid price is the price
    assert Decimal(instrument.format_price(near)) == near


def test_halves_go_to_the_even_tick():
    instrument = make('0.10')
    assert instrument.round_price(Decimal('0.25')) == Decimal('0.2')
    assert instrument.round_price(Decimal('0.35')) == Decimal('0.4')


@pytest.mark.parametrize(('step', 'digits'), [
    ('0.01', 2), ('0.01000000', 2), ('1', 0), ('1.00', 0), ('10', 0),
    ('0.25', 2), ('2.5', 1), ('0.00000001', 8),
])
def test_digits_of_a_step(step, digits):
    instrument = make(step, lot=step)
    assert instrument.price_digits == digits
    assert instrument.size_digits == digits


def test_an_instrument_crosses_between_actors_whole():
    info = FlumeInfo(make('0.010'), 'ticks', {1: 'a', 60: 'b'}, 'waker')
    there = unpack(FlumeInfo, pack(info))
    assert there == info
    assert there.instrument.tick_size == Decimal('0.01')
    assert unpack(Steps, {'index': {'1': 5}, 'new': 1}) == Steps({'1': 5})
