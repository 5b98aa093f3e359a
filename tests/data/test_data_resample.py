"""
Longer bars, and bars by measure, against plain references.
"""
from __future__ import annotations

import math
import uuid
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piker.data import BAR_DTYPE, BarWriter, Kind, Ticks
from piker.data.resample import (
    DAY_S,
    PERIODS_S,
    WEEK_S,
    ResampledBars,
    bars_by_measure,
    base_period,
    resample_bars,
)
from piker.errors import BadInput, NoSuchPeriod

NS = 10**9


def random_bars(seed: int, start: int, count: int, period_s: int) -> Any:
    rng = np.random.default_rng(seed)
    rows = np.zeros(count, BAR_DTYPE)
    rows['time'] = np.arange(start, start + count) * period_s * NS
    prices = 100 + rng.integers(-50, 50, (count, 4)) / 4
    rows['open'], rows['close'] = prices[:, 0], prices[:, 1]
    rows['high'], rows['low'] = prices.max(axis=1), prices.min(axis=1)
    rows['volume'] = rng.integers(0, 3, count) / 4
    rows['trades'] = (rows['volume'] > 0) * rng.integers(1, 9, count)
    rows['vwap'] = prices.mean(axis=1)
    return rows


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    start=st.integers(28_000_000, 28_100_000),
    count=st.integers(1, 3000),
    period_s=st.sampled_from([p for p in PERIODS_S if p > 60]),
)
def test_time_bars_as_polars_does_it(
    seed: int, start: int, count: int, period_s: int
) -> None:
    rows = random_bars(seed, start, count, 60)
    every = '1w' if period_s == WEEK_S else f'{period_s}s'
    frame = pl.DataFrame(rows).with_columns(
        at=pl.from_epoch('time', time_unit='ns'),
        turnover=pl.col('vwap') * pl.col('volume'),
    )
    want = frame.group_by_dynamic('at', every=every).agg(
        pl.col('open').first(), pl.col('high').max(), pl.col('low').min(),
        pl.col('close').last(), pl.col('volume').sum(),
        pl.col('trades').sum(), pl.col('turnover').sum(),
    )
    opens = want['at'].dt.epoch('ns').to_numpy()
    if opens[0] != rows['time'][0]:
        want, opens = want[1:], opens[1:]
    got = resample_bars(rows, period_s)
    assert np.array_equal(got['time'], opens)
    for field in ('open', 'high', 'low', 'close', 'volume', 'trades'):
        assert np.array_equal(got[field], want[field].to_numpy()), field
    traded = got['volume'] > 0
    vwap = (want['turnover'] / want['volume']).to_numpy()[traded]
    assert np.allclose(got['vwap'][traded], vwap, rtol=1e-12)
    assert np.isfinite(got['vwap']).all()


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6), start=st.integers(28_000_000, 28_010_000),
    cut=st.integers(0, 500),
)
def test_equal_inputs_give_equal_bars(
    seed: int, start: int, cut: int
) -> None:
    """Where history begins changes no bar that is whole."""
    rows = random_bars(seed, start, 2000, 60)
    whole, part = (resample_bars(r, 3600) for r in (rows, rows[cut:]))
    assert np.array_equal(whole[len(whole) - len(part):], part)


@pytest.mark.parametrize('period_s', [0, -60, 7, 86401, 2 * DAY_S])
def test_odd_periods_are_refused(period_s: int) -> None:
    with pytest.raises(NoSuchPeriod, match=str(period_s)):
        base_period(period_s)


def test_base_periods() -> None:
    assert [base_period(p) for p in (5, 30, 90, 300, DAY_S, WEEK_S)] == [
        1, 1, 1, 60, 60, 60,
    ]


def make_ticks(trades: list[tuple[int, float, float, int]]) -> Ticks:
    count = len(trades)
    columns = list(zip(*trades, strict=True)) if trades else [()] * 4
    return Ticks(
        seq=np.arange(count, dtype=np.uint64),
        time=np.array(columns[0], np.int64),
        recv=np.zeros(count, np.int64),
        kind=np.full(count, Kind.TRADE, np.uint8),
        side=np.ones(count, np.int8),
        price=np.array(columns[1], np.float64),
        size=np.array(columns[2], np.float64),
        id=np.arange(count, dtype=np.int64),
        count=np.array(columns[3], np.uint32),
    )


def plain_measure(
    trades: list[tuple[int, float, float, int]], measure: str, size: float
) -> list[tuple[float, ...]]:
    """The definition, one trade at a time."""
    bars: list[list[Any]] = []
    total, day = math.inf, -1
    for time, price, amount, count in trades:
        weight = {
            'ticks': count, 'volume': amount, 'dollars': price * amount,
        }[measure]
        if total >= size or time // (DAY_S * NS) != day:
            bars.append([time, price, price, price, price, 0.0, 0])
            total, day = 0.0, time // (DAY_S * NS)
        bar = bars[-1]
        bar[2], bar[3] = max(bar[2], price), min(bar[3], price)
        bar[4] = price
        bar[5] += amount
        bar[6] += count
        total += weight
    return [tuple(bar) for bar in bars]


@settings(max_examples=80, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 40_000), st.integers(1, 40), st.integers(1, 16),
            st.integers(1, 4),
        ),
        max_size=80,
    ),
    measure=st.sampled_from(['ticks', 'volume', 'dollars']),
    size=st.sampled_from([0.25, 1.0, 3.0, 10.0, 64.0]),
)
def test_measured_bars_by_definition(
    steps: list[Any], measure: Any, size: float
) -> None:
    trades, at = [], 1_800_000_000 * NS
    for wait, price, quarters, count in steps:
        at += wait * NS
        trades.append((at, price / 4, quarters / 4, count))
    got = bars_by_measure(make_ticks(trades), measure, size)
    fields = ['time', 'open', 'high', 'low', 'close', 'volume', 'trades']
    rows = [tuple(row[f] for f in fields) for row in got]
    assert rows == plain_measure(trades, measure, size)


def test_measure_must_be_positive() -> None:
    with pytest.raises(BadInput, match='positive'):
        bars_by_measure(make_ticks([]), 'volume', 0)




@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_live_view_follows_its_base(data: st.DataObject) -> None:
    """Whatever happens to the base, the view equals a fresh resample."""
    writer = BarWriter(
        f'pt-{uuid.uuid4().hex[:12]}', 'x.sim', 60, 28_000_000,
        capacity=64, back=16,
    )
    try:
        view = ResampledBars(writer, 300)
        for _ in range(data.draw(st.integers(1, 25))):
            what = data.draw(st.sampled_from(['append', 'update', 'prepend']))
            price = data.draw(st.integers(1, 50)) / 2
            if what == 'append':
                for _ in range(data.draw(st.integers(1, 7))):
                    writer.append(price, price + 1, price - 1, price, 1.0)
            elif what == 'update' and len(writer):
                index = data.draw(
                    st.integers(writer.first, writer.next - 1)
                )
                writer.update(
                    index, price, price + 2, price - 2, price, 2.0, price, 3
                )
            else:
                count = data.draw(st.integers(1, 12))
                writer.prepend(
                    random_bars(1, writer.first - count, count, 60)
                )
            want = resample_bars(writer.read(), 300)
            assert np.array_equal(view.read(), want)
            assert len(view) == view.next - view.first == len(want)
            if len(want):
                assert view.row(view.next - 1)['close'] == want['close'][-1]
                assert view.first == want['time'][0] // (300 * NS)
    finally:
        writer.unlink()


@pytest.mark.parametrize('period_s', [300, 3600, WEEK_S])
def test_live_view_of_a_long_history(period_s: int) -> None:
    """Ticks, new bars, older pages and late trades, thousands of rows on."""
    start = 28_000_003
    writer = BarWriter(
        f'pt-{uuid.uuid4().hex[:12]}', 'x.sim', 60, start,
        capacity=1 << 10, back=16,
    )
    try:
        view = ResampledBars(writer, period_s)
        rng = np.random.default_rng(period_s)
        for step in range(40):
            amended = view.amended
            what = ('append', 'tick', 'prepend', 'late')[step % 4]
            if what == 'append':
                for price in rng.integers(1, 90, rng.integers(1, 900)):
                    writer.append(price, price + 1, price - 1, price, 0.25)
            elif what == 'tick':
                index = writer.next - int(rng.integers(1, 3))
                writer.update(index, 50, 99, 1, 51, 0.75, 50.5, 4)
            elif what == 'prepend':
                count = int(rng.integers(1, 3000))
                writer.prepend(
                    random_bars(step, writer.first - count, count, 60)
                )
            else:
                index = int(rng.integers(writer.first, writer.next - 2))
                writer.update(index, 50, 199, 1, 51, 0.75, 50.5, 4)
            want = resample_bars(writer.read(), period_s)
            assert np.array_equal(view.read(), want)
            for field in ('time', 'close', 'volume'):
                assert np.array_equal(view[field], want[field])
                some = view.view(field, view.next - 3, view.next + 5)
                assert np.array_equal(some, want[field][-3:])
            assert view.amended > amended or what != 'late'
    finally:
        writer.unlink()


def test_an_amendment_seen_too_early_is_seen_again() -> None:
    """The writer counts an amendment just before it writes the bar."""
    writer = BarWriter(
        f'pt-{uuid.uuid4().hex[:12]}', 'x.sim', 60, 28_000_000,
        capacity=64, back=16,
    )
    try:
        for _ in range(20):
            writer.append(5, 6, 4, 5, 1.0)
        view = ResampledBars(writer, 300)
        write = writer._write

        def look_first(index: int, values: tuple[float, ...]) -> None:
            view.first
            write(index, values)

        writer._write = look_first  # type: ignore[method-assign]
        writer.update(28_000_001, 5, 60, 4, 5, 1.0, 5, 1)
        assert view['high'][0] == 60
    finally:
        writer.unlink()
