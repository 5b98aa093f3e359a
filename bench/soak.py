"""
Long runs that end in a check of truth: symbols, kills, faults.

Here is what starts the tree, looks at its processes and judges; the client
that holds the feeds is a process of its own, ``python -m bench.soak``.
"""
from __future__ import annotations

import json
import os
import queue
import random
import signal
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
import trio

from .common import (
    BenchError,
    Options,
    Pikerd,
    Told,
    cpu_s,
    open_pikerd,
    say,
    show,
)

NAMES = {
    'soak-symbols': 'hundreds of busy symbols at once, every message counted',
    'soak-kills': 'daemons killed at random; ticks, bars, tables compared',
    'soak-faults': 'a venue that misbehaves at random; all of it compared',
}
_MB = 2**20
_EVERY_S = 30.0
_POLL_S = 0.05
_PATIENCE_S = 90.0
_EMBEDDED = ('btcusdt', 'ethusdt', 'solusdt', 'bnbusdt', 'xrpusdt',
             'dogeusdt', 'adausdt', 'ltcusdt')
# More deaths of one daemon within a minute, and pikerd gives it up.
_MOST_DEATHS, _WITHIN_S = 5, 61.0
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


@dataclass
class Limits:
    """How long and how much; 0 is the default of each."""

    seconds: float = 0.0
    symbols: int = 0
    kills: int = 0
    seed: int = 1
    workers: int = 1


def run(name: str, options: Options, limits: Limits) -> dict[str, Any]:
    """Run one; ``failed`` of what it returns lists the checks that did."""
    found = {
        'soak-symbols': run_symbols,
        'soak-kills': run_kills,
        'soak-faults': run_faults,
    }[name](options, limits)
    found['limits'] = asdict(limits)
    for line in found['failed']:
        say(f'FAILED: {line}')
    return found


# what is common to them

class Watch:
    """CPU and memory of processes, by name."""

    def __init__(self) -> None:
        self.samples: list[dict[str, Any]] = []
        self._before: dict[int, tuple[float, float]] = {}

    def take(self, pids: dict[str, int], shm_bytes: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, pid in pids.items():
            try:
                full = psutil.Process(pid).memory_full_info()
                cpu = cpu_s(pid)
            except psutil.NoSuchProcess:
                continue
            now = time.monotonic()
            was, then = self._before.get(pid, (cpu, now))
            self._before[pid] = cpu, now
            found[name] = {
                'cpu': 100 * (cpu - was) / (now - then) if now > then else 0.0,
                'rss_mb': full.rss / _MB, 'uss_mb': full.uss / _MB,
            }
        sample = {'processes': found, 'shm_mb': shm_bytes / _MB}
        self.samples.append(sample)
        return sample

    def show(self) -> None:
        """CPU over all, memory at start, in the middle and at the end."""
        points = [self.samples[0], self.samples[len(self.samples) // 2],
                  self.samples[-1]]
        rows = []
        for name in self.samples[-1]['processes']:
            parts = [p['processes'].get(name, {}) for p in points]
            cpus = [s['processes'][name]['cpu'] for s in self.samples[1:]
                    if name in s['processes']]
            rows.append([
                name, float(np.mean(cpus)) if cpus else None,
                max(cpus, default=None),
                *(p.get(key) for key in ('uss_mb', 'rss_mb') for p in parts),
            ])
        rows.append(['/dev/shm', None, None, None, None, None,
                     *(p['shm_mb'] for p in points)])
        show(
            'Processes: CPU %, MB at start, in the middle, at the end',
            ('process', 'CPU', 'CPU max', 'USS', 'USS', 'USS', 'RSS', 'RSS',
             'RSS'), rows,
        )


def _pids(pikerd: Pikerd, **others: int) -> dict[str, int]:
    record = pikerd.place.record or {'pid': 0, 'children': {}}
    found = {'pikerd': record['pid']}
    found |= {name: pid for name, (pid, _) in record['children'].items()}
    return {name: pid for name, pid in (found | others).items() if pid}


def _client(pikerd: Pikerd, kind: str, **what: Any) -> Told:
    record = (
        pikerd.place.base / 'run' / 'piker' / f'tree-{pikerd.place.port}.json'
    )
    return Told(
        [sys.executable, '-m', 'bench.soak', kind,
         json.dumps({'record': str(record), **what})],
        env=pikerd.place.env,
    )


# many symbols

def run_symbols(options: Options, limits: Limits) -> dict[str, Any]:
    from .crowd import names_of

    many = limits.symbols = limits.symbols or options.pick(5, 50, 300)
    seconds = limits.seconds = limits.seconds or options.pick(5., 60., 600.)
    failed: list[str] = []
    watch = Watch()
    told = [sys.executable, '-m', 'bench.crowd', '--symbols', str(many)]
    if options.recording and not options.smoke:
        told += ['--recording', options.recording]
    say(f'{many} symbols for {seconds:.0f} s, {limits.workers} workers')
    server = Told(told)
    reports: list[dict[str, Any]] = []
    try:
        port = server.hear('port', 60)
        with open_pikerd(
            '--set', f'providers.sim.url=http://127.0.0.1:{port}',
            '--set', 'providers.sim.trades=trade',
            '--set', f'feed.workers={limits.workers}',
        ) as pikerd:
            names = [f'{name}.sim' for name in names_of(many)]
            began = time.monotonic()
            client = _client(pikerd, 'symbols', names=names)
            try:
                client.hear('ready', 300)
                opened_s = time.monotonic() - began

                def look() -> None:
                    server.tell(report=True)
                    client.tell(report=True)
                    sent = server.hear('report')
                    got = client.hear('report')
                    pids = _pids(pikerd, server=server.pid, client=client.pid)
                    sample = watch.take(
                        pids, pikerd.place.segments_bytes()
                    )
                    reports.append(
                        {'sent': sent, 'got': got, **sample,
                         'at_s': time.monotonic() - began}
                    )
                    _say_symbols(reports[-1])

                look()
                end = time.monotonic() + seconds
                while (left := end - time.monotonic()) > 0:
                    time.sleep(min(_EVERY_S, left))
                    look()
                server.tell(stop=True)
                sent = server.hear('report')
                got = _drained(client, sent)
            finally:
                client.end()
    finally:
        server.end()
    for kind, of in (('trades', 'published'), ('quotes', 'quotes')):
        differ = [
            f'{name}: {a} sent, {b} received' for name, a, b in zip(
                names, sent[of], got[kind], strict=True
            ) if a != b
        ]
        if differ:
            failed.append(
                f'{kind} of {len(differ)} symbols: {"; ".join(differ[:3])}'
            )
    failed += [
        f'{got[key]} ticks {key}'
        for key in ('lost', 'lapped', 'doubled') if got[key]
    ]
    late = max(r['sent']['late_ms']['p99'] for r in reports)
    rows = [
        ['symbols', many], ['workers', limits.workers],
        ['seconds to open all', opened_s],
        ['trades sent', sum(sent['trades'])],
        ['trades published', sum(sent['published'])],
        ['trades received', sum(got['trades'])],
        ['quotes sent', sum(sent['quotes'])],
        ['quotes received', sum(got['quotes'])],
        ['lost', got['lost']], ['lapped', got['lapped']],
        ['doubled', got['doubled']],
        ['symbol seconds not live', got['not_live_s']],
        ['server late p99 ms, worst report', late],
        ['client late max ms', got['late_ms']],
        *([f'counter {k}', v] for k, v in got['counters'].items()),
    ]
    show(f'{many} symbols', ('what', 'figure'), rows)
    watch.show()
    return {
        'failed': failed, 'opened_s': opened_s, 'sent': sent, 'got': got,
        'reports': reports,
    }


def _say_symbols(report: dict[str, Any]) -> None:
    sent, got = report['sent'], report['got']
    cpus = ', '.join(
        f'{name} {p["cpu"]:.0f}% {p["uss_mb"]:.0f} MB'
        for name, p in report['processes'].items()
    )
    say(
        f'{report["at_s"]:.0f} s: sent {sum(sent["trades"]):,} trades '
        f'{sum(sent["quotes"]):,} quotes, received {sum(got["trades"]):,} '
        f'{sum(got["quotes"]):,}; lost {got["lost"]}, lapped '
        f'{got["lapped"]}, not live {got["not_live_s"]:.1f} s; server late '
        f'p99 {sent["late_ms"]["p99"]:.1f} ms; {cpus}; '
        f'shm {report["shm_mb"]:.0f} MB'
    )


def _drained(client: Told, sent: dict[str, Any]) -> dict[str, Any]:
    """The client's report once it has everything, or no more comes."""
    end = time.monotonic() + 20
    while True:
        client.tell(report=True)
        got = client.hear('report')
        whole = (
            got['trades'] == sent['published']
            and got['quotes'] == sent['quotes']
        )
        if whole or time.monotonic() > end:
            return got
        time.sleep(0.3)


class Tally:
    """What one symbol's ring gave."""

    def __init__(self, flume: Any) -> None:
        self.flume = flume
        self.trades = self.quotes = self.lost = self.doubled = 0
        self.lapped = 0
        self._last = self._recv = -1
        self._name = ''
        self._follow()

    def _follow(self) -> None:
        from piker.data.ticks import TickReader

        self._name = self.flume._info.ticks
        self._reader = TickReader.attach(self._name, from_start=True)
        # overwritten before we were there
        self.lapped += self._reader.position

    def poll(self) -> None:
        from piker.data.ticks import Kind

        if self.flume._info.ticks != self._name:
            self._follow()
        while (run := self._reader.read()) is not None:
            self.lapped += run.missed
            self.quotes += int(np.count_nonzero(run.kind == Kind.BID))
            ids = run.id[run.kind == Kind.TRADE]
            if not len(ids):
                continue
            if self._last >= 0:
                ids = np.concatenate(([self._last], ids))
            else:
                self.trades += 1
            steps = np.diff(ids)
            self.trades += int(np.count_nonzero(steps > 0))
            self.doubled += int(np.count_nonzero(steps <= 0))
            self.lost += int((steps[steps > 1] - 1).sum())
            self._last = int(ids[-1])


async def symbols_client(given: dict[str, Any]) -> None:
    from piker.data import FeedState, open_feed

    orders: queue.Queue[dict[str, Any]] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            orders.put(json.loads(line))

    names = given['names']
    async with open_feed(names, client='soak') as feed:
        tallies = [Tally(feed[name]) for name in names]
        print(json.dumps({'ready': True}), flush=True)
        threading.Thread(target=listen, daemon=True).start()
        episodes: list[dict[str, Any]] = []
        open_: dict[str, dict[str, Any]] = {}
        began = last = time.monotonic()
        late = not_live = 0.0
        while True:
            await trio.sleep(max(0.0, last + _POLL_S - time.monotonic()))
            now = time.monotonic()
            since, last = now - last, now
            late = max(late, since - _POLL_S)
            for name, tally in zip(names, tallies, strict=True):
                tally.poll()
                state = tally.flume.state
                if state == FeedState.LIVE:
                    open_.pop(name, None)
                    continue
                not_live += since
                if name not in open_:
                    open_[name] = {'symbol': name, 'state': state.label,
                                   'at_s': now - began, 'seconds': 0.0}
                    episodes.append(open_[name])
                open_[name]['seconds'] += since
            while not orders.empty():
                orders.get()
                counters: Counter[str] = Counter()
                for tally in tallies:
                    counters.update(tally.flume.counters)
                print(json.dumps({'report': {
                    'trades': [t.trades for t in tallies],
                    'quotes': [t.quotes for t in tallies],
                    'lost': sum(t.lost for t in tallies),
                    'lapped': sum(t.lapped for t in tallies),
                    'doubled': sum(t.doubled for t in tallies),
                    'not_live_s': not_live, 'episodes': episodes[-500:],
                    'late_ms': 1e3 * late, 'counters': counters,
                }}), flush=True)
                late = 0.0


# the embedded venue

def _get(base: str, path: str, **params: Any) -> Any:
    query = urllib.parse.urlencode(params)
    with urllib.request.urlopen(f'{base}{path}?{query}', timeout=20) as got:
        return json.load(got)


def _post(base: str, path: str, body: Any) -> None:
    request = urllib.request.Request(
        f'{base}{path}', json.dumps(body).encode(),
        {'Content-Type': 'application/json'}, method='POST',
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        answer.read()


class Truth:
    """The venue's own trades of a symbol from a time on."""

    def __init__(self, base: str, symbol: str, start_s: int) -> None:
        path, raw = '/api/v3/aggTrades', symbol.partition('.')[0].upper()
        page = _get(
            base, path, symbol=raw, startTime=1000 * start_s, limit=1000
        )
        rows = list(page)
        while len(page) == 1000:
            page = _get(
                base, path, symbol=raw, fromId=rows[-1]['a'] + 1, limit=1000
            )
            rows += page
        self.frame = pl.DataFrame({
            'id': [r['a'] for r in rows], 'ms': [r['T'] for r in rows],
            'price': [float(r['p']) for r in rows],
            # eight decimals at most: exact as integers
            'units': [round(float(r['q']) * 10**8) for r in rows],
            'fills': [r['l'] - r['f'] + 1 for r in rows],
        })

    def bars(self, period_s: int) -> dict[int, tuple[Any, ...]]:
        out = (
            self.frame
            .group_by(pl.col('ms') // (1000 * period_s), maintain_order=True)
            .agg(
                o=pl.col('price').first(), h=pl.col('price').max(),
                l=pl.col('price').min(), c=pl.col('price').last(),
                v=pl.col('units').sum(), n=pl.col('fills').sum(),
            )
        )
        return {at: (o, h, low, c, v / 10**8, n)
                for at, o, h, low, c, v, n in out.iter_rows()}

    def wrong_bars(
        self, rows: Any, period_s: int, start: int, stop: int
    ) -> list[str]:
        """What differs in the bars of ``start <= index < stop``."""
        want, close = self.bars(period_s), None
        wrong = []
        index = (rows['time'] // (period_s * 10**9)).tolist()
        if index != list(range(start, stop)):
            missing = len(set(range(start, stop)) - set(index))
            wrong.append(
                f'{missing} missing, {len(index) - len(set(index))} doubled'
            )
        for at, row in zip(index, rows.tolist(), strict=True):
            _, o, h, low, c, volume, _, count = row
            have = (o, h, low, c, volume, count)
            flat = (close,) * 4 if close is not None else have[:4]
            if have != want.get(at, (*flat, 0, 0)):
                wrong.append(f'bar {at}: {have}, not {want.get(at, flat)}')
            close = c
        return wrong

    def wrong_ticks(self, ticks: list[Any]) -> tuple[int, list[str]]:
        """How many trades are missing, and what else is wrong."""
        ids, times, prices, sizes = (
            np.concatenate([t[k] for t in ticks]) for k in range(4)
        )
        steps = np.diff(ids)
        wrong = []
        if (steps <= 0).any():
            wrong.append(f'{np.count_nonzero(steps <= 0)} doubled or swapped')
        missing = int((steps[steps > 1] - 1).sum())
        have = pl.DataFrame({
            'id': ids, 'ms_': times // 10**6, 'price_': prices,
            'units_': np.round(sizes * 10**8).astype('i8'),
        })
        both = self.frame.join(have, on='id')
        alike = both.filter(
            (pl.col('ms') == pl.col('ms_'))
            & (pl.col('price') == pl.col('price_'))
            & (pl.col('units') == pl.col('units_'))
        )
        if len(alike) != len(have):
            wrong.append(f'{len(have) - len(alike)} unlike the venue’s')
        return missing, wrong


class Follower:
    """Every trade of a flume."""

    def __init__(self) -> None:
        self.ticks: list[Any] = []
        self.count = self.lapped = 0

    async def follow(self, flume: Any) -> None:
        async for run in flume.ticks():
            self.lapped += run.missed
            trades = run.trades
            if len(trades):
                self.ticks.append(
                    (trades.id, trades.time, trades.price, trades.size)
                )
                self.count += len(trades)


async def _until(
    condition: Callable[[], Any], what: str, within_s: float = _PATIENCE_S
) -> None:
    with trio.move_on_after(within_s):
        while not condition():
            await trio.sleep(0.01)
        return
    raise BenchError(f'not within {within_s:.0f} s: {what}')


async def _status() -> dict[str, Any]:
    from piker.service import Tree, open_tree

    async with open_tree(Tree.parse(None), 'soak') as client:
        return {d.name: d for d in (await client.status()).daemons}


async def _venue() -> str:
    details = (await _status())['simd'].details
    return f'http://{details["host"]}:{details["port"]}'


def _progress(text: str) -> None:
    print(f'bench: {text}', file=sys.stderr, flush=True)


async def _compare(
    base: str,
    feed: Any,
    followers: dict[str, Follower],
    began_s: int,
    failed: list[str],
) -> dict[str, Any]:
    """Ticks and bars of each symbol with the venue's; waits until settled."""
    found: dict[str, Any] = {}
    await trio.sleep(3)
    stop = int(time.time()) - 2
    first = min(began_s, stop - 600) // 60 * 60 - 60
    for name, flume in feed.items():
        truth = await trio.to_thread.run_sync(Truth, base, name, first)
        missed = flume.counters['missed']
        each: dict[str, Any] = {'missed': missed}
        if name in followers:
            mine = followers[name]
            missing, wrong = truth.wrong_ticks(list(mine.ticks))
            each |= {'ticks': mine.count, 'missing': missing}
            if mine.lapped:
                wrong.append(f'{mine.lapped} lapped')
            if missing > missed:
                wrong.append(f'{missing} missing, {missed} counted as missed')
            failed += [f'{name}: ticks: {text}' for text in wrong[:3]]
        for period_s in (1, 60):
            low, high = -(-(first + 1) // period_s), stop // period_s
            rows = flume.bars[period_s].read(low, high)
            wrong = truth.wrong_bars(rows, period_s, low, high)
            each[f'bars_{period_s}s'] = len(rows)
            each[f'wrong_{period_s}s'] = len(wrong)
            if wrong and not missed:
                failed += [f'{name} {period_s}s: {w}' for w in wrong[:3]]
        found[name] = each
    return found


# kills

def run_kills(options: Options, limits: Limits) -> dict[str, Any]:
    limits.kills = limits.kills or options.pick(2, 10, 100)
    limits.symbols = limits.symbols or 3
    with open_pikerd(
        '--set', 'storage.flush_s=0.5', '--set', 'storage.settle_s=1',
        '--set', f'feed.workers={limits.workers}',
    ) as pikerd:
        found = _embedded(pikerd, 'kills', limits, 120 + 40 * limits.kills)
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
    _show_symbols(found)
    return found


def _embedded(
    pikerd: Pikerd, kind: str, limits: Limits, within_s: float
) -> dict[str, Any]:
    watch = Watch()
    names = [f'{n}.sim' for n in _EMBEDDED[:limits.symbols]]
    client = _client(
        pikerd, kind, names=names, seed=limits.seed, kills=limits.kills,
        seconds=limits.seconds, workers=limits.workers,
    )
    # its progress is the reader's only sign of life
    shown = 0
    end = time.monotonic() + within_s
    # the first sample once everything is open
    sampled = time.monotonic() - _EVERY_S + 8
    try:
        while True:
            if time.monotonic() - sampled > _EVERY_S:
                sampled = time.monotonic()
                watch.take(
                    _pids(pikerd, client=client.pid),
                    pikerd.place.segments_bytes(),
                )
            lines = os.pread(client.errors.fileno(), 1 << 20, shown)
            shown += len(lines)
            for line in lines.decode(errors='replace').splitlines():
                if line.startswith('bench: '):
                    print(line, file=sys.stderr, flush=True)
            try:
                found = client.hear('result', 1)
                break
            except BenchError as err:
                dead = client.process.poll() is not None
                if dead or time.monotonic() > end:
                    # What was measured until then is worth keeping.
                    found = {
                        'failed': [f'the client ended: {err}'], 'kills': [],
                        'violations': [], 'symbols': {}, 'figures': {},
                    }
                    break
        watch.take(_pids(pikerd, client=client.pid),
                   pikerd.place.segments_bytes())
    finally:
        client.end()
    watch.show()
    return {**found, 'processes': watch.samples}


def _show_symbols(found: dict[str, Any]) -> None:
    rows = [
        [name, each.get('ticks'), each.get('missing'), each['missed'],
         each['bars_1s'], each['wrong_1s'], each['bars_60s'],
         each['wrong_60s'], each.get('stored_1s')]
        for name, each in found['symbols'].items()
    ]
    show(
        'Compared with the venue',
        ('symbol', 'ticks', 'missing', 'counted', '1s bars', 'wrong',
         '60s bars', 'wrong', 'stored 1s'), rows,
    )


class Asked:
    """The venue's requests, all of them, as long as it is asked in time."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._before: list[Any] = []
        self.gone = 0

    def fresh(self) -> list[dict[str, Any]]:
        """Those since the last call."""
        now = _get(self.base, '/sim/v1/requests')
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
        with trio.move_on_after(_PATIENCE_S) as waiting:
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
        base = await _venue()
        follower = Follower()
        nursery.start_soon(follower.follow, feed[names[0]])

        def all_live(dead: int) -> bool:
            # and none of them still in the dead one's memory
            return all(
                f.state == FeedState.LIVE
                and str(dead) not in f._info.ticks.split('.')
                for f in feed.values()
            )

        await _until(
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
                await _until(lambda v=victim: pid_of(v), victim)
                kept = await in_thread(stored)
                pid = pid_of(victim)
                kill: dict[str, Any] = {
                    'victim': victim, 'klines': 0, 'requests': 0,
                    'at': time.time(),
                    'recent': sum(time.monotonic() - t < 60 for t in died),
                }
                at = time.monotonic()
                os.kill(pid, signal.SIGKILL)
                await _until(
                    lambda v=victim, p=pid: pid_of(v) not in (0, p),
                    f'{victim} restarted',
                )
                await _until(lambda p=pid: all_live(p), 'all live')
                kill['seconds'] = time.monotonic() - at
                died.append(time.monotonic())
                await _until(
                    lambda: not any(f.backfilling for f in feed.values()),
                    'history loaded',
                )
                await judge(kill, kept)
                kills.append(kill)
                _progress(
                    f'kill {len(kills)}: {victim}: live after '
                    f'{kill["seconds"]:.2f} s, {kill["klines"]} klines, '
                    f'{len(violations)} violations'
                )
        except BenchError as err:
            failed.append(str(err))
        count = follower.count
        await _until(lambda: follower.count > count + 5, 'more ticks')
        symbols = await _compare(
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


# faults

def run_faults(options: Options, limits: Limits) -> dict[str, Any]:
    limits.seconds = limits.seconds or options.pick(5.0, 60.0, 600.0)
    limits.symbols = limits.symbols or 5
    with open_pikerd(
        '--set', 'storage.enabled=false',
        '--set', f'feed.workers={limits.workers}',
    ) as pikerd:
        found = _embedded(pikerd, 'faults', limits, 400 + limits.seconds)
    show('Faults', ('what', 'figure'), list(found['figures'].items()))
    _show_symbols(found)
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
        base = await _venue()
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
            await in_thread(_post, base, '/sim/v1/faults', faults)
            changes += 1
            until = time.monotonic() + dice.uniform(1, 5)
            while time.monotonic() < min(until, end):
                stats = await in_thread(_get, base, '/sim/v1/stats')
                most_weight = max(most_weight, stats['used_weight'])
                await trio.sleep(0.5)
            if time.monotonic() - told > _EVERY_S:
                told = time.monotonic()
                _progress(
                    f'{changes} changes; weight {stats["used_weight"]} (most '
                    f'{most_weight}); counted {_summed(feed)}'
                )
        await in_thread(_post, base, '/sim/v1/faults', {})
        calm = time.monotonic()
        await _until(
            lambda: all(f.state == FeedState.LIVE for f in feed.values()),
            'all live',
        )
        live_s = time.monotonic() - calm
        # trades that are still missing are healed or given up by then
        counts = {name: followers[name].count for name in names}
        await _until(
            lambda: all(followers[n].count > counts[n] + 3 for n in names),
            'more ticks of each',
        )
        await trio.sleep(3)
        stats = await in_thread(_get, base, '/sim/v1/stats')
        most_weight = max(most_weight, stats['used_weight'])
        daemons = await _status()
        hits, unlike = await _check_book(base, names[0], seen)
        symbols = await _compare(base, feed, followers, began_s, failed)
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
                lambda: _get(base, '/api/v3/depth', symbol=raw, limit=5000)
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


def main() -> None:
    kind, given = sys.argv[1], json.loads(sys.argv[2])
    client = {
        'symbols': symbols_client, 'kills': kills_client,
        'faults': faults_client,
    }[kind]
    found = trio.run(client, given)
    print(json.dumps({'result': found}, default=str), flush=True)
    sys.stdin.read()


if __name__ == '__main__':
    main()
