"""
Long runs that end in a check of truth, by name.

Those that need a tree start it, look at its processes and judge; the client
that holds the feeds is a process of its own, ``python -m bench.soak``.
"""
from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import trio

from .common import Options, say
from .soak_ems import run_ems
from .soak_faults import faults_client, run_faults
from .soak_kills import kills_client, run_kills
from .soak_symbols import run_symbols, symbols_client
from .soak_tools import Limits
from .soak_week import run_week

__all__ = ['NAMES', 'Limits', 'run']

NAMES = {
    'soak-symbols': 'hundreds of busy symbols at once, every message counted',
    'soak-kills': 'daemons killed at random; ticks, bars, tables compared',
    'soak-faults': 'a venue that misbehaves at random; all of it compared',
    'soak-ems': 'random orders, everything killed; two sets of books',
    'soak-week': 'a week on a virtual clock: midnights, leaps, rollover',
}


def run(name: str, options: Options, limits: Limits) -> dict[str, Any]:
    """Run one; ``failed`` of what it returns lists the checks that did."""
    found = {
        'soak-symbols': run_symbols,
        'soak-kills': run_kills,
        'soak-faults': run_faults,
        'soak-ems': run_ems,
        'soak-week': run_week,
    }[name](options, limits)
    found['limits'] = asdict(limits)
    for line in found['failed']:
        say(f'FAILED: {line}')
    return found


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
