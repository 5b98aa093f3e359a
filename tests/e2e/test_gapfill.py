"""
Holes of stored history are filled while a feed is live.
"""
from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import trio
from e2e.test_storage import in_thread, klines_asked
from storage.conftest import bars
from suite import Daemon

from piker.brokers.sim.listings import GENESIS_MS
from piker.clock import NS_PER_MS, NS_PER_S
from piker.data import BAR_DTYPE, open_feed
from piker.data.status import report
from piker.data.storage import Store
from piker.service import Tree, open_tree

SYMBOL, RAW = 'btcusdt.sim', 'BTCUSDT'
MINUTE = 60 * NS_PER_S
GENESIS = GENESIS_MS * NS_PER_MS // MINUTE
# As shallow as may be: older holes are not the start's to load.
SHALLOW = (
    '--set=storage.flush_s=0.5', '--set=storage.settle_s=1.0',
    '--set=feed.history_1s=0', '--set=feed.history_60s=0',
)


def minutes(start: int, stop: int) -> Any:
    """Made-up bars of minutes ``start <= index < stop``."""
    rows = bars(range(start, stop)).astype(BAR_DTYPE)
    rows['time'] *= 60
    return rows


def asked_minutes(base: str, before: int) -> list[tuple[int, int]]:
    """Which minutes before a time were asked for, in order of request."""
    found = [
        (int(p['startTime']) // 60_000, int(p['endTime']) // 60_000 + 1)
        for p in klines_asked(base)
        if p['interval'] == '1m' and p['symbol'] == RAW
    ]
    return [(a, b) for a, b in found if a < before]


class Progress:
    """What the feed says is left to fill, looked at all the time."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.gaps_left = self.most_left = 0

    async def follow(self) -> None:
        async with open_tree(self._tree, 'test') as client:
            while True:
                for feed in (await report(client)).feeds:
                    if feed.symbol == SYMBOL:
                        self.gaps_left = feed.gaps_left
                        self.most_left = max(self.most_left, feed.bars_left)
                await trio.sleep(0.005)


@pytest.mark.parametrize('on', [True, False])
async def test_gaps_are_filled_newest_first_and_once(
    start_daemon: Callable[..., Daemon], on: bool
) -> None:
    """Only what is missing is asked for, and nothing by a second start."""
    now = time.time_ns() // MINUTE
    recent = now - 3000
    # three holes, and one that reaches back before the venue's history
    old = GENESIS - 100
    holes = [
        (GENESIS - 50, GENESIS), (GENESIS + 30, GENESIS + 1330),
        (GENESIS + 2000, GENESIS + 2007),
    ]
    store = Store()
    whole = minutes(old, GENESIS + 2100)
    kept = [
        all(not a <= at < b for a, b in holes)
        for at in range(old, GENESIS + 2100)
    ]
    store.append_bars(SYMBOL, 60, whole[kept])
    # up to the present but for what the feed will load by itself
    store.append_bars(SYMBOL, 60, minutes(GENESIS + 2100, recent))
    store.append_bars(SYMBOL, 60, minutes(recent + 5, now - 20))
    missing = [*holes, (recent, recent + 5)]
    first = start_daemon(
        *SHALLOW, f'--set=storage.fill_gaps={str(on).lower()}', storage=True
    )
    seen = Progress(first.tree)
    async with open_feed([SYMBOL]), trio.open_nursery() as nursery:
        nursery.start_soon(seen.follow)
        base = await in_thread(first.venue)
        if not on:
            # it is recorded, as long ago as it takes to look for gaps
            with trio.fail_after(30):
                while not await in_thread(store.bounds, SYMBOL, 'bars_1s'):
                    await trio.sleep(0.1)
            assert asked_minutes(base, now - 1100) == []
            nursery.cancel_scope.cancel()
            return

        async def done() -> bool:
            gaps = await in_thread(store.gaps, SYMBOL, 60)
            return [
                (g.start_ns // MINUTE, g.end_ns // MINUTE) for g in gaps
            ] == holes[:1]

        with trio.fail_after(60):
            while not await done() or seen.gaps_left:
                await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
        asked = asked_minutes(base, now - 1100)
    # each once, the newest first, in pages of a thousand
    assert asked == [
        missing[3], missing[2], (GENESIS + 330, GENESIS + 1330),
        (GENESIS + 30, GENESIS + 330), missing[0],
    ]
    assert seen.most_left
    filled = store.read_bars(
        SYMBOL, 60, holes[1][0] * MINUTE, holes[1][1] * MINUTE
    )
    assert (filled['trades'] > 0).all()
    shown = await in_thread(
        lambda: first.piker('store', 'gaps', SYMBOL, '--json').stdout
    )
    assert [json.loads(line) for line in shown.splitlines()] == [{
        'start_ns': holes[0][0] * MINUTE, 'end_ns': holes[0][1] * MINUTE,
        'bars': 50, 'absent': 50,
    }]
    await in_thread(first.stop)
    # One more, older than all: whoever asks for it is done with the others.
    store.append_bars(SYMBOL, 60, minutes(old - 10, old - 9))
    second = start_daemon(*SHALLOW, storage=True)
    async with open_feed([SYMBOL]):
        base = await in_thread(second.venue)
        with trio.fail_after(30):
            while not await in_thread(asked_minutes, base, now - 1100):
                await trio.sleep(0.1)
        assert asked_minutes(base, now - 1100) == [(old - 9, old)]
