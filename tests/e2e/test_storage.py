"""
What has been seen is kept, and asked for once.
"""
from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest
import trio
from e2e_tools import (
    agg_trades_since,
    assert_bars_equal,
    get,
    resample,
    trades_frame,
)
from suite import Daemon

from piker.data import FeedState, Kind, open_feed
from piker.data.storage import Store

SYMBOLS = ['btcusdt.sim', 'ethusdt.sim']
# As quick as may be, so that a few seconds show it all.
QUICK = ('--set=storage.flush_s=0.5', '--set=storage.settle_s=1.0')


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    return await trio.to_thread.run_sync(function, *args)


async def wait_for(condition: Callable[[], Any]) -> None:
    with trio.fail_after(60):
        while not condition():
            await trio.sleep(0.05)


async def watch_until_kept(daemon: Daemon, seconds: int) -> dict[str, int]:
    """Watch for a while; returns the newest stored second of each symbol."""
    store = Store()
    async with open_feed(SYMBOLS) as feed:
        begin = time.time()
        await wait_for(lambda: not any(f.backfilling for f in feed.values()))
        await wait_for(lambda: time.time() - begin > seconds)
        kept: dict[str, int] = {}

        def all_kept() -> bool:
            for symbol in SYMBOLS:
                bounds = store.bounds(symbol, 'bars_1s')
                kept[symbol] = bounds[1] if bounds else 0
            return min(kept.values()) > begin * 10**9

        await in_thread(wait_in_thread, all_kept)
    return kept


def wait_in_thread(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def klines_asked(base: str) -> list[dict[str, str]]:
    return [
        dict(parse_qsl(r['query'])) for r in get(base, '/sim/v1/requests')
        if r['path'] == '/api/v3/klines'
    ]


async def test_a_restart_asks_for_what_is_missing(
    start_daemon: Callable[..., Daemon]
) -> None:
    """A second tree loads from storage and asks the venue for the rest."""
    first = start_daemon(*QUICK, storage=True)
    kept = await watch_until_kept(first, 4)
    await in_thread(first.stop)
    second = start_daemon(*QUICK, storage=True)
    async with open_feed(SYMBOLS) as feed:
        await wait_for(lambda: not any(f.backfilling for f in feed.values()))
        base = await in_thread(second.venue)
        asked = await in_thread(klines_asked, base)
        # A start without stored history asks for a dozen pages.
        assert len(asked) <= 2 * len(SYMBOLS)
        for params in asked:
            # nothing that was stored is asked for again
            newest = kept[params['symbol'].lower() + '.sim'] // 10**6
            step = 60_000 if params['interval'] == '1m' else 1000
            assert int(params['startTime']) > newest - 3 * step
        for symbol in SYMBOLS:
            await check(feed[symbol], base)
            assert len(feed[symbol].bars[1]) > 3600
            assert len(feed[symbol].bars[60]) > 3000


async def check(flume: Any, base: str) -> None:
    """The last ten minutes equal the venue's own trades."""
    stop = time.time_ns() // 10**9 - 2
    start = stop - 600
    listed = await in_thread(
        agg_trades_since, base, flume.instrument.raw_symbol, start * 1000
    )
    want = resample(trades_frame([
        (t['T'], t['p'], t['q'], t['l'] - t['f'] + 1) for t in listed
    ]), 1)
    rows = flume.bars[1].read(start, stop)
    assert len(rows) == 600
    assert assert_bars_equal(rows, 1, want) > 10


@pytest.mark.expects_errors('died')
async def test_killed_at_random_under_load(
    start_daemon: Callable[..., Daemon]
) -> None:
    """Live and stored bars equal the venue's record after every death."""
    daemon = start_daemon(*QUICK, storage=True)
    rng = random.Random(7)
    began = time.time_ns()
    trades: list[int] = []
    async with open_feed(SYMBOLS) as feed, trio.open_nursery() as nursery:

        async def follow() -> None:
            async for run in feed[SYMBOLS[0]].ticks():
                trades.extend(run.id[run.kind == Kind.TRADE].tolist())

        nursery.start_soon(follow)
        for _ in range(5):
            await trio.sleep(rng.uniform(0.2, 1.5))
            victim = rng.choice(['brokerd.sim', 'brokerd.sim', 'stored'])
            await wait_for(lambda name=victim: daemon.pid_of(name))
            killed = daemon.kill(victim)
            await wait_for(
                lambda name=victim, pid=killed:
                daemon.pid_of(name) not in (0, pid)
            )
            await wait_for(
                lambda: all(f.state == FeedState.LIVE for f in feed.values())
            )
        assert trades == list(range(trades[0], trades[-1] + 1))
        base = await in_thread(daemon.venue)
        for symbol in SYMBOLS:
            await check(feed[symbol], base)
        settled = time.time_ns()
        store = Store()
        for symbol in SYMBOLS:
            await in_thread(
                wait_in_thread,
                lambda s=symbol: (store.bounds(s, 'bars_1s') or (0, 0))[1]
                > settled,
            )
            await check_stored(store, symbol, base, began)
        nursery.cancel_scope.cancel()


async def check_stored(
    store: Any, symbol: str, base: str, began: int
) -> None:
    start, stop = began // 10**9 - 300, time.time_ns() // 10**9 - 3
    rows = await in_thread(
        store.read_bars, symbol, 1, start * 10**9, stop * 10**9
    )
    newest = int(rows['time'][-1]) // 10**9
    listed = await in_thread(
        agg_trades_since, base, symbol.partition('.')[0].upper(), start * 1000
    )
    want = resample(trades_frame([
        (t['T'], t['p'], t['q'], t['l'] - t['f'] + 1) for t in listed
    ]), 1)
    assert len(rows) == newest - start + 1
    assert assert_bars_equal(rows, 1, want) > 10
