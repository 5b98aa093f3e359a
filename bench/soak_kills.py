"""
Daemons killed at random; ticks, live and stored bars compared.
"""
from __future__ import annotations

import json
import os
import random
import signal
import time
import urllib.parse
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import trio

from .common import BenchError, Options, open_pikerd, show
from .soak_tools import Limits, run_embedded, show_symbols
from .soak_truth import (
    PATIENCE_S,
    Follower,
    Truth,
    compare,
    get,
    progress,
    venue_url,
    wait_until,
)

# More deaths of one daemon within a minute, and pikerd gives it up.
_MOST_DEATHS, _WITHIN_S = 5, 61.0


def run_kills(options: Options, limits: Limits) -> dict[str, Any]:
    limits.kills = limits.kills or options.pick(2, 10, 100)
    limits.symbols = limits.symbols or 3
    with open_pikerd(
        '--set', 'storage.flush_s=0.5', '--set', 'storage.settle_s=1',
        '--set', f'feed.workers={limits.workers}',
    ) as pikerd:
        found = run_embedded(pikerd, 'kills', limits, 120 + 40 * limits.kills)
    found['figures']['kills'] = len(found['kills'])
    times = [k['seconds'] for k in found['kills'] if k['victim'] != 'stored']
    rows: list[list[Any]] = list(map(list, found['figures'].items()))
    if times:
        rows += [['live again p50 s', float(np.median(times))],
                 ['live again max s', max(times)]]
        found |= {'p50_s': float(np.median(times)), 'max_s': max(times)}
    for recent in range(_MOST_DEATHS):
        some = [k['seconds'] for k in found['kills']
                if k['recent'] == recent and k['victim'] != 'stored']
        if some:
            what = f'… p50, {recent} deaths in the minute before'
            rows.append([f'{what} ({len(some)} times)',
                         float(np.median(some))])
    for key in ('requests', 'klines'):
        asked = [k[key] for k in found['kills'] if k['victim'] != 'stored']
        if asked:
            rows += [[f'{key} a restart, mean', float(np.mean(asked))],
                     [f'{key} a restart, max', max(asked)]]
    rows += [['violations', len(found['violations'])]]
    show('Kills', ('what', 'figure'), rows)
    show_symbols(found)
    return found


class Asked:
    """The venue's requests, all of them, as long as it is asked in time."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._before: list[Any] = []
        self.gone = 0

    def fresh(self) -> list[dict[str, Any]]:
        """Those since the last call."""
        now = get(self.base, '/sim/v1/requests')
        before, self._before = self._before, now
        for at in range(len(before)):
            if before[at:] == now[:len(before) - at]:
                return now[len(before) - at:]
        self.gone += bool(before)
        return now


async def kills_client(given: dict[str, Any]) -> dict[str, Any]:
    from piker.data import FeedState, open_feed
    from piker.data.storage import Store

    names, record = given['names'], Path(given['record'])
    dice = random.Random(given['seed'])
    failed: list[str] = []
    kills: list[dict[str, Any]] = []
    violations: list[dict[str, Any]] = []
    store = Store()
    deaths: dict[str, deque[float]] = {}
    in_thread = trio.to_thread.run_sync

    def pid_of(name: str) -> int:
        try:
            children = json.loads(record.read_text())['children']
        except (OSError, ValueError):
            return 0
        return children.get(name, (0, 0))[0]

    def stored() -> dict[tuple[str, str], int]:
        return {
            (name, kind): (store.bounds(name, kind) or (0, 0))[1]
            for name in names for kind in ('bars_1s', 'bars_60s')
        }

    async def wait_stored(after_ns: int) -> None:
        with trio.move_on_after(PATIENCE_S) as waiting:
            while True:
                newest = await in_thread(stored)
                if min(newest[n, 'bars_1s'] for n in names) > after_ns:
                    return
                await trio.sleep(0.3)
        if waiting.cancelled_caught:
            failed.append('bars were not stored in time')

    async def judge(kill: dict[str, Any], kept: dict[Any, int]) -> None:
        """Count what a restart asked the venue for."""
        for request in await in_thread(asked.fresh):
            kill['requests'] += 1
            if request['path'] != '/api/v3/klines':
                continue
            query = dict(urllib.parse.parse_qsl(request['query']))
            kill['klines'] += 1
            step = 60 if query['interval'] == '1m' else 1
            newest = kept[query['symbol'].lower() + '.sim', f'bars_{step}s']
            ahead = int(query['startTime']) - newest // 10**6
            # one period: what was stored last may be asked for again
            if ahead <= -1000 * step:
                violations.append({
                    **kill, 'query': query, 'behind_s': -ahead / 1000
                })

    began_ns = time.time_ns()
    async with open_feed(names, client='soak') as feed, \
            trio.open_nursery() as nursery:
        base = await venue_url()
        follower = Follower()
        nursery.start_soon(follower.follow, feed[names[0]])

        def all_live(dead: int) -> bool:
            # and none of them still in the dead one's memory
            return all(
                f.state == FeedState.LIVE
                and str(dead) not in f._info.ticks.split('.')
                for f in feed.values()
            )

        await wait_until(
            lambda: not any(f.backfilling for f in feed.values()),
            'history loaded',
        )
        await wait_stored(time.time_ns())
        # the history that was loaded is stored behind the newest
        await trio.sleep(3)
        daemons = ['brokerd.sim'] + [
            f'brokerd.sim.{n}' for n in range(1, given['workers'])
        ]
        daemons = [name for name in daemons if pid_of(name)]
        asked = Asked(base)
        await in_thread(asked.fresh)
        if not all((await in_thread(stored)).values()):
            failed.append('not everything was stored before the first kill')
        try:
            while len(kills) < given['kills']:
                await trio.sleep(dice.uniform(0.2, 8))
                victim = (
                    'stored' if dice.random() < 0.2 else dice.choice(daemons)
                )
                died = deaths.setdefault(victim, deque(maxlen=_MOST_DEATHS))
                if len(died) == _MOST_DEATHS:
                    await trio.sleep(
                        max(0.0, died[0] + _WITHIN_S - time.monotonic())
                    )
                await wait_until(lambda v=victim: pid_of(v), victim)
                kept = await in_thread(stored)
                pid = pid_of(victim)
                kill: dict[str, Any] = {
                    'victim': victim, 'klines': 0, 'requests': 0,
                    'at': time.time(),
                    'recent': sum(time.monotonic() - t < 60 for t in died),
                }
                at = time.monotonic()
                os.kill(pid, signal.SIGKILL)
                await wait_until(
                    lambda v=victim, p=pid: pid_of(v) not in (0, p),
                    f'{victim} restarted',
                )
                await wait_until(lambda p=pid: all_live(p), 'all live')
                kill['seconds'] = time.monotonic() - at
                died.append(time.monotonic())
                await wait_until(
                    lambda: not any(f.backfilling for f in feed.values()),
                    'history loaded',
                )
                await judge(kill, kept)
                kills.append(kill)
                progress(
                    f'kill {len(kills)}: {victim}: live after '
                    f'{kill["seconds"]:.2f} s, {kill["klines"]} klines, '
                    f'{len(violations)} violations'
                )
        except BenchError as err:
            failed.append(str(err))
        count = follower.count
        await wait_until(lambda: follower.count > count + 5, 'more ticks')
        symbols = await compare(
            base, feed, {names[0]: follower}, began_ns // 10**9, failed
        )
        await wait_stored(time.time_ns())
        for name in names:
            symbols[name]['stored_1s'] = await in_thread(
                _check_stored, store, base, name, began_ns, failed
            )
        nursery.cancel_scope.cancel()
    if violations:
        failed.append(
            f'{len(violations)} requests for what was stored: '
            f'{violations[0]}'
        )
    if asked.gone:
        failed.append('requests were overwritten before they were seen')
    return {
        'failed': failed, 'kills': kills, 'violations': violations,
        'symbols': symbols, 'figures': {'ticks': follower.count},
    }


def _check_stored(
    store: Any, base: str, name: str, began_ns: int, failed: list[str]
) -> int:
    start = began_ns // 10**9 - 300
    rows = store.read_bars(name, 1, start * 10**9)
    if not len(rows):
        failed.append(f'{name}: nothing stored')
        return 0
    stop = int(rows['time'][-1]) // 10**9 + 1
    wrong = Truth(base, name, start).wrong_bars(rows, 1, start, stop)
    failed += [f'{name}: stored {text}' for text in wrong[:3]]
    return len(rows)
