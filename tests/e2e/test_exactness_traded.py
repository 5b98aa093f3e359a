"""
Bars equal a resample of the venue's trades while users trade in between.
"""
from __future__ import annotations

import random
import time
import urllib.request

import trio
from e2e_tools import (
    agg_trades_since,
    assert_bars_equal,
    get,
    order,
    resample,
    trades_frame,
)
from suite import Daemon

from piker.data import open_feed

LONGEST_S = 90


def trade(base: str, rng: random.Random) -> None:
    """Something at the market, and something near it."""
    side = rng.choice(['BUY', 'SELL'])
    order(base, symbol='XRPUSDT', side=side, type='MARKET',
          quantity=f'{rng.uniform(20, 4000):.1f}')
    book = get(base, '/api/v3/ticker/bookTicker', symbol='XRPUSDT')
    price = float(book['bidPrice' if side == 'BUY' else 'askPrice'])
    order(base, symbol='XRPUSDT', side=side, type='LIMIT', timeInForce='GTC',
          price=f'{price:.4f}', quantity=f'{rng.uniform(20, 900):.1f}')


async def test_users_trade_on_generated_flow(daemon: Daemon) -> None:
    rng = random.Random(3)
    async with open_feed(['xrpusdt.sim']) as feed:
        flume = feed['xrpusdt.sim']
        base = await trio.to_thread.run_sync(daemon.venue)
        urllib.request.urlopen(urllib.request.Request(
            f'{base}/sim/v1/limits', b'{"orders_10s": 10000}'
        )).close()
        steps = flume.bars[1].next + 6
        with trio.fail_after(LONGEST_S):
            while flume.backfilling or flume.bars[1].next < steps:
                await trio.to_thread.run_sync(trade, base, rng)
                await trio.sleep(0.05)
        settled = time.time_ns() - 2 * 10**9
        start = flume.bars[1].next - 400
        listed = await trio.to_thread.run_sync(
            agg_trades_since, base, 'XRPUSDT', start * 1000
        )
        books = await trio.to_thread.run_sync(get, base, '/sim/v1/books')
        assert len(books['accounts'][0]['fills']) > 20
        rows = flume.bars[1].read(start, settled // 10**9)
        want = resample(trades_frame([
            (t['T'], t['p'], t['q'], t['l'] - t['f'] + 1) for t in listed
        ]), 1)
        assert assert_bars_equal(rows, 1, want) > 5
        assert not flume.counters['missed']
        assert not flume.counters['gaps']
