"""
``piker store`` on tables of its own: what is refused, and what is said.
"""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_tools import free_port, invoke

from piker.data.bars import BAR_DTYPE
from piker.data.storage import Store

MINUTE_NS = 60 * 10**9
SYMBOL = 'btcusdt.sim'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of three minutes and, after a gap of two, two more."""
    monkeypatch.setenv('PIKER_DATA_DIR', str(tmp_path))
    monkeypatch.setenv('PIKER_CONFIG_DIR', str(tmp_path))
    monkeypatch.setenv('PIKER_REGISTRY', f'127.0.0.1:{free_port()}')
    rows = np.zeros(5, BAR_DTYPE)
    rows['time'] = np.array([0, 1, 2, 5, 6]) * MINUTE_NS + 10**18
    rows['time'] -= rows['time'] % MINUTE_NS
    for field in ('open', 'high', 'low', 'close', 'vwap'):
        rows[field] = 100.0
    Store(tmp_path / 'tables').append_bars(SYMBOL, 60, rows)
    return tmp_path


def store(*args: str, code: int = 0) -> str:
    done = invoke('piker', 'store', *args)
    assert done.exit_code == code, done.output
    assert 'Traceback' not in done.output
    return done.output


@pytest.mark.parametrize(('args', 'code', 'words'), [
    (['gaps', SYMBOL, '--start', '2026-01-02', '--end', '2026-01-01'], 2,
     '--end 2026-01-01 00:00:00 is not after --start 2026-01-02 00:00:00'),
    (['fill', SYMBOL, '--start', '2026-01-02', '--end', '2026-01-02'], 2,
     'is not after'),
    (['export', SYMBOL, 'bars_60s', 'x.csv', '--start', '2026-01-02',
      '--end', '2026-01-01'], 2, 'is not after'),
    (['fill', 'ethusdt.sim'], 7, 'nothing is stored of ethusdt.sim'),
    (['fill', 'ethusdt.sim', '--start', '2026-01-02'], 7, 'nothing is stored'),
    (['fill', SYMBOL, 'ticks'], 2, 'ticks have no gaps'),
    (['info', 'btcusd.sim'], 7, "Did you mean 'btcusdt.sim bars_60s'"),
    (['info', SYMBOL, 'bars'], 2, 'not a kind of table'),
    (['export', SYMBOL, 'bars_60s', '/nowhere/x.csv'], 7,
     '/nowhere/x.csv cannot be written: there is no directory /nowhere'),
    (['export', SYMBOL, 'bars_60s', '/tmp'], 2, 'is a directory'),
    (['import', SYMBOL, 'bars_60s', '/nowhere/x.csv'], 2, 'no such file'),
    (['delete', SYMBOL, 'bars_60s'], 1, 'Aborted'),
])
def test_refused(
    root: Path, args: list[str], code: int, words: str
) -> None:
    assert words in store(*args, code=code)
    assert store('info', SYMBOL).count('rows             5')


def test_said(root: Path) -> None:
    assert '2' in store('gaps', SYMBOL)
    text = store('export', SYMBOL, 'bars_60s', str(root / 'x.csv'))
    assert text == f'5 rows written to {root / "x.csv"}\n'
    end = store(
        'export', SYMBOL, 'bars_60s', str(root / 'y.csv'), '--end',
        '2001-09-09T01:47:00',
    )
    assert end.startswith('1 row written')
    assert 'newest trade' not in store('info', SYMBOL)
    assert store('delete', SYMBOL, 'bars_60s', '--yes') == (
        f'deleted {SYMBOL} bars_60s\n'
    )
