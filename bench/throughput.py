"""
The comparison: the same stream, from the same server, to each contestant.

Messages a second as fast as each takes them, then latency at 1 and 10 times
the recorded pace.  Everybody has a turn in each round, since a machine that
is shared is not the same one ten minutes later.
"""
from __future__ import annotations

import statistics
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
    rounds = options.pick(1, 1, 3)
    paces = options.pick(
        [], [(1.0, 10.0), (10.0, 60.0)],
        [(1.0, 20.0), (10.0, 100.0)],
    )
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    paced: dict[str, dict[str, list[dict[str, Any]]]] = {
        name: {f'{speed:g}x': [] for speed, _ in paces} for name in names
    }
    skipped: dict[str, dict[str, Any]] = {}
    for number in range(rounds):
        say(f'round {number + 1} of {rounds}')
        for name in names:
            if name in skipped:
                continue
            run_ = _attempt(name, options, **flood)
            if 'skipped' in run_:
                skipped[name] = run_
                continue
            runs[name].append(run_)
            if number % 2:
                continue  # they take long; every other round will do
            for speed, seconds in paces:
                paced[name][f'{speed:g}x'].append(_attempt(
                    name, options, speed=speed, seconds=seconds
                ))
    found: dict[str, Any] = dict(skipped)
    for name in names:
        if name not in skipped:
            found[name] = _summed(name, runs, paced[name])
    _show({name: found[name] for name in names})
    return found


def _summed(
    name: str,
    runs: dict[str, list[dict[str, Any]]],
    paced: dict[str, list[dict[str, Any]]],
) -> dict[str, Any]:
    """A contestant's rounds: the median one, and the ratios of each."""
    mine = runs[name]
    rates = [r['messages_per_s'] for r in mine]
    middle = sorted(mine, key=lambda r: r['messages_per_s'])[len(mine) // 2]
    others = [
        found for other, found in runs.items()
        if other not in {*_OURS, name} and len(found) == len(mine)
    ]
    ratios = {}
    if others:
        best = [max(r['messages_per_s'] for r in turn)
                for turn in zip(*others, strict=True)]
        leanest = [min(_cpu(r) for r in turn)
                   for turn in zip(*others, strict=True)]
        ratios = {
            'to_best_rival': [r / b for r, b in zip(rates, best, strict=True)],
            'to_leanest_rival': [
                least / _cpu(r) for r, least in zip(mine, leanest, strict=True)
            ],
        }
    return {
        'version': middle['version'], 'saturated': middle,
        'all_messages_per_s': rates, 'ratios': ratios,
        'paced': {
            pace: _median_pace(found) for pace, found in paced.items() if found
        },
    }


def _span(rates: list[float]) -> str:
    return f'{min(rates):,.0f} – {max(rates):,.0f}'


def _cpu(run_: dict[str, Any]) -> float:
    """CPU seconds a million messages, of all its processes."""
    return float(sum(run_['cpu_s_per_million'].values()))


def _median_pace(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The round whose p99 is the median one; lost are those of all."""
    done = [f for f in found if 'skipped' not in f]
    if not done:
        return found[0]
    done.sort(key=lambda f: f['latency_us']['p99'])
    middle = done[len(done) // 2]
    return middle | {
        'lost': sum(f['lost'] for f in done),
        'all_p99_us': [f['latency_us']['p99'] for f in done],
    }


def _show(found: dict[str, Any]) -> None:
    done = {n: f for n, f in found.items() if 'skipped' not in f}
    rows = []
    for name, figures in found.items():
        if 'skipped' in figures:
            rows.append([name, 'skipped: ' + figures['skipped'][:60],
                         *[None] * 8])
            continue
        flat = figures['saturated']
        rate = flat['messages_per_s']
        ticks = rate * flat['ticks_sent'] / flat['sent']
        ratios = {
            what: statistics.median(each)
            for what, each in figures['ratios'].items()
        }
        flat['ticks_per_s'] = ticks
        flat['ticks_per_s_per_core'] = (
            flat['ticks_sent'] / flat['sent'] * 1e6 / _cpu(flat)
        )
        rows.append([
            f'{name} {figures["version"]}'.strip(), rate,
            _span(figures['all_messages_per_s']),
            ticks, ratios.get('to_best_rival'),
            ' + '.join(
                f'{c:.2f}' for c in flat['cpu_s_per_million'].values()
            ),
            1e6 / _cpu(flat), ratios.get('to_leanest_rival'),
            flat['lost'], flat['received'],
        ])
    show(
        'As fast as each takes them (a book message is two of piker’s ticks)',
        ('contestant', 'messages/s', 'least – most', 'ticks/s',
         '× best rival', 'CPU s/M messages', 'messages/CPU s',
         '× leanest rival', 'lost', 'received'),
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
