"""The programs in examples/ run as they are, and end by themselves."""
from __future__ import annotations

import subprocess
import sys
from typing import Any

from docs_tools import ROOT

EXAMPLES = sorted((ROOT / 'examples').glob('*.py'))


def test_all_run(daemon: Any) -> None:
    """Side by side on one tree, as it is meant to be shared."""
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


def test_all_are_explained() -> None:
    page = (ROOT / 'docs' / 'python.rst').read_text()
    for path in EXAMPLES:
        assert f'<../examples/{path.name}>' in page
