"""
One Delta Lake table: snapshots, appends, rewrites, and its repair.

Appends never conflict with each other: Delta Lake numbers commits, and a
writer that loses the race for a number takes the next.  A rewrite (see
`Table.rewrite`) is refused by the log if rows came into its range meanwhile,
and is then done again from what is there.

Source: the delta-rs and Delta Lake documentation, "Concurrency control".
"""
from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import deltalake
import polars as pl
from deltalake.exceptions import (
    CommitFailedError,
    DeltaError,
    TableNotFoundError,
)
from deltalake.schema import Field, PrimitiveType, Schema

from .errors import translated
from .layout import DataFile
from .names import TICKS, TableId, is_remote
from .repair import force_to_disk, mend_log, sweep, torn_files
from .schema import WRITTEN, delta_fields

__all__ = ['SAFE_RETENTION_H', 'Snapshot', 'Table']

log = logging.getLogger(__name__)

T = TypeVar('T')

# How often what others got in the way of is done again.
_TRIES = 5
_COMMIT_RETRIES = 100
# Kept this long: what readers of an older snapshot may still be reading, and
# what a writer may be about to commit.
SAFE_RETENTION_H = 24
# Rows of a row group.  Larger ones share more of a dictionary (bars: 14 % less
# on disk), smaller ones cost less to open for a short range.
_BAR_GROUP = 1 << 18
_TICK_GROUP = 1 << 17
# The default encodings are quicker to set up and as good for less.
_FEW_ROWS = 1000
_PROPERTIES = {
    'delta.checkpointInterval': '50',
    'delta.dataSkippingStatsColumns': f'time,{WRITTEN}',
    'delta.deletedFileRetentionDuration': 'interval 1 days',
    'delta.logRetentionDuration': 'interval 1 hours',
    'delta.setTransactionRetentionDuration': 'interval 30 days',
}
_FAR_NS = 1 << 62


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A version of a table and the files it consists of."""

    base: str
    version: int
    files: tuple[DataFile, ...]

    @property
    def rows(self) -> int:
        """Rows in all files, duplicates included."""
        return sum(f.rows for f in self.files)


def _writer_properties(kind: str, rows: int) -> deltalake.WriterProperties:
    encodings = None
    if rows > _FEW_ROWS:
        plain = deltalake.ColumnProperties(dictionary_enabled=False)
        # Times differ by a constant: delta encoding makes nothing of them.
        delta = deltalake.ColumnProperties(
            dictionary_enabled=False, encoding='DELTA_BINARY_PACKED'
        )
        encodings = {'time': delta}
        if kind != TICKS:
            # Prices repeat, their weighted means do not.
            encodings['vwap'] = plain
    return deltalake.WriterProperties(
        compression='ZSTD',
        compression_level=1,
        max_row_group_size=_TICK_GROUP if kind == TICKS else _BAR_GROUP,
        column_properties=encodings,
    )


class Table:
    """
    A handle on one table, which need not exist yet.

    Safe to use from several threads; any number of processes may write.
    """

    def __init__(
        self, table_id: TableId, uri: str, options: Mapping[str, str]
    ) -> None:
        self.id = table_id
        self.uri = uri
        self.options = dict(options) or None
        self.path = None if is_remote(uri) else Path(uri)
        self._lock = threading.RLock()
        self._delta: deltalake.DeltaTable | None = None
        self._audited = False
        self._newest_write = 0
        # The last snapshot, and by what it is known to be the newest still.
        self._kept: tuple[Snapshot, tuple[int, int]] | None = None

    # opening

    def _load(self) -> deltalake.DeltaTable:
        """A fresh handle; a log that is cut off at its end is mended."""
        try:
            return deltalake.DeltaTable(self.uri, storage_options=self.options)
        except TableNotFoundError:
            # Also what a table whose only entry is cut off looks like.
            raise
        except DeltaError:
            if self.path is None or not mend_log(self.path):
                raise
        return deltalake.DeltaTable(self.uri, storage_options=self.options)

    def _open(self) -> deltalake.DeltaTable | None:
        """The shared handle at the newest version, ``None`` if no table."""
        if self._delta is not None:
            try:
                self._delta.update_incremental()
                return self._delta
            except Exception as err:
                # Deleted and made anew by somebody, perhaps.
                log.debug('%s: opening it anew: %s', self.id, err)
                self._delta = None
        if self.path is not None and not (self.path / '_delta_log').is_dir():
            return None
        try:
            self._delta = self._load()
        except TableNotFoundError:
            return None
        if not self._audited:
            self._audit(self._delta)
        return self._delta

    def _audit(self, delta: deltalake.DeltaTable) -> None:
        """Take data files that a crash of the machine cut off out of it."""
        self._audited = True
        if self.path is None:
            return
        torn = torn_files(self.path, _files(delta))
        if torn:
            log.warning(
                '%s: %d files were cut off by a crash; their rows are gaps '
                'now', self.id, len(torn),
            )
            delta.repair()
            delta.update_incremental()

    def _create(self) -> deltalake.DeltaTable:
        fields = [
            Field(name, PrimitiveType(kind), nullable=True)
            for name, kind in delta_fields(self.id.kind)
        ]
        if self.path is not None:
            self.path.mkdir(parents=True, exist_ok=True)
            mend_log(self.path)
        try:
            deltalake.DeltaTable.create(
                self.uri,
                Schema(fields),
                mode='ignore',
                name=f'{self.id.kind} of {self.id.instrument_id}',
                configuration=_PROPERTIES,
                storage_options=self.options,
            )
        except DeltaError as err:
            # Somebody else made it in the same instant.
            log.debug('%s: %s', self.id, err)
        self._delta = self._load()
        return self._delta

    # reading

    def snapshot(self) -> Snapshot | None:
        """The newest version, ``None`` without a table."""
        with self._lock, translated(self.uri, 'be read'):
            if self._kept and self._stamp(self._kept[0]) == self._kept[1]:
                return self._kept[0]
            delta = self._open()
            if delta is None:
                return None
            found = Snapshot(self.uri, delta.version(), tuple(_files(delta)))
            stamp = self._stamp(found)
            self._kept = (found, stamp) if stamp else None
            return found

    def _stamp(self, snapshot: Snapshot) -> tuple[int, int] | None:
        """
        What tells a version's entry in the log from another's.

        ``None`` where that is not known, or where the log has gone on:
        versions have no gaps, and two looks cost less than reading the log.
        """
        if self.path is None:
            return None
        log_dir = self.path / '_delta_log'
        if (log_dir / f'{snapshot.version + 1:020}.json').exists():
            return None
        try:
            entry = (log_dir / f'{snapshot.version:020}.json').stat()
        except OSError:
            return None
        return entry.st_ino, entry.st_mtime_ns

    def reading(self, read: Callable[[Snapshot], T], empty: T) -> T:
        """
        ``read`` of the newest snapshot, or ``empty`` without a table.

        Done once more from a fresh one if files went away under it.
        """
        snapshot = self.snapshot()
        if snapshot is None:
            return empty
        try:
            return read(snapshot)
        except (OSError, pl.exceptions.PolarsError) as err:
            log.info('%s: reading it once more: %s', self.id, err)
        self.forget()
        again = self.snapshot()
        if again is None:
            return empty
        with translated(self.uri, 'be read'):
            return read(again)

    def position(self, ring: str) -> int | None:
        """What the newest append said of ``ring``, see `append`."""
        with self._lock, translated(self.uri, 'be read'):
            delta = self._open()
            return None if delta is None else delta.transaction_version(ring)

    def delta(self) -> deltalake.DeltaTable:
        """A handle of one's own; `StorageError` without a table."""
        with translated(self.uri, 'be opened'):
            return self._load()

    # writing

    def append(
        self, frame: pl.DataFrame, ring: str = '', position: int = 0
    ) -> None:
        """
        Commit rows, sorted and without duplicates in themselves.

        ``position`` is how far ``ring`` has been written with them, kept in
        the very same commit: see `position`.
        """
        with self._lock, translated(self.uri, 'be written'):
            for attempt in range(_TRIES):
                try:
                    self._append(frame, ring, position)
                    return
                except CommitFailedError as err:
                    # Made or deleted by somebody in the same instant.
                    if attempt == _TRIES - 1:
                        raise
                    log.debug('%s: writing it again: %s', self.id, err)
                    self._delta = None

    def _append(self, frame: pl.DataFrame, ring: str, position: int) -> None:
        delta = self._open() or self._create()
        if not self._newest_write:
            self._newest_write = max(
                (f.written for f in _files(delta)), default=0
            )
        # Never less than before, whatever the wall clock does.
        self._newest_write = max(time.time_ns(), self._newest_write + 1)
        rings = [deltalake.Transaction(ring, position)] if ring else None
        deltalake.write_deltalake(
            delta,
            frame.with_columns(
                pl.lit(self._newest_write, pl.Int64).alias(WRITTEN)
            ),
            mode='append',
            writer_properties=_writer_properties(self.id.kind, len(frame)),
            commit_properties=deltalake.CommitProperties(
                max_commit_retries=_COMMIT_RETRIES,
                app_transactions=rings,
            ),
        )

    def rewrite(
        self,
        start_ns: int,
        end_ns: int,
        change: Callable[[Snapshot], pl.DataFrame],
    ) -> None:
        """
        Replace the rows of ``[start_ns, end_ns)`` with ``change`` of them.

        Rows that others put there meanwhile make it start over.
        """
        for attempt in range(_TRIES):
            # Pinned: the log must see what came after what we have read.
            delta = self.delta()
            snapshot = Snapshot(
                self.uri, delta.version(), tuple(_files(delta))
            )
            with translated(self.uri, 'be rewritten'):
                frame = change(snapshot)
                try:
                    deltalake.write_deltalake(
                        delta,
                        frame,
                        mode='overwrite',
                        predicate=(
                            f'time >= {start_ns} AND time < {end_ns}'
                        ),
                        writer_properties=_writer_properties(
                            self.id.kind, len(frame)
                        ),
                    )
                    return
                except CommitFailedError as err:
                    if attempt == _TRIES - 1:
                        raise
                    log.debug('%s: rewriting it again: %s', self.id, err)

    def vacuum(self, retention_h: float) -> list[str]:
        """Delete files that no snapshot of the last hours needs."""
        delta = self.delta()
        with translated(self.uri, 'be swept'):
            if self.path is not None:
                force_to_disk(self.path, _files(delta))
            gone = delta.vacuum(
                # whole hours: rounded up, so that no reader loses a file
                retention_hours=math.ceil(retention_h),
                dry_run=False,
                enforce_retention_duration=False,
                full=True,
            )
            delta.create_checkpoint()
            delta.cleanup_metadata()
            if self.path is not None:
                gone += sweep(self.path, retention_h * 3600)
            return gone

    def empty(self) -> None:
        """Delete every row and every file, for stores without a directory."""
        delta = self.delta()
        with translated(self.uri, 'be deleted'):
            delta.delete()
            delta.vacuum(
                0, dry_run=False, enforce_retention_duration=False, full=True
            )

    def forget(self) -> None:
        """Drop the handle."""
        with self._lock:
            self._delta, self._audited, self._kept = None, False, None


def _files(delta: deltalake.DeltaTable) -> list[DataFile]:
    frame = pl.DataFrame(delta.get_add_actions(flatten=True))
    if frame.is_empty():
        return []
    # A file of another writer may come without statistics.
    for name in ('num_records', 'min.time', 'max.time', f'max.{WRITTEN}'):
        if name not in frame.columns:
            frame = frame.with_columns(pl.lit(None, pl.Int64).alias(name))
    columns = frame.select(
        'path',
        'size_bytes',
        pl.col('num_records').fill_null(0),
        pl.col('min.time').fill_null(0),
        pl.col('max.time').fill_null(_FAR_NS),
        pl.col(f'max.{WRITTEN}').fill_null(0),
    )
    return [DataFile(*row) for row in columns.iter_rows()]
