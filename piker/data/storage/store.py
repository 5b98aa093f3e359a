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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ...errors import BadInput, StorageError, did_you_mean
from ..bars import BAR_DTYPE, BAR_FIELDS
from ..ticks import TICK_DTYPE, Kind
from .catalog import list_tables, note_table
from .gaps import Gap, find_gaps
from .layout import clusters, plan_compaction
from .names import (
    TICKS,
    TableId,
    bars_kind,
    join,
    table_root,
)
from .scan import END_NS, collect, read_rows, scan
from .schema import (
    check_bars,
    check_ticks,
    dedupe,
    dtype_of,
    frame_of,
    rows_as_columns,
)
from .table import SAFE_RETENTION_H, Snapshot, Table, translated

__all__ = ['Compacted', 'Store', 'TableInfo']

log = logging.getLogger(__name__)

# More rounds than any table needs; a guard, not a limit.
_MOST_ROUNDS = 64


@dataclass(frozen=True, slots=True)
class TableInfo:
    """
    A table at a glance; times in ns, sizes in bytes.

    ``rows`` counts what is on disk, so a bar that was written again counts
    twice until the table is compacted.
    """

    instrument_id: str
    kind: str
    rows: int
    files: int
    bytes: int
    first_ns: int
    last_ns: int
    version: int
    overlapping: int


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction did."""

    files_before: int
    files_after: int
    ranges: int
    swept: int


class Store:
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
        self.root = table_root(os.fspath(root))
        self.options = dict(options or {})
        self._tables: dict[TableId, Table] = {}
        self._noted: set[TableId] = set()

    def table(self, instrument_id: str, kind: str) -> Table:
        """The handle on one table, which need not exist yet."""
        table_id = TableId.of(instrument_id, kind)
        table = self._tables.get(table_id)
        if table is None:
            uri = join(self.root, *table_id.parts)
            table = Table(table_id, uri, self.options)
            # Two threads may come here at once: the first one's stays.
            table = self._tables.setdefault(table_id, table)
        return table

    def _existing(
        self, instrument_id: str, kind: str
    ) -> tuple[Table, Snapshot]:
        table = self.table(instrument_id, kind)
        snapshot = table.snapshot()
        if snapshot is None:
            known = [str(found) for found in self.ls()]
            raise StorageError(
                f'nothing is stored of {table.id} under {self.root}.'
                f'{did_you_mean(str(table.id), known)} `piker store ls` '
                'lists what is.'
            )
        return table, snapshot

    def ls(self) -> list[TableId]:
        """Every table there is, sorted."""
        return list_tables(self.root, self.options)

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

    # reading

    def _read(
        self, table: Table, start_ns: int | None, end_ns: int | None
    ) -> npt.NDArray[Any]:
        kind = table.id.kind
        low, high = _range(start_ns, end_ns)
        return table.reading(
            lambda snapshot: read_rows(
                kind, snapshot, low, high, self.options
            ),
            np.empty(0, dtype_of(kind)),
        )

    def read_bars(
        self,
        instrument_id: str,
        period_s: int,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> npt.NDArray[Any]:
        """
        Bars that open in ``[start_ns, end_ns)`` as `BAR_DTYPE` rows.

        Sorted, one a time; empty where nothing is stored.
        """
        table = self.table(instrument_id, bars_kind(period_s))
        return self._read(table, start_ns, end_ns)

    def read_bar_columns(
        self,
        instrument_id: str,
        period_s: int,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """
        The same bars as one read-only array for each field of `BAR_DTYPE`.

        A third of the cost of `read_bars` for millions of bars: tables keep
        columns, and rows have to be put together in memory of their own.
        """
        frame = self.bars_frame(instrument_id, period_s, start_ns, end_ns)
        return {name: frame[name].to_numpy() for name in BAR_FIELDS}

    def read_ticks(
        self,
        instrument_id: str,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> npt.NDArray[Any]:
        """Ticks of ``[start_ns, end_ns)`` as `TICK_DTYPE` rows, by time."""
        return self._read(
            self.table(instrument_id, TICKS), start_ns, end_ns
        )

    def scan(
        self,
        instrument_id: str,
        kind: str,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> pl.LazyFrame:
        """
        The same rows as a lazy frame over the files that hold them.

        Collect it within a day: the files are kept that long once they have
        been compacted away.  Without a table it is empty.
        """
        snapshot = self.table(instrument_id, kind).snapshot()
        if snapshot is None:
            snapshot = Snapshot('', 0, ())
        low, high = _range(start_ns, end_ns)
        return scan(kind, snapshot, low, high, self.options)

    def frames(
        self,
        instrument_id: str,
        kind: str,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> Iterator[pl.DataFrame]:
        """The same rows in frames of bounded size, in order."""
        table = self.table(instrument_id, kind)
        snapshot = table.snapshot()
        if snapshot is None:
            return
        low, high = _range(start_ns, end_ns)
        with translated(table.uri, 'be read'):
            yield from collect(kind, snapshot, low, high, self.options)

    def bars_frame(
        self,
        instrument_id: str,
        period_s: int,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> pl.DataFrame:
        """`read_bars` as a polars frame."""
        return self._frame(
            self.table(instrument_id, bars_kind(period_s)), start_ns, end_ns
        )

    def ticks_frame(
        self,
        instrument_id: str,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> pl.DataFrame:
        """`read_ticks` as a polars frame."""
        return self._frame(
            self.table(instrument_id, TICKS), start_ns, end_ns
        )

    def _frame(
        self, table: Table, start_ns: int | None, end_ns: int | None
    ) -> pl.DataFrame:
        low, high = _range(start_ns, end_ns)
        kind = table.id.kind
        empty = scan(kind, Snapshot('', 0, ())).collect()
        return table.reading(
            lambda snapshot: pl.concat([
                empty, *collect(kind, snapshot, low, high, self.options)
            ]),
            empty,
        )

    def bounds(
        self, instrument_id: str, kind: str
    ) -> tuple[int, int] | None:
        """Oldest and newest stored time, ``None`` where nothing is."""
        snapshot = self.table(instrument_id, kind).snapshot()
        if snapshot is None or not snapshot.files:
            return None
        return (
            min(f.min_ns for f in snapshot.files),
            max(f.max_ns for f in snapshot.files),
        )

    def newest_trade_id(self, instrument_id: str) -> int | None:
        """Id of the newest stored trade."""

        def read(snapshot: Snapshot) -> int | None:
            trade = pl.col('kind') == int(Kind.TRADE)
            for group in reversed(clusters(snapshot.files)):
                part = Snapshot(snapshot.base, 0, tuple(group))
                found = (
                    scan(TICKS, part, options=self.options)
                    .filter(trade)
                    .select(pl.col('id').max())
                    .collect()
                    .item()
                )
                if found is not None:
                    return int(found)
            return None

        return self.table(instrument_id, TICKS).reading(read, None)

    def gaps(
        self,
        instrument_id: str,
        period_s: int,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> list[Gap]:
        """
        Ranges of bars that are missing, oldest first.

        Without bounds between the first and the last stored bar; a bound
        that is given counts as an edge, so with both everything that is not
        stored of ``[start_ns, end_ns)`` is a gap.
        """
        table = self.table(instrument_id, bars_kind(period_s))
        nothing: list[Gap] = []
        if start_ns is not None and end_ns is not None:
            empty = Snapshot('', 0, ())
            nothing = find_gaps(
                empty, period_s, start_ns, end_ns, self.options
            )
        return table.reading(
            lambda snapshot: find_gaps(
                snapshot, period_s, start_ns, end_ns, self.options
            ),
            nothing,
        )

    def info(self, instrument_id: str, kind: str) -> TableInfo:
        """Raises `StorageError` where nothing is stored."""
        _, snapshot = self._existing(instrument_id, kind)
        files = snapshot.files
        table_id = TableId.of(instrument_id, kind)
        return TableInfo(
            table_id.instrument_id,
            kind,
            rows=snapshot.rows,
            files=len(files),
            bytes=sum(f.size for f in files),
            first_ns=min((f.min_ns for f in files), default=0),
            last_ns=max((f.max_ns for f in files), default=0),
            version=snapshot.version,
            overlapping=sum(
                len(group) for group in clusters(files) if len(group) > 1
            ),
        )

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


def _range(start_ns: int | None, end_ns: int | None) -> tuple[int, int]:
    return (
        0 if start_ns is None else start_ns,
        END_NS if end_ns is None else end_ns,
    )
