"""
The comparison: the same stream, from the same server, to each contestant.

Messages a second as fast as each takes them, then latency at 1 and 10 times
the recorded pace.
"""
from __future__ import annotations

import subprocess
from typing import Any

from . import duel, rivals
from .common import BenchError, Options, say, show

_OURS = (duel.BARE, duel.PIKER)


def _attempt(
    name: str, options: Options, **how: Any
) -> dict[str, Any] | None:
    say(f'{name}: {how}')
    recording = '' if options.smoke else options.recording
    try:
        return duel.run(name, recording, **how)
    except (BenchError, OSError, AssertionError, IndexError, KeyError,
            subprocess.SubprocessError) as err:
        say(f'{name}: skipped: {err}')
        return {'contestant': name, 'skipped': str(err) or repr(err)}


def run(options: Options) -> dict[str, Any]:
    names = [*_OURS]
    if not options.smoke:
        names += rivals.RIVALS
    if options.only:
        names = [n for n in names if n in options.only]
    flood = {
        'speed': 0.0,
        'loops': options.pick(3, 10, 20),
        'for_s': options.pick(1.0, 4.0, 8.0),
    }
    # A reading takes a few seconds at most for the fast ones: the median
    # of several tells more than a long one.
    repeats = options.pick(1, 1, 3)
    paces = options.pick(
        [], [(1.0, 10.0), (10.0, 60.0)],
        [(1.0, 60.0), (10.0, 0.0)],
    )
    found: dict[str, Any] = {}
    for name in names:
        runs = []
        for _ in range(repeats):
            runs.append(_attempt(name, options, **flood))
            if 'skipped' in runs[-1]:
                break
        whole = [r for r in runs if 'skipped' not in r]
        if not whole:
            found[name] = runs[-1]
            continue
        whole.sort(key=lambda r: r['messages_per_s'])
        found[name] = {
            'version': whole[0]['version'],
            'saturated': whole[len(whole) // 2],
            'all_messages_per_s': [r['messages_per_s'] for r in whole],
            'paced': {
                f'{speed:g}x': _attempt(
                    name, options, speed=speed, seconds=seconds
                )
                for speed, seconds in paces
            },
        }
    _show(found)
    return found


def _show(found: dict[str, Any]) -> None:
    done = {n: f for n, f in found.items() if 'skipped' not in f}
    others = {n: f for n, f in done.items() if n not in _OURS}
    best = max(
        (f['saturated']['messages_per_s'] for f in others.values()),
        default=None,
    )
    leanest = min(
        (sum(f['saturated']['cpu_s_per_million'].values())
         for f in others.values()),
        default=None,
    )
    rows = []
    for name, figures in found.items():
        if 'skipped' in figures:
            rows.append([name, 'skipped: ' + figures['skipped'][:60],
                         *[None] * 7])
            continue
        flat = figures['saturated']
        rate = flat['messages_per_s']
        cpu = flat['cpu_s_per_million']
        ticks = rate * flat['ticks_sent'] / flat['sent']
        rows.append([
            f'{name} {figures["version"]}'.strip(), rate, ticks,
            rate / best if best else None,
            ' + '.join(f'{c:.2f}' for c in cpu.values()),
            1e6 / sum(cpu.values()),
            leanest / sum(cpu.values()) if leanest else None,
            flat['lost'],
            flat['received'],
        ])
        flat['ratio_to_best_rival'] = rate / best if best else None
        flat['ticks_per_s'] = ticks
        flat['ticks_per_s_per_core'] = ticks / rate * 1e6 / sum(
            cpu.values()
        ) if rate else 0.0
    show(
        'As fast as each takes them (a book message is two of piker’s ticks)',
        ('contestant', 'messages/s', 'ticks/s', '× best rival',
         'CPU s/M messages', 'messages/CPU s', '× leanest rival', 'lost',
         'received'),
        rows,
    )
    rows = []
    for name, figures in done.items():
        paced = {**figures['paced'], 'saturated': figures['saturated']}
        for pace, each in paced.items():
            if 'skipped' in each:
                rows.append([f'{name} {pace}', each['skipped'][:40],
                             *[None] * 5])
                continue
            late = each['latency_us']
            due = each.get('from_due_us', {})
            rows.append([
                f'{name} {pace}', late['p50'], late['p99'], late['p999'],
                late['max'], due.get('p99'), each['lost'],
            ])
    show(
        'Latency in µs, from the socket to the user’s hand',
        ('contestant', 'p50', 'p99', 'p99.9', 'max', 'p99 from due',
         'lost'),
        rows,
    )
