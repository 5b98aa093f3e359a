"""
The limiter never lets a minute hold more weight than it should.
"""
from __future__ import annotations

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from piker.brokers.binance.limits import Limiter, weight_of


@settings(max_examples=40, deadline=None)
@given(
    requests=st.lists(
        st.tuples(st.integers(1, 60), st.booleans(), st.floats(0, 20)),
        min_size=1, max_size=60,
    )
)
def test_no_minute_holds_too_much(
    requests: list[tuple[int, bool, float]]
) -> None:
    """Whatever is asked for, and whenever."""
    limiter = Limiter(limit=100)
    admitted: list[tuple[float, int]] = []

    async def ask(weight: int, background: bool, delay: float) -> None:
        await trio.sleep(delay)
        await limiter.take(weight, background=background)
        admitted.append((trio.current_time(), weight))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for request in requests:
                nursery.start_soon(ask, *request)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert len(admitted) == len(requests)
    for at, _ in admitted:
        minute = sum(
            w for t, w in admitted if at - 60 + 1e-6 < t <= at
        )
        assert minute <= 90


async def test_urgent_goes_first(autojump_clock: MockClock) -> None:
    """Background requests leave room that urgent ones may use."""
    limiter = Limiter(limit=100)
    await limiter.take(60, background=True)
    order: list[str] = []

    async def take(name: str, background: bool) -> None:
        await limiter.take(20, background=background)
        order.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take, 'history', True)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(take, 'healing', False)
    assert order == ['healing', 'history']
    assert limiter.waits == 1


async def test_back_off_holds_everything(autojump_clock: MockClock) -> None:
    limiter = Limiter()
    limiter.back_off(30)
    limiter.back_off(5)
    began = trio.current_time()
    await limiter.take(1)
    assert trio.current_time() - began == pytest.approx(30)


async def test_the_venues_own_count_is_taken(
    autojump_clock: MockClock
) -> None:
    """Other programs at this address use up the same limit."""
    limiter = Limiter(limit=100)
    await limiter.take(10)
    limiter.report(85)
    assert limiter.used == 85
    limiter.report(20)
    assert limiter.used == 85
    began = trio.current_time()
    await limiter.take(10)
    assert trio.current_time() - began == pytest.approx(60)


@pytest.mark.parametrize(('limit', 'weight'), [
    (None, 5), (100, 5), (101, 25), (1000, 50), (5000, 250),
])
def test_depth_costs_by_levels(limit: int | None, weight: int) -> None:
    assert weight_of('/api/v3/depth', limit) == weight
