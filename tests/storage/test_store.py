"""
The library on a local directory and on an object store.
"""
from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storage.conftest import BARS, SYMBOL, TICKS, S, bars, trades

from piker.data.bars import BAR_DTYPE
from piker.data.storage import Store, TableId
from piker.data.storage.names import escape, unescape
from piker.data.storage.scan import scan
from piker.data.ticks import TICK_DTYPE
from piker.errors import BadInput, StorageError

few = settings(
    max_examples=15, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@given(st.text(min_size=1))
def test_escaping_is_reversible(text: str) -> None:
    part = escape(text)
    assert unescape(part) == text
    assert '/' not in part
    assert not part.startswith('.')
    assert part == part.lower()


@given(st.text(min_size=1), st.text(min_size=1))
def test_escaping_tells_names_apart(one: str, other: str) -> None:
    assert (escape(one) == escape(other)) == (one == other)


@pytest.mark.parametrize('part', ['', '.x', 'A', 'a/b', '_2', '_61', '_ff'])
def test_what_was_never_escaped_is_refused(part: str) -> None:
    with pytest.raises(BadInput):
        unescape(part)


def test_bars_and_ticks_come_back(store: Store) -> None:
    rows, ticks = bars(range(1000, 1600)), trades(range(500))
    assert not len(store.read_bars(SYMBOL, 1))
    assert not len(store.read_ticks(SYMBOL))
    assert store.bounds(SYMBOL, BARS) is None
    for at in range(0, 600, 200):
        store.append_bars(SYMBOL, 1, rows[at:at + 200])
    store.append_ticks(SYMBOL, ticks)
    assert store.read_bars(SYMBOL, 1).dtype == BAR_DTYPE
    assert (store.read_bars(SYMBOL, 1) == rows).all()
    assert (store.read_bars(SYMBOL, 1, 1100 * S, 1300 * S)
            == rows[100:300]).all()
    assert (store.read_ticks(SYMBOL) == ticks).all()
    assert store.bounds(SYMBOL, BARS) == (1000 * S, 1599 * S)
    assert store.newest_trade_id(SYMBOL) == 499
    assert store.ls() == [
        TableId.of(SYMBOL, BARS), TableId.of(SYMBOL, TICKS)
    ]
    info = store.info(SYMBOL, BARS)
    assert (info.rows, info.files) == (600, 3)
    # Another process sees the same.
    again = Store(store.root, store.options)
    assert (again.read_bars(SYMBOL, 1) == rows).all()
    assert again.bars_frame(SYMBOL, 1).height == 600
    columns = again.read_bar_columns(SYMBOL, 1)
    assert all((columns[f] == rows[f]).all() for f in rows.dtype.names or ())
    assert again.scan(SYMBOL, TICKS).collect().height == 500


def test_compact_dedupe_delete(store: Store) -> None:
    for at in range(8):
        store.append_bars(SYMBOL, 1, bars(range(at * 10, at * 10 + 10)))
    store.append_bars(SYMBOL, 1, bars(range(15, 35), base=500))
    want = bars(range(80))
    want[15:35] = bars(range(15, 35), base=500)
    assert (store.read_bars(SYMBOL, 1) == want).all()
    assert store.info(SYMBOL, BARS).rows == 100
    done = store.compact(SYMBOL, BARS, retention_h=0)
    assert (done.files_before, done.files_after) == (9, 1)
    assert (store.read_bars(SYMBOL, 1) == want).all()
    assert store.info(SYMBOL, BARS).rows == 80
    store.append_bars(SYMBOL, 1, bars([20], base=900))
    assert store.read_bars(SYMBOL, 1)['open'][20] == 920
    store.delete(SYMBOL, BARS)
    assert store.ls() == []
    assert not len(store.read_bars(SYMBOL, 1))
    store.append_bars(SYMBOL, 1, bars([5]))
    assert len(store.read_bars(SYMBOL, 1)) == 1
    assert store.ls() == [TableId.of(SYMBOL, BARS)]


def test_ring_position_is_kept_with_the_rows(store: Store) -> None:
    assert store.ring_position(SYMBOL, 'ring@1') is None
    store.append_ticks(SYMBOL, trades(range(5)), ring='ring@1', position=7)
    assert store.ring_position(SYMBOL, 'ring@1') == 7
    store.append_ticks(SYMBOL, trades(range(5, 9)), ring='ring@2', position=3)
    again = Store(store.root, store.options)
    assert again.ring_position(SYMBOL, 'ring@1') == 7
    assert again.ring_position(SYMBOL, 'ring@2') == 3


batches = st.lists(
    st.lists(st.integers(0, 60), min_size=1, max_size=20), max_size=6
)


@few
@given(batches, st.integers(0, 6))
def test_the_newest_bar_wins(
    fresh_store: Callable[[], Store],
    batches: list[list[int]],
    compact_after: int,
) -> None:
    store = fresh_store()
    model: dict[int, float] = {}
    for at, batch in enumerate(batches):
        base = 1000.0 * (at + 1)
        rows = bars(batch, base)
        store.append_bars(SYMBOL, 1, rows)
        model |= dict(
            zip(rows['time'].tolist(), rows['open'].tolist(), strict=True)
        )
        if at == compact_after:
            store.compact(SYMBOL, BARS, retention_h=0)
    found = store.read_bars(SYMBOL, 1)
    assert found['time'].tolist() == sorted(model)
    assert found['open'].tolist() == [model[t] for t in sorted(model)]
    part = store.read_bars(SYMBOL, 1, 20 * S, 40 * S)
    inside = (found['time'] >= 20 * S) & (found['time'] < 40 * S)
    assert (part == found[inside]).all()
    # gaps
    have = {t // S for t in model}
    gaps = store.gaps(SYMBOL, 1)
    missing = {i for a, b in gaps for i in range(a // S, b // S)}
    span = set(range(min(have), max(have) + 1)) if have else set()
    assert missing == span - have
    whole = store.gaps(SYMBOL, 1, 10 * S, 50 * S)
    assert {
        i for a, b in whole for i in range(a // S, b // S)
    } == set(range(10, 50)) - have


@few
@given(batches)
def test_trades_are_stored_once(
    fresh_store: Callable[[], Store], batches: list[list[int]]
) -> None:
    store = fresh_store()
    for at, batch in enumerate(batches):
        store.append_ticks(SYMBOL, trades(batch))
        if at == 2:
            store.compact(SYMBOL, TICKS, retention_h=0)
    ids = sorted({id_ for batch in batches for id_ in batch})
    found = store.read_ticks(SYMBOL)
    assert (found == trades(ids)).all()
    assert store.newest_trade_id(SYMBOL) == (max(ids) if ids else None)


def test_quotes_are_told_apart(local: Store) -> None:
    rows = np.zeros(4, TICK_DTYPE)
    rows['time'] = 5 * S
    rows['id'] = 7
    rows['kind'] = [2, 3, 2, 1]
    rows['price'] = [10, 11, 10, 10]
    rows['size'] = 1
    local.append_ticks(SYMBOL, rows)
    assert len(local.read_ticks(SYMBOL)) == 3
    local.append_ticks(SYMBOL, rows)
    assert sorted(local.read_ticks(SYMBOL)['kind'].tolist()) == [1, 2, 3]


def test_a_range_opens_only_the_files_it_needs(local: Store) -> None:
    for at in range(20):
        start = at * 1000
        local.append_bars(SYMBOL, 1, bars(range(start, start + 1000)))
    snapshot = local.table(SYMBOL, BARS).snapshot()
    assert snapshot is not None
    assert len(snapshot.files) == 20
    frame = scan(BARS, snapshot, 5200 * S, 5700 * S)
    plan = frame.explain()
    named = [f.path for f in snapshot.files if f.path in plan]
    inside = [f for f in snapshot.files if f.min_ns == 5000 * S]
    assert named == [inside[0].path]
    # What is not needed is not even looked at.
    table = Path(snapshot.base)
    for file in snapshot.files:
        if file is not inside[0]:
            (table / file.path).unlink()
    assert frame.collect().height == 500
    assert len(local.read_bars(SYMBOL, 1, 5200 * S, 5700 * S)) == 500


def test_a_table_another_engine_rearranged_reads_the_same(
    local: Store,
) -> None:
    local.append_bars(SYMBOL, 1, bars(range(100)))
    local.append_bars(SYMBOL, 1, bars(range(50, 60), base=700))
    want = local.read_bars(SYMBOL, 1)
    delta = local.table(SYMBOL, BARS).delta()
    delta.optimize.compact()
    assert len(delta.file_uris()) == 1
    assert (local.read_bars(SYMBOL, 1) == want).all()
    # Delta readers that know nothing of us find every row and may choose.
    assert pl.read_delta(delta.table_uri).height == 110


def test_readers_at_work_survive_a_compaction(local: Store) -> None:
    for at in range(5):
        local.append_bars(SYMBOL, 1, bars(range(at * 10, at * 10 + 10)))
    frame = local.scan(SYMBOL, BARS)
    local.compact(SYMBOL, BARS)
    assert frame.collect().height == 50
    assert local.info(SYMBOL, BARS).files == 1


def test_compaction_meets_an_append(local: Store) -> None:
    table = local.table(SYMBOL, BARS)
    for at in range(3):
        local.append_bars(SYMBOL, 1, bars(range(at * 10, at * 10 + 10)))
    calls = 0

    def change(snapshot: object) -> pl.DataFrame:
        nonlocal calls
        calls += 1
        if calls == 1:
            local.append_bars(SYMBOL, 1, bars([15], base=700))
        return scan(
            BARS, snapshot, 0, 30 * S, written=True, merge=True,  # type: ignore[arg-type]
        ).collect()

    table.rewrite(0, 30 * S, change)
    assert calls == 2
    found = local.read_bars(SYMBOL, 1)
    assert len(found) == 30
    assert found['open'][15] == 715


def test_background_compaction_leaves_large_files_alone(
    local: Store,
) -> None:
    local.append_bars(SYMBOL, 1, bars(range(5000)))
    for at in range(40):
        start = 5000 + at * 3
        local.append_bars(SYMBOL, 1, bars(range(start, start + 3)))
    assert local.info(SYMBOL, BARS).files == 41
    assert local.compact(SYMBOL, BARS, least_files=50).ranges == 0
    done = local.compact(SYMBOL, BARS, least_files=32, vacuum=False)
    assert done.files_after == 2
    assert len(local.read_bars(SYMBOL, 1)) == 5120


def test_leftovers_of_a_crash_are_ignored_and_swept(local: Store) -> None:
    local.append_bars(SYMBOL, 1, bars(range(10)))
    path = local.table(SYMBOL, BARS).path
    assert path is not None
    orphan = path / 'part-00000-orphan-c000.zstd.parquet'
    shutil.copy(next(path.glob('*.parquet')), orphan)
    staged = path / 'part-00000-x.parquet#1'
    staged.write_bytes(b'half')
    temporary = path / '_delta_log' / '_commit_x.json.tmp'
    temporary.write_bytes(b'half')
    again = Store(local.root)
    assert len(again.read_bars(SYMBOL, 1)) == 10
    again.compact(SYMBOL, BARS)
    assert orphan.exists()  # may be in the making still
    time.sleep(0.01)
    again.compact(SYMBOL, BARS, retention_h=0)
    assert not any(p.exists() for p in (orphan, staged, temporary))
    assert len(again.read_bars(SYMBOL, 1)) == 10


@pytest.mark.parametrize('keep', [0, 0.5, 0.99])
def test_a_log_that_is_cut_off_is_mended(
    local: Store, keep: float
) -> None:
    for at in range(3):
        local.append_bars(SYMBOL, 1, bars(range(at * 10, at * 10 + 10)))
    path = local.table(SYMBOL, BARS).path
    assert path is not None
    last = max((path / '_delta_log').glob('*.json'))
    whole = last.read_bytes()
    last.write_bytes(whole[:int(len(whole) * keep)])
    again = Store(local.root)
    assert (again.read_bars(SYMBOL, 1) == bars(range(20))).all()
    again.append_bars(SYMBOL, 1, bars(range(20, 40)))
    assert (again.read_bars(SYMBOL, 1) == bars(range(40))).all()


@pytest.mark.parametrize('keep', [0, 100, None])
def test_a_data_file_that_is_cut_off_becomes_a_gap(
    local: Store, keep: int | None
) -> None:
    for at in range(3):
        local.append_bars(SYMBOL, 1, bars(range(at * 10, at * 10 + 10)))
    snapshot = local.table(SYMBOL, BARS).snapshot()
    assert snapshot is not None
    middle = next(f for f in snapshot.files if f.min_ns == 10 * S)
    path = Path(snapshot.base) / middle.path
    if keep is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:keep])
    again = Store(local.root)
    assert again.gaps(SYMBOL, 1) == [(10 * S, 20 * S)]
    again.append_bars(SYMBOL, 1, bars(range(10, 20)))
    assert (again.read_bars(SYMBOL, 1) == bars(range(30))).all()
    # Who has the table open already finds out when reading.
    assert (local.read_bars(SYMBOL, 1) == bars(range(30))).all()


def test_a_clock_that_runs_back_changes_nothing(
    local: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.append_bars(SYMBOL, 1, bars([5], base=100))
    monkeypatch.setattr(time, 'time_ns', lambda: 1)
    for store in (local, Store(local.root)):
        store.append_bars(SYMBOL, 1, bars([5], base=200))
        assert local.read_bars(SYMBOL, 1)['open'][0] == 205


def test_errors_name_the_place_and_the_way_out(
    local: Store, tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match='nothing is stored'):
        local.info(SYMBOL, BARS)
    blocked = tmp_path / 'file'
    blocked.write_text('')
    with pytest.raises(StorageError, match=r'file.*cannot be written'):
        Store(blocked).append_bars(SYMBOL, 1, bars([1]))
    with pytest.raises(BadInput, match='kind of table'):
        local.info(SYMBOL, 'bars')
    with pytest.raises(StorageError, match='s3://bucket/prefix'):
        Store('s3://')


def test_an_object_store_that_is_down_is_an_error_of_ours(
    s3_server: dict[str, str],
) -> None:
    options = {
        **s3_server, 'AWS_ENDPOINT_URL': 'http://127.0.0.1:9',
        'max_retries': '0', 'retry_timeout': '100ms',
    }
    store = Store('s3://tables/down', options)
    with pytest.raises(StorageError, match=r'object store can be reached'):
        store.append_bars(SYMBOL, 1, bars([1]))


def test_what_replaces_a_file_is_on_disk_before_that_goes(
    local: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(3):
        local.append_bars(SYMBOL, 1, bars(range(at * 10, at * 10 + 10)))
    path = local.table(SYMBOL, BARS).path
    assert path is not None
    before = set(path.glob('*.parquet'))
    forced: list[Path] = []
    fsync = os.fsync

    def note(file: int) -> None:
        assert before <= set(path.glob('*.parquet'))
        forced.append(Path(f'/proc/self/fd/{file}').readlink())
        fsync(file)

    monkeypatch.setattr(os, 'fsync', note)
    local.compact(SYMBOL, BARS, retention_h=0)
    after = set(path.glob('*.parquet'))
    assert not after & before
    entries = set((path / '_delta_log').glob('*.json'))
    assert {*after, path, path / '_delta_log'} <= set(forced)
    assert entries & set(forced)


def test_a_snapshot_is_read_anew_only_once_the_log_has_gone_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes, and also where a table is made again from nothing."""
    other = Store(store.root, store.options)
    store.append_bars(SYMBOL, 1, bars(range(5)))
    table = store.table(SYMBOL, BARS)
    assert len(store.read_bars(SYMBOL, 1)) == 5
    with monkeypatch.context() as patch:
        if table.path is not None:  # elsewhere a look costs as much
            patch.setattr(table, '_open', lambda: pytest.fail('read anew'))
        assert len(store.read_bars(SYMBOL, 1)) == 5
    other.append_bars(SYMBOL, 1, bars(range(5, 7)))
    assert len(store.read_bars(SYMBOL, 1)) == 7
    other.delete(SYMBOL, BARS)
    assert len(store.read_bars(SYMBOL, 1)) == 0
    # Made again, with as many entries in its log as before.
    other.append_bars(SYMBOL, 1, bars(range(1)))
    other.append_bars(SYMBOL, 1, bars(range(1, 3)))
    assert len(store.read_bars(SYMBOL, 1)) == 3
