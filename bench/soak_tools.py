"""
What the soaks share: limits, processes and what they take, the client.
"""
from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil

from .common import BenchError, Pikerd, Told, cpu_s, show

_MB = 2**20
EVERY_S = 30.0
_EMBEDDED = ('btcusdt', 'ethusdt', 'solusdt', 'bnbusdt', 'xrpusdt',
             'dogeusdt', 'adausdt', 'ltcusdt')


@dataclass
class Limits:
    """How long and how much; 0 is the default of each."""

    seconds: float = 0.0
    symbols: int = 0
    kills: int = 0
    seed: int = 1
    workers: int = 1
    days: float = 0.0
    operations: int = 0


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


def pids_of(pikerd: Pikerd, **others: int) -> dict[str, int]:
    record = pikerd.place.record or {'pid': 0, 'children': {}}
    found = {'pikerd': record['pid']}
    found |= {name: pid for name, (pid, _) in record['children'].items()}
    return {name: pid for name, pid in (found | others).items() if pid}


def start_client(pikerd: Pikerd, kind: str, **what: Any) -> Told:
    record = (
        pikerd.place.base / 'run' / 'piker' / f'tree-{pikerd.place.port}.json'
    )
    return Told(
        [sys.executable, '-m', 'bench.soak', kind,
         json.dumps({'record': str(record), **what})],
        env=pikerd.place.env,
    )


def run_embedded(
    pikerd: Pikerd, kind: str, limits: Limits, within_s: float
) -> dict[str, Any]:
    watch = Watch()
    names = [f'{n}.sim' for n in _EMBEDDED[:limits.symbols]]
    client = start_client(
        pikerd, kind, names=names, seed=limits.seed, kills=limits.kills,
        seconds=limits.seconds, workers=limits.workers,
    )
    # its progress is the reader's only sign of life
    shown = 0
    end = time.monotonic() + within_s
    # the first sample once everything is open
    sampled = time.monotonic() - EVERY_S + 8
    try:
        while True:
            if time.monotonic() - sampled > EVERY_S:
                sampled = time.monotonic()
                watch.take(
                    pids_of(pikerd, client=client.pid),
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
        watch.take(pids_of(pikerd, client=client.pid),
                   pikerd.place.segments_bytes())
    finally:
        client.end()
    watch.show()
    return {**found, 'processes': watch.samples}


def show_symbols(found: dict[str, Any]) -> None:
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
