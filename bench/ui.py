"""
The chart with a long history, in memory: tick, pan, zoom, full view.

Each side paints in a process of its own on Qt's offscreen platform.
"""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from . import rivals
from .common import BenchError, Options, Told, say, show


def _paint(command: list[str]) -> dict[str, Any]:
    told = Told(command)
    try:
        return told.hear_all('tick', 300)
    finally:
        told.end()


def run(options: Options) -> dict[str, Any]:
    bars = options.pick(20_000, 1_000_000, 1_000_000)
    turns = options.pick(3, 15, 50)
    found: dict[str, Any] = {'bars': bars}
    say('piker')
    found['piker'] = _paint([
        sys.executable, '-m', 'bench.paint', str(bars), str(turns),
    ])
    if not options.smoke:
        say('finplot')
        try:
            python = rivals.environment(rivals.FINPLOT)
            found['finplot'] = _paint([
                str(python),
                str(Path(__file__).parent / 'adapters' / 'finplot_paint.py'),
                str(bars), str(max(3, turns // 5)),
            ])
        except BenchError as err:
            found['finplot'] = {'skipped': str(err)}
            say(f'finplot: skipped: {err}')
    rows = []
    for name in ('piker', 'finplot'):
        each = found.get(name, {})
        if 'skipped' in each:
            rows.append([f'{name}: skipped: {each["skipped"][:60]}',
                         *[None] * 3])
            continue
        label = f'{name} {each.get("version", "")}'.strip()
        for what, values in each.items():
            if isinstance(values, dict):
                rows.append([f'{label}: {what}', values['median'],
                             values['min'], values['max']])
    show(
        f'Painting with {bars:,} bars, 1600×900, ms',
        ('what', 'median', 'min', 'max'), rows,
    )
    return found
