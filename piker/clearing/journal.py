"""The journal: what clearing remembers, on disk (SQLite, WAL)."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from .records import Record

__all__ = ['Entry', 'Journal', 'JournalReader']


class Entry(NamedTuple):
    """A record and its place in the journal."""

    seq: int
    record: Record


class JournalReader:
    """
    Read access, also while ``emsd`` writes; a context manager.

    Raises `DataError` that names the file.
    """

    def __init__(self, path: Path) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()

    def close(self) -> None:
        raise NotImplementedError

    def entries(
        self,
        *,
        after: int = 0,
        account: str = '',
        oid: str = '',
        kinds: Sequence[str] = (),
        since_ns: int = 0,
        until_ns: int | None = None,
    ) -> Iterator[Entry]:
        """Entries in order, those that fit all that is given."""
        raise NotImplementedError


class Journal(JournalReader):
    """
    The one writer: a second one on the same file is refused.

    Makes the file if there is none, with a `Begun` as its first record.
    """

    def __init__(self, path: Path, now_ns: int) -> None:
        raise NotImplementedError

    def append(
        self, records: Sequence[Record], *, urgent: bool = False
    ) -> int:
        """
        Write ``records`` in one transaction; returns the last one's seq.

        Without ``urgent`` they are on the disk when this returns.  With it,
        they survive a kill of the process; `sync` makes them survive a power
        cut.
        """
        raise NotImplementedError

    def sync(self) -> None:
        """Have everything that was appended on the disk."""
        raise NotImplementedError
