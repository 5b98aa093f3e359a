"""
``piker bars --by``: bars of trades that are stored, and of those that are not.
"""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cli_tools import free_port, invoke, running_tree, wait_until
from hypothesis import given, settings
from hypothesis import strategies as st

from piker.cli.measured import Measure, Trades, measured_bars
from piker.data import Kind, Ticks
from piker.data.resample import bars_by_measure
from piker.data.ticks import TICK_DTYPE

HOUR_NS = 3600 * 10**9
START_NS = 20_000 * 24 * HOUR_NS  # midnight


def trades_of(ids: list[int], hours: float = 1.0) -> Any:
    """A trade of 0.5 at each id, so many hours apart."""
    rows = np.zeros(len(ids), TICK_DTYPE)
    rows['id'] = ids
    rows['time'] = START_NS + (np.array(ids) * hours * HOUR_NS).astype('i8')
    rows['kind'] = int(Kind.TRADE)
    rows['price'] = 100 + np.array(ids) % 7
    rows['size'] = 0.5
    rows['count'] = 1
    return rows


def plain(rows: Any, measure: Measure) -> Any:
    return bars_by_measure(
        Ticks(
            seq=np.arange(len(rows), dtype=np.uint64),
            **{field: rows[field] for field in TICK_DTYPE.names or ()},
        ),
        measure.kind, measure.size,
    )


def reader(stored: Any) -> Any:
    def read(start_ns: int, end_ns: int) -> Any:
        times = stored['time']
        return stored[(times >= start_ns) & (times < end_ns)]

    return read


@pytest.mark.parametrize(('value', 'words'), [
    ('trade=5', "'trade' is no measure. Did you mean 'trades'?"),
    ('tunrover=5', "Did you mean 'turnover'?"),
    ('xyz=5', "'xyz' is no measure. Write trades=500, volume=10"),
    ('volume', "'volume' does not say how much: write volume=500"),
    ('volume=', "'volume=': '' is not a number"),
    ('volume=much', "'volume=much': 'much' is not a number"),
    ('volume=nan', "'nan' is not a number"),
    ('volume=inf', "'inf' is not a number"),
    ('volume=1e999', "'1e999' is not a number"),
    ('turnover=0', "'turnover=0': 0 is not above 0"),
    ('turnover=-3', '-3 is not above 0'),
    ('volume=1e-999', '1e-999 is not above 0'),
    ('trades=2.5', 'whole numbers'),
])
def test_refused(value: str, words: str) -> None:
    result = invoke('piker', 'bars', 'btcusdt.sim', '--by', value)
    assert result.exit_code == 2
    assert words in result.output.replace('\n', ' ')


def test_a_period_or_a_measure() -> None:
    result = invoke(
        'piker', 'bars', 'btcusdt.sim', '--by', 'trades=5', '--period', '60',
        '--registry', f'127.0.0.1:{free_port()}',
    )
    assert result.exit_code == 2
    assert '--by and --period: bars have one of them' in result.output


@settings(max_examples=60, deadline=None)
@given(
    ids=st.sets(st.integers(1, 120), min_size=1, max_size=60).map(sorted),
    split=st.integers(0, 60), overlap=st.integers(0, 20),
    kind=st.sampled_from(['ticks', 'volume', 'dollars']),
    size=st.sampled_from([1.0, 3.0, 7.5, 400.0]),
    count=st.integers(1, 40),
)
def test_stored_and_live_are_one(
    ids: list[int], split: int, overlap: int, kind: Any, size: float,
    count: int,
) -> None:
    """
    The newest of the bars that all trades make, however they are split, and
    what is missing among them.
    """
    rows, measure = trades_of(ids), Measure(kind, size)
    stored, ring = rows[:split], rows[max(0, split - overlap):]
    oldest = int(stored['time'][0]) if len(stored) else 2**62
    found = measured_bars(
        Trades(reader(stored), oldest, ring), measure, count,
        int(rows['time'][-1]),
    )
    wanted = plain(rows, measure)[-count:]
    assert found.rows.tolist() == wanted.tolist()
    assert found.since_ns <= wanted['time'][0]
    used = [i for i, t in zip(ids, rows['time'], strict=True)
            if t >= wanted['time'][0]]
    assert found.missing == used[-1] - used[0] + 1 - len(used)
    assert (found.holes > 0) == (found.missing > 0)


def test_no_further_than_needed() -> None:
    """Days are read from the newest on, and only so many."""
    rows, asked = trades_of(list(range(1, 200))), []

    def read(start_ns: int, end_ns: int) -> Any:
        asked.append((start_ns - START_NS) // (24 * HOUR_NS))
        return reader(rows)(start_ns, end_ns)

    found = measured_bars(
        Trades(read, START_NS, rows[:0]), Measure('ticks', 5), 6,
        int(rows['time'][-1]),
    )
    assert len(found.rows) == 6
    assert asked == [9, 8, 7]


def test_nothing_yet() -> None:
    nothing = np.zeros(0, TICK_DTYPE)
    found = measured_bars(
        Trades(None, START_NS, nothing), Measure('volume', 5), 6, START_NS
    )
    assert not len(found.rows)


def test_on_a_tree() -> None:
    """Bars of what has traded since the tree began, stored or not."""
    with running_tree(
        '--with', 'brokerd.sim', '--set', 'storage.flush_s=0.5'
    ) as cli:
        cli.run('piker', 'watch', 'btcusdt.sim', '--ticks', '--count', '60')
        wait_until(lambda: cli.objects('piker', 'store', 'ls', '--json'))
        done = cli.run(
            'piker', 'bars', 'btcusdt.sim', '--by', 'trades=3', '--count',
            '100000',
        )
        head, *rows = done.stdout.splitlines()
        assert head.split()[0] == 'time'
        assert 'no more than' in done.stderr
        assert 'not there' not in done.stderr
        assert len(rows) > 3
        bars = cli.objects(
            'piker', 'bars', 'btcusdt.sim', '--by', 'trades=3', '--json',
            '--count', '100000',
        )
        assert all(bar['trades'] >= 3 for bar in bars[:-1])
        # The first bar is the first that was seen, then as now.
        assert bars[0]['close'] == float(rows[0].split()[5])
        bars = cli.objects(
            'piker', 'bars', 'btcusdt.sim', '--by', 'turnover=5000',
            '--json', '--count', '3',
        )
        assert all(b['volume'] * b['vwap'] >= 4999 for b in bars[:-1])


def test_a_tree_that_stores_nothing() -> None:
    with running_tree(
        '--with', 'brokerd.sim', '--set', 'storage.enabled=false'
    ) as cli:
        cli.run('piker', 'watch', 'btcusdt.sim', '--ticks', '--count', '30')
        done = cli.run('piker', 'bars', 'btcusdt.sim', '--by', 'volume=0.01')
        assert 'stores nothing of btcusdt.sim' in done.stderr
        assert len(done.stdout.splitlines()) > 1
