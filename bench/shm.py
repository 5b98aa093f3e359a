"""
Shared memory by itself: what a tick and a bar cost the writer, with readers.
"""
from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import numpy as np
import trio

from piker.data.bars import BAR_DTYPE, BarWriter
from piker.data.sampling import BarBuilder
from piker.data.ticks import Kind, TickWriter
from piker.data.wake import Waker, WakerHub

from .common import Options, Told, say, show

_T0 = 1_723_161_600


def _tick(at: int) -> tuple[Any, ...]:
    return (at, at, int(Kind.TRADE), 1, 61685.99, 0.5, at, 1)


@asynccontextmanager
async def _open_ring(
    kind: str, many: int
) -> AsyncGenerator[tuple[TickWriter, Waker], None]:
    """A ring and its waker, with ``many`` readers at it."""
    prefix = f'pkbench.{os.getpid()}.'
    hub = WakerHub(prefix)
    ring = TickWriter(f'{prefix}ring', 'x.sim')
    try:
        waker = hub.ring(ring.segment.name)
        async with trio.open_nursery() as nursery:
            await nursery.start(hub.serve)
            told = None
            if many:
                told = await trio.to_thread.run_sync(partial(Told, [
                    sys.executable, '-m', 'bench.readers', kind, str(many),
                    ring.segment.name, hub.address,
                ]))
                await trio.to_thread.run_sync(told.hear, 'ready')
            yield ring, waker
            if told:
                told.process.stdin.close()
                await trio.to_thread.run_sync(told.process.wait)
                told.end()
            nursery.cancel_scope.cancel()
    finally:
        ring.unlink()
        hub.unlink()


async def _write_costs(
    kind: str, many: int, batches: int
) -> dict[str, dict[str, float]]:
    """CPU ns a batch of each size, wake-up included, at 1 ms intervals."""
    found = {}
    async with _open_ring(kind, many) as (ring, waker):
        at = 0
        for size in (1, 10, 100):
            spent = np.empty(batches, 'i8')
            for turn in range(batches):
                rows = [_tick(k) for k in range(at, at + size)]
                at += size
                time.sleep(0.001)
                began = time.thread_time_ns()
                ring.write(rows)
                waker.wake()
                spent[turn] = time.thread_time_ns() - began
            found[str(size)] = {
                'ns_a_batch': float(np.median(spent)),
                'p99_ns_a_batch': float(np.percentile(spent, 99)),
                'ns_a_tick': float(np.median(spent)) / size,
            }
    return found


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
    batches = options.pick(20, 500, 2000)
    crowds = options.pick(
        [('polling', 1), ('sleeping', 1)],
        [('none', 0), ('polling', 8), ('sleeping', 1), ('sleeping', 8),
         ('stopped', 1)],
        [('none', 0), ('polling', 1), ('polling', 8), ('polling', 64),
         ('sleeping', 1), ('sleeping', 8), ('sleeping', 64), ('stopped', 1)],
    )
    found: dict[str, Any] = {'writer': {}}
    rows = []
    for kind, many in crowds:
        say(f'{many} readers, {kind}')
        costs = trio.run(_write_costs, kind, many, batches)
        found['writer'][f'{many} {kind}'] = costs
        rows.append([
            f'{many} {kind}',
            *(costs[s]['ns_a_batch'] for s in ('1', '10', '100')),
            costs['100']['ns_a_tick'],
            costs['1']['p99_ns_a_batch'],
        ])
    show(
        'Writer, a batch every ms, write and wake-up: CPU ns (median)',
        ('readers', '1 tick', '10 ticks', '100 ticks', 'a tick of 100',
         '1 tick p99'),
        rows,
    )
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
