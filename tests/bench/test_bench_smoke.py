"""Each benchmark runs; what it measures is not looked at."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    'name',
    [
        'startup', 'latency', 'memory', 'throughput', 'shm', 'storage', 'ui',
        'hotpath', 'dark', 'ems',
    ],
)
def test_a_benchmark_runs_and_writes_its_figures(name, tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'bench', '--smoke', '--output', str(tmp_path),
         name],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
        env={**os.environ, 'QT_QPA_PLATFORM': 'offscreen'},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / f'{name}.json').read_text())
    assert found['figures']
    assert found['machine']['cores'] > 0
    if name == 'ems':
        piker = found['figures']['piker 1x']
        assert piker['trigger']['orders'] > 0
        assert piker['submit']['orders'] == 5
        assert len(found['figures']['load']) == 3
    if name == 'throughput':
        flat = found['figures']['piker']['saturated']
        assert flat['received'] == flat['sent'] > 0
        assert flat['missed'] == 0


def test_help_names_every_benchmark():
    done = subprocess.run(
        [sys.executable, '-m', 'bench', '-h'], cwd=ROOT, check=True,
        capture_output=True, text=True, timeout=60,
    )
    assert 'hotpath' in done.stdout
