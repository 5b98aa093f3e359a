"""Axis ticks: pleasant, precise, apart from each other."""
import itertools
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piker.ui.scales import (
    format_count,
    format_left,
    format_moment,
    price_step,
    price_ticks,
    thousands,
    time_ticks,
)

TICKS = [
    Decimal(text) for text in (
        '0.00000001', '0.0001', '0.01', '0.05', '0.25', '0.03125', '1', '10',
    )
]
ticks = st.sampled_from(TICKS)


def digits_of(tick):
    return max(0, -tick.normalize().as_tuple().exponent)


@given(
    tick=ticks,
    low=st.integers(0, 10**7),
    span=st.integers(1, 10**7),
    height=st.integers(80, 4000),
)
def test_price_ticks_lie_on_the_grid_and_apart(tick, low, span, height):
    a, b = float(tick * low), float(tick * (low + span))
    found = price_ticks(a, b, tick, height, gap=40)
    digits = digits_of(tick)
    for price in found:
        steps = price / float(tick)
        assert steps == pytest.approx(round(steps), abs=1e-3)
        text = thousands(price, digits)
        assert 'e' not in text.lower()
        assert len(text.partition('.')[2]) == digits
        assert float(text.replace(',', '')) == pytest.approx(
            price, abs=float(tick) / 2
        )
    per_pixel = (b - a) / height
    for x, y in itertools.pairwise(found):
        assert (y - x) / per_pixel > 39.9
    labels = [thousands(price, digits) for price in found]
    assert len(set(labels)) == len(labels)


@given(tick=ticks, least=st.floats(1e-9, 1e7))
def test_a_step_is_a_multiple_of_the_tick(tick, least):
    step = price_step(least, tick)
    assert step % tick == 0
    assert float(step) >= least * (1 - 1e-9) or step == tick


def test_pleasant_steps():
    assert price_step(0.03, Decimal('0.01')) == Decimal('0.05')
    assert price_step(0.021, Decimal('0.01')) == Decimal('0.05')
    assert price_step(180, Decimal('0.01')) == 200
    assert price_step(0.3, Decimal('0.25')) == Decimal('0.5')
    assert price_step(0.04, Decimal('0.03125')) == Decimal('0.0625')


def test_no_ticks_without_a_range():
    assert price_ticks(5, 5, Decimal(1), 100) == []
    assert price_ticks(5, 6, Decimal(1), 0) == []
    assert time_ticks(5, 5, 100) == []


@given(
    start=st.integers(0, 4_000_000_000),
    span=st.floats(5, 3e9),
    width=st.integers(200, 4000),
)
def test_time_ticks_rise_and_keep_apart(start, span, width):
    found = time_ticks(start, start + span, width, gap=90)
    times = [tick.time_s for tick in found]
    assert times == sorted(set(times))
    assert all(start <= t <= start + span for t in times)
    for a, b in itertools.pairwise(times):
        # A century's step is the widest there is.
        assert (b - a) * width / span > 89.9 or b - a >= 36_500 * 86_400
    for tick in found:
        when = datetime.fromtimestamp(tick.time_s, UTC)
        midnight = when.hour == when.minute == when.second == 0
        assert (':' in tick.label) == (not midnight)


def labels(start, stop, width=1000):
    a = datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp()
    b = datetime.fromisoformat(stop).replace(tzinfo=UTC).timestamp()
    return [tick.label for tick in time_ticks(a, b, width)]


def test_seconds_when_zoomed_in():
    assert labels('2024-08-09T14:03:00', '2024-08-09T14:03:20', 500) == [
        '14:03:00', '14:03:05', '14:03:10', '14:03:15', '14:03:20',
    ]


def test_the_date_stands_at_midnight():
    assert labels('2024-08-08T21:00', '2024-08-09T03:00', 700) == [
        '21:00', '22:00', '23:00', '9 Aug', '01:00', '02:00', '03:00',
    ]


def test_months_and_years_by_name():
    found = labels('2023-11-20', '2024-03-10', 600)
    assert found == ['Dec', '2024', 'Feb', 'Mar']
    assert labels('2019-06-01', '2024-06-01', 600) == [
        '2020', '2021', '2022', '2023', '2024',
    ]


def test_days_count_from_the_first_of_the_month():
    assert labels('2024-08-25', '2024-09-10', 500) == ['Sep', '8 Sep'] or (
        labels('2024-08-25', '2024-09-10', 500)
        == ['25 Aug', 'Sep', '5 Sep', '9 Sep']
    )


@pytest.mark.parametrize(
    ('value', 'digits', 'text'),
    [
        (61685.9, 2, '61,685.90'),
        (0.00001234, 8, '0.00001234'),
        (-0.0, 2, '0.00'),
        (-0.001, 2, '0.00'),
        (1e15, 0, '1,000,000,000,000,000'),
    ],
)
def test_prices_as_text(value, digits, text):
    assert thousands(value, digits) == text


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        (0, '0.00'), (0.0123, '0.0123'), (12.345, '12.35'), (1234, '1,234'),
        (123_456, '123.46K'), (1.5e6, '1.50M'), (2e9, '2.00B'),
    ],
)
def test_volumes_as_text(value, text):
    assert format_count(value) == text


def test_moments_and_countdowns():
    at = int(datetime(2024, 8, 9, 14, 3, 7, tzinfo=UTC).timestamp())
    assert format_moment(at, 1) == 'Fri 9 Aug 2024  14:03:07'
    assert format_moment(at, 60) == 'Fri 9 Aug 2024  14:03'
    assert format_moment(at, 86_400) == 'Fri 9 Aug 2024'
    assert format_left(41.2) == '00:42'
    assert format_left(3 * 3600 + 7) == '03:00:07'
