"""
``piker ems modify``, ``cancel`` and ``cancel-all``.
"""
from __future__ import annotations

from typing import Any

import click

from ...clearing import EmsClient
from ...errors import BadInput, VenueRefused
from ..common import check_symbols, guarded
from ..options import CONTEXT, client_options, given
from .client import (
    any_account,
    check_account,
    check_over,
    find_dialog,
    newest,
    settled,
    with_ems,
)
from .lists import show_orders
from .orders import CHANGES

__all__ = ['COMMANDS']

one_account = click.option(
    '-a', '--account', metavar='A', default='',
    help='The account it is in, where the oid leaves that open.',
)


@click.command(context_settings=CONTEXT)
@click.argument('oid')
@given(CHANGES)
@one_account
@client_options
@guarded
def modify(
    oid: str, account: str, registry: str, as_json: bool, **values: Any
) -> None:
    """
    Give an open order new values; what is not named stays.

    The beginning of an OID will do.  If the venue says no, the old order
    stands, and that is an error.
    """
    new = {k: v for k, v in values.items() if v is not None}
    if not new:
        raise BadInput(
            f'nothing to change in {oid!r}: name a --price, --size, --stop '
            'or --trail'
        )

    async def work(client: EmsClient) -> None:
        request = find_dialog(client, oid, account).request
        view = await client.change(
            request.oid, account=request.account, **new
        )
        await settled(client, [view], lambda view: not view.changing)
        view, = newest(client, [view])
        show_orders([view], as_json)
        if not view.changing and any(
            getattr(view.request, name) != value
            for name, value in new.items()
        ):
            raise VenueRefused(
                f'order {request.oid} stays as it was: '
                f'{view.reason or view.status}'
            )

    with_ems(registry, work)


@click.command(context_settings=CONTEXT)
@click.argument('oids', nargs=-1, required=True, metavar='OID...')
@one_account
@client_options
@guarded
def cancel(
    oids: tuple[str, ...], account: str, registry: str, as_json: bool
) -> None:
    """
    Cancel orders.

    The beginning of an OID will do.
    """

    async def work(client: EmsClient) -> None:
        requests = [find_dialog(client, o, account).request for o in oids]
        views = [
            await client.cancel(r.oid, account=r.account) for r in requests
        ]
        await settled(client, views, lambda view: view.status.final)
        views = newest(client, views)
        show_orders(views, as_json)
        check_over(views)

    with_ems(registry, work)


@click.command('cancel-all', context_settings=CONTEXT)
@any_account
@click.option(
    '--symbol', metavar='SYMBOL', default='', help='Only this symbol.'
)
@client_options
@guarded
def cancel_all(
    account: str, symbol: str, registry: str, as_json: bool
) -> None:
    """Cancel every order: open, dark and held."""
    if symbol:
        check_symbols([symbol])

    async def work(client: EmsClient) -> None:
        views = [
            view for view in client.dialogs.values()
            if not view.status.final
            and account in {'', view.request.account}
            and symbol.lower() in {'', view.request.symbol}
        ]
        check_account(client, account)
        await client.cancel_all(account, symbol.lower())
        await settled(client, views, lambda view: view.status.final)
        views = newest(client, views)
        if views or as_json:
            show_orders(views, as_json)
        else:
            click.echo('no order was open', err=True)
        check_over(views)

    with_ems(registry, work)


COMMANDS = (modify, cancel, cancel_all)
