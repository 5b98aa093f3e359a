"""Merged columns lose nothing that could be seen."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piker.data.bars import BarWriter
from piker.ui.painting import body_width
from piker.ui.sampling import merge_factor, sample

from fake_feed import walk  # isort: skip


@pytest.fixture(scope='module')
def bars():
    rows = walk(
        5000, price=100, tick=0.01, volatility=1e-3, end_index=100_003
    )
    writer = BarWriter(
        f'piker-uitest-sampling-{np.random.default_rng().integers(1 << 60)}',
        'x.sim', 60, 100_003, capacity=8192, back=5000,
    )
    writer.prepend(rows)
    yield writer
    writer.unlink()


@given(
    start=st.integers(94_000, 101_000),
    count=st.integers(0, 6000),
    width=st.integers(1, 900),
)
def test_columns_keep_every_extreme(bars, start, count, width):
    columns = sample(bars, start, start + count, width)
    begin = max(start // width * width, bars.first)
    stop = min(start + count, bars.next)
    rows = bars.read(begin, max(begin, stop))
    if not len(rows):
        assert not len(columns)
        return
    assert columns.high.max() == rows['high'].max()
    assert columns.low.min() == rows['low'].min()
    assert columns.open[0] == rows['open'][0]
    assert columns.close[-1] == rows['close'][-1]
    assert columns.volume.sum() == pytest.approx(rows['volume'].sum())
    assert np.all(columns.index % width == 0)
    assert np.all(np.diff(columns.index) == width)
    low, high, most = columns.extremes()
    assert (low, high) == (rows['low'].min(), rows['high'].max())
    assert most == columns.volume.max()


def test_each_column_is_one_honest_bar(bars):
    columns = sample(bars, 96_000, 97_000, 7)
    for n in (0, 5, len(columns) - 1):
        index = int(columns.index[n])
        rows = bars.read(index, min(index + 7, 97_000))
        assert columns.open[n] == rows['open'][0]
        assert columns.close[n] == rows['close'][-1]
        assert columns.high[n] == rows['high'].max()
        assert columns.low[n] == rows['low'].min()


@given(spacing=st.floats(1e-4, 100))
def test_at_most_about_a_column_per_pixel(spacing):
    width = merge_factor(spacing)
    assert width * spacing >= 1 - 1e-6
    assert width == 1 or (width - 1) * spacing < 1


@given(spacing=st.floats(2, 300), wick=st.integers(1, 3))
def test_bodies_are_centred_and_apart(spacing, wick):
    width = body_width(spacing, wick)
    assert width >= wick
    assert (width - wick) % 2 == 0
    assert width == wick or spacing - width >= 1
