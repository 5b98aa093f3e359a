"""
What a script writes: quotes at a rate, frames, more history.
"""
from __future__ import annotations

from itertools import pairwise

import polars as pl
import pytest
import trio
from suite import Daemon

from piker.data import Flume, open_feed
from piker.errors import BadInput, NoSuchPeriod


async def test_script(daemon: Daemon) -> None:
    async with open_feed(['btcusdt.sim', 'ethusdt.sim']) as feed:
        flume = feed['btcusdt.sim']
        await quotes_at_a_rate(flume)
        await frames(flume)
        await more_history(flume)
        assert list(feed) == ['btcusdt.sim', 'ethusdt.sim']
        with pytest.raises(KeyError, match='xrpusdt'):
            feed['xrpusdt.sim']


async def quotes_at_a_rate(flume: Flume) -> None:
    seen = []
    began = trio.current_time()
    stream = flume.quotes(rate_hz=5)
    with trio.fail_after(20):
        async for quote in stream:
            seen.append(quote)
            if len(seen) == 4:
                break
    assert trio.current_time() - began >= 0.6
    assert all(a != b for a, b in pairwise(seen))
    assert stream.conflated >= 0
    with pytest.raises(BadInput, match='positive'):
        flume.quotes(0)


async def frames(flume: Flume) -> None:
    bars = flume.bars[60]
    frame = bars.to_polars(bars.next - 10)
    assert frame.height == 10
    assert frame.schema['time'] == pl.Datetime('ns', 'UTC')
    assert frame['time'].is_sorted()
    hourly = flume.bars[3600].to_polars()
    assert hourly['high'].max() == pytest.approx(
        flume.bars[3600]['high'].max()
    )
    with pytest.raises(NoSuchPeriod):
        flume.bars[7]


async def more_history(flume: Flume) -> None:
    with trio.fail_after(30):
        while flume.backfilling:
            await trio.sleep(0.02)
        before = flume.bars[300].first
        came = await flume.load_more(300, 500)
    assert came >= 499
    assert flume.bars[300].first == before - came
    times = flume.bars[60]['time']
    assert ((times[1:] - times[:-1]) == 60 * 10**9).all()


async def test_errors_of_the_script_stay_its_own(daemon: Daemon) -> None:
    """What goes wrong in the block is not taken for the tree's trouble."""

    async def read_what_is_not_there() -> None:
        async with open_feed(['btcusdt.sim']):
            raise FileNotFoundError('of the script')

    with pytest.raises(FileNotFoundError, match='of the script'):
        await read_what_is_not_there()
