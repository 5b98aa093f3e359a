"""
``piker store export`` and ``import``: to files of other tools, and back.
"""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...data.storage.names import TableId
from ..common import check_writable, counted
from ..options import CONTEXT
from .tools import (
    format_option,
    progress_of,
    say,
    store_options,
    symbol_argument,
    time_options,
)

if TYPE_CHECKING:
    from ...data.storage import Store

__all__ = ['COMMANDS']


@click.command(context_settings=CONTEXT)
@symbol_argument
@click.argument('kind')
@click.argument('file', type=click.Path(path_type=Path, dir_okay=False))
@format_option
@store_options
@time_options
def export(
    symbol: str,
    kind: str,
    file: Path,
    form: str | None,
    start: int | None,
    end: int | None,
    where: Store,
    as_json: bool,
) -> None:
    """Write a table, or a range of it, to a parquet or CSV FILE."""
    from ...data.storage.transfer import export_table

    total = where.info(symbol, kind).rows
    check_writable(file)
    with progress_of('exporting', total, as_json) as progress:
        rows = export_table(
            where, TableId.of(symbol, kind), file, form or '',
            start_ns=start, end_ns=end, progress=progress,
        )
    say(
        as_json, f'{counted(rows, "row")} written to {file}', rows=rows,
        file=str(file),
    )


@click.command('import', context_settings=CONTEXT)
@symbol_argument
@click.argument('kind')
@click.argument('file', type=click.Path(path_type=Path))
@format_option
@store_options
def import_(
    symbol: str,
    kind: str,
    file: Path,
    form: str | None,
    where: Store,
    as_json: bool,
) -> None:
    """Check a parquet or CSV FILE and store its rows, all or none."""
    from ...data.storage.transfer import import_table

    rows = import_table(where, TableId.of(symbol, kind), file, form or '')
    say(
        as_json, f'{counted(rows, "row")} stored as {symbol} {kind}',
        rows=rows,
    )


COMMANDS = (export, import_)
