"""
Which tables there are under a root.

A local root is simply looked through.  Object stores cannot be listed through
the table library, so there a small table of its own at ``<root>/_index`` says
which tables have been made, or deleted; newest row wins.
"""
from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import deltalake
import polars as pl
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from ...errors import BadInput
from .errors import translated
from .names import TableId, is_remote, join

__all__ = ['append_rows', 'list_tables', 'note_table']

_INDEX = '_index'
_TRIES = 5


def list_tables(root: str, options: Mapping[str, str]) -> list[TableId]:
    """Every table of a root, sorted; what is no table of ours is skipped."""
    if is_remote(root):
        return sorted(_indexed(root, options))
    found = []
    for log in Path(root).glob('*/*/*/_delta_log'):
        try:
            found.append(TableId.from_parts(*log.parent.parts[-3:]))
        except BadInput:
            continue
    return sorted(found)


def _indexed(root: str, options: Mapping[str, str]) -> set[TableId]:
    uri = join(root, _INDEX)
    with translated(uri, 'be read'):
        try:
            delta = deltalake.DeltaTable(
                uri, storage_options=dict(options) or None
            )
        except TableNotFoundError:
            return set()
        rows = (
            pl.scan_parquet(
                delta.file_uris(), glob=False,
                storage_options=dict(options) or None,
            )
            .sort('written')
            .unique(['provider', 'local', 'kind'], keep='last')
            .filter(~pl.col('gone'))
            .select('provider', 'local', 'kind')
            .collect()
            if delta.file_uris()
            else None
        )
    if rows is None:
        return set()
    return {TableId(*row) for row in rows.iter_rows()}


def note_table(
    root: str, options: Mapping[str, str], table_id: TableId, *,
    gone: bool = False,
) -> None:
    """Put a table, before it is made, on the index of an object store."""
    if not is_remote(root):
        return
    if not gone and table_id in _indexed(root, options):
        return
    uri = join(root, _INDEX)
    row = pl.DataFrame({
        'provider': [table_id.provider],
        'local': [table_id.local],
        'kind': [table_id.kind],
        'gone': [gone],
        'written': [time.time_ns()],
    })
    append_rows(uri, options, row)


def append_rows(
    uri: str, options: Mapping[str, str], rows: pl.DataFrame
) -> None:
    """Append to a small table of our own, made at the first row."""
    with translated(uri, 'be written'):
        for attempt in range(_TRIES):
            try:
                deltalake.write_deltalake(
                    uri, rows, mode='append',
                    storage_options=dict(options) or None,
                )
                return
            except CommitFailedError:
                # Several made it in the same instant.
                if attempt == _TRIES - 1:
                    raise
