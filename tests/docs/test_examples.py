"""The programs in examples/ run as they are, and end by themselves."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docs_tools import ROOT

from piker.data.bars import BAR_DTYPE
from piker.data.storage import Store

EXAMPLES = sorted((ROOT / 'examples').glob('*.py'))
HOURS = 3


def keep_minutes() -> None:
    """Some stored hours, one minute of them missing and one there twice."""
    rows = np.zeros(HOURS * 60, BAR_DTYPE)
    rows['time'] = np.arange(len(rows)) * 60_000_000_000
    for field in ('open', 'high', 'low', 'close', 'vwap'):
        rows[field] = 100 + np.arange(len(rows)) // 60
    rows['volume'] = 2
    store = Store()
    store.append_bars('btcusdt.sim', 60, np.delete(rows, 70))
    amended = rows[-1:].copy()
    amended['volume'] = 7.5
    store.append_bars('btcusdt.sim', 60, amended)


def test_all_run(daemon: Any) -> None:
    """Side by side on one tree, as it is meant to be shared."""
    keep_minutes()
    running = {
        path.stem: subprocess.Popen(
            [sys.executable, '-W', 'error', str(path)], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for path in EXAMPLES
    }
    try:
        ended = {
            name: process.communicate(timeout=60)
            for name, process in running.items()
        }
    finally:
        for process in running.values():
            process.kill()
    for name, (printed, errors) in ended.items():
        assert running[name].returncode == 0, f'{name}: {errors}'
        assert errors == '', name
        assert len(printed.splitlines()) >= 3, name
    prices = ended['watch_quotes'][0].splitlines()
    assert len(prices) == 16
    assert all(line.endswith(' live') for line in prices)


def test_read_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a tree; a bar that is stored twice counts once."""
    monkeypatch.setenv('PIKER_DATA_DIR', str(tmp_path))
    keep_minutes()
    done = subprocess.run(
        [sys.executable, '-W', 'error', str(ROOT / 'examples/read_store.py')],
        capture_output=True, text=True, check=True, timeout=60,
    )
    table, gap, *hours = done.stdout.splitlines()
    assert table == 'btcusdt.sim bars_60s: 180 rows in 2 files'
    assert gap == '1 bars are missing from 1970-01-01 01:10:00'
    volumes = [line.split()[-2] for line in hours if '1970-' in line]
    assert volumes == ['120.0', '118.0', '125.5']


def test_all_are_explained() -> None:
    page = (ROOT / 'docs' / 'python.rst').read_text()
    for path in EXAMPLES:
        assert f'<../examples/{path.name}>' in page
