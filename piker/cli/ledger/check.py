"""
``piker ledger check``: the journal against the venue.
"""
from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

import click

from ...clearing.audit import Audit, compare, fills_from_ns
from ...clearing.probe import VenueBooks
from ...clock import SystemClock
from ...errors import BadInput, PikerError
from ...messages import unpack
from ...service import Tree, TreeClient, open_tree
from ..common import emit, run, write_line
from ..options import CONTEXT, json_option, registry_option
from ..table import print_table
from .tools import Source, account_option, source_options

__all__ = ['check']


@click.command(context_settings=CONTEXT)
@account_option
@registry_option
@json_option
@source_options
def check(
    account: str, registry: str, as_json: bool, source: Source
) -> None:
    """
    Compare fills and balances with the venue's own.

    Paper accounts are compared with the books of the paper model.  Needs a
    running pikerd.  Exit code 1 if something differs.
    """
    tree = Tree.parse(registry)
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
    tree: Tree, source: Source, names: Sequence[str], as_json: bool
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
    client: TreeClient, source: Source, account: str
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
