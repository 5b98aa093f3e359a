"""
Ways to call the programs: in this process, in one of their own, on a tree.
"""
from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
from click.testing import CliRunner, Result

from piker.cli.main import piker
from piker.cli.pikerd import pikerd
from piker.service import Tree
from piker.service.tree import Record

# A module, not the root conftest: that goes by the same name as those of other
# directories, and who wins depends on the order of collection.


def wait_until(condition: Callable[[], Any], within_s: float = 15.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, f'not within {within_s} s: {condition}'
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


PROGRAMS = {'piker': piker, 'pikerd': pikerd}


def invoke(
    program: str, *args: str, env: dict[str, str | None] | None = None
) -> Result:
    """Run a program in this process, for what it refuses at once."""
    root, own = logging.getLogger(), logging.getLogger('piker')
    handlers, levels = root.handlers[:], (root.level, own.level)
    try:
        return CliRunner().invoke(
            PROGRAMS[program], args, prog_name=program, env=env
        )
    finally:
        root.handlers[:] = handlers
        root.setLevel(levels[0])
        own.setLevel(levels[1])


class Cli:
    """The programs as processes, in directories and at a port of their own."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.tree = Tree('127.0.0.1', free_port())
        self.env = {
            **os.environ,
            'PIKER_CONFIG_DIR': str(base / 'config'),
            'PIKER_DATA_DIR': str(base / 'data'),
            'XDG_RUNTIME_DIR': str(base / 'run'),
            'PIKER_REGISTRY': str(self.tree),
        }
        for name in ('config', 'data', 'run'):
            (base / name).mkdir(mode=0o700)

    def command(self, *args: str) -> list[str]:
        program, *rest = args
        module = 'main' if program == 'piker' else program
        return [sys.executable, '-m', f'piker.cli.{module}', *rest]

    def run(
        self, *args: str, code: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end and check the exit code."""
        done = subprocess.run(
            self.command(*args), env=self.env, capture_output=True,
            text=True, timeout=60, check=False,
        )
        assert done.returncode == code, f'{args}: {done}'
        return done

    def lines(self, *args: str) -> list[str]:
        return self.run(*args).stdout.splitlines()

    def objects(self, *args: str) -> list[dict[str, Any]]:
        """What is printed, each line as JSON."""
        return [json.loads(line) for line in self.lines(*args)]

    def open(self, *args: str, **options: Any) -> subprocess.Popen[str]:
        """Start a program; the caller ends it."""
        return subprocess.Popen(
            self.command(*args), env=self.env, text=True,
            start_new_session=True, **options,
        )

    def record_pid(self) -> int:
        path = self.base / 'run' / 'piker' / self.tree.record_file.name
        try:
            return msgspec.json.decode(path.read_bytes(), type=Record).pid
        except FileNotFoundError:
            return 0

    def segments(self) -> list[Path]:
        return list(Path('/dev/shm').glob(f'{self.tree.segment_prefix}*'))


@contextmanager
def open_cli() -> Iterator[Cli]:
    """Directories for the programs; nothing may be left in them."""
    # Paths of records are short here on purpose.
    base = Path(tempfile.mkdtemp(prefix='pk'))
    try:
        cli = Cli(base)
        yield cli
        left = [p for p in (base / 'run').rglob('*') if not p.is_dir()]
        assert not left, left
        assert not cli.segments()
    finally:
        shutil.rmtree(base)


@contextmanager
def running_tree(*options: str) -> Iterator[Cli]:
    """A tree, ended in order afterwards."""
    with open_cli() as cli:
        log = cli.base / 'log'
        with log.open('w') as file:
            daemon = cli.open('pikerd', *options, stdout=file, stderr=file)
        try:
            wait_until(lambda: cli.record_pid() == daemon.pid)
            yield cli
        finally:
            family = psutil.Process(daemon.pid).children(recursive=True)
            daemon.send_signal(signal.SIGINT)
            try:
                assert daemon.wait(20) == 0, log.read_text()
            finally:
                daemon.kill()
                for process in family:
                    if process.is_running():
                        process.kill()
        text = log.read_text()
        assert 'Traceback' not in text, text
        assert ' ERROR ' not in text, text
