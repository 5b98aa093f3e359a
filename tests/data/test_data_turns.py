"""Whoever waits its turn gets it, and no time-out is its fault."""
from __future__ import annotations

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from piker.data.turns import Places, Queued, queueing, uncounted


@settings(max_examples=60, deadline=None)
@given(jobs=st.lists(
    st.tuples(
        st.floats(0, 5), st.booleans(), st.floats(0, 3), st.floats(0, 9)
    ),
    min_size=1, max_size=40,
))
def test_places_are_bounded_and_none_gets_lost(jobs):
    """Whoever comes, whenever, for however long, and whoever gives up."""
    places = Places(3, 2)
    taken = {False: 0, True: 0}
    served = []

    async def job(delay, background, seconds, patience):
        await trio.sleep(delay)
        with trio.move_on_after(patience):
            await places.take(background=background)
            taken[background] += 1
            try:
                assert sum(taken.values()) <= 3
                assert taken[True] <= 2
                await trio.sleep(seconds)
                served.append(seconds)
            finally:
                taken[background] -= 1
                places.give_back(background=background)

    async def main():
        async with trio.open_nursery() as nursery:
            for one in jobs:
                nursery.start_soon(job, *one)
        assert places.waiting == 0
        # all of them are free again
        for background in (True, True, False):
            with trio.fail_after(1):
                await places.take(background=background)

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_the_order_of_turns(autojump_clock):
    """First come, first served; background work after all others."""
    places = Places(2, 1)
    order = []

    async def job(name, background):
        await places.take(background=background)
        order.append(name)
        # a little longer each, so that no two end at once
        await trio.sleep(1 + len(order) / 10)
        places.give_back(background=background)

    async with trio.open_nursery() as jobs:
        for name, background in (
            ('old', True), ('history', True), ('older', True),
            ('a', False), ('b', False), ('c', False),
        ):
            jobs.start_soon(job, name, background)
            await wait_all_tasks_blocked()
        # one of the background at a time, though two would fit
        assert order == ['old', 'a']
        assert places.waiting == 4
    assert order == ['old', 'a', 'b', 'c', 'history', 'older']


async def leave(queued, seconds):
    """When a time-out ends its body."""
    with queued.leave_after(seconds) as scope:
        await trio.sleep_forever()
    assert scope.cancelled_caught
    return trio.current_time()


async def wait_turn(queued, begin, end):
    with queued.counting():
        async with trio.open_nursery() as nursery:
            async def wait():
                await trio.sleep(begin - trio.current_time())
                with queueing():
                    await trio.sleep(end - begin)

            # counted with whoever started it
            nursery.start_soon(wait)


@pytest.mark.parametrize(('waits', 'left'), [
    ([], 10),
    ([(2, 5)], 13),
    # at the same time is once
    ([(2, 5), (3, 7)], 15),
    ([(2, 5), (6, 7)], 14),
    # begun before it, and lasting when it would have ended
    ([(0, 30)], 40),
    ([(9, 30)], 31),
    ([(11, 30)], 10),
    # some day it is enough
    ([(1, 500)], 130),
    ([(1, 101), (102, 500)], 130),
])
async def test_a_timeout_leaves_turns_out(
    autojump_clock, nursery, waits, left
):
    queued = Queued()
    for begin, end in waits:
        nursery.start_soon(wait_turn, queued, begin, end)
    await wait_all_tasks_blocked()
    assert await leave(queued, 10) == pytest.approx(left)
    nursery.cancel_scope.cancel()


async def test_timeouts_around_each_other(autojump_clock):
    """What is excused within is excused without."""
    outer, inner = Queued(), Queued()
    with outer.counting(), outer.leave_after(10) as long:
        with inner.leave_after(5) as short, inner.counting():
            with queueing():
                await trio.sleep(30)
            await trio.sleep_forever()
        assert short.cancelled_caught
        assert trio.current_time() == pytest.approx(35)
        await trio.sleep_forever()
    assert long.cancelled_caught
    assert trio.current_time() == pytest.approx(40)
    # of nobody's concern
    with queueing():
        await trio.sleep(1)


async def test_what_is_not_waited_for_does_not_count(autojump_clock, nursery):
    queued = Queued()

    async def wait():
        with uncounted(), queueing():
            await trio.sleep(30)

    with queued.counting():
        nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    assert await leave(queued, 10) == pytest.approx(10)
    nursery.cancel_scope.cancel()


async def test_a_turn_may_become_something_else(autojump_clock, nursery):
    """From then on the time-out goes on, once and for all."""
    outer, queued = Queued(), Queued()

    async def wait():
        with outer.counting(), queued.counting(), queueing() as end:
            await trio.sleep(5)
            end()
            end()
            await trio.sleep(3)
        # nothing was left twice
        assert outer._many == queued._many == 0

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    assert await leave(queued, 10) == pytest.approx(15)
