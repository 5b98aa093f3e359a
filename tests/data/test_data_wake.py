"""Waking readers that sleep: none is missed, nothing is paid for nobody."""
from __future__ import annotations

from pathlib import Path

import pytest
import trio
from test_data_torture import said
from trio.testing import wait_all_tasks_blocked

from piker.data.ticks import TickReader, TickWriter
from piker.data.wake import Waker, WakerHub, open_waker
from piker.errors import ActorDied, SegmentGone

TICK = (1, 2, 1, 1, 3.0, 4.0, 5, 1)


@pytest.fixture
async def served(prefix, nursery):
    """A hub that serves one ring: the hub, its waker, the ring's writer."""
    hub = WakerHub(prefix)
    writer = TickWriter(f'{prefix}ticks', 'x.sim', capacity=1 << 15)
    waker = hub.ring(writer.segment.name)
    await nursery.start(hub.serve)
    yield hub, waker, writer
    hub.unlink()
    writer.unlink()


async def reading(hub, writer, many, task_status):
    """Read until ``many`` came; returns how often it slept."""
    reader = TickReader.attach(writer.segment.name)
    naps = 0
    async with open_waker(hub.address, writer.segment.name) as sleeper:
        task_status.started()
        while reader.position < many:
            if reader.read() is None:
                sleeper.arm()
                if not reader.pending:
                    naps += 1
                    with trio.fail_after(10):
                        await sleeper.sleep()
                sleeper.disarm()
    assert reader.missed == 0
    assert naps


async def test_no_wake_up_is_missed_by_tasks(served):
    hub, waker, writer = served
    many = 4000
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            await nursery.start(reading, hub, writer, many)
        for at in range(many):
            writer.write([TICK])
            waker.wake()
            if at % 3 == 0:
                await trio.sleep(0)
    await wait_all_tasks_blocked(0.01)
    assert len(waker) == 0


async def test_no_wake_up_is_missed_by_processes(served, run_side):
    hub, waker, writer = served
    many = 20_000
    sleepers = [
        run_side('sleeper', hub.address, writer.segment.name, many)
        for _ in range(2)
    ]
    for process in sleepers:
        await trio.to_thread.run_sync(said, process)
    assert len(waker) == 2
    for at in range(many):
        writer.write([TICK])
        waker.wake()
        # no pause, or just about what a reader takes to fall asleep
        if at % 7 == 0:
            await trio.sleep(0)
            for _ in range(at % 300):
                pass
    for process in sleepers:
        seen = await trio.to_thread.run_sync(said, process)
        assert seen['got'] == many
        assert seen['naps'] > 10


async def test_nothing_is_written_while_nobody_sleeps(served, monkeypatch):
    hub, waker, writer = served
    written = []
    monkeypatch.setattr(
        'os.eventfd_write', lambda fd, by: written.append(fd)
    )
    waker.wake()
    async with open_waker(hub.address, writer.segment.name) as sleeper:
        waker.wake()
        assert not written
        sleeper.arm()
        waker.wake()
        waker.wake()
        assert len(written) == 1
        sleeper.arm()
        sleeper.disarm()
        waker.wake()
        assert len(written) == 1


async def test_without_readers_not_even_the_flags_are_looked_at(
    prefix, monkeypatch
):
    hub = WakerHub(prefix)
    waker = hub.ring('x')
    assert hub.ring('x') is waker
    monkeypatch.setattr(
        'piker.data.wake._fence', lambda: pytest.fail('a fence for nobody')
    )
    waker.wake()
    hub.unlink()


async def test_a_flag_is_cleared_before_readers_are_looked_at(
    served, monkeypatch
):
    """Who arms itself in the middle of a wake-up is not overlooked."""
    hub, waker, writer = served
    async with (
        open_waker(hub.address, writer.segment.name) as one,
        open_waker(hub.address, writer.segment.name) as other,
    ):
        one.arm()
        fences = []

        def fence():
            fences.append(waker._ring[waker.number])
            if len(fences) == 2:
                other._sleeping[other._slot] = 1
                other._ring[other._number] = 1

        monkeypatch.setattr('piker.data.wake._fence', fence)
        waker.wake()
        assert fences == [1, 0]
        with trio.fail_after(1):
            await other.sleep()


async def test_a_readers_death_frees_its_place(served, run_side):
    hub, waker, writer = served
    free = len(hub._free_slots)
    process = run_side('sleep_for_ever', hub.address, writer.segment.name)
    await trio.to_thread.run_sync(said, process)
    fds = len(list(Path('/proc/self/fd').iterdir()))
    assert len(waker) == 1
    assert len(hub._free_slots) == free - 1
    process.kill()
    with trio.fail_after(5):
        while len(waker):
            await trio.sleep(0.002)
    waker.wake()
    assert len(hub._free_slots) == free
    # its socket and its eventfd are closed
    assert len(list(Path('/proc/self/fd').iterdir())) == fds - 2


async def test_a_writers_death_ends_the_sleep(prefix, run_side):
    process = run_side('hub', prefix)
    where = await trio.to_thread.run_sync(said, process)
    async with open_waker(where['address'], where['name']) as sleeper:
        sleeper.arm()
        process.kill()
        with pytest.raises(ActorDied, match='has ended'), trio.fail_after(5):
            await sleeper.sleep()
    with pytest.raises(ActorDied, match='nobody wakes'):
        async with open_waker(where['address'], where['name']):
            pass


async def test_dropping_a_ring_ends_the_sleep_of_its_readers(served):
    """They would sleep for ever: the ring's name may be used anew."""
    hub, waker, writer = served
    name = writer.segment.name
    other = hub.ring('other')
    async with open_waker(hub.address, name) as sleeper:
        sleeper.arm()
        hub.drop_ring(name)
        with pytest.raises(ActorDied), trio.fail_after(1):
            await sleeper.sleep()
    with pytest.raises(SegmentGone, match='not a live ring'):
        async with open_waker(hub.address, name):
            pass
    assert len(waker) == 0
    assert hub.ring('other') is other
    assert isinstance(hub.ring(name), Waker)


async def test_an_unknown_ring(served):
    hub, _, _ = served
    with pytest.raises(SegmentGone, match='nope is not a live ring'):
        async with open_waker(hub.address, 'nope'):
            pass


async def test_another_user_is_refused(served, monkeypatch, caplog):
    hub, waker, writer = served
    monkeypatch.setattr('os.getuid', lambda: 12345)
    with pytest.raises((SegmentGone, ActorDied)):
        async with open_waker(hub.address, writer.segment.name):
            pass
    assert len(waker) == 0
    assert 'only user id 12345 may connect' in caplog.text

