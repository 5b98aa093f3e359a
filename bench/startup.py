"""
How long one waits: daemons, first quote, first chart, cold and warm.
"""
from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from .common import (
    ROOT,
    BenchError,
    Options,
    Pikerd,
    Place,
    open_place,
    say,
    show,
    spread,
)

_IMPORT = re.compile(r'import time:\s+(\d+) \|\s+(\d+) \| \s*(\S+)')
_SYMBOL = 'btcusdt.sim'
# What each kind of process imports before it is of use.
_IMPORTS = {
    'pikerd': 'import piker.cli.pikerd',
    'brokerd': (
        'import piker.service.child, piker.brokers.daemon, '
        'piker.brokers.binance'
    ),
    'simd': (
        'import piker.service.child, piker.brokers.sim.daemon, '
        'piker.brokers.sim.app, piker.brokers.sim.server, '
        'hypercorn.trio.tcp_server'
    ),
    'piker watch': 'import piker.cli.main, piker.cli.watch',
    'piker chart': (
        'import piker.cli.main, piker.cli.chart, piker.ui.window, '
        'piker.ui.session, piker.ui.guest'
    ),
}


def _piker(place: Place, *args: str) -> dict[str, float]:
    """Seconds to the first byte of output and to the end."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, '-m', *args], env=place.env, cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    first = process.stdout.read(1)
    seen = time.perf_counter() - began
    _, errors = process.communicate()
    if process.returncode:
        raise BenchError(errors.decode(errors='replace')[-300:])
    found = {'end': time.perf_counter() - began}
    if first:
        found['first'] = seen
    return found


def _watch(place: Place) -> dict[str, float]:
    found = _piker(place, 'piker.cli.main', 'watch', '--count', '1', _SYMBOL)
    return {'first line': found['first'], 'exit': found['end']}


def _chart(place: Place) -> dict[str, float]:
    shot = place.base / 'shot.png'
    found = _piker(
        place, 'piker.cli.main', 'chart', _SYMBOL, '--after', '0',
        '--screenshot', str(shot),
    )
    assert shot.stat().st_size > 1000
    shot.unlink()
    return {'screenshot, exit': found['end']}


def _first_paint(place: Place) -> dict[str, float]:
    return {
        'first paint': _piker(place, 'bench.first_paint', _SYMBOL)['first']
    }


def _series(
    runs: int, *, warm: bool, parts: tuple[Callable[..., Any], ...]
) -> dict[str, dict[str, float]]:
    """Each part's figures, cold or with a daemon that has the feed."""
    taken: dict[str, list[float]] = {}
    with ExitStack() as stack:
        if warm:
            place = stack.enter_context(open_place())
            pikerd = Pikerd(place)
            stack.callback(pikerd.stop)
            _watch(place)
        for part in parts:
            for _ in range(runs):
                if warm:
                    found = part(place)
                else:
                    with open_place() as fresh:
                        found = part(fresh)
                for name, seconds in found.items():
                    taken.setdefault(name, []).append(seconds)
    return {name: spread(values) for name, values in taken.items()}


def _pikerd(place: Place) -> dict[str, float]:
    pikerd = Pikerd(place)
    began = time.perf_counter()
    pikerd.stop()
    return {
        'ready': pikerd.seconds, 'stop': time.perf_counter() - began
    }


def _imports(code: str) -> dict[str, Any]:
    """Time of an interpreter that only imports, and what takes longest."""
    def once(*flags: str) -> tuple[float, str]:
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *flags, '-c', code], cwd=ROOT, check=True,
            capture_output=True, text=True,
        )
        return time.perf_counter() - began, done.stderr

    wall = min(once()[0] for _ in range(3))
    bare = min(_bare_interpreter() for _ in range(3))
    rows = [
        (int(own), int(total), name)
        for own, total, name in _IMPORT.findall(
            once('-X', 'importtime')[1]
        )
    ]
    own: dict[str, int] = {}
    for each, _, name in rows:
        top = name.partition('.')[0]
        own[top] = own.get(top, 0) + each
    dearest = sorted(rows, key=lambda r: -r[1])
    return {
        'wall_s': wall,
        'interpreter_s': bare,
        'packages_ms': {
            k: v / 1e3
            for k, v in sorted(own.items(), key=lambda i: -i[1])[:5]
        },
        'modules_ms': {
            name: total / 1e3 for _, total, name in dearest[:12]
        },
    }


def _bare_interpreter() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, '-c', ''], check=True)
    return time.perf_counter() - began


def run(options: Options) -> dict[str, Any]:
    runs = options.pick(1, 2, 7)
    found: dict[str, Any] = {}
    say('pikerd')
    found['pikerd'] = _series(runs, warm=False, parts=(_pikerd,))
    parts: tuple[Callable[..., Any], ...] = (_watch, _chart, _first_paint)
    if options.smoke:
        parts = (_watch,)
    for kind in ('warm',) if options.smoke else ('cold', 'warm'):
        say(f'clients, {kind}')
        found[kind] = _series(runs, warm=kind == 'warm', parts=parts)
    rows = [
        [f'{kind}: {what}', each['median'] * 1e3, each['min'] * 1e3,
         each['max'] * 1e3]
        for kind, figures in found.items()
        for what, each in figures.items()
    ]
    show('From command to …, ms', ('what', 'median', 'min', 'max'), rows)
    say('imports')
    todo = _IMPORTS if not options.smoke else {
        'pikerd': _IMPORTS['pikerd']
    }
    found['imports'] = {name: _imports(code) for name, code in todo.items()}
    rows = []
    for name, each in found['imports'].items():
        top = ', '.join(
            f'{k} {v:.0f}' for k, v in each['packages_ms'].items()
        )
        rows.append([
            name, each['interpreter_s'] * 1e3, each['wall_s'] * 1e3, top
        ])
    show(
        'Interpreter and imports, ms (own time by package)',
        ('process', 'bare Python', 'with imports', 'dearest packages'),
        rows,
    )
    return found
