"""
What a process does not need it does not load.
"""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from suite import Daemon


def modules_after(statement: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c',
         f'{statement}\nimport sys\nprint(*sys.modules, sep="\\n")'],
        capture_output=True, text=True, check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    'package', ['piker.data', 'piker.brokers', 'piker.service']
)
def test_no_qt(package: str) -> None:
    loaded = modules_after(f'import {package}')
    assert package in loaded
    assert not {m for m in loaded if m.startswith(('PyQt5', 'pyqtgraph'))}


def test_data_loads_no_provider() -> None:
    loaded = modules_after('import piker.data')
    assert not {m for m in loaded if m.startswith('piker.brokers')}
    assert not loaded & {'pydantic', 'asks', 'quart', 'polars', 'rich'}


def maps(pid: int) -> str:
    return Path(f'/proc/{pid}/maps').read_text()


def test_daemons_load_only_their_own(daemon: Daemon) -> None:
    """By what is mapped: compiled parts of Qt, pydantic and the like."""
    daemon.piker('watch', 'btcusdt.sim', '--count', '1')
    root, broker, venue = (
        daemon.process.pid, daemon.pid_of('brokerd.sim'),
        daemon.pid_of('simd'),
    )
    for pid in (root, broker, venue):
        assert 'PyQt5' not in maps(pid)
        assert 'polars' not in maps(pid)
    assert 'pydantic_core' in maps(broker)
    assert 'pydantic_core' not in maps(venue)
    # numpy is the business of those who touch data
    assert 'numpy' in maps(venue)
    assert 'numpy' not in maps(root)
