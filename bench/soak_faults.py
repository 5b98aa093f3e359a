"""
A venue that misbehaves at random; ticks, bars and a book compared.
"""
from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

import trio

from .common import Options, open_pikerd, show
from .soak_tools import EVERY_S, Limits, run_embedded, show_symbols
from .soak_truth import (
    Follower,
    compare,
    daemon_status,
    get,
    post,
    progress,
    venue_url,
    wait_until,
)

_FAULTS: tuple[dict[str, Any], ...] = (
    {'duplicate_rate': 0.5},
    {'gap_rate': 0.5},
    {'reorder_rate': 0.3},
    {'drop_connections': True},
    {'refuse_connections_s': 0.7, 'drop_connections': True},
    {'rest_status': 429, 'rest_requests': 3, 'gap_rate': 0.1},
    {'rest_status': 503, 'rest_requests': 3, 'gap_rate': 0.1},
    {'stall_s': 1.0},
    {'latency_ms': 150.0},
)


def run_faults(options: Options, limits: Limits) -> dict[str, Any]:
    limits.seconds = limits.seconds or options.pick(5.0, 60.0, 600.0)
    limits.symbols = limits.symbols or 5
    with open_pikerd(
        '--set', 'storage.enabled=false',
        '--set', f'feed.workers={limits.workers}',
    ) as pikerd:
        found = run_embedded(pikerd, 'faults', limits, 400 + limits.seconds)
    show('Faults', ('what', 'figure'), list(found['figures'].items()))
    show_symbols(found)
    return found


async def faults_client(given: dict[str, Any]) -> dict[str, Any]:
    from piker.data import FeedState, open_feed

    names = given['names']
    dice = random.Random(given['seed'])
    failed: list[str] = []
    most_weight = changes = 0
    in_thread = trio.to_thread.run_sync
    followers = {name: Follower() for name in names}
    began_s = int(time.time())
    async with open_feed(names, client='soak') as feed, \
            feed.book(names[0]) as book, trio.open_nursery() as nursery:
        base = await venue_url()
        for name in names:
            nursery.start_soon(followers[name].follow, feed[name])
        seen = _Books()
        nursery.start_soon(seen.follow, book)
        end = time.monotonic() + given['seconds']
        told = time.monotonic()
        while time.monotonic() < end:
            faults: dict[str, Any] = {}
            for one in dice.sample(_FAULTS, dice.randint(1, 3)):
                faults |= one
            await in_thread(post, base, '/sim/v1/faults', faults)
            changes += 1
            until = time.monotonic() + dice.uniform(1, 5)
            while time.monotonic() < min(until, end):
                stats = await in_thread(get, base, '/sim/v1/stats')
                most_weight = max(most_weight, stats['used_weight'])
                await trio.sleep(0.5)
            if time.monotonic() - told > EVERY_S:
                told = time.monotonic()
                progress(
                    f'{changes} changes; weight {stats["used_weight"]} (most '
                    f'{most_weight}); counted {_summed(feed)}'
                )
        await in_thread(post, base, '/sim/v1/faults', {})
        calm = time.monotonic()
        await wait_until(
            lambda: all(f.state == FeedState.LIVE for f in feed.values()),
            'all live',
        )
        live_s = time.monotonic() - calm
        # trades that are still missing are healed or given up by then
        counts = {name: followers[name].count for name in names}
        await wait_until(
            lambda: all(followers[n].count > counts[n] + 3 for n in names),
            'more ticks of each',
        )
        await trio.sleep(3)
        stats = await in_thread(get, base, '/sim/v1/stats')
        most_weight = max(most_weight, stats['used_weight'])
        daemons = await daemon_status()
        hits, unlike = await _check_book(base, names[0], seen)
        symbols = await compare(base, feed, followers, began_s, failed)
        counters = _summed(feed)
        figures = {
            'changes of faults': changes, 'live after calm s': live_s,
            'most weight a minute': most_weight,
            'books compared': hits, 'books unlike': unlike,
            **{f'book {k}': v for k, v in book.counters.items()},
            **{f'venue {k}': v for k, v in stats['faults'].items()},
            **counters,
        }
        nursery.cancel_scope.cancel()
    for daemon in daemons.values():
        figures[f'restarts of {daemon.name}'] = daemon.restarts
        if daemon.restarts:
            failed.append(f'{daemon.name} died {daemon.restarts} times')
    if most_weight > 6000:
        failed.append(f'a weight of {most_weight} in one minute')
    if unlike or not hits:
        failed.append(f'{unlike} of {hits} books unlike the venue’s')
    return {'failed': failed, 'symbols': symbols, 'figures': figures}


def _summed(feed: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for flume in feed.values():
        total.update(flume.counters)
    return dict(total)


class _Books:
    """The last live states of a book, by update id."""

    def __init__(self) -> None:
        self.kept: dict[int, Any] = {}

    async def follow(self, flume: Any) -> None:
        from piker.data import BookState

        async for book in flume.changes():
            if book.state == BookState.LIVE:
                self.kept[book.update_id] = book
                if len(self.kept) > 600:
                    del self.kept[next(iter(self.kept))]


async def _check_book(
    base: str, symbol: str, seen: _Books, times: int = 5
) -> tuple[int, int]:
    """Books compared at the same update id, and how many differed."""
    hits = unlike = 0
    raw = symbol.partition('.')[0].upper()
    with trio.move_on_after(30):
        while hits < times:
            answer = await trio.to_thread.run_sync(
                lambda: get(base, '/api/v3/depth', symbol=raw, limit=5000)
            )
            await trio.sleep(0.3)
            book = seen.kept.get(answer['lastUpdateId'])
            if book is None:
                continue
            hits += 1
            for have, side in ((book.bids, 'bids'), (book.asks, 'asks')):
                want = [(float(p), float(s)) for p, s in answer[side]]
                unlike += have.rows() != want[:len(have.price)] or not want
    return hits, unlike
