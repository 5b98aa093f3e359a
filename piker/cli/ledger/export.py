"""
``piker ledger export``: fills as files of other tools.
"""
from __future__ import annotations

import io
import os
from pathlib import Path

import click

from ...clearing.beancount import to_beancount
from ...clearing.ledger import Ledger, frame
from ...errors import BadInput, StorageError
from ..common import check_writable, counted
from ..options import CONTEXT
from .tools import Range, Source, fill_options

__all__ = ['export']

_FORMATS = ('csv', 'parquet', 'beancount')


@click.command(context_settings=CONTEXT)
@click.argument('file', type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    '--format', 'form', type=click.Choice(_FORMATS), default=None,
    help='By default what the name of FILE ends in.',
)
@fill_options
def export(
    file: Path, form: str | None, wanted: Range, source: Source
) -> None:
    """
    Write fills to FILE, every number exact.

    A FILE that exists is replaced once the new one is complete.
    """
    form = form or file.suffix.removeprefix('.').lower()
    if form not in _FORMATS:
        raise BadInput(
            f'{form or file.name!r} is not a format: name one with --format, '
            f'{", ".join(_FORMATS)}'
        )
    check_writable(file)
    found = source.read(wanted.account)
    make = _beancount if form == 'beancount' else _table
    _write(file, make(found, wanted, form))
    count = sum(1 for _ in wanted.rows(found))
    click.echo(f'{counted(count, "fill")} written to {file}', err=True)


def _table(found: Ledger, wanted: Range, form: str) -> bytes:
    table, data = frame(wanted.rows(found)), io.BytesIO()
    if form == 'parquet':
        table.write_parquet(data)
    else:
        table.write_csv(data, datetime_format='%Y-%m-%dT%H:%M:%S%.9fZ')
    return data.getvalue()


def _beancount(found: Ledger, wanted: Range, form: str) -> bytes:
    fills = [
        row.fill for row in found.rows(
            wanted.account, wanted.symbol, until_ns=wanted.until_ns
        )
    ]
    currencies = {name: found.currencies(name) for name in found.instruments}
    return to_beancount(fills, currencies, wanted.since_ns).encode()


def _write(file: Path, data: bytes) -> None:
    fresh = file.with_name(f'.{file.name}.{os.getpid()}')
    try:
        if file.exists() and not file.is_file():
            # A pipe or a device, as /dev/stdout is.
            file.write_bytes(data)
            return
        try:
            fresh.write_bytes(data)
            fresh.replace(file)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as err:
        raise StorageError(
            f'{file} cannot be written: {err.strerror or err}'
        ) from err
