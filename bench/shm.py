"""
Shared memory by itself: what a tick and a bar cost the writer, with readers.
"""
from __future__ import annotations

import os
import random
import sys
import time
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import trio

from piker.data.bars import BAR_DTYPE, BarWriter
from piker.data.sampling import BarBuilder
from piker.data.ticks import Kind, TickWriter
from piker.data.wake import WakerHub

from .common import BenchError, Options, Told, cpu_s, say, show

_T0 = 1_723_161_600


# How long sixty-four readers may take to read and fall asleep again.
_PAUSE_S = 0.003
_SIZES = (1, 100)


def _tick(at: int) -> tuple[Any, ...]:
    return (at, at, int(Kind.TRADE), 1, 61685.99, 0.5, at, 1)


class _Crowd:
    """A ring with readers in other processes, and what writing it cost."""

    def __init__(self, kind: str, many: int, hub: WakerHub) -> None:
        self.kind = kind
        self.many = many
        self.name = f'{many} {kind}'
        self.ring = TickWriter(
            f'pkbench.{os.getpid()}.{many}{kind}', 'x.sim'
        )
        self.waker = hub.ring(self.ring.segment.name)
        self._hub = hub
        self._told: Told | None = None
        # By batch size: CPU of the writing thread, wall and relay, each ns.
        self.spent: dict[int, list[tuple[float, float, float]]] = {
            size: [] for size in _SIZES
        }
        self.delays: dict[str, float] = {}

    async def start(self) -> None:
        if not self.many:
            return
        self._told = await trio.to_thread.run_sync(partial(Told, [
            sys.executable, '-m', 'bench.readers', self.kind,
            str(self.many), self.ring.segment.name, self._hub.address,
        ]))
        await trio.to_thread.run_sync(self._told.hear, 'ready')
        while self.waker.crowded and not self.waker.relayed:
            await trio.sleep(0.01)

    def write(self, size: int) -> None:
        """
        One batch, timed; returns when the readers sleep again.

        The thread's CPU time is the writer's own: what it waits for a core
        that a reader has is in the wall time alone.
        """
        relay_s = self._relay_s()
        now = time.monotonic_ns()
        rows = [_tick(now)] * size
        began, wall = time.thread_time_ns(), time.monotonic_ns()
        self.ring.write(rows)
        self.waker.wake()
        spent = time.thread_time_ns() - began, time.monotonic_ns() - wall
        time.sleep(_PAUSE_S)
        relayed = (self._relay_s() - relay_s) * 1e9
        self.spent[size].append((*spent, relayed))

    def _relay_s(self) -> float:
        pid = self._hub.relay_pid
        return cpu_s(pid) if pid and self.waker.relayed else 0.0

    def found(self) -> dict[str, Any]:
        found: dict[str, Any] = {'wake_up_us': self.delays}
        for size, spent in self.spent.items():
            cpu, wall, relay = np.array(spent).T
            found[str(size)] = {
                'cpu_ns': float(np.median(cpu)),
                'p99_cpu_ns': float(np.percentile(cpu, 99)),
                'wall_ns': float(np.median(wall)),
                'p99_wall_ns': float(np.percentile(wall, 99)),
                'relay_cpu_ns': float(np.median(relay)),
            }
        return found

    def end(self) -> None:
        if self._told:
            self._told.process.stdin.close()
            with suppress(BenchError):
                self.delays = self._told.hear('delays')
            self._told.process.wait()
            self._told.end()
        self.ring.unlink()


async def _write_costs(
    kinds: list[tuple[str, int]], batches: int
) -> dict[str, dict[str, Any]]:
    """
    What a batch costs the writer with each of these crowds.

    They take turns in a new order each round: whoever comes after many
    readers finds the caches full of theirs.
    """
    hub = WakerHub(f'pkbench.{os.getpid()}.')
    crowds = [_Crowd(kind, many, hub) for kind, many in kinds]
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(hub.serve)
            for crowd in crowds:
                await crowd.start()
            turns = [(crowd, size) for crowd in crowds for size in _SIZES]
            order = random.Random(1)
            for _ in range(batches):
                order.shuffle(turns)
                for crowd, size in turns:
                    crowd.write(size)
            nursery.cancel_scope.cancel()
    finally:
        for crowd in crowds:
            crowd.end()
        hub.unlink()
    return {crowd.name: crowd.found() for crowd in crowds}


def _show_costs(found: dict[str, dict[str, Any]], against: str) -> None:
    base = found[against]
    rows = []
    for name, costs in found.items():
        row: list[Any] = [name]
        for size in map(str, _SIZES):
            cost = costs[size]
            row += [
                cost['cpu_ns'] / 1e3, cost['cpu_ns'] / base[size]['cpu_ns'],
                cost['wall_ns'] / 1e3, cost['relay_cpu_ns'] / 1e3,
            ]
        delays = costs['wake_up_us']
        rows.append([*row, delays.get('p50'), delays.get('p99')])
    columns = [
        name for size in _SIZES
        for name in (f'{size}: CPU', f'of {against}', 'wall', 'relay')
    ]
    show(
        f'Writer, batches of {" and ".join(map(str, _SIZES))}, write and '
        'wake-up: median µs; and how long until it is read',
        ('readers', *columns, 'p50', 'p99'),
        rows,
    )


def _flat_out(batches: int) -> dict[str, float]:
    """CPU ns a tick without pauses and without readers."""
    found = {}
    ring = TickWriter(f'pkbench.{os.getpid()}.flat', 'x.sim')
    try:
        for size in (1, 10, 100, 1000):
            rows = [_tick(k) for k in range(size)]
            turns = max(1, batches * 10 // size)
            began = time.process_time_ns()
            for _ in range(turns):
                ring.write(rows)
            spent = time.process_time_ns() - began
            found[f'write, batches of {size}'] = spent / turns / size
        began = time.process_time_ns()
        for _ in range(batches):
            ring.set_quote(
                last=1.0, last_size=1.0, time=1, volume=1.0, bid=1.0,
                bid_size=1.0, ask=1.0, ask_size=1.0, quote_time=1, recv=1,
            )
        found['set_quote, all fields'] = (
            time.process_time_ns() - began
        ) / batches
        reader = ring.reader()
        began = time.process_time_ns()
        for _ in range(batches):
            reader.quote()
        found['quote'] = (time.process_time_ns() - began) / batches
    finally:
        ring.unlink()
    return found


def _reading(turns: int) -> dict[str, float]:
    """CPU ns a tick of `TickReader.read` by how many it gets at a time."""
    found = {}
    ring = TickWriter(f'pkbench.{os.getpid()}.read', 'x.sim')
    try:
        for size in (1, 10, 100, 1000, 16384):
            rows = [_tick(k) for k in range(size)]
            reader = ring.reader()
            spent = read = 0
            for _ in range(max(5, turns // size)):
                ring.write(rows)
                began = time.thread_time_ns()
                run = reader.read()
                spent += time.thread_time_ns() - began
                assert run is not None
                read += len(run)
            found[str(size)] = spent / read
    finally:
        ring.unlink()
    return found


def _bars(turns: int) -> dict[str, float]:
    """CPU ns of each thing one does with bars."""
    writer = BarWriter(f'pkbench.{os.getpid()}.bars', 'x.sim', 1, _T0)
    found = {}

    def timed(name: str, many: int, function: Any) -> None:
        began = time.process_time_ns()
        for turn in range(many):
            function(turn)
        found[name] = (time.process_time_ns() - began) / many

    try:
        rows = np.zeros(1000, BAR_DTYPE)
        rows['time'] = np.arange(_T0 - 1000, _T0) * 1_000_000_000
        timed('prepend 1,000 bars', 1, lambda _: writer.prepend(rows))
        timed('append', turns, lambda _: writer.append(1.0, 2.0, 0.5, 1.5))
        last = writer.next - 1
        timed('update', turns, lambda turn: writer.update(
            last, 1.0, 2.0, 0.5, 1.5, turn * 0.1, 1.2, turn
        ))
        builder = BarBuilder(writer, 5, 1.5)
        now = last * 1_000_000_000
        timed('put a trade', turns, lambda turn: builder.put(
            now, 61685.99 + turn % 7, 0.125, 1
        ))
        timed('read 1 bar', turns // 10 + 1, lambda _: writer.read(last))
        timed('read 1,000 bars', 20, lambda _: writer.read(
            last - 999, last + 1
        ))
        timed('view of a column', turns, lambda _: writer['close'])
    finally:
        writer.unlink()
    return found


def run(options: Options) -> dict[str, Any]:
    batches = options.pick(5, 300, 1000)
    many = options.pick((1, 3), (1, 8, 64), (1, 8, 64))
    found: dict[str, Any] = {'writer': {}}
    for kind in ('polling', 'sleeping'):
        kinds = [('none', 0), *((kind, n) for n in many)]
        if kind == 'sleeping':
            kinds.append(('stopped', many[-1]))
        say(f'readers: {kind}, {", ".join(map(str, many))}')
        costs = trio.run(_write_costs, kinds, batches)
        found['writer'][kind] = costs
        _show_costs(costs, f'1 {kind}')
    found['flat_out'] = _flat_out(options.pick(100, 20_000, 100_000))
    found['bars'] = _bars(options.pick(20, 5000, 50_000))
    found['reading'] = _reading(options.pick(100, 50_000, 400_000))
    rows = [[name, ns] for name, ns in found['flat_out'].items()]
    rows += [[f'bars: {name}', ns] for name, ns in found['bars'].items()]
    show('Flat out, CPU ns a tick or a call', ('what', 'ns'), rows)
    show(
        'TickReader.read by ticks at a time',
        ('ticks', 'CPU ns a tick', 'million ticks/s'),
        [[n, ns, 1e3 / ns] for n, ns in found['reading'].items()],
    )
    return found
