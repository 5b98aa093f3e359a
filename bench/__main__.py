"""Run benchmarks by name: ``python -m bench NAME...``."""
from __future__ import annotations

import argparse
import sys
import time
import traceback
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path

from piker.errors import ConfigError
from piker.service.awake import cores_awake

from . import soak, stream
from .common import (
    BenchError,
    Options,
    console,
    describe,
    machine,
    say,
    write,
)

NAMES = {
    'startup': 'daemons, first quote, first chart: cold, warm, imports',
    'latency': 'venue to reader in another process at 1x and 10x',
    'memory': 'each daemon and each further symbol',
    'throughput': 'piker and other libraries on the same stream',
    'shm': 'ring and bars with many readers',
    'storage': 'loading stored bars, and other libraries on the same table',
    'ui': 'tick paint, pan, zoom, full view with a million bars',
    'hotpath': "where brokerd's time goes",
    'dark': 'what a tick costs with 10 to 10,000 dark orders',
    'ems': 'tick to triggered order, client to the venue’s book',
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m bench', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='\n'.join(
            f'  {n:<14}{t}' for n, t in (NAMES | soak.NAMES).items()
        ),
    )
    parser.add_argument(
        'names', nargs='+', metavar='NAME',
        choices=[*NAMES, *soak.NAMES, 'all'],
        help='what to run, or all (but for soaks)',
    )
    parser.add_argument(
        '--quick', action='store_true', help='rough figures, a few minutes'
    )
    parser.add_argument(
        '--full', action='store_true',
        help='the whole recording at 1x as well',
    )
    parser.add_argument(
        '--smoke', action='store_true',
        help='the least that shows that it works; the figures mean nothing',
    )
    parser.add_argument(
        '--awake', action='store_true',
        help='keep cores from sleeping meanwhile, for all contestants',
    )
    parser.add_argument(
        '--only', action='append', default=[], metavar='CONTESTANT',
        help='throughput: only this contestant; repeatable',
    )
    parser.add_argument(
        '--recording', default=str(stream.DEFAULT), metavar='FILE',
        help='the recorded stream (default: of PIKER_RECORDINGS)',
    )
    parser.add_argument(
        '--output', type=Path, metavar='DIR',
        default=Options.output, help='where the JSON goes',
    )
    group = parser.add_argument_group('soaks', 'only for names in soak-')
    group.add_argument(
        '--seconds', type=float, default=0, help='symbols, faults (600)'
    )
    group.add_argument(
        '--symbols', type=int, default=0,
        help='how many (300; of the embedded venue 3 and 5, at most 8)',
    )
    group.add_argument(
        '--operations', type=int, default=0, help='ems: how many (10000)'
    )
    group.add_argument('--kills', type=int, default=0, help='kills (100)')
    group.add_argument(
        '--seed', type=int, default=1, help='of what comes by chance (1)'
    )
    group.add_argument('--days', type=float, default=0, help='week (7)')
    group.add_argument(
        '--workers', type=int, default=1, help='processes of a provider (1)'
    )
    return parser.parse_args()


def main() -> int:
    given = parse()
    try:
        with cores_awake() if given.awake else nullcontext():
            return run(given)
    except ConfigError as err:
        say(str(err))
        return 1


def run(given: argparse.Namespace) -> int:
    """What was asked for, one after the other; 1 if anything failed."""
    options = Options(
        smoke=given.smoke, quick=given.quick, full=given.full,
        only=tuple(given.only), recording=given.recording,
        output=given.output,
    )
    if not options.smoke and not Path(options.recording).exists():
        say(
            f'no recording at {options.recording}: a made-up stream is used; '
            'name one with --recording or PIKER_RECORDINGS'
        )
        options.recording = ''
    names = list(NAMES) if 'all' in given.names else given.names
    about = machine() | {'cores_awake': given.awake}
    console.print(describe(about), highlight=False)
    console.print()
    failed = 0
    for name in names:
        began = time.monotonic()
        try:
            if name in soak.NAMES:
                found = soak.run(name, options, soak.Limits(
                    given.seconds, given.symbols, given.kills, given.seed,
                    given.workers, given.days, given.operations,
                ))
                failed |= bool(found['failed'])
            else:
                module = import_module(f'.{name}', __package__)
                found = module.run(options)
        except BenchError as err:
            say(f'{name} failed: {err}')
            failed = 1
            continue
        except Exception:
            # One that breaks must not cost the figures of the others.
            traceback.print_exc()
            say(f'{name} failed')
            failed = 1
            continue
        took = time.monotonic() - began
        path = write(options, name, {
            'benchmark': name,
            'machine': about,
            'options': {
                'quick': options.quick, 'full': options.full,
                'smoke': options.smoke,
                'recording': Path(options.recording).name,
            },
            'took_s': took,
            'figures': found,
        })
        say(f'{name}: {took:.0f} s, figures in {path.name}')
    return failed


if __name__ == '__main__':
    sys.exit(main())
