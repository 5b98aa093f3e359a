"""
What a refusal says: what is wrong first, and what could be had instead.
"""
from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from clearing_venue import ACCOUNTS, LISTED
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from paper_tools import INSTRUMENT, SYMBOL

from piker.clearing.core import Core
from piker.clearing.terms import check_values, digits
from piker.config import AccountSettings, RiskSettings
from piker.errors import BadInput, RiskRefused
from piker.orders import OrderRequest, OrderSide, OrderType

FINE = replace(
    INSTRUMENT, tick_size=Decimal('1e-8'), lot_size=Decimal('1e-5'),
)


def request(size: str, price: str | None = None, **more: Any) -> OrderRequest:
    return OrderRequest(
        oid='sell-3f2a', symbol=SYMBOL, side=OrderSide.SELL,
        size=Decimal(size), price=Decimal(price) if price else None,
        type=OrderType.LIMIT if price else OrderType.MARKET, **more,
    )


LOT = 'is not a multiple of the lot size 0.01; the nearest'
TICK = 'is not a multiple of the tick size 0.5; the nearest'
MOST = 'is more than any order can have, 1000000000000000'


@pytest.mark.parametrize(('size', 'price', 'says'), [
    ('1.005', None, f'size 1.005 {LOT} are 1 and 1.01'),
    ('0.004', None, f'size 0.004 {LOT} is 0.01'),
    ('0.014', '100', f'size 0.014 {LOT} is 0.05'),
    ('0.055', '100', f'size 0.055 {LOT} are 0.05 and 0.06'),
    ('9E-8', None, f'size 0.00000009 {LOT} is 0.01'),
    ('0.02', '100', (
        '0.02 at 100 is worth 2, less than the least notional 5; the least '
        'size at that price is 0.05'
    )),
    ('1', '100.3', f'price 100.3 {TICK} is 100.5'),
    ('1', '0.00000009', f'price 0.00000009 {TICK} is 0.5'),
    ('1e200', None, f'size 1E+200 {MOST}'),
    ('1', '1e30', f'price 1{"0" * 30} {MOST}'),
])
def test_says_what_is_wrong(size: str, price: str | None, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_values(request(size, price), INSTRUMENT)
    assert str(caught.value) == f'{SYMBOL}: {says}'


def test_what_is_shown_of_it() -> None:
    order = request('1', '100', display=Decimal('0.999'))
    with pytest.raises(BadInput, match=r'nearest are 0\.99 and 1$'):
        check_values(order, INSTRUMENT)


def test_steps_have_no_exponent_either() -> None:
    with pytest.raises(BadInput, match=r'lot size 0\.00001; the nearest are'):
        check_values(request('0.100001', '100'), FINE)
    with pytest.raises(BadInput, match=r'tick size 0\.00000001; the nearest'):
        check_values(request('0.1', '100.000000001'), FINE)


@given(
    st.decimals(Decimal('1e-9'), 1000, places=9),
    st.none() | st.integers(1, 2000).map(lambda n: str(Decimal(n) / 2)),
)
def test_the_sizes_it_names_can_be_had(
    size: Decimal, price: str | None
) -> None:
    order = request(str(size), price)
    try:
        check_values(order, INSTRUMENT)
    except BadInput as err:
        words = re.split(' is | are ', str(err))[-1]
        named = [Decimal(word) for word in words.split(' and ')]
        for near in named:
            check_values(replace(order, size=near), INSTRUMENT)
        assert min(named) >= size - Decimal('0.01')


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12))
def test_digits(value: Decimal) -> None:
    if abs(value) < Decimal('1e40'):
        assert 'E' not in digits(value)
        assert Decimal(digits(value)) == value


@pytest.mark.parametrize(('bad', 'error', 'says'), [
    ({'size': Decimal('0.000001')}, BadInput, 'btcusdt.sim: size 0.000001 '),
    ({'size': Decimal(9)}, RiskRefused, 'beyond max_order = 2 of account sim'),
    ({'post_only': True, 'price': None, 'type': OrderType.MARKET}, BadInput,
     'post_only and display are'),
    ({'parent': 'nobody'}, BadInput, "parent 'nobody' is no open order"),
])
def test_names_the_order_among_several(
    bad: dict[str, Any], error: type[Exception], says: str
) -> None:
    """One alone is known to whoever asked; a generated name says nothing."""
    core = Core({'sim': careful(ACCOUNTS['sim'])})
    for instrument in LISTED.values():
        core.add_instrument(instrument)
    good = request('1', '100', account='sim')
    wrong = replace(good, oid='b', **bad)
    with pytest.raises(error) as caught:
        core.submit('x', [wrong], 1)
    assert str(caught.value).startswith(says)
    assert '(order' not in str(caught.value)
    with pytest.raises(error) as caught:
        core.submit('x', [good, wrong], 1)
    assert str(caught.value).startswith(says)
    assert str(caught.value).endswith('(order b)')


def careful(settings: AccountSettings) -> AccountSettings:
    return settings.model_copy(
        update={'risk': RiskSettings(max_order=Decimal(2))}
    )
