"""
Where brokerd's time goes: the receive path in one process, stage by stage.

The very code of the daemon, fed with the frames of the recording from
memory: `split_frames`, `Router.route`, `LiveFeed.rows`.  Each rung of the
ladder runs all stages up to its own; differences are what a stage costs.
"""
from __future__ import annotations

import cProfile
import os
import pstats
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import trio

from piker.brokers.binance import frames
from piker.brokers.binance.decode import Router
from piker.clock import SystemClock, VenueClock
from piker.data.bars import BAR_DTYPE
from piker.data.live import LiveFeed
from piker.data.sampling import Sampler
from piker.data.ticks import TickWriter
from piker.data.wake import WakerHub
from piker.instruments import Instrument

from . import stream
from .common import Options, show, spread
from .server import open_tape

_INSTRUMENT = Instrument(
    id='btcusdt.sim', raw_symbol='BTCUSDT', base='BTC', quote='USDT',
    tick_size=Decimal('0.01'), lot_size=Decimal('0.00001'),
)


class _Backend:
    """A provider without a venue: `subscription` is whom to deliver to."""

    name = 'sim'

    def __init__(self, tape: stream.Tape) -> None:
        now = time.time_ns()
        self.clock = VenueClock(SystemClock())
        self.clock.sync(tape.start_ms * 1_000_000, now, now)
        self._book = next(filter(None, tape.books))
        self.subscription: Any = None

    async def bars(self, *args: Any) -> Any:
        return np.zeros(0, BAR_DTYPE)

    async def trades_since(self, *args: Any, **options: Any) -> list[Any]:
        return []

    async def top(self, instrument: Instrument) -> tuple[float, ...]:
        return tuple(float(text) for text in self._book[1:])

    @asynccontextmanager
    async def subscribe(
        self, instrument: Instrument, subscription: Any
    ) -> AsyncGenerator[None, None]:
        self.subscription = subscription
        subscription.link_up()
        yield


@asynccontextmanager
async def open_live(
    tape: stream.Tape,
) -> AsyncGenerator[tuple[LiveFeed, VenueClock], None]:
    """A live feed as brokerd has it, ready for ticks."""
    backend = _Backend(tape)
    prefix = f'pkbench.{os.getpid()}.'
    hub = WakerHub(prefix)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(hub.serve)
            feed = LiveFeed(
                _INSTRUMENT, backend, prefix=prefix, hub=hub,
                sampler=Sampler(backend.clock), clock=SystemClock(),
                history={1: 0, 60: 0}, ring=1 << 16, stale_after_s=5.0,
            )
            nursery.start_soon(feed.run)
            await feed.ready.wait()
            yield feed, backend.clock
            nursery.cancel_scope.cancel()
    finally:
        hub.unlink()


class _Nothing:
    """A sink that drops its rows."""

    def rows(self, rows: list[Any]) -> None:
        pass

    def refused(self, count: int) -> None:
        raise AssertionError('refused')


class _RingOnly(_Nothing):
    """A sink that writes the ring and nothing else."""

    def __init__(self, ring: TickWriter) -> None:
        self.rows = ring.write


def _reads(blob: bytes, ends: np.ndarray, many: int) -> list[bytes]:
    """The bytes of ``many`` messages at a time, as reads would bring them."""
    cuts = [0, *ends[many - 1::many].tolist()]
    if cuts[-1] < len(blob):
        cuts.append(len(blob))
    return [blob[a:b] for a, b in pairwise(cuts)]


def _split_only(reads: list[bytes]) -> None:
    for data in reads:
        frames.split_frames(data, [], bytearray(), bytearray())


def _split_and_route(reads: list[bytes], router: Router) -> None:
    for data in reads:
        payloads: list[bytes] = []
        frames.split_frames(data, payloads, bytearray(), bytearray())
        router.route(payloads, time.time_ns())


def _router(tape: stream.Tape, sink: Any, clock: VenueClock) -> Router:
    router = Router(clock)
    names = [f'{tape.symbol}@{kind}' for kind in ('trade', 'bookTicker')]
    router.add(names, sink)
    return router


def _timed(function: Callable[[], None]) -> float:
    """CPU seconds it took."""
    began = time.process_time()
    function()
    return time.process_time() - began


async def _ladder(
    tape: stream.Tape, loops: int, many: int
) -> tuple[dict[str, float], int]:
    """CPU ns a message of each rung, and how many messages."""
    names = {f'{tape.symbol}@trade', f'{tape.symbol}@bookTicker'}
    coded = stream.encode(tape, loops, names, combined=True)
    reads = _reads(coded.blob, coded.ends, many)
    total = len(coded.ends)
    clock = _Backend(tape).clock
    spent = {'frames': _timed(lambda: _split_only(reads))}
    router = _router(tape, _Nothing(), clock)
    spent['+ decode'] = _timed(lambda: _split_and_route(reads, router))
    ring = TickWriter(f'pkbench.{os.getpid()}.only', 'btcusdt.sim')
    try:
        router = _router(tape, _RingOnly(ring), clock)
        spent['+ ring'] = _timed(lambda: _split_and_route(reads, router))
    finally:
        ring.unlink()
    async with open_live(tape) as (feed, clock):
        router = _router(tape, feed, clock)
        spent['+ checks, quote, bars'] = _timed(
            lambda: _split_and_route(reads, router)
        )
        ticks = feed.status().ticks
    want = int(tape.is_trade.sum() + 2 * (~tape.is_trade).sum()) * loops
    assert ticks == want, f'{ticks} ticks of {want}'
    return {k: v / total * 1e9 for k, v in spent.items()}, total


async def _profile(tape: stream.Tape, many: int) -> list[dict[str, Any]]:
    """The functions in which the whole path spends its own time."""
    names = {f'{tape.symbol}@trade', f'{tape.symbol}@bookTicker'}
    coded = stream.encode(tape, 1, names, combined=True)
    reads = _reads(coded.blob, coded.ends, many)
    async with open_live(tape) as (feed, clock):
        router = _router(tape, feed, clock)
        profile = cProfile.Profile()
        profile.runcall(_split_and_route, reads, router)
    stats = pstats.Stats(profile).stats
    total = sum(row[2] for row in stats.values())
    rows = sorted(stats.items(), key=lambda item: -item[1][2])[:16]
    return [
        {
            'where': f'{Path(path).name}:{line} {name}'
            if line else name,
            'calls_a_message': calls / tape.many,
            'share': own / total,
        }
        for (path, line, name), (_, calls, own, _, _) in rows
    ]


def run(options: Options) -> dict[str, Any]:
    """CPU ns a message for reads of 1, 16 and 512 messages."""
    tape = open_tape('' if options.smoke else options.recording)
    loops = options.pick(1, 1, 3)
    repeats = options.pick(1, 1, 5)
    found: dict[str, Any] = {'ladder': {}}
    rows = []
    for many in options.pick((16,), (512,), (1, 16, 512)):
        runs = [
            trio.run(_ladder, tape, loops, many)[0] for _ in range(repeats)
        ]
        rungs = {k: spread([r[k] for r in runs]) for k in runs[0]}
        found['ladder'][many] = rungs
        before = 0.0
        for name, figures in rungs.items():
            ns = figures['median']
            # ring alone and the whole path both build on decode
            base = rungs['+ decode']['median'] if '+ c' in name else before
            rows.append([
                f'{many} a read: {name}', ns, ns - base, 1e9 / ns
            ])
            before = ns
    show(
        'Receive path of brokerd in one process, CPU a message',
        ('stage (all up to it)', 'ns', 'this stage', 'messages/s'), rows,
    )
    found['profile'] = trio.run(_profile, tape, 512)
    show(
        'Own time by function under cProfile (it inflates small ones)',
        ('function', 'calls a message', 'share %'),
        [[r['where'], r['calls_a_message'], 100 * r['share']]
         for r in found['profile']],
    )
    return found
