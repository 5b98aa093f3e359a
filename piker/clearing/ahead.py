"""
What is about to be journalled, kept where a kill cannot take it.

A transaction of SQLite takes some 0.2 ms of a processor that was idle before,
which is long for an order that was triggered.  So its records go into a file
of their own first, one transaction at offset 0 over the one before, and into
the journal as soon as the order is out; a process that dies in between leaves
them to the next one (`Journal`).  The file is mapped, so that writing them
mostly takes no system call: what is in a shared mapping is the kernel's, as
what was written is (mmap(2), ``MAP_SHARED``).

The file holds the records' bodies, a line each, and says what they belong to:
the seq of the first, and a checksum of the record before it.  What is half
written, has been journalled since, or follows on something else is not taken.
"""
from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

__all__ = ['Ahead']

# seq, bytes, checksum of them, checksum of the record before
_HEAD = struct.Struct('<QQII')
# What does not fit is written behind it; a trigger takes 1 kB.
_MAPPED = 1 << 16


class Ahead:
    """
    The file, open for as long as the journal is.

    Raises `OSError`, as its other functions do.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # A disk that is full shows here, and not in a store to memory.
            os.posix_fallocate(self._fd, 0, _MAPPED)
            self._map = mmap.mmap(self._fd, _MAPPED)
        except BaseException:
            os.close(self._fd)
            raise

    def write(self, seq: int, bodies: Sequence[bytes], before: int) -> None:
        """
        Keep records from ``seq`` on, as JSON.

        They follow on one with checksum ``before``.
        """
        body = b'\n'.join(bodies)
        data = _HEAD.pack(seq, len(body), zlib.crc32(body), before) + body
        written = min(len(data), _MAPPED)
        self._map[:written] = data[:written]
        while written < len(data):
            written += os.pwrite(self._fd, data[written:], written)

    def read(self, seq: int, before: int) -> list[bytes]:
        """What is kept, if it begins with ``seq`` and follows on."""
        head = os.pread(self._fd, _HEAD.size, 0)
        if len(head) < _HEAD.size:
            return []
        first, size, checksum, follows = _HEAD.unpack(head)
        if (first, follows) != (seq, before) or not size:
            return []
        if size > os.fstat(self._fd).st_size:
            return []
        body = os.pread(self._fd, size, _HEAD.size)
        return body.split(b'\n') if zlib.crc32(body) == checksum else []

    def clear(self) -> None:
        """Keep nothing."""
        self._map[:_HEAD.size] = bytes(_HEAD.size)

    def close(self) -> None:
        self._map.close()
        os.close(self._fd)
