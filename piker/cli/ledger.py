"""
``piker ledger``: what was traded, what came of it, and whether the venue
agrees.
"""
from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import click
import msgspec

from ..clearing.audit import Audit, compare, fills_from_ns
from ..clearing.beancount import to_beancount
from ..clearing.journal import JournalReader, journal_file
from ..clearing.ledger import KINDS, By, Ledger, LedgerRow, PnlRow, frame, pnl
from ..clearing.probe import VenueBooks
from ..clock import SystemClock, format_ns
from ..config import load_settings
from ..errors import (
    BadInput,
    PikerError,
    StorageError,
    did_you_mean,
)
from ..instruments import InstrumentId
from ..messages import unpack
from ..service import Tree, TreeClient, open_tree
from .common import (
    CONTEXT,
    TimeParam,
    emit,
    guarded,
    json_option,
    level_option,
    print_table,
    registry_option,
    run,
    write_line,
)

__all__ = ['ledger']

F = TypeVar('F', bound=Callable[..., Any])

_FINE = Decimal('1E-8')

account_option = click.option(
    '--account', metavar='NAME', default='', help='Only this account.'
)
symbol_option = click.option(
    '--symbol', metavar='SYMBOL', default='', help='Only this instrument.'
)
since_option = click.option(
    '--since', type=TimeParam(), metavar='TIME', default=0,
    help='From this time (UTC) on.',
)
until_option = click.option(
    '--until', type=TimeParam(), metavar='TIME', default=None,
    help='Up to before this time.',
)
config_option = click.option(
    '--config', type=click.Path(path_type=Path), default=None,
    help='Settings file to read instead of the usual one.',
)
journal_option = click.option(
    '--journal', type=click.Path(path_type=Path, dir_okay=False),
    metavar='FILE', default=None,
    help='Journal to read; by default ems.journal of the settings.',
)


def _source_options(function: F) -> F:
    """Which journal is read."""
    return journal_option(config_option(level_option(function)))


def _options(function: F) -> F:
    """Which fills are looked at."""
    return account_option(symbol_option(since_option(until_option(
        _source_options(function)
    ))))


class _Source:
    """A journal and the accounts of the settings."""

    def __init__(self, config: Path | None, journal: Path | None) -> None:
        settings = load_settings(config)
        self.path = journal or journal_file(settings.ems.journal)
        self._accounts = set(settings.accounts)

    def read(self, account: str = '') -> Ledger:
        """
        All that is in the journal; without one, nothing, and says so.

        Raises `BadInput` for an account that neither settings nor journal
        know.
        """
        if self.path.exists():
            with JournalReader(self.path) as reader:
                found = Ledger(reader.entries(kinds=KINDS))
        else:
            found = Ledger([])
            click.echo(
                f'nothing was traded yet: there is no journal {self.path}. '
                'The first order makes it, on paper for example: '
                'piker ems buy btcusdt.sim 0.01', err=True,
            )
        known = self._accounts | set(found.accounts)
        if account and account not in known:
            raise BadInput(
                f'there is no account {account!r}.'
                f'{did_you_mean(account, known)} '
                f'Accounts: {", ".join(sorted(known))}.'
            )
        return found


class _Range(msgspec.Struct, frozen=True):
    """Which fills are looked at."""

    account: str
    symbol: str
    since_ns: int
    until_ns: int | None

    @classmethod
    def checked(
        cls, account: str, symbol: str, since: int, until: int | None
    ) -> _Range:
        if symbol:
            symbol = str(InstrumentId.parse(symbol))
        if until is not None and until <= since:
            raise BadInput(
                f'--until {format_ns(until)[:19]} is not after --since '
                f'{format_ns(since)[:19]}'
            )
        return cls(account, symbol, since, until)

    def rows(self, source: Ledger) -> Iterable[LedgerRow]:
        return source.rows(
            self.account, self.symbol, self.since_ns, self.until_ns
        )


@click.group(invoke_without_command=True, context_settings=CONTEXT)
@_options
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
    wanted = _Range.checked(account, symbol, since, until)
    rows = wanted.rows(_Source(config, journal).read(account))
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
    fee = f'{_text(fill.fee)} {fill.fee_asset}' if fill.fee else '–'
    return [
        format_ns(fill.time_ns), fill.account, fill.symbol, fill.side,
        _text(fill.size), _text(fill.price), fee, _text(row.position),
        _money(row.realised), _money(row.total), row.quote, fill.oid or '–',
    ]


@ledger.command('pnl', context_settings=CONTEXT)
@click.option(
    '--by', type=click.Choice(['both', 'day', 'symbol']), default='both',
    show_default=True, help='A row for each day, each instrument, or both.',
)
@_options
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
    wanted = _Range.checked(account, symbol, since, until)
    found = pnl(wanted.rows(_Source(config, journal).read(account)), by)
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
    'bought': ('right', lambda row: _text(row.bought or Decimal(0))),
    'sold': ('right', lambda row: _text(row.sold or Decimal(0))),
    'turnover': ('right', lambda row: _money(row.turnover)),
    'realised': ('right', lambda row: _money(row.realised)),
    'fees': ('right', lambda row: _money(row.fees)),
    'net': ('right', lambda row: _money(row.net)),
    '': ('left', lambda row: row.quote),
    'other fees': ('left', lambda row: ', '.join(
        f'{_text(fee)} {asset}' for asset, fee in row.other_fees.items()
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
@_options
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
    wanted = _Range.checked(account, symbol, since, until)
    found = _Source(config, journal).read(account)
    data = _beancount(found, wanted) if kind == 'beancount' else (
        _table(found, wanted, kind)
    )
    try:
        file.write_bytes(data)
    except OSError as err:
        raise StorageError(f'{file}: cannot be written: {err}') from err


def _table(found: Ledger, wanted: _Range, kind: str) -> bytes:
    table, data = frame(wanted.rows(found)), io.BytesIO()
    if kind == 'parquet':
        table.write_parquet(data)
    else:
        table.write_csv(data, datetime_format='%Y-%m-%dT%H:%M:%S%.9fZ')
    return data.getvalue()


def _beancount(found: Ledger, wanted: _Range) -> bytes:
    fills = [
        row.fill for row in found.rows(
            wanted.account, wanted.symbol, until_ns=wanted.until_ns
        )
    ]
    currencies = {name: found.currencies(name) for name in found.instruments}
    return to_beancount(fills, currencies, wanted.since_ns).encode()


@ledger.command(context_settings=CONTEXT)
@account_option
@registry_option
@_source_options
@json_option
@guarded
def check(
    account: str,
    registry: str,
    loglevel: str,
    config: Path | None,
    journal: Path | None,
    as_json: bool,
) -> None:
    """
    Compare fills and balances with the venue's own.

    Paper accounts are compared with the books of the paper model.  Needs a
    running pikerd.  Exit code 1 if something differs.
    """
    tree = Tree.parse(registry)
    source = _Source(config, journal)
    found = source.read(account)
    names = [
        name for name in ([account] if account else found.accounts)
        if name in found.since_ns
    ]
    if not names:
        if source.path.exists():
            who = f'account {account!r}' if account else 'any account'
            click.echo(
                f'nothing to compare: no order of {who} was sent yet',
                err=True,
            )
        return
    if not run(partial(_audit, tree, source, names, as_json)):
        sys.exit(1)


async def _audit(
    tree: Tree, source: _Source, names: Sequence[str], as_json: bool
) -> bool:
    """
    Print how each account stands; whether all is well.

    Raises the first error once the other accounts are done.
    """
    well, errors = True, list[PikerError]()
    async with open_tree(tree, 'ledger') as client:
        for name in names:
            try:
                audit = await _audit_one(client, source, name)
            except PikerError as err:
                errors.append(err)
                continue
            well = well and not audit.differences
            if as_json:
                emit(audit)
            else:
                _print_audit(audit)
    for error in errors[1:]:
        click.echo(f'piker: {error}', err=True)
    if errors:
        raise errors[0]
    return well


async def _audit_one(
    client: TreeClient, source: _Source, account: str
) -> Audit:
    # The time first: what comes after it is not expected to be in there.
    asked_ns = SystemClock().now_ns()
    found = source.read()
    books = unpack(VenueBooks, await client.call(
        await client.find('emsd'), 'piker.clearing.endpoints', 'venue_books',
        account=account, symbols=list(found.symbols.get(account, ())),
        since_ns=fills_from_ns(found, account),
    ))
    if not source.path.samefile(books.journal):
        raise BadInput(
            f'{source.path} is not the journal of that tree, which is '
            f'{books.journal}: name it with --journal'
        )
    return compare(found, books, asked_ns)


def _print_audit(audit: Audit) -> None:
    counts = f'{audit.fills:,} fills and {audit.balances:,} balances'
    if not audit.differences:
        write_line(f'{audit.account}: {counts} compared, no differences')
    else:
        many = len(audit.differences)
        print_table(
            f'{audit.account}: {counts} compared, {many:,} '
            f'difference{"s" if many > 1 else ""}',
            [
                ('what', 'left'), ('of', 'left'), ('trade', 'left'),
                ('here', 'left'), ('at the venue', 'left'),
            ],
            [
                [d.kind, d.of, d.trade_id or '–', d.ours or '–',
                 d.venue or '–']
                for d in audit.differences
            ],
        )
    if audit.unsettled:
        write_line(
            f'{audit.account}: not compared, traded just now: '
            f'{", ".join(audit.unsettled)}'
        )


def _text(value: Decimal) -> str:
    return f'{value.normalize():f}'


def _money(value: Decimal) -> str:
    """To a hundredth, or to 8 digits where that would show little."""
    if value and abs(value) < 1:
        return _text(value.quantize(_FINE))
    return f'{value:,.2f}'
