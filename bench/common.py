"""
What the benchmarks share: machine, tables, files, processes, a tree.
"""
from __future__ import annotations

import json
import os
import platform
import queue
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
_PACKAGES = (
    'piker', 'trio', 'tractor', 'trio-websocket', 'msgspec', 'numpy',
    'PyQt5', 'pyqtgraph',
)
_terminal = Console()
console = _terminal if _terminal.is_terminal else Console(width=130)


@dataclass
class Options:
    """
    How to run: ``smoke`` as little as shows that it works, ``quick`` a
    rough figure, ``full`` whole recordings.
    """

    smoke: bool = False
    quick: bool = False
    full: bool = False
    only: tuple[str, ...] = ()
    recording: str = ''
    output: Path = ROOT / 'bench' / 'results'

    def pick(self, smoke: Any, quick: Any, normal: Any) -> Any:
        """The value for this way to run."""
        if self.smoke:
            return smoke
        return quick if self.quick else normal


def say(text: str) -> None:
    """A line about what is going on, on stderr."""
    print(f'bench: {text}', file=sys.stderr, flush=True)


# the machine

def machine() -> dict[str, Any]:
    """What figures depend on."""
    model = platform.processor() or platform.machine()
    with Path('/proc/cpuinfo').open() as lines:
        for line in lines:
            if line.startswith('model name'):
                model = line.partition(':')[2].strip()
                break
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = 'absent'
    revision = subprocess.run(
        ['git', 'describe', '--always', '--dirty'], cwd=ROOT, check=False,
        capture_output=True, text=True,
    ).stdout.strip()
    return {
        'cpu': model,
        'cores': len(os.sched_getaffinity(0)),
        'memory_gb': round(psutil.virtual_memory().total / 2**30, 1),
        'kernel': platform.release(),
        'python': platform.python_version(),
        'cores_at_once': _cores_at_once(len(os.sched_getaffinity(0))),
        'load_before': os.getloadavg()[0],
        'revision': revision or 'unknown',
        'time': datetime.now(UTC).isoformat(timespec='seconds'),
        'packages': packages,
    }


_SPIN = """
import time
began = time.perf_counter()
sum(i for i in range(3_000_000))
print(time.perf_counter() - began)
"""


def _cores_at_once(cores: int) -> float:
    """
    How fast a core is while all are busy, 1 being as fast as alone.

    Virtual cores may be two halves of one, and that may change by the minute.
    """
    def slowest(many: int) -> float:
        spins = [
            subprocess.Popen(
                [sys.executable, '-c', _SPIN], stdout=subprocess.PIPE,
                text=True,
            ) for _ in range(many)
        ]
        return max(float(spin.communicate()[0]) for spin in spins)

    return slowest(1) / slowest(cores)


def describe(found: dict[str, Any]) -> str:
    packages = ', '.join(f'{k} {v}' for k, v in found['packages'].items())
    return (
        f'{found["cpu"]}, {found["cores"]} cores, '
        f'{found["memory_gb"]} GB; Linux {found["kernel"]}, Python '
        f'{found["python"]}; {packages}; piker at {found["revision"]}; '
        f'load {found["load_before"]:.2f} before the run, a core at '
        f'{found["cores_at_once"]:.0%} while all are busy'
        f'{", none may sleep" * found["cores_awake"]}; {found["time"]}'
    )


# results

def show(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """A table: the first column to the left, the others to the right."""
    table = Table(title=title, title_justify='left', box=None)
    for at, name in enumerate(columns):
        table.add_column(name, justify='right' if at else 'left')
    for row in rows:
        table.add_row(*(text(value) for value in row))
    console.print(table)
    console.print()


def text(value: Any) -> str:
    """A figure with three or four digits that mean something."""
    if value is None:
        return '–'
    if isinstance(value, float):
        if abs(value) >= 1000:
            return f'{value:,.0f}'
        if abs(value) >= 100:
            return f'{value:.0f}'
        return f'{value:.1f}' if abs(value) >= 10 else f'{value:.2f}'
    return f'{value:,}' if isinstance(value, int) else str(value)


def write(options: Options, name: str, found: dict[str, Any]) -> Path:
    """Keep a benchmark's figures as JSON."""
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f'{name}.json'
    path.write_text(json.dumps(found, indent=1, default=_plain) + '\n')
    return path


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, 'item') else str(value)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    return {
        'median': statistics.median(values),
        'min': min(values),
        'max': max(values),
        'runs': len(values),
    }


def quantiles(ns: np.ndarray) -> dict[str, float]:
    """p50, p99, p99.9 and the worst of times in ns, as µs."""
    if not len(ns):
        return dict.fromkeys(('p50', 'p99', 'p999', 'max'), float('nan'))
    p50, p99, p999 = np.percentile(ns, (50, 99, 99.9)) / 1e3
    return {
        'p50': float(p50), 'p99': float(p99), 'p999': float(p999),
        'max': float(ns.max() / 1e3),
    }


# processes

class Told:
    """A process of ours that talks in lines of JSON."""

    def __init__(self, command: list[str], **options: Any) -> None:
        self.errors = tempfile.TemporaryFile('w+')  # noqa: SIM115
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors, text=True, cwd=ROOT, **options,
        )
        self.pid = self.process.pid
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            if line.startswith('{'):
                self._lines.put(json.loads(line))
        self._lines.put(None)

    def tell(self, **what: Any) -> None:
        self.process.stdin.write(json.dumps(what) + '\n')
        self.process.stdin.flush()

    def hear(self, key: str, timeout_s: float = 60) -> Any:
        """Wait for the message that has ``key``; returns its value."""
        return self.hear_all(key, timeout_s)[key]

    def hear_all(self, key: str, timeout_s: float = 60) -> dict[str, Any]:
        end = time.monotonic() + timeout_s
        while True:
            try:
                found = self._lines.get(timeout=end - time.monotonic())
            except (queue.Empty, ValueError):
                raise BenchError(
                    f'nothing of {key!r} within {timeout_s:.0f} s: '
                    f'{self.last_words()}'
                ) from None
            if found is None:
                raise BenchError(f'it ended: {self.last_words()}')
            if key in found:
                return found

    def last_words(self) -> str:
        self.errors.seek(0)
        lines = [x for x in self.errors.read().splitlines() if x.strip()]
        return ' | '.join(lines[-3:])[-300:] or 'it said nothing'

    def end(self) -> None:
        """End it, however it is."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                stream.close()
        self.errors.close()


class BenchError(Exception):
    """A contestant could not be driven; the text says why."""


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far, all its threads."""
    try:
        total = 0
        for task in Path(f'/proc/{pid}/task').iterdir():
            total += int((task / 'schedstat').read_text().split()[0])
        return total / 1e9
    except (FileNotFoundError, ProcessLookupError, IndexError):
        times = psutil.Process(pid).cpu_times()
        return times.user + times.system


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


class Place:
    """A tree's address and directories of its own; nothing is started."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.port = free_port()
        self.registry = f'127.0.0.1:{self.port}'
        for name in ('config', 'data', 'run'):
            (base / name).mkdir(mode=0o700)
        self.env = {
            **os.environ,
            'PIKER_CONFIG_DIR': str(base / 'config'),
            'PIKER_DATA_DIR': str(base / 'data'),
            'XDG_RUNTIME_DIR': str(base / 'run'),
            'PIKER_REGISTRY': self.registry,
        }

    @property
    def record(self) -> dict[str, Any] | None:
        path = self.base / 'run' / 'piker' / f'tree-{self.port}.json'
        try:
            return json.loads(path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def daemon_pid(self, name: str) -> int:
        record = self.record or {'children': {}}
        return record['children'].get(name, (0, 0))[0]

    def segments_bytes(self) -> int:
        """What the tree's shared memory takes up."""
        prefix = f'piker.{os.getuid()}.{self.port}.'
        return sum(
            path.stat().st_blocks * 512
            for path in Path('/dev/shm').iterdir()
            if path.name.startswith(prefix)
        )


@contextmanager
def open_place() -> Iterator[Place]:
    base = Path(tempfile.mkdtemp(prefix='pkb'))
    try:
        yield Place(base)
    finally:
        shutil.rmtree(base, ignore_errors=True)


class Pikerd:
    """A running ``pikerd``; ``seconds`` is how long it took to be ready."""

    def __init__(self, place: Place, *options: str) -> None:
        self.place = place
        self.log = (place.base / 'log').open('w+')
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'piker.cli.pikerd', '-l', 'warning',
             *options],
            env=place.env, stdout=self.log, stderr=self.log, cwd=ROOT,
        )
        while True:
            record = place.record
            if record and record['pid'] == self.process.pid:
                break
            if self.process.poll() is not None:
                raise BenchError(f'pikerd ended: {self.last_words()}')
            time.sleep(0.001)
        self.seconds = time.perf_counter() - began

    def last_words(self) -> str:
        self.log.seek(0)
        return ' | '.join(self.log.read().splitlines()[-4:])[-400:]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


@contextmanager
def open_pikerd(*options: str) -> Iterator[Pikerd]:
    with open_place() as place:
        pikerd = Pikerd(place, *options)
        try:
            yield pikerd
        finally:
            pikerd.stop()
