"""
Several writers at once, and writers that are killed.
"""
from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from storage.conftest import BARS, SYMBOL, bars, trades
from suite import wait_until

from piker.data.storage import Store
from piker.service import is_alive

WRITER = str(Path(__file__).with_name('writer.py'))
KILLS = 24

Start = Callable[..., int]


@pytest.fixture(scope='module')
def start() -> Iterator[Start]:
    """Start a writer process; returns its pid."""
    with subprocess.Popen(
        [sys.executable, WRITER], text=True, bufsize=1,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as server:
        def order(store: Store, **values: Any) -> int:
            assert server.stdin is not None
            assert server.stdout is not None
            values |= {'root': store.root, 'options': store.options}
            server.stdin.write(json.dumps(values) + '\n')
            return int(server.stdout.readline())

        yield order
        server.communicate()


def test_several_processes_write_at_once(store: Store, start: Start) -> None:
    writers = [start(store, mode='several', number=n) for n in range(3)]
    # Readers see whole batches only, while all that goes on.
    while any(map(is_alive, writers)):
        found = store.read_bars(SYMBOL, 1)
        assert len(found) % 10 == 0
        if len(found) > 100:
            store.compact(SYMBOL, BARS, vacuum=False)
        time.sleep(0.02)
    assert (store.read_bars(SYMBOL, 1) == bars(range(240))).all()


def test_killed_writers_leave_tables_that_read_cleanly(
    local: Store, tmp_path: Path, start: Start
) -> None:
    """Whatever was acknowledged is there, once; resuming leaves no hole."""
    chance = random.Random(7)
    for number in range(KILLS):
        out = tmp_path / f'{number}.out'
        pid = start(local, mode='forever', out=str(out))
        wait_until(lambda out=out: out.exists() and out.stat().st_size)
        time.sleep(chance.random() * 0.15)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: not is_alive(pid))
        bars_acked, ticks_acked = map(
            int, out.read_text().splitlines()[-1].split()
        )
        # Somebody else's look at it, without the writer's help.
        store = Store(local.root)
        found = store.read_bars(SYMBOL, 1)
        assert len(found) >= bars_acked
        assert (found == bars(range(len(found)))).all()
        ticks = store.read_ticks(SYMBOL)
        assert len(ticks) >= ticks_acked
        assert (ticks == trades(range(len(ticks)))).all()
        assert store.gaps(SYMBOL, 1) == []
    local.compact(SYMBOL, BARS, retention_h=0)
    found = local.read_bars(SYMBOL, 1)
    assert (found == bars(range(len(found)))).all()
    assert local.info(SYMBOL, BARS).files == 1
