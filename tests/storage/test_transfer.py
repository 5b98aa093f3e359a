"""
Export, import, fill, and the command line.
"""
from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storage.conftest import BARS, SYMBOL, TICKS, S, bars, trades
from suite import Daemon

from piker.cli.store import store as command
from piker.clock import format_ns
from piker.data.storage import Store, TableId
from piker.data.storage.fill import fill_gaps, to_rows
from piker.data.storage.transfer import export_table, import_table
from piker.errors import BadInput, BadMessage, StorageError, VenueDown
from piker.service import Tree

finite = st.floats(0, 1e12, allow_nan=False)


@pytest.mark.parametrize('form', ['parquet', 'csv'])
@settings(
    max_examples=10, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(values=st.lists(finite, min_size=1, max_size=20))
def test_what_goes_out_comes_back(
    tmp_path_factory: pytest.TempPathFactory, form: str, values: list[float]
) -> None:
    base = tmp_path_factory.mktemp('x')
    one, other = Store(base / 'one'), Store(base / 'other')
    rows = bars(range(len(values)))
    for field in ('open', 'high', 'low', 'close', 'vwap', 'volume'):
        rows[field] = values
    one.append_bars(SYMBOL, 1, rows)
    file = base / f'bars.{form}'
    table = TableId.of(SYMBOL, BARS)
    assert export_table(one, table, file) == len(rows)
    assert import_table(other, table, file) == len(rows)
    assert (other.read_bars(SYMBOL, 1) == rows).all()


@pytest.mark.parametrize('form', ['parquet', 'csv'])
def test_ticks_and_ranges(local: Store, tmp_path: Path, form: str) -> None:
    ticks = trades(range(100))
    local.append_ticks(SYMBOL, ticks)
    start, end = int(ticks['time'][20]), int(ticks['time'][60])
    file = tmp_path / f'x.{form}'
    seen: list[int] = []
    table = TableId.of(SYMBOL, TICKS)
    assert export_table(
        local, table, file, start_ns=start, end_ns=end, progress=seen.append
    ) == 40 == sum(seen)
    other = Store(tmp_path / 'other')
    import_table(other, table, file)
    assert (other.read_ticks(SYMBOL) == ticks[20:60]).all()
    assert [p.name for p in tmp_path.iterdir() if 'x.' in p.name] == [
        file.name
    ]


def _set(column: str, row: int, value: Any) -> Any:
    def change(frame: pl.DataFrame) -> pl.DataFrame:
        values = frame[column].to_list()
        values[row] = value
        return frame.with_columns(
            pl.Series(column, values, frame[column].dtype, strict=False)
        )

    return change


BAD = {
    'nan': (_set('open', 3, float('nan')), 'row 3 .*finite'),
    'infinite': (_set('close', 4, float('inf')), 'row 4 .*finite'),
    'null': (_set('close', 4, None), 'row 4 .*close'),
    'volume': (_set('volume', 5, -1.0), 'row 5 .*negative volume'),
    'trades': (_set('trades', 5, -1), 'row 5 .*negative trade'),
    'high': (_set('high', 6, 1.0), 'row 6 .*high below its low'),
    'again': (_set('time', 7, 6 * S), 'row 7 has the time of the row'),
    'back': (_set('time', 7, 2 * S), 'row 7 is older'),
    'off': (_set('time', 2, 2 * S + 1), 'row 2 .*multiple'),
    'column': (lambda f: f.drop('low'), 'no column low'),
    'text': (
        lambda f: f.with_columns(pl.lit('x').alias('open')), 'open',
    ),
}


@pytest.mark.parametrize('form', ['parquet', 'csv'])
@pytest.mark.parametrize('name', BAD)
def test_bad_files_are_refused_whole(
    local: Store, tmp_path: Path, name: str, form: str
) -> None:
    change, message = BAD[name]
    local.append_bars(SYMBOL, 1, bars(range(10)))
    file = tmp_path / f'x.{form}'
    frame = change(local.bars_frame(SYMBOL, 1))
    (frame.write_csv if form == 'csv' else frame.write_parquet)(file)
    other = Store(tmp_path / 'other')
    with pytest.raises(StorageError, match=message) as err:
        import_table(other, TableId.of(SYMBOL, BARS), file)
    assert 'nothing was written' in str(err.value)
    assert other.ls() == []


def test_a_trade_that_comes_twice_is_refused(
    local: Store, tmp_path: Path
) -> None:
    file = tmp_path / 'x.parquet'
    rows = trades([0, 1, 2])
    rows['id'] = [0, 1, 0]
    pl.DataFrame({n: rows[n] for n in rows.dtype.names}).write_parquet(file)
    with pytest.raises(StorageError, match='row 2 has the id'):
        import_table(local, TableId.of(SYMBOL, TICKS), file)


def test_appends_refuse_what_cannot_be(local: Store) -> None:
    rows = bars(range(5))
    rows['close'][2] = np.nan
    with pytest.raises(StorageError, match='row 2'):
        local.append_bars(SYMBOL, 1, rows)
    with pytest.raises(BadInput, match='BAR_DTYPE'):
        local.append_bars(SYMBOL, 1, np.zeros(3))
    assert local.ls() == []


async def test_gaps_are_filled_newest_first(local: Store) -> None:
    whole = bars(range(5000))
    holes = np.ones(5000, bool)
    holes[100:130] = holes[1000:3500] = holes[4998] = False
    local.append_bars(SYMBOL, 1, whole[holes])
    asked: list[tuple[int, int]] = []

    async def fetch(symbol: str, period: int, start: int, end: int) -> Any:
        asked.append((start // S, end // S))
        # At most so many, the newest of them.
        return whole[max(start // S, end // S - 700):end // S]

    seen: list[int] = []
    found = await fill_gaps(local, SYMBOL, 1, fetch, progress=seen.append)
    assert found == (3, 2531, 2531)
    assert sum(seen) == 2531
    assert asked == sorted(asked, reverse=True)
    assert max(b - a for a, b in asked) == 1000
    assert (local.read_bars(SYMBOL, 1) == whole).all()
    assert local.gaps(SYMBOL, 1) == []


async def test_what_the_venue_does_not_have_stays_a_gap(
    local: Store,
) -> None:
    local.append_bars(SYMBOL, 1, bars([0, 2000, 2010]))

    async def fetch(symbol: str, period: int, start: int, end: int) -> Any:
        if end <= 1500 * S:
            return bars([])
        # A quiet stretch: the venue has no bars where nothing traded.
        rows = bars(range(start // S, end // S))
        return rows[rows['time'] % (3 * S) == 0]

    found = await fill_gaps(local, SYMBOL, 1, fetch)
    assert 0 < found.filled < found.missing
    left = local.gaps(SYMBOL, 1)
    assert len(left) == 1
    assert left[0].start_ns == S
    flat = local.read_bars(SYMBOL, 1, 2002 * S, 2003 * S)
    assert flat['volume'][0] == 0

    async def down(symbol: str, period: int, start: int, end: int) -> Any:
        raise VenueDown('gone')

    with pytest.raises(VenueDown):
        await fill_gaps(local, SYMBOL, 1, down)
    with pytest.raises(BadMessage):
        to_rows([[1, 2]])


def test_gaps_are_filled_from_the_venue(
    start_daemon: Callable[..., Daemon], tree: Tree
) -> None:
    daemon = start_daemon()
    day = time.time_ns() // (86400 * S) * 86400 * S - 86400 * S
    times = ['--start', format_ns(day), '--end', format_ns(day + 7200 * S)]
    done = daemon.piker('store', 'fill', 'btcusdt.sim', *times, '--json')
    assert json.loads(done.stdout)['filled'] == 120
    stored = Store()
    rows = stored.read_bars(SYMBOL, 60)
    assert len(rows) == 120
    assert (rows['close'][:-1] > 0).all()
    again = daemon.piker('store', 'fill', 'btcusdt.sim', *times)
    assert again.stdout == '0 of 0 missing bars in 0 gaps filled\n'
    assert daemon.piker('store', 'ls').stdout.count('bars_60s') == 1


def run(*args: str, code: int = 0) -> str:
    done = CliRunner().invoke(command, list(args))
    assert done.exit_code == code, done.output
    return done.output


def test_the_command_line(local: Store, tmp_path: Path) -> None:
    at = ['--root', local.root]
    run('ls', *at)
    local.append_bars(SYMBOL, 1, bars([1, 2, 5, 6]))
    local.append_bars(SYMBOL, 1, bars([9]))
    local.append_ticks(SYMBOL, trades(range(3)))
    assert 'btcusdt.sim' in run('ls', *at)
    listed = [json.loads(x) for x in run('ls', '--json', *at).splitlines()]
    assert [x['rows'] for x in listed] == [5, 3]
    info = json.loads(run('info', SYMBOL, BARS, '--json', *at))
    assert (info['gaps'], info['files'], info['last_ns']) == (2, 2, 9 * S)
    assert 'gaps' in run('info', SYMBOL, BARS, *at)
    ticks = json.loads(run('info', SYMBOL, TICKS, '--json', *at))
    assert ticks['newest_trade_id'] == 2
    gaps = run('gaps', SYMBOL, BARS, '--json', *at).splitlines()
    assert [json.loads(x)['bars'] for x in gaps] == [2, 2]
    assert '1970-01-01 00:00:03' in run('gaps', SYMBOL, BARS, *at)
    file = str(tmp_path / 'x.csv')
    run('export', SYMBOL, BARS, file, '--start', '1970-01-01T00:00:02', *at)
    run('import', 'ethusdt.sim', BARS, file, *at)
    assert len(local.read_bars('ethusdt.sim', 1)) == 4
    done = json.loads(run('compact', SYMBOL, BARS, '--json', *at))
    assert (done['files_before'], done['files_after']) == (2, 1)
    assert len(run('compact', *at).splitlines()) == 3
    failed = CliRunner().invoke(command, ['delete', SYMBOL, BARS, *at])
    assert failed.exit_code == 1
    assert len(local.read_bars(SYMBOL, 1)) == 5
    run('delete', SYMBOL, BARS, '--yes', *at)
    assert not len(local.read_bars(SYMBOL, 1))
    assert 'nothing is stored' in run('info', SYMBOL, BARS, *at, code=7)
    assert 'is not a time' in run(
        'gaps', SYMBOL, BARS, '--start', 'soon', *at, code=2
    )
    assert 'is not a format' in run(
        'import', SYMBOL, BARS, str(tmp_path), *at, code=2
    )
