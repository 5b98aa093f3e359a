"""
A venue that misbehaves, one way after another and all at once.

Ticks come without hole or double, and bars equal the venue's own trades.
"""
from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
import trio
from e2e_tools import (
    agg_trades_since,
    assert_bars_equal,
    resample,
    trades_frame,
)
from suite import Daemon

from piker.data import FeedState, Kind, open_feed

SYMBOLS = ('btcusdt', 'ethusdt', 'solusdt', 'bnbusdt', 'xrpusdt')
CALM: dict[str, Any] = {}
# Which counter shows that a fault has come through.
SHOWN_BY = {
    'duplicates': 'duplicates', 'gaps': 'gaps', 'cut off': 'reconnects',
}
FAULTS: dict[str, dict[str, Any]] = {
    'duplicates': {'duplicate_rate': 0.5},
    'gaps': {'gap_rate': 0.5},
    'out of order': {'reorder_rate': 0.3},
    'cut off': {'drop_connections': True},
    'away for a while': {'refuse_connections_s': 0.7,
                         'drop_connections': True},
    'limited': {'rest_status': 429, 'rest_requests': 3, 'gap_rate': 0.1},
    'failing': {'rest_status': 503, 'rest_requests': 3, 'gap_rate': 0.1},
    'silent': {'stall_s': 1.0},
    'slow': {'latency_ms': 150.0},
}


def post_faults(base: str, faults: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f'{base}/sim/v1/faults', json.dumps(faults).encode(),
        {'Content-Type': 'application/json'}, method='POST',
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    return await trio.to_thread.run_sync(function, *args)


async def follow(flume: Any, ids: list[int]) -> None:
    async for run in flume.ticks():
        assert not run.missed
        ids += run.id[run.kind == Kind.TRADE].tolist()


@pytest.mark.timeout(300)
async def test_every_fault(
    start_daemon: Callable[..., Daemon]
) -> None:
    daemon = start_daemon()
    names = [f'{symbol}.sim' for symbol in SYMBOLS]
    ids: dict[str, list[int]] = {name: [] for name in names}
    async with open_feed(names) as feed, trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(follow, feed[name], ids[name])
        base = await in_thread(daemon.venue)

        def counted(key: str) -> int:
            return sum(feed[name].counters[key] for name in names)

        began = time.time_ns()
        for fault, faults in (*FAULTS.items(), ('mixed', mixed())):
            key = SHOWN_BY.get(fault, '')
            before = counted(key) if key else 0
            await in_thread(post_faults, base, faults)
            await trio.sleep(1.2)
            with trio.fail_after(30):
                while key and counted(key) == before:
                    await trio.sleep(0.05)
        await in_thread(post_faults, base, CALM)
        compared = [
            await check(feed[name], ids[name], base, began) for name in names
        ]
        # Some of them are quiet at times, never all.
        assert sum(compared) > 10
        assert counted('missed') == 0
        assert counted('filled') > 0
        nursery.cancel_scope.cancel()


def mixed() -> dict[str, Any]:
    return {
        'duplicate_rate': 0.1, 'gap_rate': 0.1, 'reorder_rate': 0.1,
        'latency_ms': 30.0, 'drop_connections': True,
        'rest_status': 503, 'rest_requests': 2,
    }


async def check(
    flume: Any, ids: list[int], base: str, began: int
) -> int:
    """Returns how many bars with trades were compared."""
    with trio.fail_after(80):
        while flume.state != FeedState.LIVE:
            await trio.sleep(0.05)
        count = len(ids)
        while len(ids) < count + 5:
            await trio.sleep(0.05)
    assert ids == list(range(ids[0], ids[-1] + 1))
    start = began // 10**9
    stop = time.time_ns() // 10**9 - 2
    listed = await in_thread(
        agg_trades_since, base, flume.instrument.raw_symbol, start * 1000
    )
    want = resample(trades_frame([
        (t['T'], t['p'], t['q'], t['l'] - t['f'] + 1) for t in listed
    ]), 1)
    rows = flume.bars[1].read(start, stop)
    assert len(rows) == stop - start
    return assert_bars_equal(rows, 1, want)


@pytest.mark.parametrize('status', [418, 429])
async def test_start_while_limited(
    start_daemon: Callable[..., Daemon], status: int
) -> None:
    """A start waits as long as the venue asks for, then goes on."""
    daemon = start_daemon('--with', 'simd')
    with trio.fail_after(10):
        while not daemon.pid_of('simd'):
            await trio.sleep(0.05)
    base = await in_thread(daemon.venue)
    await in_thread(
        post_faults, base,
        {'rest_status': status, 'rest_requests': 1, 'retry_after_s': 1},
    )
    with trio.fail_after(30):
        async with open_feed(['xrpusdt.sim']) as feed:
            assert feed['xrpusdt.sim'].first_quote.last > 0
