"""
Tables out to files of other tools, and back in.

A file has the columns of the table (see `schema`) without ``written``;
times are integers, ns UTC.  What is written can be read back bit for bit.
"""
from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from ...errors import BadInput, StorageError
from .errors import translated
from .names import TICKS, TableId
from .schema import (
    check_bars,
    check_ticks,
    columns_of,
    dtype_of,
    frame_of,
    pack_into,
)

if TYPE_CHECKING:
    from .store import Store

__all__ = ['FORMATS', 'export_table', 'import_table']

FORMATS = ('parquet', 'csv')
Progress = Callable[[int], None]


def format_of(path: Path, given: str) -> str:
    """The format given, else what the file's name ends in."""
    found = given or path.suffix.removeprefix('.').lower()
    if found not in FORMATS:
        raise BadInput(
            f'{found or str(path)!r} is not a format: use '
            f'{" or ".join(FORMATS)}'
        )
    return found


def export_table(
    store: Store,
    table: TableId,
    path: str | os.PathLike[str],
    form: str = '',
    *,
    start_ns: int | None = None,
    end_ns: int | None = None,
    progress: Progress | None = None,
) -> int:
    """
    Write rows of ``[start_ns, end_ns)`` to a file; returns how many.

    The file is complete or not there.  ``progress`` gets counts of rows as
    they go by.
    """
    target = Path(path)
    form = format_of(target, form)
    store.info(table.instrument_id, table.kind)
    frame = store.scan(table.instrument_id, table.kind, start_ns, end_ns)
    total = 0

    def note(part: pl.DataFrame) -> pl.DataFrame:
        nonlocal total
        total += len(part)
        if progress:
            progress(len(part))
        return part

    counted = frame.map_batches(note, streamable=True)
    fresh = target.with_name(f'.{target.name}.{os.getpid()}')
    with translated(str(target), 'be written'):
        try:
            if form == 'csv':
                counted.sink_csv(fresh)
            else:
                counted.sink_parquet(fresh, compression='zstd')
            fresh.replace(target)
        finally:
            fresh.unlink(missing_ok=True)
    return total


def import_table(
    store: Store,
    table: TableId,
    path: str | os.PathLike[str],
    form: str = '',
) -> int:
    """
    Check a file and write all of it in one commit; returns the rows.

    Raises `StorageError` naming the first bad row, counted from 0, and then
    has written nothing.
    """
    source = Path(path)
    form = format_of(source, form)
    if not source.is_file():
        raise BadInput(f'{source}: there is no such file')
    with translated(str(source), 'be read'):
        frame = (
            pl.read_csv(source, infer_schema=False)
            if form == 'csv'
            else pl.read_parquet(source)
        )
    dtype = dtype_of(table.kind)
    frame = _typed(source, frame, table.kind, from_text=form == 'csv')
    columns = {
        name: frame[name].to_numpy() for name in columns_of(table.kind)
    }
    try:
        if table.kind == TICKS:
            check_ticks(columns, ordered=True)
        else:
            check_bars(table.period_s, columns, ordered=True)
    except StorageError as err:
        raise StorageError(f'{source}: {err}') from None
    import numpy as np

    rows = np.empty(len(frame), dtype)
    pack_into(frame_of(table.kind, columns), rows)
    if table.kind == TICKS:
        return store.append_ticks(table.instrument_id, rows)
    return store.append_bars(table.instrument_id, table.period_s, rows)


def _typed(
    source: Path, frame: pl.DataFrame, kind: str, *, from_text: bool
) -> pl.DataFrame:
    """``frame`` with our types, refused where a value does not fit."""
    dtype = dtype_of(kind)
    names = columns_of(kind)
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise StorageError(
            f'{source}: no column {", ".join(missing)}: {kind} need '
            f'{", ".join(names)}; nothing was written'
        )
    out = {}
    for name in names:
        given = frame[name]
        want: type[pl.DataType] = (
            pl.Float64 if dtype[name].kind == 'f' else pl.Int64
        )
        fits = given.dtype.is_integer() or (
            want is pl.Float64 and given.dtype.is_float()
        )
        if not fits and not from_text:
            raise StorageError(
                f'{source}: column {name} is {given.dtype}, not '
                f'{"numbers" if want is pl.Float64 else "integers"}; '
                'nothing was written'
            )
        cast = given.cast(want, strict=False)
        low, high = _limits(dtype[name].str[1:])
        if want is pl.Int64:
            cast = cast.set(~cast.is_between(low, high), None)
        bad = cast.is_null().arg_true()
        if len(bad):
            raise StorageError(
                f'{source}: row {bad[0]} has {given[int(bad[0])]!r} in '
                f'column {name}, which is no '
                f'{"number" if want is pl.Float64 else "integer"} of its '
                f'kind; {len(bad)} such rows; nothing was written'
            )
        out[name] = cast
    return pl.DataFrame(out)


def _limits(code: str) -> tuple[int, int]:
    bits = int(code[1:]) * 8
    if code[0] == 'u':
        return 0, (1 << bits) - 1
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
