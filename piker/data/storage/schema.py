"""
The columns of each kind of table, and the way between numpy and polars.

Bars have the fields of `BAR_DTYPE`, ticks those of `TICK_DTYPE` (Delta Lake
knows no unsigned integers: ``kind`` is a byte, ``count`` a long).  Both have
one more, ``written``: ns UTC of the write, never less than any write the
writer has seen before.  Where two rows are about the same thing, the one with
the higher ``written`` is the one that counts; any engine that reads the
tables can apply that rule.  The same thing is, for bars, the same ``time``;
for trades the same ``time`` and ``id``; for quotes the same ``time``,
``kind``, ``id``, ``price`` and ``size``.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ...errors import StorageError
from ..bars import BAR_DTYPE, BAR_FIELDS
from ..ticks import TICK_DTYPE, Kind
from .names import TICKS

__all__ = [
    'WRITTEN',
    'check_bars',
    'check_ticks',
    'columns_of',
    'dedupe',
    'delta_fields',
    'dtype_of',
    'frame_of',
    'pack_into',
    'rows_of',
]

WRITTEN = 'written'
TICK_FIELDS: tuple[str, ...] = TICK_DTYPE.names or ()
_NARROW = {'kind': pl.Int8, 'side': pl.Int8, 'count': pl.Int64}
_DELTA = {'i8': 'long', 'f8': 'double', 'u1': 'byte', 'i1': 'byte',
          'u4': 'long'}
# Rows are put together from columns in blocks that fit the cache: far
# quicker than column by column, which would touch all memory eight times.
_BLOCK = 1 << 14


def dtype_of(kind: str) -> np.dtype[Any]:
    return TICK_DTYPE if kind == TICKS else BAR_DTYPE


def columns_of(kind: str) -> tuple[str, ...]:
    """The columns of a table without ``written``."""
    return TICK_FIELDS if kind == TICKS else BAR_FIELDS


def delta_fields(kind: str) -> list[tuple[str, str]]:
    """Names and Delta Lake types of all columns."""
    dtype = dtype_of(kind)
    fields = [
        (name, _DELTA[dtype[name].str[1:]]) for name in columns_of(kind)
    ]
    return [*fields, (WRITTEN, 'long')]


def frame_of(kind: str, columns: Mapping[str, Any]) -> pl.DataFrame:
    """A frame of a table's columns from arrays, one a column."""
    names = columns_of(kind)
    missing = [name for name in names if name not in columns]
    if missing:
        raise StorageError(
            f'{kind}: no column {", ".join(missing)}: '
            f'{", ".join(names)} are needed'
        )
    frame = pl.DataFrame({
        name: np.ascontiguousarray(columns[name]) for name in names
    })
    return _narrowed(kind, frame)


def rows_as_columns(rows: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    return {name: rows[name] for name in rows.dtype.names or ()}


def _narrowed(kind: str, frame: pl.DataFrame) -> pl.DataFrame:
    if kind != TICKS:
        return frame
    return frame.with_columns(
        pl.col(name).cast(to) for name, to in _NARROW.items()
    )


def pack_into(
    frame: pl.DataFrame, out: Mapping[str, npt.NDArray[Any]] | npt.NDArray[Any]
) -> None:
    """Copy a frame's columns into rows, or columns, of the same length."""
    names = (
        out.dtype.names if isinstance(out, np.ndarray) else tuple(out)
    ) or ()
    at = 0
    for part in frame.iter_slices(_BLOCK):
        stop = at + len(part)
        for name in names:
            out[name][at:stop] = part[name].to_numpy()
        at = stop


def rows_of(kind: str, frame: pl.DataFrame) -> npt.NDArray[Any]:
    """A frame as rows of `BAR_DTYPE` or `TICK_DTYPE`."""
    out = np.empty(len(frame), dtype_of(kind))
    pack_into(frame, out)
    return out


def _same(kind: str) -> list[Any]:
    """What makes two rows be about the same thing."""
    if kind != TICKS:
        return ['time']
    quote = pl.col('kind') != int(Kind.TRADE)
    return [
        'time', 'kind', 'id',
        pl.when(quote).then(pl.col('price')).alias('_price'),
        pl.when(quote).then(pl.col('size')).alias('_size'),
    ]


def dedupe(kind: str, frame: pl.LazyFrame) -> pl.LazyFrame:
    """Sorted by time, one row a thing; of several the newest written."""
    ordered = frame.sort('time', WRITTEN, maintain_order=True)
    if kind != TICKS:
        return ordered.unique('time', keep='last', maintain_order=True)
    names = ['time', 'kind', 'id', '_price', '_size']
    return (
        ordered.with_columns(*_same(kind)[3:])
        .unique(names, keep='last', maintain_order=True)
        .drop('_price', '_size')
    )


def check_bars(
    period_s: int, columns: Mapping[str, Any], *, ordered: bool = False
) -> None:
    """
    Refuse bars that cannot be true, naming the first bad row (from 0).

    With ``ordered`` times must rise from row to row as well.
    """
    period_ns = period_s * 1_000_000_000
    times = np.asarray(columns['time'])
    high, low = np.asarray(columns['high']), np.asarray(columns['low'])
    prices = [
        np.asarray(columns[f]) for f in ('open', 'high', 'low', 'close',
                                         'vwap', 'volume')
    ]
    _refuse(~_all_finite(prices), 'holds a value that is no finite number')
    _refuse(times < 0, 'has a time before 1970')
    _refuse(
        times % period_ns != 0,
        f'has a time that is no multiple of {period_s} s in ns',
    )
    _refuse(high < low, 'has a high below its low')
    _refuse(np.asarray(columns['volume']) < 0, 'has a negative volume')
    _refuse(np.asarray(columns['trades']) < 0, 'has a negative trade count')
    if ordered:
        _check_order(times, strict=True)


def check_ticks(columns: Mapping[str, Any], *, ordered: bool = False) -> None:
    """Refuse ticks that cannot be true, naming the first bad row (from 0)."""
    times, kinds = np.asarray(columns['time']), np.asarray(columns['kind'])
    price, size = np.asarray(columns['price']), np.asarray(columns['size'])
    _refuse(
        ~_all_finite([price, size]), 'holds a value that is no finite number'
    )
    _refuse(times < 0, 'has a time before 1970')
    _refuse(
        ~np.isin(kinds, [int(k) for k in Kind]), 'has an unknown kind'
    )
    _refuse((price < 0) | (size < 0), 'has a negative price or size')
    if not ordered:
        return
    _check_order(times, strict=False)
    trades = np.flatnonzero(kinds == int(Kind.TRADE))
    ids = np.asarray(columns['id'])[trades]
    _, first = np.unique(ids, return_index=True)
    again = np.ones(len(ids), bool)
    again[first] = False
    bad = np.zeros(len(times), bool)
    bad[trades[again]] = True
    _refuse(bad, 'has the id of an earlier trade')


def _all_finite(columns: list[npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    finite: npt.NDArray[np.bool_] = np.isfinite(columns[0])
    for column in columns[1:]:
        finite &= np.isfinite(column)
    return finite


def _check_order(times: npt.NDArray[Any], *, strict: bool) -> None:
    step = np.diff(times, prepend=times[:1] - 1)
    if strict:
        _refuse(step == 0, 'has the time of the row before it')
    _refuse(step < 0, 'is older than the row before it')


def _refuse(bad: npt.NDArray[np.bool_], what: str) -> None:
    if bad.any():
        raise StorageError(
            f'row {int(np.flatnonzero(bad)[0])} {what}; '
            f'{int(bad.sum())} such rows; nothing was written'
        )
