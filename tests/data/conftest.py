"""Names of shared memory that no other test has, gone afterwards."""
from __future__ import annotations

import os
import subprocess
import sys
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

SHM = Path('/dev/shm')
HERE = Path(__file__).parent


def left(prefix):
    return sorted(p.name for p in SHM.glob(f'{prefix}*'))


@pytest.fixture
def prefix():
    """What the names of all segments of a test begin with."""
    name = f'pt{os.getpid()}-{uuid.uuid4().hex[:8]}-'
    yield name
    for found in left(name):
        (SHM / found).unlink()


@pytest.fixture
def run_side():
    """Start a function of `side_processes` in a process of its own."""
    started = []

    def run(function, *args):
        process = subprocess.Popen(
            [sys.executable, HERE / 'side_processes.py', function,
             *map(str, args)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        with suppress(BrokenPipeError):
            process.communicate()
