"""
What is about to be journalled, kept where a kill cannot take it.

A transaction of SQLite takes some 0.2 ms of a processor that was idle before,
which is long for an order that was triggered.  So its records go into a file
of their own first, one transaction at offset 0 over the one before, and into
the journal as soon as the order is out; a process that dies in between leaves
them to the next one (`Journal`).  Writing them takes one system call.

The file says what it belongs to: the seq of its first row, and a checksum of
the record before that one.  What is half written, has been journalled since,
or follows on something else is not taken.
"""
from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

__all__ = ['Ahead', 'Row']

# seq, time_ns, account, oid, kind, body
Row = tuple[int, int, str, str, str, bytes]

# bytes, checksum of them, checksum of the record before
_HEAD = struct.Struct('<QII')
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Row]).decode


class Ahead:
    """
    The file, open for as long as the journal is.

    Raises `OSError`, as its other functions do.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def write(self, rows: Sequence[Row], before: int) -> None:
        """Keep ``rows``, which follow a record of checksum ``before``."""
        body = _encode(rows)
        data = _HEAD.pack(len(body), zlib.crc32(body), before) + body
        written = os.pwrite(self._fd, data, 0)
        while written < len(data):
            written += os.pwrite(self._fd, data[written:], written)

    def read(self, seq: int, before: int) -> list[Row]:
        """What is kept, if it begins with ``seq`` and follows on."""
        head = os.pread(self._fd, _HEAD.size, 0)
        if len(head) < _HEAD.size:
            return []
        size, checksum, follows = _HEAD.unpack(head)
        if size > os.fstat(self._fd).st_size:
            return []
        body = os.pread(self._fd, size, _HEAD.size)
        if zlib.crc32(body) != checksum or follows != before:
            return []
        try:
            rows = _decode(body)
        except msgspec.MsgspecError:
            return []
        return rows if rows and rows[0][0] == seq else []

    def clear(self) -> None:
        """Keep nothing."""
        os.ftruncate(self._fd, 0)

    def close(self) -> None:
        os.close(self._fd)
