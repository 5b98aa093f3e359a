"""
Which ranges of bars the venue has been asked for in vain.

A hole that the venue cannot fill stays a gap of the table, but nobody needs
to ask for it at each start.  What has been looked at is kept in one small
table for all of a root, ``<root>/_absent``, so it goes where the bars go.
"""
from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import deltalake
import polars as pl
from deltalake.exceptions import TableNotFoundError

from .catalog import append_rows
from .errors import translated
from .names import TableId, is_remote, join
from .ranges import Gap, merged
from .table import SAFE_RETENTION_H

__all__ = ['absent_ranges', 'note_absent']

_ABSENT = '_absent'
# Each note is a file; more of them than this are made one.
_MOST_FILES = 64


def absent_ranges(
    root: str, options: Mapping[str, str], table_id: TableId
) -> list[Gap]:
    """Where the venue had no bars of this table, oldest first."""
    uri = join(root, _ABSENT)
    with translated(uri, 'be read'):
        delta = _open(uri, options)
        files = delta.file_uris() if delta else []
        if not files:
            return []
        rows = (
            pl.scan_parquet(
                files, glob=False, storage_options=dict(options) or None
            )
            .filter(
                pl.col('provider') == table_id.provider,
                pl.col('local') == table_id.local,
                pl.col('kind') == table_id.kind,
            )
            .select('start_ns', 'end_ns')
            .collect()
        )
    return merged(rows.iter_rows())


def note_absent(
    root: str,
    options: Mapping[str, str],
    table_id: TableId,
    ranges: Iterable[tuple[int, int]],
) -> None:
    """Remember that the venue has no bars in ``[start_ns, end_ns)`` each."""
    found = merged(ranges)
    if not found:
        return
    uri = join(root, _ABSENT)
    rows = pl.DataFrame({
        'provider': [table_id.provider] * len(found),
        'local': [table_id.local] * len(found),
        'kind': [table_id.kind] * len(found),
        'start_ns': [gap.start_ns for gap in found],
        'end_ns': [gap.end_ns for gap in found],
        'written': [time.time_ns()] * len(found),
    })
    append_rows(uri, options, rows)
    with translated(uri, 'be written'):
        _tidy(_open(uri, options))


def _open(
    uri: str, options: Mapping[str, str]
) -> deltalake.DeltaTable | None:
    if not is_remote(uri) and not Path(uri, '_delta_log').is_dir():
        return None
    try:
        return deltalake.DeltaTable(
            uri, storage_options=dict(options) or None
        )
    except TableNotFoundError:
        return None


def _tidy(delta: deltalake.DeltaTable | None) -> None:
    if delta is None or len(delta.file_uris()) <= _MOST_FILES:
        return
    delta.optimize.compact()
    delta.vacuum(
        SAFE_RETENTION_H, dry_run=False, enforce_retention_duration=False
    )
