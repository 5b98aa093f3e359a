"""
Bars equal an independent resample of the venue's own trades, exactly.
"""
from __future__ import annotations

import gzip
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from e2e_tools import (
    agg_trades_since,
    assert_bars_equal,
    get,
    recorded,
    resample,
    trades_frame,
)
from suite import Daemon

from piker.data import Kind, open_feed

FILES = ('btcusdt_20240809.gz', 'ethusdt_20240809.gz')
LONGEST_S = 90


@pytest.mark.parametrize('symbol', ['btcusdt', 'xrpusdt'])
async def test_generated_flow(daemon: Daemon, symbol: str) -> None:
    """History, seam and live bars over generated flow, some seconds long."""
    async with open_feed([f'{symbol}.sim']) as feed:
        flume = feed[f'{symbol}.sim']
        steps = flume.bars[1].next + 6
        with trio.fail_after(LONGEST_S):
            while flume.backfilling or flume.bars[1].next < steps:
                await trio.sleep(0.05)
        base = await trio.to_thread.run_sync(daemon.venue)
        # Everything older than this has reached us.
        settled = time.time_ns() - 2 * 10**9
        since = {p: flume.bars[p].next - n for p, n in ((1, 400), (60, 12))}
        start_ms = since[60] * 60_000
        listed = await trio.to_thread.run_sync(
            agg_trades_since, base, symbol.upper(), start_ms
        )
        trades = trades_frame([
            (t['T'], t['p'], t['q'], t['l'] - t['f'] + 1) for t in listed
        ])
        for period_s, start in since.items():
            stop = settled // (period_s * 10**9)
            rows = flume.bars[period_s].read(start, stop)
            want = resample(trades, period_s)
            assert len(rows) == stop - start
            compared = assert_bars_equal(rows, period_s, want)
            assert compared > 5


def replay_options(files: list[Path], speed: str) -> list[str]:
    names = ', '.join(f'"{path}"' for path in files)
    return [
        f'--set=providers.sim.replay=[{names}]',
        f'--set=providers.sim.speed={speed}',
        '--set=providers.sim.trades=trade',
    ]


async def replayed_to_end(base: str) -> None:
    """Wait until the venue has played the whole recording."""
    while True:
        stats = await trio.to_thread.run_sync(get, base, '/sim/v1/stats')
        if stats['replay']['state'] == 'done':
            return
        await trio.sleep(0.1)


async def collect(flume: Any, ticks: list[Any]) -> None:
    async for run in flume.ticks(from_start=True):
        assert not run.missed
        ticks.append(run)


@pytest.mark.parametrize('name', FILES)
async def test_recording_at_full_speed(
    name: str, recordings: Path, start_daemon: Callable[..., Daemon]
) -> None:
    """Ticks arrive as in the file; bars equal a resample of the file."""
    await check_recording([recordings / name], '0', start_daemon)


async def test_first_seconds_as_recorded(
    recordings: Path, tmp_path: Path, start_daemon: Callable[..., Daemon]
) -> None:
    """The same at the pace of the recording, both files side by side."""
    files = []
    for name in FILES:
        with gzip.open(recordings / name, 'rt') as lines:
            head = list(itertools.islice(lines, 2500))
        files.append(tmp_path / name)
        with gzip.open(files[-1], 'wt') as out:
            out.writelines(head)
    await check_recording(files, '1', start_daemon)


@pytest.mark.timeout(600)
@pytest.mark.skipif(
    'PIKER_LONG_TESTS' not in os.environ,
    reason='takes five minutes: set PIKER_LONG_TESTS=1 to run it',
)
async def test_whole_recordings_as_recorded(
    recordings: Path, start_daemon: Callable[..., Daemon]
) -> None:
    """All of both files at the pace of the recording."""
    files = [recordings / name for name in FILES]
    await check_recording(files, '1', start_daemon)


async def check_recording(
    files: list[Path], speed: str, start_daemon: Callable[..., Daemon]
) -> None:
    daemon = start_daemon(*replay_options(files, speed))
    symbols = [f'{path.name.partition("_")[0]}.sim' for path in files]
    ticks: dict[str, list[Any]] = {s: [] for s in symbols}
    async with open_feed(symbols) as feed, trio.open_nursery() as nursery:
        for symbol in symbols:
            nursery.start_soon(collect, feed[symbol], ticks[symbol])
        base = await trio.to_thread.run_sync(daemon.venue)
        await replayed_to_end(base)
        for symbol, path in zip(symbols, files, strict=True):
            messages = recorded(path)
            want = expected_ticks(messages)
            with trio.fail_after(LONGEST_S):
                while sum(map(len, ticks[symbol])) < len(want):
                    await trio.sleep(0.05)
            assert_same_ticks(ticks[symbol], want)
            assert_bars_of_file(feed[symbol], messages)
            counters = feed[symbol].counters
            assert not counters['missed']
            assert not counters['refused']
        nursery.cancel_scope.cancel()


def expected_ticks(messages: list[Any]) -> list[tuple[Any, ...]]:
    """A trade is one tick; a change of the best bid and ask is two."""
    want: list[tuple[Any, ...]] = []
    for message in messages:
        d = message['data']
        if message['stream'].endswith('@trade'):
            want.append((
                int(Kind.TRADE), -1 if d['m'] else 1, float(d['p']),
                float(d['q']), d['t'], d['T'] * 10**6,
            ))
        elif message['stream'].endswith('@bookTicker'):
            want.append(
                (int(Kind.BID), 0, float(d['b']), float(d['B']), d['u'], None)
            )
            want.append(
                (int(Kind.ASK), 0, float(d['a']), float(d['A']), d['u'], None)
            )
    return want


def assert_same_ticks(runs: list[Any], want: list[tuple[Any, ...]]) -> None:
    got: list[tuple[Any, ...]] = []
    for run in runs:
        for row in run.rows():
            is_trade = row['kind'] == Kind.TRADE
            got.append((
                row['kind'], row['side'], row['price'], row['size'],
                row['id'], row['time'] if is_trade else None,
            ))
    assert len(got) == len(want)
    for at, (one, other) in enumerate(zip(got, want, strict=True)):
        assert one == other, f'tick {at}'


def assert_bars_of_file(flume: Any, messages: list[Any]) -> None:
    trades = trades_frame([
        (m['data']['T'], m['data']['p'], m['data']['q'], 1)
        for m in messages if m['stream'].endswith('@trade')
    ])
    for period_s in (1, 60):
        want = resample(trades, period_s)
        rows = flume.bars[period_s].read()
        compared = assert_bars_equal(rows, period_s, want)
        assert compared == len(want)
