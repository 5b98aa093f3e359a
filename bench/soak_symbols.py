"""
Hundreds of busy symbols at once, every message counted.
"""
from __future__ import annotations

import json
import queue
import sys
import threading
import time
from collections import Counter
from typing import Any

import numpy as np
import trio

from .common import Options, Told, open_pikerd, say, show
from .soak_tools import EVERY_S, Limits, Watch, pids_of, start_client

_POLL_S = 0.05


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
            client = start_client(pikerd, 'symbols', names=names)
            try:
                client.hear('ready', 300)
                opened_s = time.monotonic() - began

                def look() -> None:
                    server.tell(report=True)
                    client.tell(report=True)
                    sent = server.hear('report')
                    got = client.hear('report')
                    pids = pids_of(
                        pikerd, server=server.pid, client=client.pid
                    )
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
                    time.sleep(min(EVERY_S, left))
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
