"""Waking readers that sleep: none is missed, nothing is paid for nobody."""
from __future__ import annotations

import errno
import gc
import os
import random
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest
import trio
from suite import wait_until
from test_data_torture import said
from trio._socket import _SocketType
from trio.testing import wait_all_tasks_blocked

from piker.data.bell import DIRECT
from piker.data.ticks import TickReader, TickWriter
from piker.data.wake import Waker, WakerHub, connect_sleeper, open_waker
from piker.errors import ActorDied, DataError, SegmentGone

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


async def crowd(run_side, hub, writer, wanted):
    """Reader processes, each with how many ticks it wants; all are there."""
    processes = [
        run_side('sleeper', hub.address, writer.segment.name, many, seed)
        for seed, many in enumerate(wanted)
    ]
    for process in processes:
        await trio.to_thread.run_sync(said, process)
    return processes


async def write_at_random(waker, writer, many):
    """Commit ticks one by one, with no pause or about a reader's."""
    at_random = random.Random(many)
    for at in range(many):
        writer.write([TICK])
        waker.wake()
        if at % 7 == 0:
            await trio.sleep(0)
            for _ in range(at_random.randrange(600)):
                pass
        if at % 500 == 0:
            await trio.sleep(0.003)


async def relay_of(hub, waker):
    """The process that wakes this ring's crowd, once it does."""
    with trio.fail_after(10):
        while not waker.relayed:
            await trio.sleep(0.002)
    return psutil.Process(hub.relay_pid)


@pytest.mark.parametrize('readers', [1, 2, 12])
async def test_no_wake_up_is_missed_by_processes(served, run_side, readers):
    """They come to rest at all moments, and leave one after the other."""
    hub, waker, writer = served
    wanted = [20_000 - 1_000 * k for k in range(readers)]
    processes = await crowd(run_side, hub, writer, wanted)
    assert len(waker) == readers
    if waker.crowded:
        await relay_of(hub, waker)
    await write_at_random(waker, writer, wanted[0])
    for process, many in zip(processes, wanted, strict=True):
        seen = await trio.to_thread.run_sync(said, process)
        assert seen['got'] >= many
        assert seen['naps'] > 10


async def test_who_is_stopped_or_dead_keeps_nobody_asleep(served, run_side):
    hub, waker, writer = served
    many = 5_000
    processes = await crowd(run_side, hub, writer, [2 * many] + [many] * 7)
    stopped, dead, *rest = processes
    await relay_of(hub, waker)
    await write_at_random(waker, writer, many // 2)
    stopped.send_signal(signal.SIGSTOP)
    dead.kill()
    await write_at_random(waker, writer, many // 2)
    for process in rest:
        assert (await trio.to_thread.run_sync(said, process))['got'] == many
    # alone with one that does not move the writer goes on, and so does that
    await write_at_random(waker, writer, many // 2)
    stopped.send_signal(signal.SIGCONT)
    await write_at_random(waker, writer, many // 2)
    seen = await trio.to_thread.run_sync(said, stopped)
    assert seen['got'] == 2 * many


async def test_a_crowd_costs_the_writer_one_short_write(served, monkeypatch):
    hub, waker, writer = served
    async with AsyncExitStack() as readers:
        sleepers = [
            await readers.enter_async_context(
                open_waker(hub.address, writer.segment.name)
            )
            for _ in range(DIRECT)
        ]
        await wait_all_tasks_blocked(0.01)
        assert hub.relay_pid is None
        async with open_waker(hub.address, writer.segment.name) as one_more:
            await relay_of(hub, waker)
            monkeypatch.setattr('os.eventfd_write', pytest.fail)
            for sleeper in (*sleepers, one_more):
                sleeper.arm()
            waker.wake()
            with trio.fail_after(10):
                for sleeper in (*sleepers, one_more):
                    await sleeper.sleep()
            monkeypatch.undo()
        # when there are few again, the writer sees to them itself
        with trio.fail_after(10):
            while waker.relayed:
                await trio.sleep(0.002)
        sleepers[0].arm()
        waker.wake()
        with trio.fail_after(10):
            await sleepers[0].sleep()


@pytest.mark.parametrize('seen_by', ['hub', 'writer'])
async def test_a_dead_relay_keeps_nobody_asleep(
    served, monkeypatch, seen_by, caplog
):
    """Also of those that it was told to wake and did not any more."""
    hub, waker, writer = served
    monkeypatch.setattr('piker.data.wake._RESTART_S', 0.01)
    async with AsyncExitStack() as readers:
        sleepers = [
            await readers.enter_async_context(
                open_waker(hub.address, writer.segment.name)
            )
            for _ in range(DIRECT + 1)
        ]
        first = await relay_of(hub, waker)
        first.suspend()
        for sleeper in sleepers:
            sleeper.arm()
        waker.wake()
        first.kill()
        if seen_by == 'writer':
            # without a checkpoint, so that the hub cannot have seen it yet
            wait_until(lambda: first.status() == psutil.STATUS_ZOMBIE)
            sleepers[0].arm()
            waker.wake()
            assert not waker.relayed
        with trio.fail_after(10):
            for sleeper in sleepers:
                await sleeper.sleep()
            while hub.relay_pid == first.pid:
                await trio.sleep(0.002)
        second = await relay_of(hub, waker)
        assert second != first
        for sleeper in sleepers:
            sleeper.arm()
        waker.wake()
        with trio.fail_after(10):
            for sleeper in sleepers:
                await sleeper.sleep()
    assert 'the process that wakes readers has ended' in caplog.text


async def test_without_a_relay_the_writer_wakes_a_crowd(
    served, monkeypatch, caplog
):
    hub, waker, writer = served
    monkeypatch.setattr('piker.data.wake._RELAY', ('/nowhere/relay.py',))
    async with AsyncExitStack() as readers:
        sleepers = [
            await readers.enter_async_context(
                open_waker(hub.address, writer.segment.name)
            )
            for _ in range(DIRECT + 1)
        ]
        with trio.fail_after(10):
            while 'cannot start /nowhere/relay.py' not in caplog.text:
                await trio.sleep(0.002)
        for sleeper in sleepers:
            sleeper.arm()
        waker.wake()
        with trio.fail_after(10):
            for sleeper in sleepers:
                await sleeper.sleep()


async def test_the_relay_ends_with_the_hub(prefix, run_side):
    process = run_side('hub', prefix)
    where = await trio.to_thread.run_sync(said, process)
    async with AsyncExitStack() as readers:
        sleepers = [
            await readers.enter_async_context(
                open_waker(where['address'], where['name'])
            )
            for _ in range(DIRECT + 1)
        ]
        children = psutil.Process(process.pid).children
        [relay] = await trio.to_thread.run_sync(wait_until, children)
        process.kill()
        await trio.to_thread.run_sync(
            wait_until, lambda: not relay.is_running()
            or relay.status() == psutil.STATUS_ZOMBIE
        )
        for sleeper in sleepers:
            sleeper.arm()
            with pytest.raises(ActorDied), trio.fail_after(5):
                await sleeper.sleep()


async def test_cancelling_the_hub_ends_the_relay(prefix):
    hub = WakerHub(prefix)
    waker = hub.ring('ring')
    gc.collect()
    fds = len(list(Path('/proc/self/fd').iterdir()))
    async with trio.open_nursery() as nursery:
        await nursery.start(hub.serve)
        async with AsyncExitStack() as readers:
            for _ in range(DIRECT + 1):
                await readers.enter_async_context(
                    open_waker(hub.address, 'ring')
                )
            relay = await relay_of(hub, waker)
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True), trio.fail_after(10):
                while relay.is_running():
                    await trio.sleep(0.002)
    assert len(waker) == 0
    assert len(list(Path('/proc/self/fd').iterdir())) == fds
    hub.unlink()


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


async def test_who_did_not_have_to_sleep_is_not_woken_later(served):
    """What rang for others, or too late, does not end one's next sleep."""
    hub, waker, writer = served
    async with open_waker(hub.address, writer.segment.name) as sleeper:
        sleeper.arm()
        waker.wake()
        sleeper.arm()
        with trio.move_on_after(0.05) as slept:
            await sleeper.sleep()
        assert slept.cancelled_caught
        waker.wake()
        with trio.fail_after(1):
            await sleeper.sleep()


async def test_the_past_is_let_go_of_before_the_flag_is_set(served):
    """
    Else a ring on account of this very flag could be taken for an old one.
    """
    hub, waker, writer = served
    flags = []

    class Watched:
        def poll(self, timeout):
            flags.append(waker._asleep[waker.number])
            return []

    async with open_waker(hub.address, writer.segment.name) as sleeper:
        real, sleeper._either = sleeper._either, Watched()
        sleeper.arm()
        sleeper._either = real
        assert flags == [0]
        assert waker._asleep[waker.number] == 1


async def test_without_readers_not_even_the_flags_are_looked_at(
    prefix, monkeypatch
):
    hub = WakerHub(prefix)
    waker = hub.ring('x')
    assert hub.ring('x') is waker
    monkeypatch.setattr(
        'piker.data.bell.fence', lambda: pytest.fail('a fence for nobody')
    )
    waker.wake()
    hub.unlink()


async def test_a_flag_is_cleared_before_the_bell_is_rung(
    served, monkeypatch
):
    """Who arms itself in the middle of a wake-up is not overlooked."""
    hub, waker, writer = served
    ring = os.eventfd_write
    async with (
        open_waker(hub.address, writer.segment.name) as one,
        open_waker(hub.address, writer.segment.name) as other,
    ):
        one.arm()

        def ring_late(fd, by):
            ring(fd, by)
            other.arm()

        monkeypatch.setattr('os.eventfd_write', ring_late)
        waker.wake()
        monkeypatch.undo()
        # it let go of that ring, so its flag must still be set
        waker.wake()
        with trio.fail_after(1):
            await other.sleep()


async def test_a_readers_death_frees_its_place(served, run_side):
    hub, waker, writer = served
    before = len(list(Path('/proc/self/fd').iterdir()))
    process = run_side('sleep_for_ever', hub.address, writer.segment.name)
    await trio.to_thread.run_sync(said, process)
    fds = len(list(Path('/proc/self/fd').iterdir()))
    assert len(waker) == 1
    process.kill()
    with trio.fail_after(5):
        while len(waker):
            await trio.sleep(0.002)
    waker.wake()
    # its socket and, as nobody else is left, the bell are closed
    assert len(list(Path('/proc/self/fd').iterdir())) == fds - 2
    # those of the process stay with the fixture
    assert fds - 2 - before <= 2


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


async def test_out_of_file_descriptors(served, monkeypatch, caplog):
    """That costs a reader a while, and not the daemon its life."""
    hub, waker, writer = served
    accept = _SocketType.accept
    failures = [OSError(errno.EMFILE, 'Too many open files')] * 3

    async def fail(self):
        if failures:
            await trio.lowlevel.checkpoint()
            raise failures.pop()
        return await accept(self)

    monkeypatch.setattr(_SocketType, 'accept', fail)
    for _ in range(2):
        with trio.fail_after(5):
            async with open_waker(hub.address, writer.segment.name) as one:
                one.arm()
                waker.wake()
                await one.sleep()
    assert not failures
    assert 'Too many open files' in caplog.text


async def test_a_daemon_that_accepts_nobody_does_not_hold_the_caller(prefix):
    """Waiting for it can be cancelled, and others go on meanwhile."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f'\0{prefix}wake')
        listener.listen(1)
        with trio.move_on_after(0.3) as waiting:
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(
                        connect_sleeper, f'{prefix}wake', 'some ring'
                    )
        assert waiting.cancelled_caught


async def test_too_many_rings(served, monkeypatch):
    hub, _, _ = served
    hub._free_rings = []
    with pytest.raises(DataError, match='no room for one more'):
        hub.ring('one more')


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

