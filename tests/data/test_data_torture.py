"""One writer and several readers, each a process, going at it."""
from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path

import pytest
from side_processes import START, wrong_bars

from piker.data.bars import Bars
from piker.data.ticks import TickReader
from piker.errors import DataError

TORTURE_S = 0.8


def said(process):
    line = process.stdout.readline()
    assert line, f'{process.args} died: exit code {process.wait(5)}'
    return json.loads(line)


def go(*processes):
    """Tell them to go on, or to stop."""
    for process in processes:
        process.stdin.write('\n')
        process.stdin.flush()


def test_bars_under_torture(prefix, run_side):
    writer = run_side('bars_writer', prefix, 1)
    name = said(writer)['name']
    readers = [run_side('bars_reader', name, seed) for seed in (2, 3)]
    for reader in readers:
        said(reader)
    go(*readers, writer)
    time.sleep(TORTURE_S)
    writer.kill()
    writer.wait()
    go(*readers)
    results = [said(reader) for reader in readers]
    for seen in results:
        assert seen['torn'] == 0
        assert seen['reads'] > 20
        assert seen['moves'] > 2
    # a late reader finds the one name that is left, and every row in it
    names = [p.name for p in Path('/dev/shm').glob(f'{prefix}*')]
    assert 1 <= len(names) <= 2, names
    oldest = min(names, key=lambda n: int(n.rpartition('.g')[2]))
    bars = Bars.attach(oldest)
    assert bars.first <= min(seen['first'] for seen in results)
    assert bars.next >= max(seen['next'] for seen in results)
    assert bars.first < START < bars.next
    # the writer may have died inside a row, or between two
    with suppress(DataError):
        rows = bars.read()
        assert len(rows) == bars.next - bars.first
        assert not wrong_bars(rows, bars.period_ns, bars.first)


@pytest.mark.parametrize('capacity', [16, 512])
def test_ticks_under_torture(prefix, run_side, capacity):
    name = f'{prefix}ticks'
    writer = run_side('ticks_writer', name, 1, capacity)
    said(writer)
    readers = [run_side('ticks_reader', name, seed) for seed in (2, 3)]
    for reader in readers:
        said(reader)
    go(*readers, writer)
    time.sleep(TORTURE_S)
    go(writer)
    written = said(writer)['written']
    assert writer.wait(5) == 0
    go(*readers)
    for seen in map(said, readers):
        assert seen['torn'] == 0
        assert seen['last'] == seen['position'] == written
        assert seen['read'] + seen['missed'] == written
        assert seen['missed'] > 0
        assert seen['runs'] > 20
        assert seen['quotes'] > 100
    assert TickReader.attach(name).counters['trades'] == written
