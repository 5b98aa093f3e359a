"""
Whatever is killed, the rest goes on, and nothing is left behind.
"""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest
import trio
from e2e_tools import (
    agg_trades_since,
    assert_bars_equal,
    resample,
    trades_frame,
)
from suite import Daemon, children_of, segments, wait_until

from piker.data import Feed, FeedState, Kind, open_feed
from piker.errors import ActorDied, NoDaemon
from piker.service import Tree

SYMBOL = 'btcusdt.sim'
PATIENCE_S = 60


async def wait_for(condition: Callable[[], Any]) -> None:
    with trio.fail_after(PATIENCE_S):
        while not condition():
            await trio.sleep(0.02)


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    return await trio.to_thread.run_sync(function, *args)


async def follow(feed: Feed, trades: list[int]) -> None:
    async for run in feed[SYMBOL].ticks():
        trades += run.id[run.kind == Kind.TRADE].tolist()


async def check_against_venue(
    daemon: Daemon, feed: Feed, trades: list[int]
) -> None:
    """No hole and no double in ticks and bars, by the venue's own list."""
    last = trades[-1]
    await wait_for(lambda: trades[-1] > last + 3)
    assert trades == list(range(trades[0], trades[-1] + 1))
    settled = time.time_ns() - 2 * 10**9
    base = await in_thread(daemon.venue)
    flume = feed[SYMBOL]
    stop = settled // 10**9
    start = stop - 60
    listed = await in_thread(
        agg_trades_since, base, 'BTCUSDT', start * 1000
    )
    want = resample(trades_frame([
        (t['T'], t['p'], t['q'], t['l'] - t['f'] + 1) for t in listed
    ]), 1)
    rows = flume.bars[1].read(start, stop)
    assert len(rows) == 60
    assert assert_bars_equal(rows, 1, want) > 5


@pytest.mark.expects_errors('died', 'reconnecting')
async def test_brokerd_killed(daemon: Daemon) -> None:
    """Restarted; an attached client goes on by itself."""
    trades: list[int] = []
    async with open_feed([SYMBOL]) as feed, trio.open_nursery() as nursery:
        nursery.start_soon(follow, feed, trades)
        await wait_for(lambda: len(trades) > 3)
        killed = daemon.kill('brokerd.sim')
        await wait_for(
            lambda: daemon.pid_of('brokerd.sim') not in (0, killed)
            and feed[SYMBOL].state == FeedState.LIVE
        )
        await check_against_venue(daemon, feed, trades)
        nursery.cancel_scope.cancel()


async def test_venue_killed(daemon: Daemon) -> None:
    """The feed is shown as not live, then live again, with no hole."""
    trades: list[int] = []
    states: list[FeedState] = []
    async with open_feed([SYMBOL]) as feed, trio.open_nursery() as nursery:
        flume = feed[SYMBOL]
        nursery.start_soon(follow, feed, trades)
        await wait_for(lambda: len(trades) > 3)
        killed = daemon.kill('simd')

        def back() -> bool:
            states.append(flume.state)
            return (
                daemon.pid_of('simd') != killed
                and flume.state == FeedState.LIVE
            )

        await wait_for(lambda: flume.state == FeedState.RECONNECTING)
        await wait_for(back)
        await check_against_venue(daemon, feed, trades)
        assert flume.counters['reconnects'] >= 1
        assert not flume.counters['missed']
        nursery.cancel_scope.cancel()


async def test_venue_frozen(
    start_daemon: Callable[..., Daemon]
) -> None:
    """A venue that says nothing makes the feed stale, not dead."""
    daemon = start_daemon('--set=feed.stale_after_s=0.8')
    async with open_feed([SYMBOL]) as feed:
        flume = feed[SYMBOL]
        pid = daemon.pid_of('simd')
        os.kill(pid, signal.SIGSTOP)
        try:
            await wait_for(lambda: flume.state == FeedState.STALE)
            assert flume.age_s > 0.8
        finally:
            os.kill(pid, signal.SIGCONT)
        await wait_for(lambda: flume.state == FeedState.LIVE)


async def test_pikerd_killed(
    start_daemon: Callable[..., Daemon], tree: Tree
) -> None:
    """No child is left after 3 s, clients hear of it, and it can start."""
    daemon = start_daemon()
    family: list[psutil.Process] = []

    async def hold_while_it_dies() -> None:
        async with open_feed([SYMBOL]):
            family.extend(children_of(daemon.process.pid))
            daemon.process.kill()
            daemon.process.wait()
            await trio.sleep(PATIENCE_S)

    with pytest.raises(ActorDied, match='pikerd'):
        await hold_while_it_dies()
    assert len(family) == 2
    _, alive = psutil.wait_procs(family, timeout=3)
    assert not alive
    assert not segments(tree)
    # what the first one left on record does not disturb the second
    again = start_daemon()
    async with open_feed([SYMBOL]) as feed:
        assert feed[SYMBOL].first_quote.last > 0
    again.stop()
    with pytest.raises(NoDaemon):
        await open_feed([SYMBOL]).__aenter__()


def test_signal_to_the_whole_group(
    start_daemon: Callable[..., Daemon], tree: Tree
) -> None:
    """As a service manager does it: each process gets the signal."""
    daemon = start_daemon()
    daemon.piker('watch', SYMBOL, '--count', '1')
    family = children_of(daemon.process.pid)
    os.killpg(daemon.process.pid, signal.SIGTERM)
    assert daemon.process.wait(20) == 0
    assert not any(p.is_running() for p in family)
    assert 'died' not in daemon.log
    assert not segments(tree)


@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM])
def test_orderly_end_with_clients(
    start_daemon: Callable[..., Daemon], tree: Tree, how: int
) -> None:
    """A signal ends it all, also while somebody watches."""
    daemon = start_daemon()
    watcher = subprocess.Popen(
        [sys.executable, '-m', 'piker.cli.main', 'watch', SYMBOL],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    assert watcher.stdout
    assert watcher.stdout.readline()
    daemon.stop(how)
    _, stderr = watcher.communicate(timeout=10)
    assert 'pikerd' in stderr
    assert watcher.returncode == 5, stderr
    assert not segments(tree)


def test_watch_starts_its_own(tree: Tree) -> None:
    """Without a daemon one is started, said so, and gone afterwards."""
    watcher = subprocess.run(
        [sys.executable, '-m', 'piker.cli.main', 'watch', SYMBOL,
         '--count', '2'],
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert watcher.returncode == 0, watcher.stderr
    assert 'starting one' in watcher.stderr
    assert len(watcher.stdout.splitlines()) == 2
    assert tree.read_record() is None


def test_ctrl_c_on_own_tree(tree: Tree) -> None:
    """Ctrl-C on a client that started the tree takes all of it down."""
    watcher = subprocess.Popen(
        [sys.executable, '-m', 'piker.cli.main', 'watch', SYMBOL],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    assert watcher.stdout
    assert watcher.stdout.readline()
    record = tree.read_record()
    assert record
    family = [psutil.Process(record.pid), *children_of(record.pid)]
    watcher.send_signal(signal.SIGINT)
    watcher.communicate(timeout=20)
    assert watcher.returncode == 130
    wait_until(lambda: not any(p.is_running() for p in family), 5)
    assert tree.read_record() is None
