"""Names of shared memory that no other test has, gone afterwards."""
from __future__ import annotations

import os
import subprocess
import sys
import uuid
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from fake_venue import left

from piker.config import FeedSettings
from piker.data.bus import open_bus

HERE = Path(__file__).parent


@pytest.fixture
def prefix():
    """What the names of all segments of a test begin with."""
    name = f'pt{os.getpid()}-{uuid.uuid4().hex[:8]}-'
    yield name
    for found in left(name):
        Path('/dev/shm', found).unlink()


SETTINGS = {
    **FeedSettings().model_dump(),
    'ring': 1024, 'history_1s': 0, 'history_60s': 0, 'linger_s': 1e6,
    'stale_after_s': 5.0,
}


@pytest.fixture
def bus_of(prefix):
    @asynccontextmanager
    async def make(venue, **settings):
        async with open_bus(
            venue, venue.wall, prefix, {**SETTINGS, **settings}
        ) as bus:
            yield bus
        assert not left(prefix)

    return make


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
