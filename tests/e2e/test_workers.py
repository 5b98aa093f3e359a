"""
More than one worker for a provider, unseen by clients.
"""
from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import trio
from suite import Daemon

from piker.data import FeedState, iter_ohlc_periods, open_feed

SYMBOLS = [f'{s}usdt.sim' for s in ('btc', 'eth', 'sol', 'bnb', 'xrp', 'ada')]


@pytest.mark.expects_errors('died')
async def test_symbols_are_spread(
    start_daemon: Callable[..., Daemon]
) -> None:
    daemon = start_daemon('--set=feed.workers=3')
    async with open_feed(SYMBOLS) as feed:
        status = await trio.to_thread.run_sync(daemon.services)
        workers = {
            d['name'] for d in status['tree']['daemons']
            if d['name'].startswith('brokerd.')
        }
        assert 2 <= len(workers) <= 3
        assert {f['symbol'] for f in status['feeds']} == set(SYMBOLS)
        assert len(status['feeds']) == len(SYMBOLS)
        # one worker's death is no business of the others
        killed = daemon.kill(sorted(workers)[-1])
        with trio.fail_after(20):
            while daemon.pid_of(sorted(workers)[-1]) in (0, killed):
                await trio.sleep(0.02)
            while any(f.state != FeedState.LIVE for f in feed.values()):
                await trio.sleep(0.02)
        assert all(f.quote().last > 0 for f in feed.values())


async def test_periods_step_with_the_clock(daemon: Daemon) -> None:
    """Indices rise by one, right after the second began."""
    seen: list[int] = []
    async with open_feed(['btcusdt.sim']) as feed:
        with trio.fail_after(20):
            async for index in iter_ohlc_periods(feed, 'btcusdt.sim', 1):
                late_s = time.time() - index
                # its clock is the venue's, read to the millisecond
                assert -0.05 <= late_s < 0.9
                flume = feed['btcusdt.sim']
                assert flume.bars[1].row(index - 1)['time'] == (
                    (index - 1) * 10**9
                )
                seen.append(index)
                if len(seen) == 3:
                    break
    assert seen == list(range(seen[0], seen[0] + 3))
