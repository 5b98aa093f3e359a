"""
What the tests have in common besides fixtures: processes and patience.
"""
from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from piker.service import Tree

RECORDINGS = Path(
    os.environ.get('PIKER_RECORDINGS')
    or Path(__file__).parents[2] / 'shared' / 'recordings'
) / 'binance'


def wait_until(condition: Callable[[], Any], within_s: float = 15.0) -> Any:
    """
    Poll until ``condition`` gives something true; fails after ``within_s``.
    """
    end = time.monotonic() + within_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            pytest.fail(f'not within {within_s} s: {condition}')
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def segments(tree: Tree) -> list[str]:
    prefix = tree.segment_prefix
    names = [path.name for path in Path('/dev/shm').iterdir()]
    return [name for name in names if name.startswith(prefix)]


def children_of(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


class Daemon:
    """
    A ``pikerd`` in a process of its own, and its command line.

    Nothing is stored unless ``storage`` says so: most tests have enough to
    watch without one process more.
    """

    def __init__(
        self, tree: Tree, options: list[str], storage: bool = False
    ) -> None:
        if not storage:
            options = ['--set=storage.enabled=false', *options]
        self.tree = tree
        self.log_file = Path(os.environ['PIKER_DATA_DIR']) / 'log'
        with self.log_file.open('ab') as log:
            self.process = subprocess.Popen(
                [sys.executable, '-m', 'piker.cli.pikerd', '-l', 'info',
                 *options],
                stderr=log, stdout=log, start_new_session=True,
            )
        wait_until(self._up)
        self.pids: set[int] = set()

    def _up(self) -> bool:
        if self.process.poll() is not None:
            pytest.fail(f'pikerd ended: {self.log}')
        record = self.tree.read_record()
        return record is not None and record.pid == self.process.pid

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def piker(
        self, *args: str, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        return run_piker(*args, check=check, timeout=timeout)

    def services(self) -> dict[str, Any]:
        return json.loads(self.piker('services', '--json').stdout)

    def pid_of(self, name: str) -> int:
        record = self.tree.read_record()
        return record.children.get(name, (0, 0))[0] if record else 0

    def kill(self, name: str) -> int:
        """SIGKILL a daemon of the tree; returns the pid it had."""
        pid = self.pid_of(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def venue(self) -> str:
        """Base URL of the tree's venue, once that is there."""

        def found() -> str | None:
            for daemon in self.services()['tree']['daemons']:
                details = daemon['details']
                if daemon['name'] == 'simd' and 'port' in details:
                    return f'http://{details["host"]}:{details["port"]}'
            return None

        base: str = wait_until(found)
        return base

    def stop(self, how: int = signal.SIGINT) -> None:
        """End it in order and see that nothing of it is left."""
        family = children_of(self.process.pid)
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(20)
        alive = [p for p in family if p.is_running()]
        assert not alive, f'left running: {alive}\n{self.log}'
        assert code == 0, f'exit code {code}\n{self.log}'


def run_piker(
    *args: str, check: bool = True, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run ``piker`` with these arguments."""
    done = subprocess.run(
        [sys.executable, '-m', 'piker.cli.main', *args],
        capture_output=True, text=True, timeout=timeout, check=False,
    )
    if check and done.returncode:
        pytest.fail(f'piker {args}: exit {done.returncode}: {done.stderr}')
    return done
