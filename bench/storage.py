"""
Loading stored bars: through ``stored``, as a library, and as others do.
"""
from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from . import rivals
from .common import (
    ROOT,
    BenchError,
    Options,
    Pikerd,
    Place,
    Told,
    open_place,
    say,
    show,
)
from .loads import SYMBOL

_START_S = 1_700_000_000
_S = 1_000_000_000
_EVERYTHING = (0, 1 << 62)
_RANGE_BARS = 10_000
_BATCH = 50_000
_DUCKDB = 'DuckDB'
WAYS = (
    'StoreClient.load_bar_columns',
    'StoreClient.load_bars',
    'Store.read_bar_columns',
    'Store.bars_frame',
    'Store.read_bars',
    'polars read_parquet',
    'polars scan_delta',
    _DUCKDB,
)
_RIVALS = WAYS[-3:]


def market(many: int) -> np.ndarray:
    """1 s bars of a lively pair: a grid of 0.01, a fifth without trades."""
    from piker.data.bars import BAR_DTYPE

    dice = np.random.default_rng(1)
    trades = dice.poisson(3.0, many) * (dice.random(many) > 0.2)
    busy = trades > 0
    close = np.round(60_000 + np.cumsum(dice.normal(0, 2, many) * busy), 2)
    rows = np.zeros(many, BAR_DTYPE)
    rows['time'] = (_START_S + np.arange(many)) * _S
    rows['open'] = np.concatenate((close[:1], close[:-1]))
    rows['close'] = close
    reach = np.round(np.abs(dice.normal(0, 1, (2, many))) * (trades > 1), 2)
    rows['high'] = np.round(
        np.maximum(rows['open'], close) + reach[0], 2
    )
    rows['low'] = np.round(np.minimum(rows['open'], close) - reach[1], 2)
    rows['volume'] = np.round(dice.exponential(0.05, many) * trades, 5)
    inside = dice.random(many) * (rows['high'] - rows['low'])
    rows['vwap'] = np.where(busy, rows['low'] + inside, close)
    rows['trades'] = trades
    return rows


def _write(place: Place, many: int) -> list[str]:
    """A table as ``stored`` leaves it; its files in order of time."""
    from piker.data.storage import Store

    store = Store(place.base / 'data' / 'tables')
    rows = market(many)
    for at in range(0, many, _BATCH):
        store.append_bars(SYMBOL, 1, rows[at:at + _BATCH])
    store.compact(SYMBOL, 'bars_1s', retention_h=0)
    snapshot = store.table(SYMBOL, 'bars_1s').snapshot()
    assert snapshot is not None
    files = sorted(snapshot.files, key=lambda f: f.min_ns)
    paths = [str(Path(snapshot.base, file.path)) for file in files]
    for path in paths:
        Path(path).read_bytes()
    return paths


@contextmanager
def _contestant(
    way: str, place: Place, files: list[str]
) -> Iterator[Told]:
    command = [sys.executable, '-m', 'bench.loads', way, *files]
    if way == _DUCKDB:
        python = rivals.environment(rivals.DUCKDB)
        script = ROOT / 'bench' / 'adapters' / rivals.DUCKDB.script
        command = [str(python), str(script), *files]
    told = Told(command, env=place.env)
    try:
        told.hear('ready')
        yield told
    finally:
        told.end()


def _load(told: Told, span: tuple[int, int]) -> dict[str, Any]:
    told.tell(load=span)
    found = told.hear_all('loaded_s', 120)
    return {
        'loaded_s': found['loaded_s'], 'read_s': found['read_s'],
        'same': (found['rows'], found['sums']),
    }


def _alternate(
    ways: tuple[str, ...], place: Place, files: list[str],
    span: tuple[int, int], many: int, lives: int, turns: int,
) -> dict[str, dict[str, Any]]:
    """
    Each way in turn, several times over, in ``lives`` processes.

    *First* is the first load of a process, *again* each later one, *at once*
    one more right behind that, whose memory is that of the load before.
    """
    taken: dict[str, dict[str, list[dict[str, Any]]]] = {}
    skipped: dict[str, dict[str, Any]] = {}
    want = None
    for _ in range(lives):
        with ExitStack() as stack:
            tolds = {}
            for way in ways:
                if way in skipped:
                    continue
                try:
                    tolds[way] = stack.enter_context(
                        _contestant(way, place, files)
                    )
                except BenchError as err:
                    say(f'{way}: skipped: {err}')
                    skipped[way] = {'skipped': str(err)}
            for turn in range(turns + 1):
                for way, told in tolds.items():
                    kept = taken.setdefault(way, {
                        'first': [], 'again': [], 'at_once': []
                    })
                    for when in ('again', 'at_once') if turn else ('first',):
                        found = _load(told, span)
                        rows, sums = found.pop('same')
                        want = want or sums
                        # The last digits are those of the order of a sum.
                        if rows != many or not np.allclose(sums, want, 1e-9):
                            raise BenchError(f'{way} loads something else')
                        kept[when].append(found)
    return skipped | {
        way: {
            f'{when}_{what}': statistics.median(f[what] for f in founds)
            for when, founds in kept.items() for what in founds[0]
        }
        for way, kept in taken.items()
    }


def _peak_mb(pid: int) -> float:
    """The most memory that a process has ever had resident."""
    for line in Path(f'/proc/{pid}/status').read_text().splitlines():
        if line.startswith('VmHWM:'):
            return int(line.split()[1]) / 1024
    raise BenchError('the daemon has ended')


def _table(title: str, found: dict[str, dict[str, Any]]) -> None:
    rows = []
    measured = {w: f for w, f in found.items() if 'skipped' not in f}
    best = {
        key: min(measured[way][key] for way in _RIVALS if way in measured)
        for key in (
            'first_loaded_s', 'again_loaded_s', 'at_once_loaded_s',
            'again_read_s',
        )
    }
    for way, each in measured.items():
        each |= {
            f'{key}_to_best': each[key] / least
            for key, least in best.items()
        }
        rows.append([way, *(
            figure for key in best
            for figure in (each[key] * 1e3, each[f'{key}_to_best'])
        )])
    show(title, (
        'ms', 'first', 'to best', 'again', 'to best', 'at once', 'to best',
        'again, read', 'to best',
    ), rows)


def run(options: Options) -> dict[str, Any]:
    many = options.pick(30_000, 2_000_000, 10_000_000)
    lives, turns = options.pick((1, 1), (2, 3), (3, 5))
    # Nothing is installed for a smoke test.
    ways = WAYS[:-1] if options.smoke else WAYS
    middle = (_START_S + many // 2 - _RANGE_BARS // 2) * _S
    spans = {
        'whole': (_EVERYTHING, many),
        'range': ((middle, middle + _RANGE_BARS * _S), _RANGE_BARS),
    }
    found: dict[str, Any] = {'bars': many}
    with open_place() as place:
        say(f'writing {many:,} bars')
        files = _write(place, many)
        found['files'] = len(files)
        found['bytes'] = sum(Path(path).stat().st_size for path in files)
        pikerd = Pikerd(place, '--with', 'stored')
        try:
            while not (stored := place.daemon_pid('stored')):
                time.sleep(0.02)
            before = _peak_mb(stored)
            for name, (span, rows) in spans.items():
                say(f'{name}: {rows:,} bars, {lives} × {turns + 1} loads')
                found[name] = _alternate(
                    ways, place, files, span, rows, lives, turns
                )
            found['stored'] = {
                'peak_before_mb': before, 'peak_mb': _peak_mb(stored),
            }
        finally:
            pikerd.stop()
    for name, (_, rows) in spans.items():
        _table(f'{rows:,} of {many:,} bars', found[name])
    show('stored', ('resident at most', 'MB'), [
        ['before', found['stored']['peak_before_mb']],
        ['after all loads', found['stored']['peak_mb']],
    ])
    return found
