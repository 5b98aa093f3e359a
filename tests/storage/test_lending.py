"""
Stored bars in shared memory, and the other ways to read the same bars.
"""
from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storage.conftest import BARS, SYMBOL, S, bars

from piker.data.bars import BAR_DTYPE, BAR_FIELDS
from piker.data.shm import SHM_DIR, Segment
from piker.data.storage import Store
from piker.data.storage.client import rows_of
from piker.data.storage.lending import Loan, lend
from piker.errors import StorageError

EVER = 1 << 62


@pytest.fixture
def name() -> Iterator[str]:
    name = f'piker-test-{uuid.uuid4().hex}'
    yield name
    assert not list(SHM_DIR.glob(f'{name}*'))


def never() -> None:
    """Nobody has anything against going on."""


def lent(
    store: Store, start_ns: int = 0, end_ns: int = EVER, most: int = 1 << 24,
) -> np.ndarray:
    """All bars of a range through shared memory, loan after loan."""
    parts = [np.empty(0, BAR_DTYPE)]
    while True:
        name = f'piker-test-{uuid.uuid4().hex}'
        loan = lend(store, name, SYMBOL, 1, start_ns, end_ns, never, most)
        if loan.rows:
            segment = Segment.attach(name)
            segment.unlink()
            assert loan.rows <= min(most, segment.capacity)
            parts.append(rows_of({
                field: segment.columns[field][:loan.rows]
                for field in BAR_FIELDS
            }))
        else:
            assert loan == Loan()
        assert not (SHM_DIR / name).exists()
        if not loan.next_ns:
            return np.concatenate(parts)
        start_ns = loan.next_ns


def ways(
    store: Store, start_ns: int, end_ns: int, most: int
) -> Iterator[np.ndarray]:
    yield lent(store, start_ns, end_ns)
    yield lent(store, start_ns, end_ns, most)
    yield store.read_bars(SYMBOL, 1, start_ns, end_ns)
    yield rows_of(store.read_bar_columns(SYMBOL, 1, start_ns, end_ns))
    frame = store.bars_frame(SYMBOL, 1, start_ns, end_ns)
    yield rows_of({field: frame[field].to_numpy() for field in BAR_FIELDS})


runs = st.tuples(st.integers(0, 150), st.integers(1, 40)).map(
    lambda run: range(run[0], sum(run))
)
writes = st.lists(
    st.one_of(
        # Disjoint and overlapping files, and single bars amended.
        runs,
        st.lists(st.integers(0, 190), min_size=1, max_size=3),
        st.sampled_from(['compact', 'another engine', 'crash']),
    ),
    max_size=8,
)
edges = st.integers(-5, 200 * 4)


@settings(
    max_examples=40, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(writes, st.tuples(edges, edges), st.integers(10, 200))
def test_every_way_reads_the_newest_of_each_bar(
    fresh_store: Callable[[], Store],
    writes: list[range | list[int] | str],
    cut: tuple[int, int],
    most: int,
) -> None:
    store = fresh_store()
    model: dict[int, np.void] = {}
    for at, write in enumerate(writes):
        if not isinstance(write, str):
            rows = bars(write, 1000.0 * (at + 1))
            store.append_bars(SYMBOL, 1, rows)
            model |= dict(zip(rows['time'].tolist(), rows, strict=True))
        elif model:
            change(store, write)
    want = np.array([model[at] for at in sorted(model)], BAR_DTYPE)
    for found in ways(store, 0, EVER, most):
        assert (found == want).all()
        assert len(found) == len(want)
    # Quarters of a second: ranges begin and end between two bars as well.
    start_ns, end_ns = (edge * S // 4 for edge in cut)
    inside = (want['time'] >= start_ns) & (want['time'] < end_ns)
    for found in ways(store, start_ns, end_ns, most):
        assert found.tolist() == want[inside].tolist()


def change(store: Store, how: str) -> None:
    """What may become of a table without a change of its bars."""
    path = store.table(SYMBOL, BARS).path
    assert path is not None
    if how == 'compact':
        store.compact(SYMBOL, BARS, retention_h=0)
    elif how == 'another engine':
        store.table(SYMBOL, BARS).delta().optimize.compact()
    else:
        # Died between the writing of a file and its commit.
        whole = next(path.glob('*.parquet'))
        shutil.copy(whole, path / f'part-{uuid.uuid4()}.zstd.parquet')
        half = path / f'part-{uuid.uuid4()}.zstd.parquet'
        half.write_bytes(whole.read_bytes()[:-20])


def test_a_loan_goes_on_where_the_last_has_ended(
    local: Store, name: str
) -> None:
    local.append_bars(SYMBOL, 1, bars([*range(100), *range(400, 450)]))
    loan = lend(local, name, SYMBOL, 1, 30 * S, EVER, never, most=50)
    assert loan == Loan(name, 50, 80 * S)
    Segment.attach(name).unlink()
    loan = lend(local, name, SYMBOL, 1, 80 * S, EVER, never, most=50)
    assert loan == Loan(name, 20, 130 * S)
    Segment.attach(name).unlink()
    # Nothing for a while: no loans of nothing on the way.
    loan = lend(local, name, SYMBOL, 1, 130 * S, EVER, never, most=50)
    assert (loan.segment, loan.rows) == (name, 30)
    Segment.attach(name).unlink()


class Stopped(Exception):
    pass


def test_work_that_is_stopped_leaves_no_segment(
    local: Store, name: str
) -> None:
    local.append_bars(SYMBOL, 1, bars(range(100)))
    there: list[bool] = []

    def stop() -> None:
        there.append((SHM_DIR / name).exists())
        raise Stopped

    with pytest.raises(Stopped):
        lend(local, name, SYMBOL, 1, 0, EVER, stop)
    assert there == [True]


def test_full_memory_is_an_error_and_leaves_no_segment(
    local: Store, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.append_bars(SYMBOL, 1, bars(range(100)))
    with monkeypatch.context() as patched:
        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, 'No space left on device')

        patched.setattr(os, 'pwrite', full)
        with pytest.raises(StorageError, match='no room in /dev/shm'):
            lend(local, name, SYMBOL, 1, 0, EVER, never)


def test_bars_off_the_grid_of_their_period_are_refused(
    local: Store, name: str
) -> None:
    """Which only another program can have written."""
    local.append_bars(SYMBOL, 1, bars(range(4)))
    path = local.table(SYMBOL, BARS).path
    assert path is not None
    frame = local.bars_frame(SYMBOL, 1)
    half = frame.with_columns(time=frame['time'] + S // 2)
    local.table(SYMBOL, BARS).append(half)
    with pytest.raises(StorageError, match='off its grid'):
        lend(local, name, SYMBOL, 1, 0, EVER, never)


def test_a_table_of_before_reads_the_same(
    local: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Files of other encodings and row groups, as earlier releases wrote."""
    import deltalake

    from piker.data.storage import table

    monkeypatch.setattr(
        table, '_writer_properties',
        lambda kind, rows: deltalake.WriterProperties(
            compression='SNAPPY', max_row_group_size=64
        ),
    )
    rows = bars(range(5000))
    local.append_bars(SYMBOL, 1, rows[:3000])
    monkeypatch.undo()
    local.append_bars(SYMBOL, 1, rows[2900:])
    assert local.info(SYMBOL, BARS).overlapping == 2
    assert (lent(local) == rows).all()
    assert (local.read_bars(SYMBOL, 1) == rows).all()
    assert len(list(Path(local.root).rglob('*.snappy.parquet'))) == 1
