"""
Shared-memory segments: columns of numbers that other processes can map.

A segment is a file in ``/dev/shm``.  We do not use
`multiprocessing.shared_memory`: on Python 3.11 the resource tracker of any
attached process may unlink a segment when that process exits, whereas here
only the owner ever does.  Readers map read-only; pages cost memory once they
are touched, so a large, sparse segment is cheap.

Layout of every segment::

    0     64 × int64   header words, named by the user of the segment
    512   JSON         what it holds: kind, dtype, capacity, names
    3584  note         a line of text that may change, and its version
    4096  columns      one contiguous column per dtype field, page-aligned

Source: shm_overview(7), tmpfs(5).
"""
from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import numpy.typing as npt

from ..errors import DataError, SegmentGone

__all__ = ['HEADER_WORDS', 'Segment', 'layout', 'patiently']

SHM_DIR = Path('/dev/shm')
HEADER_WORDS = 64
PAGE = 4096
_META_AT = HEADER_WORDS * 8
_NOTE_AT = PAGE - 512
_META_MAX = _NOTE_AT - _META_AT
# a version word, then UTF-8 up to the first NUL
_NOTE_MAX = PAGE - _NOTE_AT - 8 - 1


def layout(dtype: np.dtype[Any], capacity: int) -> tuple[dict[str, int], int]:
    """Byte offset of each field's column, and the segment's whole size."""
    offsets: dict[str, int] = {}
    at = PAGE
    assert dtype.names is not None
    for name in dtype.names:
        offsets[name] = at
        size = dtype[name].itemsize * capacity
        at += -(-size // PAGE) * PAGE
    return offsets, at


def patiently(tries: int = 1000, pauses: int = 200) -> Iterator[None]:
    """
    Steps of a wait for a writer to finish what it writes.

    A write takes microseconds, unless its process is preempted meanwhile, or
    has died in it: so at first at once, then with pauses of a millisecond.
    """
    for _ in range(tries):
        yield
    for _ in range(pauses):
        time.sleep(0.001)
        yield


class Segment:
    """
    One mapped segment.

    ``words`` is the header as an int64 array and ``header`` the same memory
    as a memoryview, which is quicker for single words; ``columns`` maps field
    names to arrays of length ``capacity``.  The mapping lives as long as any
    view of it, also after `unlink`.
    """

    def __init__(self, name: str, memory: mmap.mmap, writable: bool) -> None:
        self.name = name
        self.writable = writable
        self._memory = memory
        self.words: npt.NDArray[np.int64] = np.frombuffer(
            memory, np.int64, HEADER_WORDS
        )
        self.header = memoryview(memory)[:_META_AT].cast('q')
        raw = bytes(memory[_META_AT:_NOTE_AT]).rstrip(b'\0')
        self.meta: dict[str, Any] = msgspec.json.decode(raw)
        self.dtype = np.dtype(
            [(str(n), str(t)) for n, t in self.meta['dtype']]
        )
        self.capacity = int(self.meta['capacity'])
        offsets, _ = layout(self.dtype, self.capacity)
        self.columns: dict[str, npt.NDArray[Any]] = {
            field: np.frombuffer(
                memory, self.dtype[field], self.capacity, at
            )
            for field, at in offsets.items()
        }
        self._offsets = offsets
        self._note_version = memoryview(memory)[
            _NOTE_AT:_NOTE_AT + 8
        ].cast('q')
        self._noted = ''

    @classmethod
    def create(
        cls,
        name: str,
        dtype: np.dtype[Any],
        capacity: int,
        meta: dict[str, Any] | None = None,
    ) -> Self:
        """
        Make a segment, readable and writable by this user alone.

        Raises `DataError` if one of this name exists or memory is short.
        """
        assert dtype.names is not None
        full = {
            **(meta or {}),
            'dtype': [(n, dtype[n].str) for n in dtype.names],
            'capacity': capacity,
        }
        raw = msgspec.json.encode(full)
        if len(raw) > _META_MAX:
            raise DataError(f'segment {name}: description of {len(raw)} bytes')
        _, size = layout(dtype, capacity)
        path = SHM_DIR / name
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as err:
            raise DataError(f'cannot create segment {name}: {err}') from err
        try:
            os.ftruncate(fd, size)
            memory = mmap.mmap(fd, size)
        except OSError as err:
            path.unlink(missing_ok=True)
            raise DataError(f'cannot size segment {name}: {err}') from err
        finally:
            os.close(fd)
        memory[_META_AT:_META_AT + len(raw)] = raw
        return cls(name, memory, writable=True)

    @classmethod
    def attach(cls, name: str, *, writable: bool = False) -> Self:
        """Map an existing segment; `SegmentGone` if its owner dropped it."""
        flags = os.O_RDWR if writable else os.O_RDONLY
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        try:
            fd = os.open(SHM_DIR / name, flags)
        except FileNotFoundError as err:
            raise SegmentGone(
                f'segment {name} is gone: its daemon ended or dropped it'
            ) from err
        try:
            memory = mmap.mmap(fd, 0, access=access)
        finally:
            os.close(fd)
        return cls(name, memory, writable)

    def column_view(self, field: str) -> Any:
        """A column as a memoryview: the quickest way to store one item."""
        at = self._offsets[field]
        kind = self.dtype[field]
        size = kind.itemsize * self.capacity
        code: Any = kind.char
        return memoryview(self._memory)[at:at + size].cast(code)

    def float_words(self) -> Any:
        """The header words read as float64."""
        return memoryview(self._memory)[:_META_AT].cast('d')

    @property
    def note(self) -> str:
        """
        What the writer has to say, for a person; empty if nothing.

        Raises `DataError` if it is half written for long.
        """
        version, start = self._note_version, _NOTE_AT + 8
        for _ in patiently():
            before = version[0]
            raw = bytes(self._memory[start:PAGE])
            if before & 1 == 0 and before == version[0]:
                return raw.partition(b'\0')[0].decode(errors='ignore')
        raise DataError(
            f'segment {self.name}: its note is half written; its writer died'
        )

    def set_note(self, text: str) -> None:
        """Have readers see ``text`` as the note, cut where it is too long."""
        if text == self._noted:
            return
        self._noted = text
        raw = text.encode()[:_NOTE_MAX]
        start = _NOTE_AT + 8
        self._note_version[0] += 1
        self._memory[start:start + len(raw) + 1] = raw + b'\0'
        self._note_version[0] += 1

    def unlink(self) -> None:
        """Remove the name; mappings of it stay valid.  May be repeated."""
        (SHM_DIR / self.name).unlink(missing_ok=True)
