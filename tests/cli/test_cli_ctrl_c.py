"""
Ctrl-C, wherever a command is: it ends at once, with 130, without a word.
"""
from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Iterator

import numpy as np
import psutil
import pytest
from cli_tools import Cli, open_cli, wait_until

from piker.data.bars import BAR_DTYPE
from piker.data.storage import Store

SYMBOL = 'btcusdt.sim'


@pytest.fixture
def alone() -> Iterator[Cli]:
    """The programs, where no tree runs; nothing may be left."""
    with open_cli() as cli:
        yield cli


def store_a_bar(cli: Cli) -> Store:
    rows = np.zeros(1, BAR_DTYPE)
    rows['time'] = 60 * 10**9
    for field in ('open', 'high', 'low', 'close', 'vwap'):
        rows[field] = 100.0
    store = Store(cli.base / 'data' / 'tables')
    store.append_bars(SYMBOL, 60, rows)
    return store


def test_at_a_question(alone: Cli) -> None:
    """On a terminal, where nothing but a line is waited for."""
    store = store_a_bar(alone)
    master, slave = pty.openpty()
    command = alone.open(
        'piker', 'store', 'delete', SYMBOL, 'bars_60s',
        stdin=slave, stdout=slave, stderr=slave,
    )
    try:
        os.close(slave)
        said = b''
        while b'[y/N]' not in said:
            said += os.read(master, 4096)
        command.send_signal(signal.SIGINT)
        assert command.wait(10) == 130
        assert b'Traceback' not in said
    finally:
        command.kill()
        command.wait()
        os.close(master)
    assert len(store.read_bars(SYMBOL, 60)) == 1


def test_in_a_tree_of_its_own(alone: Cli) -> None:
    """The tree that was started for it ends too."""
    with alone.open(
        'piker', 'watch', SYMBOL, '--json',
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as command:
        try:
            assert command.stdout is not None
            assert command.stderr is not None
            assert command.stdout.readline()
            root = psutil.Process(alone.record_pid())
            tree = [root, *root.children(recursive=True)]
            command.send_signal(signal.SIGINT)
            assert command.wait(10) == 130
            said = command.stderr.read()
            assert 'Traceback' not in said
            assert said.count('\n') == 1  # that a tree was started
            wait_until(lambda: not any(p.is_running() for p in tree))
        finally:
            command.kill()
