"""
``piker store ls``, ``info`` and ``gaps``: what there is, and what is missing.
"""
from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ...clock import format_ns
from ...data.storage.names import TICKS, TableId
from ..common import emit
from ..options import CONTEXT
from ..table import print_table
from .tools import (
    kind_argument,
    period_of,
    store_options,
    symbol_argument,
    time_options,
    times,
)

if TYPE_CHECKING:
    from ...data.storage import Store

__all__ = ['COMMANDS']

_NO_COUNTS = frozenset({'newest_trade_id', 'version'})


@click.command('ls', context_settings=CONTEXT)
@store_options
def list_(where: Store, as_json: bool) -> None:
    """List every table."""
    found = [where.info(t.instrument_id, t.kind) for t in where.ls()]
    if as_json:
        for info in found:
            emit(asdict(info))
        return
    if not found:
        click.echo(f'nothing is stored under {where.root}', err=True)
        return
    print_table(f'tables under {where.root}', [
        ('symbol', 'left'), ('kind', 'left'), ('rows', 'right'),
        ('files', 'right', 2), ('MiB', 'right', 1), ('first (UTC)', 'left'),
        ('last (UTC)', 'left'),
    ], [
        [
            info.instrument_id, info.kind, f'{info.rows:,}',
            str(info.files), f'{info.bytes / 2**20:.1f}',
            *(times(info.first_ns, info.last_ns) if info.rows else '––'),
        ]
        for info in found
    ])


@click.command(context_settings=CONTEXT)
@symbol_argument
@kind_argument
@store_options
def info(symbol: str, kind: str, where: Store, as_json: bool) -> None:
    """Show one table: rows, files, size, versions, gaps."""
    found = asdict(where.info(symbol, kind))
    if kind == TICKS:
        found['newest_trade_id'] = where.newest_trade_id(symbol)
    else:
        period_s = TableId.of(symbol, kind).period_s
        found['gaps'] = len(where.gaps(symbol, period_s))
    found['uri'] = where.table(symbol, kind).uri
    if as_json:
        emit(found)
        return
    for name, value in found.items():
        if name.endswith('_ns'):
            name, value = name.removesuffix('_ns'), format_ns(value)
        counts = isinstance(value, int) and name not in _NO_COUNTS
        shown = f'{value:,}' if counts else value
        click.echo(f'{name.replace("_", " "):16} {shown}')


@click.command(context_settings=CONTEXT)
@symbol_argument
@kind_argument
@store_options
@time_options
def gaps(
    symbol: str,
    kind: str,
    start: int | None,
    end: int | None,
    where: Store,
    as_json: bool,
) -> None:
    """
    List the bars that are missing between the first and the last.

    With --start or --end, between those.
    """
    from ...data.storage.absent import absent_ranges
    from ...data.storage.ranges import without

    where.info(symbol, kind)
    period_s = period_of(symbol, kind)
    found = where.gaps(symbol, period_s, start, end)
    looked = absent_ranges(
        where.root, where.options, TableId.of(symbol, kind)
    )
    rows = [
        (gap, gap.bars(period_s), gap.bars(period_s) - sum(
            left.bars(period_s) for left in without([gap], looked)
        ))
        for gap in found
    ]
    if as_json:
        for gap, bars, absent in rows:
            emit({**gap._asdict(), 'bars': bars, 'absent': absent})
        return
    if not found:
        click.echo('no gaps', err=True)
        return
    print_table('', [
        ('from (UTC)', 'left'), ('to before', 'left'), ('bars', 'right'),
        ('not at the venue', 'right'),
    ], [
        [
            *times(gap.start_ns, gap.end_ns), f'{bars:,}',
            f'{absent:,}' if absent else '–',
        ]
        for gap, bars, absent in rows
    ])


COMMANDS = (list_, info, gaps)
