"""
A tree's identity on this machine: its address, its record, its leftovers.

Several trees live side by side; each is named by the port of its registry.
The record of a running tree is a small file in the user's runtime directory;
its segments in shared memory begin with `Tree.segment_prefix`.
"""
from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..errors import BadInput, DaemonError
from .watch import is_alive, started_ticks

__all__ = ['DEFAULT_REGISTRY', 'Record', 'Tree']

DEFAULT_REGISTRY = '127.0.0.1:6116'
_LOOPBACK = ('127.0.0.1', 'localhost')
_SHM = Path('/dev/shm')


class Record(msgspec.Struct):
    """What a running ``pikerd`` says of itself and its children."""

    pid: int
    started: int
    children: dict[str, tuple[int, int]] = {}

    @property
    def alive(self) -> bool:
        return is_alive(self.pid, self.started)


@dataclass(frozen=True, slots=True)
class Tree:
    """The address of a tree's registry and what derives from it."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str | None = None) -> Tree:
        """
        From ``HOST:PORT``, else ``PIKER_REGISTRY``, else the default.

        Raises `BadInput`; the control plane listens on loopback only.
        """
        text = text or os.environ.get('PIKER_REGISTRY') or DEFAULT_REGISTRY
        host, _, port = text.rpartition(':')
        if not port.isdigit() or not 0 < int(port) < 65536 or not host:
            raise BadInput(
                f'{text!r} is not a registry address: write HOST:PORT, for '
                f'example {DEFAULT_REGISTRY}'
            )
        if host not in _LOOPBACK:
            raise BadInput(
                f'{text!r} is not on this machine: the registry listens on '
                'loopback only, write 127.0.0.1:PORT'
            )
        return cls('127.0.0.1', int(port))

    def __str__(self) -> str:
        return f'{self.host}:{self.port}'

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    @property
    def segment_prefix(self) -> str:
        """What the names of all segments of this tree begin with."""
        return f'piker.{os.getuid()}.{self.port}.'

    def process_prefix(self, pid: int) -> str:
        """What the names of all segments of one daemon begin with."""
        return f'{self.segment_prefix}{pid}.'

    @property
    def record_file(self) -> Path:
        return _runtime_dir() / f'tree-{self.port}.json'

    def read_record(self) -> Record | None:
        """The record, or ``None`` without one that can be read."""
        try:
            return msgspec.json.decode(
                self.record_file.read_bytes(), type=Record
            )
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def write_record(self, children: dict[str, tuple[int, int]]) -> None:
        """Put this process on record as the tree's root."""
        pid = os.getpid()
        record = Record(pid, started_ticks(pid), children)
        path = self.record_file
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(f'.{pid}')
        fresh.write_bytes(msgspec.json.encode(record))
        fresh.replace(path)

    def drop_record(self) -> None:
        self.record_file.unlink(missing_ok=True)

    def sweep(self, pid: int | None = None) -> list[str]:
        """
        Unlink the segments of the tree, or of one of its processes.

        Returns their names.  Only for the root, which knows that their
        owners are gone.
        """
        prefix = (
            self.segment_prefix if pid is None else self.process_prefix(pid)
        )
        names = [p.name for p in _SHM.iterdir() if p.name.startswith(prefix)]
        for name in names:
            (_SHM / name).unlink(missing_ok=True)
        return names


def _runtime_dir() -> Path:
    """
    The directory of our records, private to this user.

    Raises `DaemonError` if somebody else made one of that name first.
    """
    base = os.environ.get('XDG_RUNTIME_DIR')
    if base:
        return Path(base) / 'piker'
    path = Path(tempfile.gettempdir()) / f'piker-{os.getuid()}'
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        info = path.lstat()
        mine = info.st_uid == os.getuid() and stat.S_ISDIR(info.st_mode)
        if not mine or info.st_mode & 0o077:
            raise DaemonError(
                f'{path} is not a private directory of user id '
                f'{os.getuid()}: remove it or set XDG_RUNTIME_DIR'
            ) from None
    return path
