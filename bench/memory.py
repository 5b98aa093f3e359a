"""
What a tree takes: each daemon, each further symbol, shared memory.
"""
from __future__ import annotations

import sys
import time
from typing import Any

import psutil

from .common import Options, Pikerd, Told, open_pikerd, say, show

_MB = 2**20


def _take(pikerd: Pikerd) -> dict[str, Any]:
    record = pikerd.place.record
    pids = {'pikerd': record['pid']}
    pids |= {name: pid for name, (pid, _) in record['children'].items()}
    found: dict[str, Any] = {}
    for name, pid in pids.items():
        full = psutil.Process(pid).memory_full_info()
        found[name] = {
            'uss_mb': full.uss / _MB, 'pss_mb': full.pss / _MB,
            'rss_mb': full.rss / _MB,
        }
    found['shm_mb'] = pikerd.place.segments_bytes() / _MB
    return found


def _symbols() -> list[str]:
    from piker.brokers.sim.listings import all_listings

    return [f'{each.symbol.lower()}.sim' for each in all_listings()]


def run(options: Options) -> dict[str, Any]:
    symbols = _symbols()
    counts = options.pick([1], [1, 5], [1, 5, len(symbols)])
    settle_s = options.pick(0.5, 4.0, 12.0)
    found: dict[str, Any] = {}
    say('tree alone')
    with open_pikerd() as pikerd:
        time.sleep(settle_s / 4)
        found['tree alone'] = _take(pikerd)
    for many in counts:
        say(f'{many} symbols')
        with open_pikerd('--with', 'brokerd.sim') as pikerd:
            while not pikerd.place.daemon_pid('brokerd.sim'):
                time.sleep(0.02)
            time.sleep(settle_s / 4)
            if many == counts[0]:
                found['brokerd idle'] = _take(pikerd)
            client = Told(
                [sys.executable, '-m', 'bench.hold', *symbols[:many]],
                env=pikerd.place.env,
            )
            try:
                client.hear('ready', 90)
                time.sleep(settle_s)
                found[f'{many} symbols'] = _take(pikerd) | {
                    'reader': {
                        'uss_mb':
                        psutil.Process(client.pid).memory_full_info().uss
                        / _MB
                    },
                }
            finally:
                client.end()
    rows = []
    for name, each in found.items():
        for part, figures in each.items():
            if part == 'shm_mb':
                rows.append([f'{name}: /dev/shm', figures, None, None])
            else:
                rows.append([
                    f'{name}: {part}', figures['uss_mb'],
                    figures.get('pss_mb'), figures.get('rss_mb'),
                ])
    few, most = f'{counts[0]} symbols', f'{counts[-1]} symbols'
    if len(counts) > 1:
        steps = counts[-1] - counts[0]
        extra = {
            'brokerd_uss_mb': (
                found[most]['brokerd.sim']['uss_mb']
                - found[few]['brokerd.sim']['uss_mb']
            ) / steps,
            'shm_mb': (found[most]['shm_mb'] - found[few]['shm_mb']) / steps,
        }
        found['each further symbol'] = extra
        rows.append(['each further symbol: brokerd.sim',
                     extra['brokerd_uss_mb'], None, None])
        rows.append(['each further symbol: /dev/shm', extra['shm_mb'],
                     None, None])
    show('Memory in MB', ('what', 'USS', 'PSS', 'RSS'), rows)
    return found
