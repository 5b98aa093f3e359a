"""
``piker store compact`` and ``delete``.
"""
from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ...data.storage.names import TableId
from ..common import ask, counted
from ..options import CONTEXT
from .tools import progress_of, say, store_options, symbol_argument

if TYPE_CHECKING:
    from ...data.storage import Store

__all__ = ['COMMANDS']


@click.command(context_settings=CONTEXT)
@click.argument('symbol', required=False)
@click.argument('kind', required=False)
@click.option(
    '--retention', type=click.IntRange(min=0), default=24,
    show_default=True, metavar='HOURS',
    help='Keep replaced files this long for whoever still reads them.',
)
@store_options
def compact(
    symbol: str | None,
    kind: str | None,
    retention: int,
    where: Store,
    as_json: bool,
) -> None:
    """
    Make few large files of many small ones, and sweep leftovers.

    Without SYMBOL all tables, without KIND all of a symbol.
    """
    wanted = [
        table for table in where.ls()
        if (symbol is None or table == TableId.of(symbol, table.kind))
        and kind in (None, table.kind)
    ]
    if not wanted and symbol:
        where.info(symbol, kind or 'bars_60s')
    done = []
    with progress_of('compacting', len(wanted), as_json) as progress:
        for table in wanted:
            result = where.compact(
                table.instrument_id, table.kind, retention_h=retention
            )
            done.append((table, result))
            progress(1)
    for table, result in done:
        say(
            as_json,
            f'{table}: {result.files_before} → {result.files_after} files, '
            f'{result.swept} swept',
            symbol=table.instrument_id, kind=table.kind, **asdict(result),
        )


@click.command(context_settings=CONTEXT)
@symbol_argument
@click.argument('kind')
@click.option('--yes', is_flag=True, help='Do not ask.')
@store_options
def delete(
    symbol: str,
    kind: str,
    yes: bool,
    where: Store,
    as_json: bool,
) -> None:
    """Delete a table with all its rows."""
    found = where.info(symbol, kind)
    if not yes:
        rows = counted(found.rows, 'row')
        ask(f'Delete {rows} of {symbol} {kind} for good?')
    where.delete(symbol, kind)
    say(as_json, f'deleted {symbol} {kind}', deleted=found.rows)


COMMANDS = (compact, delete)
