"""Bars from trades, and the clock that closes them."""
from __future__ import annotations

import os
import uuid
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from piker.clock import NS_PER_MS, NS_PER_S, ManualClock
from piker.data.bars import Bars, BarWriter
from piker.data.sampling import BarBuilder, Sampler

T0 = 1_700_000_000 * NS_PER_S
SEED = 50.0
DIGITS = 3


def open_writer(period_s=1):
    name = f'pt{os.getpid()}-{uuid.uuid4().hex[:8]}'
    return BarWriter(
        name, 'x.sim', period_s, T0 // (period_s * NS_PER_S),
        capacity=1 << 12, back=16,
    )


# ms since the last trade (negative: late), price and size on their grids,
# how far the clock is ahead of the trade when it comes
trades = st.tuples(
    st.sampled_from([0, 0, 1, 7, 300, 999, 1000, 2500, 7000, -1, -900, -3100]),
    st.integers(1, 10 ** 6), st.integers(1, 10 ** 7), st.integers(1, 9),
    st.sampled_from([None, None, 0, 400, 2300]),
)


@settings(
    deadline=None, max_examples=120,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(trades, min_size=1, max_size=40), st.integers(0, 4000))
def test_bars_equal_a_resample_of_the_tape(steps, rest_ms):
    writer = open_writer()
    try:
        builder = BarBuilder(writer, DIGITS, SEED)
        builder.advance(T0)
        tape, t_ms, newest = [], 0, 0
        for delta, price, size, count, clock in steps:
            t_ms = max(0, t_ms + delta)
            if clock is not None:
                builder.advance(T0 + (t_ms + clock) * NS_PER_MS)
                newest = max(newest, t_ms + clock)
            t_ns = T0 + t_ms * NS_PER_MS
            # the decimal's nearest float, as a venue's text is read
            price, size = float(Decimal(price) / 100), size / 10 ** DIGITS
            assert builder.put(t_ns, price, size, count)
            tape.append((t_ns, price, round(size * 10 ** DIGITS), count))
            newest = max(newest, t_ms)
        newest += rest_ms
        last = builder.advance(T0 + newest * NS_PER_MS)
        assert last == (T0 + newest * NS_PER_MS) // NS_PER_S
        bars = Bars.attach(writer.segment_name).read()
    finally:
        writer.unlink()
    want = (
        pl.DataFrame(
            tape, schema=['time', 'price', 'lots', 'count'], orient='row'
        )
        .with_columns(pl.col('time') // NS_PER_S * NS_PER_S)
        .group_by('time', maintain_order=True)
        .agg(
            pl.col('price').first().alias('open'),
            pl.col('price').max().alias('high'),
            pl.col('price').min().alias('low'),
            pl.col('price').last().alias('close'),
            pl.col('lots').sum(), pl.col('count').sum(),
            ((pl.col('price') * pl.col('lots')).sum() / pl.col('lots').sum())
            .alias('vwap'),
        )
    )
    by_time = {row['time']: row for row in want.iter_rows(named=True)}
    # no bar is missing and none is there twice
    assert bars['time'].tolist() == list(
        range(T0, T0 + newest * NS_PER_MS + 1, NS_PER_S)
    )
    close = SEED
    for bar in bars:
        row = by_time.pop(int(bar['time']), None)
        if row is None:
            flat = (close, close, close, close, 0.0, close, 0)
            assert bar.tolist()[1:] == flat
            continue
        close = row['close']
        assert bar.tolist()[1:6] == (
            row['open'], row['high'], row['low'], close,
            float(Decimal(row['lots']).scaleb(-DIGITS)),
        )
        assert bar['trades'] == row['count']
        assert bar['vwap'] == pytest.approx(row['vwap'])
    assert not by_time


def test_a_trade_before_all_bars_is_not_placed():
    writer = open_writer()
    try:
        builder = BarBuilder(writer, DIGITS, SEED)
        builder.advance(T0)
        before = writer.changes
        assert not builder.put(T0 - 1, 1.0, 1.0, 1)
        assert writer.changes == before
        assert builder.put(T0, 1.0, 1.0, 1)
        assert not builder.amended
    finally:
        writer.unlink()


class TrioClock:
    """A wall clock that goes with trio's, ``ahead_ns`` of it."""

    def __init__(self, ahead_ns):
        self._ahead_ns = ahead_ns

    def now_ns(self):
        return T0 + self._ahead_ns + round(trio.current_time() * NS_PER_S)


@pytest.fixture
def writers():
    made = []

    def make(period_s):
        made.append(open_writer(period_s))
        return made[-1]

    yield make
    for writer in made:
        writer.unlink()


async def test_steps_come_at_whole_seconds(
    autojump_clock, nursery, writers
):
    clock = TrioClock(300 * NS_PER_MS)
    sampler = Sampler(clock)
    builders = [BarBuilder(writers(p), DIGITS, SEED) for p in (1, 5)]
    for builder in builders:
        builder.advance(clock.now_ns())
    first = (T0 + 300 * NS_PER_MS) // NS_PER_S
    with (
        sampler.registered(builders[0]), sampler.registered(builders[1]),
        sampler.followed() as steps,
    ):
        nursery.start_soon(sampler.run)
        for at in range(1, 100):
            step = await steps.receive()
            assert step[1] == first + at
            # the bar before has been closed, and no step drifts
            assert builders[0].writer.next == step[1] + 1
            assert abs(clock.now_ns() - step[1] * NS_PER_S) < NS_PER_MS
            assert (5 in step) == (at == 1 or step[1] % 5 == 0)
            # what we do meanwhile does not add up
            await trio.sleep(0.0313 * (at % 7))
        nursery.cancel_scope.cancel()


async def test_a_slow_follower_gets_the_newest_steps(
    autojump_clock, nursery, writers
):
    clock = TrioClock(0)
    sampler = Sampler(clock)
    builders = [BarBuilder(writers(p), DIGITS, SEED) for p in (1, 60)]
    with (
        sampler.registered(builders[0]), sampler.registered(builders[1]),
        sampler.followed() as slow, sampler.followed() as quick,
        sampler.followed() as gone,
    ):
        gone.close()
        nursery.start_soon(sampler.run)
        got = [await quick.receive() for _ in range(200)]
        waiting = []
        await wait_all_tasks_blocked()
        while True:
            try:
                waiting.append(slow.receive_nowait())
            except trio.WouldBlock:
                break
        nursery.cancel_scope.cancel()
    assert [step[1] for step in got] == list(
        range(got[0][1], got[0][1] + 200)
    )
    assert waiting[-1][1] == got[-1][1]
    indices = [step[1] for step in waiting]
    assert indices == sorted(indices)
    # the newest minute is not lost with the seconds around it
    minute = max(step[60] for step in got if 60 in step)
    assert max(step.get(60, 0) for step in waiting) == minute


async def test_a_clock_that_stands_still_is_not_asked_all_the_time(
    autojump_clock, nursery
):
    class Frozen(ManualClock):
        asked = 0

        def now_ns(self):
            self.asked += 1
            return super().now_ns()

    clock = Frozen(T0 + NS_PER_S - 1)
    nursery.start_soon(Sampler(clock).run)
    await trio.sleep(1)
    assert 1 < clock.asked < 5000
    nursery.cancel_scope.cancel()


def test_volumes_come_out_the_same_in_any_order(writers):
    sizes = [0.001 * k for k in range(1, 200)]
    seen = set()
    for order in (sizes, sizes[::-1]):
        builder = BarBuilder(writers(1), DIGITS, SEED)
        for size in order:
            builder.put(T0, 1.0, size, 1)
        seen.add(float(builder.writer['volume'][0]))
    assert seen == {19.9}
    assert np.isfinite(list(seen)).all()
