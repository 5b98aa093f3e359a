"""
Many consumers of one symbol: one daemon, one subscription, the same ticks.
"""
from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from e2e_tools import get
from suite import Daemon, wait_until

from piker.data import open_feed
from piker.data.status import report
from piker.service import open_tree

SYMBOL = 'btcusdt.sim'


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a client whose output goes to a file."""
    clients = []

    def start(*args: str, out: Path) -> subprocess.Popen[bytes]:
        with out.open('wb') as stream:
            clients.append(subprocess.Popen(
                [sys.executable, '-m', 'piker.cli.main', *args],
                stdout=stream, stderr=subprocess.STDOUT,
            ))
        return clients[-1]

    yield start
    for client in clients:
        client.kill()
        client.wait()


def subscribers(daemon: Daemon) -> int:
    feeds = daemon.services()['feeds']
    return next((f['subscribers'] for f in feeds if f['symbol'] == SYMBOL), 0)


async def kill_and_be_forgotten(
    daemon: Daemon, watcher: subprocess.Popen[bytes]
) -> None:
    """By a client that is there already: starting one takes its time."""
    async with open_tree(daemon.tree, 'test') as client:
        watcher.kill()
        await trio.to_thread.run_sync(watcher.wait)
        with trio.fail_after(2):
            while (await report(client)).feeds[0].subscribers != 3:
                await trio.sleep(0.02)


def ticks_in(path: Path) -> dict[int, Any]:
    lines = [ln for ln in path.read_text().splitlines() if ln[:1] == '{']
    rows = [json.loads(line) for line in lines]
    return {row['seq']: row for row in rows if 'seq' in row}


def test_two_charts_and_a_watcher(
    daemon: Daemon, spawn: Callable[..., subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    """Each sees the same ticks through one subscription at the venue."""
    pictures = [tmp_path / 'a.png', tmp_path / 'b.png']
    outs = [tmp_path / f'{n}.out' for n in ('c1', 'c2', 'w1', 'w2')]
    charts = [
        spawn('chart', SYMBOL, '--screenshot', str(picture), '--after', '12',
              out=out)
        for picture, out in zip(pictures, outs[:2], strict=True)
    ]
    watchers = [
        spawn('watch', SYMBOL, '--ticks', '--json', out=out)
        for out in outs[2:]
    ]
    wait_until(lambda: subscribers(daemon) == 4, 30)
    status = daemon.services()
    names = [d['name'] for d in status['tree']['daemons']]
    assert names.count('brokerd.sim') == 1
    at_venue = get(daemon.venue(), '/sim/v1/stats')
    assert at_venue['connections'] == 1
    assert at_venue['subscribers'] == {
        'btcusdt@aggTrade': 1, 'btcusdt@bookTicker': 1,
    }

    # A client that is killed is gone within two seconds, the others go on.
    wait_until(lambda: len(ticks_in(outs[2])) > 20)
    trio.run(kill_and_be_forgotten, daemon, watchers[0])
    count = len(ticks_in(outs[3]))
    wait_until(lambda: len(ticks_in(outs[3])) > count + 20)

    first, second = ticks_in(outs[2]), ticks_in(outs[3])
    both = first.keys() & second.keys()
    assert len(both) > 10
    assert all(first[seq] == second[seq] for seq in both)
    assert sorted(second) == list(range(min(second), max(second) + 1))

    for chart, picture, out in zip(charts, pictures, outs, strict=False):
        assert chart.wait(60) == 0, out.read_text()
        assert picture.stat().st_size > 10_000
    watchers[1].send_signal(signal.SIGINT)
    assert watchers[1].wait(10) == 130
    wait_until(lambda: subscribers(daemon) == 0)


async def test_never_traded(daemon: Daemon) -> None:
    """A feed starts and its first quote has a finite last price."""
    async with open_feed(['newusdt.sim']) as feed:
        flume = feed['newusdt.sim']
        quote = flume.first_quote
        assert 0 < quote.last < float('inf')
        assert quote.bid <= quote.last <= quote.ask
        row = flume.bars[1].row(flume.bars[1].next - 1)
        assert row['volume'] == row['trades'] == 0
        assert 0 < row['close'] < float('inf')
    base = await trio.to_thread.run_sync(daemon.venue)
    listed = await trio.to_thread.run_sync(
        lambda: get(base, '/api/v3/trades', symbol='NEWUSDT')
    )
    assert listed == []


async def test_drop_destroys_memory(daemon: Daemon) -> None:
    """Shared memory goes when a client asks for it, and comes back."""
    async with open_feed(['ltcusdt.sim']) as feed:
        flume = feed['ltcusdt.sim']
        before = flume.bars[1].segment_name
        await feed.drop('ltcusdt.sim')
        with trio.fail_after(15):
            while not Path('/dev/shm', before).exists() and (
                flume.state.label != 'live'
            ):
                await trio.sleep(0.02)
        assert flume.quote().last > 0
