"""
``piker ledger``: what was traded and what came of it.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import click
import msgspec

from ...clearing.ledger import By, LedgerRow, PnlRow, pnl
from ...clock import format_ns
from ..common import emit
from ..options import CONTEXT, HintedGroup, json_option, refuse_misplaced
from ..table import print_table
from .check import check
from .export import export
from .tools import Range, Source, exact, fill_options, money

__all__ = ['ledger']


@click.group(
    cls=HintedGroup, context_settings=CONTEXT, invoke_without_command=True
)
@json_option
@click.pass_context
@fill_options
def ledger(
    context: click.Context, as_json: bool, wanted: Range, source: Source
) -> None:
    """
    List fills with the position and the realised profit after each.

    Read from the journal, with or without a running tree.  Fills are listed
    in the order in which they became known, times are the venue's.
    """
    if context.invoked_subcommand is not None:
        refuse_misplaced(context)
        return
    rows = list(wanted.rows(source.read(wanted.account)))
    if as_json:
        for row in rows:
            emit(_row_object(row))
        return
    _say_if_none(source, rows)
    print_table('', [
        ('time (UTC)', 'left'), ('account', 'left', 3), ('symbol', 'left'),
        ('side', 'left'), ('size', 'right'), ('price', 'right'),
        ('fee', 'right', 5), ('position', 'right', 2),
        ('realised', 'right', 1), ('total', 'right', 4), ('', 'left', 1),
        ('order', 'left', 6),
    ], [_row_cells(row) for row in rows])


def _say_if_none(source: Source, rows: Sequence[Any]) -> None:
    # Without a journal more has been said already.
    if not rows and source.path.exists():
        click.echo('no such fills', err=True)


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
@json_option
@fill_options
def pnl_(by: By, as_json: bool, wanted: Range, source: Source) -> None:
    """
    Add up profit and fees by day (UTC) and instrument.

    Profit is what was realised, by average price; open positions are not
    valued.
    """
    found = pnl(wanted.rows(source.read(wanted.account)), by)
    if as_json:
        for row in found:
            emit(row)
        return
    _say_if_none(source, found)
    columns = _PNL_COLUMNS[by]
    print_table('', [
        (c, _PNL_CELLS[c][0], _PNL_RANKS.get(c, 0)) for c in columns
    ], [
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
    'other fees': ('text', lambda row: ', '.join(
        f'{exact(fee)} {asset}' for asset, fee in row.other_fees.items()
    )),
}
# What can be done without where there is no room.
_PNL_RANKS = {
    'account': 2, 'fills': 3, 'bought': 5, 'sold': 5, 'turnover': 4,
    'other fees': 1,
}
_PNL_COLUMNS = {
    'both': list(_PNL_CELLS),
    'day': [c for c in _PNL_CELLS if c not in {'symbol', 'bought', 'sold'}],
    'symbol': [c for c in _PNL_CELLS if c != 'day (UTC)'],
}


ledger.add_command(check)
ledger.add_command(export)
