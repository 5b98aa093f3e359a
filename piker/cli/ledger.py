"""
``piker ledger``: what was traded and what came of it.
"""
from __future__ import annotations

import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import click
import msgspec

from ..clearing.beancount import to_beancount
from ..clearing.ledger import By, Ledger, LedgerRow, PnlRow, frame, pnl
from ..clock import format_ns
from ..errors import StorageError
from .common import CONTEXT, emit, guarded, json_option, print_table
from .ledger_check import check
from .ledger_tools import Range, Source, exact, money, range_options

__all__ = ['ledger']


@click.group(invoke_without_command=True, context_settings=CONTEXT)
@range_options
@json_option
@click.pass_context
@guarded
def ledger(
    context: click.Context,
    account: str,
    symbol: str,
    since: int,
    until: int | None,
    loglevel: str,
    config: Path | None,
    journal: Path | None,
    as_json: bool,
) -> None:
    """
    List fills with the position and the realised profit after each.

    Read from the journal, with or without a running tree.  Fills are listed
    in the order in which they became known, times are the venue's.
    """
    if context.invoked_subcommand is not None:
        _refuse_options(context)
        return
    wanted = Range.checked(account, symbol, since, until)
    rows = wanted.rows(Source(config, journal).read(account))
    if as_json:
        for row in rows:
            emit(_row_object(row))
        return
    print_table('', [
        ('time (UTC)', 'left'), ('account', 'left'), ('symbol', 'left'),
        ('side', 'left'), ('size', 'right'), ('price', 'right'),
        ('fee', 'right'), ('position', 'right'), ('realised', 'right'),
        ('total', 'right'), ('', 'left'), ('order', 'left'),
    ], [_row_cells(row) for row in rows])


def _refuse_options(context: click.Context) -> None:
    """An option of the group says nothing to a command of it."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is click.core.ParameterSource.COMMANDLINE:
            option = {'as_json': 'json'}.get(name, name)
            context.fail(
                f'write --{option} after {context.invoked_subcommand!r}'
            )


def _row_object(row: LedgerRow) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(row)
    fill: dict[str, Any] = found.pop('fill')
    return fill | found


def _row_cells(row: LedgerRow) -> list[str]:
    fill = row.fill
    fee = f'{exact(fill.fee)} {fill.fee_asset}' if fill.fee else '–'
    return [
        format_ns(fill.time_ns), fill.account, fill.symbol, fill.side,
        exact(fill.size), exact(fill.price), fee, exact(row.position),
        money(row.realised), money(row.total), row.quote, fill.oid or '–',
    ]


@ledger.command('pnl', context_settings=CONTEXT)
@click.option(
    '--by', type=click.Choice(['both', 'day', 'symbol']), default='both',
    show_default=True, help='A row for each day, each instrument, or both.',
)
@range_options
@json_option
@guarded
def pnl_(
    by: By,
    account: str,
    symbol: str,
    since: int,
    until: int | None,
    loglevel: str,
    config: Path | None,
    journal: Path | None,
    as_json: bool,
) -> None:
    """
    Add up profit and fees by day (UTC) and instrument.

    Profit is what was realised, by average price; open positions are not
    valued.
    """
    wanted = Range.checked(account, symbol, since, until)
    found = pnl(wanted.rows(Source(config, journal).read(account)), by)
    if as_json:
        for row in found:
            emit(row)
        return
    columns = _PNL_COLUMNS[by]
    print_table('', [(c, _PNL_CELLS[c][0]) for c in columns], [
        [_PNL_CELLS[c][1](row) for c in columns] for row in found
    ])


_PNL_CELLS: dict[str, tuple[str, Callable[[PnlRow], str]]] = {
    'day (UTC)': ('left', lambda row: format_ns(row.day_ns or 0)[:10]),
    'account': ('left', lambda row: row.account),
    'symbol': ('left', lambda row: row.symbol),
    'fills': ('right', lambda row: f'{row.fills:,}'),
    'bought': ('right', lambda row: exact(row.bought or Decimal(0))),
    'sold': ('right', lambda row: exact(row.sold or Decimal(0))),
    'turnover': ('right', lambda row: money(row.turnover)),
    'realised': ('right', lambda row: money(row.realised)),
    'fees': ('right', lambda row: money(row.fees)),
    'net': ('right', lambda row: money(row.net)),
    '': ('left', lambda row: row.quote),
    'other fees': ('left', lambda row: ', '.join(
        f'{exact(fee)} {asset}' for asset, fee in row.other_fees.items()
    )),
}
_PNL_COLUMNS = {
    'both': list(_PNL_CELLS),
    'day': [c for c in _PNL_CELLS if c not in {'symbol', 'bought', 'sold'}],
    'symbol': [c for c in _PNL_CELLS if c != 'day (UTC)'],
}


@ledger.command(context_settings=CONTEXT)
@click.argument('file', type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    '--format', 'kind', required=True,
    type=click.Choice(['csv', 'parquet', 'beancount']),
    help='What to write.',
)
@range_options
@guarded
def export(
    file: Path,
    kind: Literal['csv', 'parquet', 'beancount'],
    account: str,
    symbol: str,
    since: int,
    until: int | None,
    loglevel: str,
    config: Path | None,
    journal: Path | None,
) -> None:
    """
    Write fills to FILE, every number exact.
    """
    wanted = Range.checked(account, symbol, since, until)
    found = Source(config, journal).read(account)
    data = _beancount(found, wanted) if kind == 'beancount' else (
        _table(found, wanted, kind)
    )
    try:
        file.write_bytes(data)
    except OSError as err:
        raise StorageError(f'{file}: cannot be written: {err}') from err


def _table(found: Ledger, wanted: Range, kind: str) -> bytes:
    table, data = frame(wanted.rows(found)), io.BytesIO()
    if kind == 'parquet':
        table.write_parquet(data)
    else:
        table.write_csv(data, datetime_format='%Y-%m-%dT%H:%M:%S%.9fZ')
    return data.getvalue()


def _beancount(found: Ledger, wanted: Range) -> bytes:
    fills = [
        row.fill for row in found.rows(
            wanted.account, wanted.symbol, until_ns=wanted.until_ns
        )
    ]
    currencies = {name: found.currencies(name) for name in found.instruments}
    return to_beancount(fills, currencies, wanted.since_ns).encode()


ledger.add_command(check)
