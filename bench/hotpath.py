"""
Where brokerd's time goes: the receive path in one process, stage by stage.

The very code of the daemon, fed with the frames of the recording from
memory: `FrameTap.feed`, `Router`, `Intake`.  Each rung of the ladder runs all
stages up to its own; differences are what a stage costs.
"""
from __future__ import annotations

import cProfile
import os
import pstats
import time
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from piker.brokers.binance import frames
from piker.brokers.binance.decode import Router
from piker.clock import SystemClock, VenueClock
from piker.data.backfill import History
from piker.data.bars import BarWriter
from piker.data.intake import Intake
from piker.data.sampling import BarBuilder
from piker.data.ticks import TickColumns, TickWriter
from piker.data.wake import WakerHub
from piker.instruments import Instrument

from . import stream
from .common import Options, show, spread
from .server import open_tape

_INSTRUMENT = Instrument(
    id='btcusdt.sim', raw_symbol='BTCUSDT', base='BTC', quote='USDT',
    tick_size=Decimal('0.01'), lot_size=Decimal('0.00001'),
)


class _Live:
    """A sink that takes ticks in as a feed of brokerd does."""

    def __init__(self, tape: stream.Tape, clock: VenueClock) -> None:
        prefix = f'pkbench.{os.getpid()}.'
        start_ns = tape.start_ms * 1_000_000
        _, bid, bid_size, ask, ask_size = next(filter(None, tape.books))
        top = tuple(map(float, (bid, bid_size, ask, ask_size)))
        self.ring = TickWriter(f'{prefix}ticks', _INSTRUMENT.id)
        self.hub = WakerHub(prefix)
        self.waker = self.hub.ring(self.ring.segment.name)
        self.intake = Intake(_INSTRUMENT, self.ring, clock, self._hole)
        for period_s in (1, 60):
            writer = BarWriter(
                f'{prefix}{period_s}s', _INSTRUMENT.id, period_s,
                start_ns // (period_s * 1_000_000_000) - 1,
            )
            self.intake.builders[period_s] = BarBuilder(writer, 5, top[0])
        self.intake.begin(
            History(start_ns - 1_000_000_000, start_ns, last=top[0],
                    top=top),
            time.time_ns(),
        )
        self.intake.next_id = int(tape.trade_ids[0])

    @staticmethod
    def _hole(*args: int) -> None:
        raise AssertionError('a hole')

    def rows(self, rows: list[Any]) -> None:
        assert not self.intake.take(rows)
        self.waker.wake()

    def columns(self, ticks: TickColumns) -> None:
        assert self.intake.take_columns(ticks)
        self.waker.wake()

    def refused(self, count: int) -> None:
        raise AssertionError('refused')

    def unlink(self) -> None:
        self.hub.unlink()
        self.ring.unlink()
        for builder in self.intake.builders.values():
            builder.writer.unlink()


def _clock(tape: stream.Tape) -> VenueClock:
    clock = VenueClock(SystemClock())
    now = time.time_ns()
    clock.sync(tape.start_ms * 1_000_000, now, now)
    return clock


class _Nothing:
    """A sink that drops its rows."""

    def rows(self, rows: list[Any]) -> None:
        pass

    def columns(self, ticks: TickColumns) -> None:
        pass

    def refused(self, count: int) -> None:
        raise AssertionError('refused')


class _RingOnly(_Nothing):
    """A sink that writes the ring and nothing else."""

    def __init__(self, ring: TickWriter) -> None:
        self.rows = ring.write
        self.columns = ring.write_columns


def _reads(blob: bytes, ends: np.ndarray, many: int) -> list[bytes]:
    """The bytes of ``many`` messages at a time, as reads would bring them."""
    cuts = [0, *ends[many - 1::many].tolist()]
    if cuts[-1] < len(blob):
        cuts.append(len(blob))
    return [blob[a:b] for a, b in pairwise(cuts)]


def _feed(reads: list[bytes], deliver: Any, deliver_list: Any) -> None:
    transport: Any = None
    tap = frames.FrameTap(transport, deliver, deliver_list)
    for data in reads:
        tap.feed(data)


def _frames_only(reads: list[bytes]) -> None:
    _feed(reads, lambda payloads: None, lambda messages, many: True)


def _frames_and_route(reads: list[bytes], router: Router) -> None:
    _feed(
        reads,
        lambda payloads: router.route(payloads, time.time_ns()),
        lambda messages, many: router.route_list(
            messages, many, time.time_ns()
        ),
    )


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


def _ladder(
    tape: stream.Tape, loops: int, many: int
) -> tuple[dict[str, float], int]:
    """CPU ns a message of each rung, and how many messages."""
    names = {f'{tape.symbol}@trade', f'{tape.symbol}@bookTicker'}
    coded = stream.encode(tape, loops, names, combined=True)
    reads = _reads(coded.blob, coded.ends, many)
    total = len(coded.ends)
    clock = _clock(tape)
    spent = {'frames': _timed(lambda: _frames_only(reads))}
    router = _router(tape, _Nothing(), clock)
    spent['+ decode'] = _timed(lambda: _frames_and_route(reads, router))
    ring = TickWriter(f'pkbench.{os.getpid()}.only', 'btcusdt.sim')
    try:
        router = _router(tape, _RingOnly(ring), clock)
        spent['+ ring'] = _timed(lambda: _frames_and_route(reads, router))
    finally:
        ring.unlink()
    live = _Live(tape, clock)
    try:
        router = _router(tape, live, clock)
        spent['+ checks, quote, bars'] = _timed(
            lambda: _frames_and_route(reads, router)
        )
        ticks = live.ring.reader().written
    finally:
        live.unlink()
    want = int(tape.is_trade.sum() + 2 * (~tape.is_trade).sum()) * loops
    assert ticks == want, f'{ticks} ticks of {want}'
    return {k: v / total * 1e9 for k, v in spent.items()}, total


def _profile(tape: stream.Tape, many: int) -> list[dict[str, Any]]:
    """The functions in which the whole path spends its own time."""
    names = {f'{tape.symbol}@trade', f'{tape.symbol}@bookTicker'}
    coded = stream.encode(tape, 1, names, combined=True)
    reads = _reads(coded.blob, coded.ends, many)
    clock = _clock(tape)
    live = _Live(tape, clock)
    try:
        router = _router(tape, live, clock)
        profile = cProfile.Profile()
        profile.runcall(_frames_and_route, reads, router)
    finally:
        live.unlink()
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
            _ladder(tape, loops, many)[0] for _ in range(repeats)
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
    found['profile'] = _profile(tape, 512)
    show(
        'Own time by function under cProfile (it inflates small ones)',
        ('function', 'calls a message', 'share %'),
        [[r['where'], r['calls_a_message'], 100 * r['share']]
         for r in found['profile']],
    )
    return found
