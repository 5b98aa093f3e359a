"""
The whole way: the venue's book, in a client, through whatever happens.
"""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from e2e_tools import get
from suite import Daemon, wait_until

from piker.data import (
    Book,
    BookFlume,
    BookState,
    FeedState,
    open_book,
    open_feed,
)
from piker.errors import BadInput

SYMBOL = 'btcusdt.sim'
STREAM = 'btcusdt@depth@100ms'
PATIENCE_S = 30


async def wait_for(condition: Callable[[], Any]) -> None:
    with trio.fail_after(PATIENCE_S):
        while not condition():
            await trio.sleep(0.02)


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    return await trio.to_thread.run_sync(function, *args)


def set_faults(base: str, **faults: Any) -> dict[str, int]:
    request = urllib.request.Request(
        f'{base}/sim/v1/faults', json.dumps(faults).encode(), method='POST'
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def venue_book(base: str) -> dict[str, Any]:
    return get(base, '/api/v3/depth', symbol='BTCUSDT', limit=5000)


@asynccontextmanager
async def followed(
    flume: BookFlume
) -> AsyncGenerator[dict[int, Book], None]:
    """Every live book that was shown, by update id."""
    seen: dict[int, Book] = {}

    async def follow() -> None:
        async for book in flume.changes():
            if book.state == BookState.LIVE:
                seen[book.update_id] = book

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        yield seen
        nursery.cancel_scope.cancel()


async def check_exact(base: str, seen: dict[int, Book], times: int) -> None:
    """The venue's own answers equal what we had at the same update id."""
    hits = 0
    with trio.fail_after(PATIENCE_S):
        while hits < times:
            answer = await in_thread(venue_book, base)
            await trio.sleep(0.25)
            book = seen.get(answer['lastUpdateId'])
            if book is None:
                continue
            for have, side in ((book.bids, 'bids'), (book.asks, 'asks')):
                want = [(float(p), float(s)) for p, s in answer[side]]
                assert have.rows() == want
                assert len(want) > 20
            hits += 1


async def test_exact_whatever_the_stream_does(daemon: Daemon) -> None:
    """Holes, doubles, swaps, a broken connection: exact again after each."""
    async with (
        open_book(SYMBOL) as flume,
        open_book(SYMBOL, levels=3) as second,
        followed(flume) as seen,
    ):
        base = await in_thread(daemon.venue)
        assert len(second.read().asks.price) == 3
        stats = await in_thread(get, base, '/sim/v1/stats')
        assert stats['subscribers'][STREAM] == 1, 'one for both'
        await check_exact(base, seen, 3)
        assert not flume.counters['gaps']

        await in_thread(lambda: set_faults(
            base, gap_rate=0.1, duplicate_rate=0.2, reorder_rate=0.1
        ))
        await wait_for(
            lambda: all(
                flume.counters[name] > 1
                for name in ('gaps', 'duplicates', 'resyncs')
            )
        )
        await in_thread(lambda: set_faults(base))
        await wait_for(lambda: flume.state == BookState.LIVE)
        seen.clear()
        await check_exact(base, seen, 2)

        await in_thread(lambda: set_faults(base, drop_connections=True))
        await wait_for(lambda: flume.counters['reconnects'])
        await wait_for(lambda: flume.state == BookState.LIVE)
        seen.clear()
        await check_exact(base, seen, 2)
        assert second.read(100).bids.rows()[:3] == second.read().bids.rows()


@pytest.mark.expects_errors('died', 'reconnecting')
async def test_brokerd_killed(daemon: Daemon) -> None:
    """A client's book goes on by itself."""
    async with (
        open_feed([SYMBOL]) as feed,
        feed.book(SYMBOL) as flume,
        followed(flume) as seen,
    ):
        assert flume.state == BookState.LIVE
        assert flume.instrument == feed[SYMBOL].instrument
        before = flume.read()
        killed = daemon.kill('brokerd.sim')
        await wait_for(lambda: flume.state == BookState.STALE)
        assert flume.read().update_id >= before.update_id
        await wait_for(
            lambda: daemon.pid_of('brokerd.sim') != killed
            and flume.state == BookState.LIVE
            and feed[SYMBOL].state == FeedState.LIVE
        )
        seen.clear()
        await check_exact(await in_thread(daemon.venue), seen, 2)


def test_only_while_somebody_looks(
    start_daemon: Callable[..., Daemon]
) -> None:
    """It ends after its last client, also one that is killed; and commands."""
    daemon = start_daemon('--set=feed.book_linger_s=0.2')
    lines = daemon.piker(
        'book', SYMBOL, '--json', '--count', '2', '--levels', '4'
    ).stdout.splitlines()
    first, then = (json.loads(line) for line in lines)
    assert first['state'] == 'live'
    assert then['update_id'] >= first['update_id']
    assert len(first['bids']) == len(first['asks']) == 4
    prices = [p for p, _ in reversed(first['asks'])]
    prices += [p for p, _ in first['bids']]
    assert prices == sorted(set(prices), reverse=True)

    base = daemon.venue()

    def streams() -> dict[str, int]:
        return get(base, '/sim/v1/stats')['subscribers']

    wait_until(lambda: STREAM not in streams())
    assert daemon.services()['books'] == []

    text = daemon.piker('book', SYMBOL, '--levels', '2').stdout
    assert 'live' in text
    assert len(text.splitlines()) == 1 + 1 + 2 + 1 + 2

    client = subprocess.Popen(
        [sys.executable, '-m', 'piker.cli.main', 'book', SYMBOL, '--json'],
        stdout=subprocess.PIPE, text=True,
    )
    assert client.stdout
    client.stdout.readline()
    [status] = daemon.services()['books']
    assert (status['symbol'], status['subscribers']) == (SYMBOL, 1)
    assert streams()[STREAM] == 1
    os.kill(client.pid, signal.SIGKILL)
    client.communicate()
    wait_until(lambda: STREAM not in streams())

    done = daemon.piker('book', 'btcusdx.sim', check=False)
    assert (done.returncode, done.stdout) == (2, '')
    assert "Did you mean 'btcusdt'" in done.stderr


async def test_refusals() -> None:
    """What no tree needs to be asked for."""
    with pytest.raises(BadInput, match='at least one'):
        await open_book(SYMBOL, levels=0).__aenter__()
    with pytest.raises(BadInput, match='not an instrument id'):
        await open_book('btcusdt').__aenter__()
