"""
Fixtures of the whole suite.

Each test gets a tree of its own: a random port, directories of its own, and a
check afterwards that no process and no segment of that tree is left.
"""
from __future__ import annotations

import logging
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from suite import RECORDINGS, Daemon, free_port, segments

from piker.service import Tree


def pytest_configure() -> None:
    """
    Let processes that tests start be interrupted.

    A shell starts background jobs with SIGINT ignored, and who ignores a
    signal hands that down.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def recordings() -> Path:
    """The recorded venue data, where it is to be had."""
    if not RECORDINGS.is_dir():
        pytest.skip(
            f'no recordings at {RECORDINGS}; name a directory that has them '
            'in PIKER_RECORDINGS'
        )
    return RECORDINGS


@pytest.fixture
def tree(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tree]:
    """An address for a tree of the test's own."""
    # Paths of Unix sockets and of records are short here on purpose.
    base = Path(tempfile.mkdtemp(prefix='pk'))
    for name in ('config', 'data', 'run'):
        (base / name).mkdir(mode=0o700)
    monkeypatch.setenv('PIKER_CONFIG_DIR', str(base / 'config'))
    monkeypatch.setenv('PIKER_DATA_DIR', str(base / 'data'))
    monkeypatch.setenv('XDG_RUNTIME_DIR', str(base / 'run'))
    tree = Tree('127.0.0.1', free_port())
    monkeypatch.setenv('PIKER_REGISTRY', str(tree))
    yield tree
    left = segments(tree)
    files = [p.name for p in (base / 'run').rglob('*') if not p.is_dir()]
    shutil.rmtree(base)
    assert not left, f'segments left behind: {left}'
    assert not files, f'files left in the runtime directory: {files}'


@pytest.fixture
def start_daemon(tree: Tree) -> Iterator[Callable[..., Daemon]]:
    """Start ``pikerd`` with these options; ended after the test."""
    started: list[Daemon] = []

    def start(*options: str, storage: bool = False) -> Daemon:
        started.append(Daemon(tree, list(options), storage))
        return started[-1]

    yield start
    for daemon in started:
        if daemon.process.poll() is None:
            daemon.stop()
        log = daemon.log
        assert 'Traceback' not in log, log


@pytest.fixture
def daemon(start_daemon: Callable[..., Daemon]) -> Daemon:
    """A running tree with default settings."""
    return start_daemon()


@pytest.fixture(autouse=True)
def no_unexpected_errors(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """
    An error in the log fails the test, unless it is marked with the text.
    """
    yield
    marks = request.node.iter_markers('expects_errors')
    expected = [text for mark in marks for text in mark.args]
    bad = [
        record.getMessage()
        for when in ('setup', 'call')
        for record in caplog.get_records(when)
        if record.levelno >= logging.ERROR
        and record.name.startswith('piker')
        and not any(text in record.getMessage() for text in expected)
    ]
    assert not bad, f'errors were logged: {bad}'
