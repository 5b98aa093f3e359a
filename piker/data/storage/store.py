"""
`Store`: bars and ticks in Delta Lake tables; needs no daemon.

Tables are append-only.  Writing a bar again does not replace it on disk: both
rows stay until `Store.compact`, and readers take the newer (see `schema`).
Any number of processes may read and write one root at once.
"""
from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ...errors import BadInput
from ..bars import BAR_DTYPE
from ..ticks import TICK_DTYPE
from .catalog import note_table
from .errors import translated
from .layout import plan_compaction
from .names import (
    TICKS,
    TableId,
    bars_kind,
)
from .reading import StoreReader, TableInfo
from .scan import scan
from .schema import (
    check_bars,
    check_ticks,
    dedupe,
    frame_of,
    rows_as_columns,
)
from .table import SAFE_RETENTION_H, Snapshot

__all__ = ['Compacted', 'Store', 'TableInfo']

log = logging.getLogger(__name__)

# More rounds than any table needs; a guard, not a limit.
_MOST_ROUNDS = 64


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction did."""

    files_before: int
    files_after: int
    ranges: int
    swept: int


class Store(StoreReader):
    """
    All tables under one root.

    ``root`` is a directory or a URL like ``s3://bucket/prefix``, empty for
    the default; ``options`` go to the object store as they are.  Safe to use
    from several threads.  Every failure is a `StorageError`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = '',
        options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(root, options)
        self._noted: set[TableId] = set()

    # writing

    def append_bars(
        self, instrument_id: str, period_s: int, rows: npt.NDArray[Any]
    ) -> int:
        """
        Write bars (`BAR_DTYPE`) in any order; returns how many.

        Of rows with the same time, also of those stored before, the last
        written is the one that counts.  Durable against the death of this
        process once it returns.
        """
        if rows.dtype != BAR_DTYPE:
            raise BadInput(f'bars must be BAR_DTYPE rows, not {rows.dtype}')
        if not len(rows):
            return 0
        columns = rows_as_columns(rows)
        check_bars(period_s, columns)
        kind = bars_kind(period_s)
        return self._append(instrument_id, kind, frame_of(kind, columns))

    def append_ticks(
        self,
        instrument_id: str,
        columns: Mapping[str, npt.NDArray[Any]] | npt.NDArray[Any],
        *,
        ring: str = '',
        position: int = 0,
    ) -> int:
        """
        Write ticks: `TICK_DTYPE` rows, or one array for each of its fields.

        ``ring`` and ``position`` are kept in the same commit: after a crash
        `ring_position` tells where to go on.  Returns how many.
        """
        if isinstance(columns, np.ndarray):
            if columns.dtype != TICK_DTYPE:
                raise BadInput(
                    f'ticks must be TICK_DTYPE rows, not {columns.dtype}'
                )
            columns = rows_as_columns(columns)
        if not len(columns['time']):
            return 0
        check_ticks(columns)
        frame = frame_of(TICKS, columns)
        return self._append(instrument_id, TICKS, frame, ring, position)

    def _append(
        self,
        instrument_id: str,
        kind: str,
        frame: pl.DataFrame,
        ring: str = '',
        position: int = 0,
    ) -> int:
        table = self.table(instrument_id, kind)
        if table.id not in self._noted:
            note_table(self.root, self.options, table.id)
            self._noted.add(table.id)
        table.append(_unique(kind, frame), ring, position)
        return len(frame)

    def ring_position(self, instrument_id: str, ring: str) -> int | None:
        """How far `append_ticks` has written ``ring``, ``None`` if never."""
        return self.table(instrument_id, TICKS).position(ring)

    # upkeep

    def compact(
        self,
        instrument_id: str,
        kind: str,
        *,
        least_files: int = 2,
        retention_h: float = SAFE_RETENTION_H,
        vacuum: bool = True,
    ) -> Compacted:
        """
        Small and overlapping files → large ones, sorted, one row a thing.

        Runs of fewer than ``least_files`` are left alone.  Files that have
        been replaced stay for ``retention_h`` hours, so that whoever reads
        them goes on undisturbed; older leftovers of crashes go with them.
        """
        table, before = self._existing(instrument_id, kind)
        ranges = 0
        snapshot = before
        for _ in range(_MOST_ROUNDS):
            plan = plan_compaction(snapshot.files, least_files)
            if not plan:
                break
            for start_ns, end_ns in plan:
                table.rewrite(
                    start_ns, end_ns,
                    partial(self._merged, kind, start_ns, end_ns),
                )
                ranges += 1
            snapshot = table.snapshot() or snapshot
        swept = table.vacuum(retention_h) if vacuum else []
        after = table.snapshot() or snapshot
        return Compacted(
            len(before.files), len(after.files), ranges, len(swept)
        )

    def _merged(
        self, kind: str, start_ns: int, end_ns: int, snapshot: Snapshot
    ) -> pl.DataFrame:
        frame = scan(
            kind, snapshot, start_ns, end_ns, self.options,
            written=True, merge=True,
        )
        return frame.collect()

    def vacuum(
        self,
        instrument_id: str,
        kind: str,
        retention_h: float = SAFE_RETENTION_H,
    ) -> int:
        """Delete files that nobody can need; returns how many."""
        table, _ = self._existing(instrument_id, kind)
        return len(table.vacuum(retention_h))

    def delete(self, instrument_id: str, kind: str) -> None:
        """
        Delete a table with all its rows.

        On an object store its log stays behind, without any rows.
        """
        table, _ = self._existing(instrument_id, kind)
        if table.path is None:
            table.empty()
            note_table(self.root, self.options, table.id, gone=True)
        else:
            with translated(table.uri, 'be deleted'):
                shutil.rmtree(table.path)
                for parent in (table.path.parent, table.path.parent.parent):
                    if not any(parent.iterdir()):
                        parent.rmdir()
        table.forget()
        self._noted.discard(table.id)


def _unique(kind: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Sorted by time; of rows about the same thing the last."""
    times = frame['time'].to_numpy()
    if kind != TICKS and (times[1:] > times[:-1]).all():
        return frame
    order = frame.with_row_index('written')
    return (
        dedupe(kind, order.lazy()).drop('written').collect()
    )
