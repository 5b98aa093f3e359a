"""
``piker search``: instruments by name.
"""
from __future__ import annotations

from functools import partial

import click
import msgspec

from ..data.search import search_instruments
from ..instruments import Instrument
from ..service import Tree, open_tree
from .common import check_provider, emit, guarded, own_pikerd, run
from .options import CONTEXT, client_options
from .table import print_table

__all__ = ['search']


@click.command(context_settings=CONTEXT)
@click.argument('text')
@client_options
@click.option(
    '--provider', 'providers', multiple=True, metavar='NAME',
    help='Search this provider; repeatable. Default: those that run, or sim.',
)
@click.option(
    '--limit', type=click.IntRange(min=1), default=20, show_default=True,
    metavar='N', help='How many at most.',
)
@guarded
def search(
    text: str,
    registry: str,
    as_json: bool,
    providers: tuple[str, ...],
    limit: int,
) -> None:
    """
    Find instruments by name, the best match first.

    TEXT is compared with symbols and descriptions; it need not be spelt
    right.
    """
    for name in providers:
        check_provider(name)
    found = run(partial(
        _search, text, str(Tree.parse(registry)), list(providers), limit
    ))
    if as_json:
        for instrument in found:
            emit(msgspec.to_builtins(instrument))
        return
    if not found:
        click.echo(f'nothing resembles {text!r}', err=True)
        return
    print_table('', [
        ('symbol', 'left'), ('description', 'left'), ('tick', 'right'),
        ('lot', 'right'), ('status', 'left'),
    ], [
        [
            i.id, i.description, f'{i.tick_size:f}', f'{i.lot_size:f}',
            i.status,
        ]
        for i in found
    ])


async def _search(
    text: str, registry: str, providers: list[str], limit: int
) -> list[Instrument]:
    async with open_tree(
        Tree.parse(registry), 'search', start=own_pikerd(registry, [])
    ) as client:
        if not providers:
            status = await client.status()
            # Several workers of a provider list the same instruments.
            providers = sorted({
                daemon.name.split('.')[1]
                for daemon in status.daemons
                if daemon.name.startswith('brokerd.')
            }) or ['sim']
        return await search_instruments(client, providers, text, limit)
