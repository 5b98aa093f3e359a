"""
``piker ems alert`` and ``drop-alert``.
"""
from __future__ import annotations

from typing import Any

import click

from ...clearing import EmsClient
from ...errors import BadInput
from ...orders import AlertSide
from ..common import check_symbols, emit, guarded
from ..options import CONTEXT, client_options
from .client import with_ems
from .lists import print_alerts
from .words import NUMBER, new_oid

__all__ = ['COMMANDS', 'alert_side']


@click.command(context_settings=CONTEXT)
@click.argument('symbol')
@click.argument('price', type=NUMBER)
@click.option('--above', is_flag=True, help='Only when it comes from below.')
@click.option('--below', is_flag=True, help='Only when it comes from above.')
@click.option('--note', metavar='TEXT', default='', help='Why.')
@client_options
@guarded
def alert(
    symbol: str, price: Any, above: bool, below: bool, note: str,
    registry: str, as_json: bool,
) -> None:
    """
    Be told once when SYMBOL reaches PRICE.

    Without --above or --below, from whichever side it is on now.
    """
    check_symbols([symbol])
    side = alert_side(above, below)

    async def work(client: EmsClient) -> None:
        made = await client.alert(
            symbol.lower(), price, side=side, note=note, aid=new_oid()
        )
        if as_json:
            emit(made)
        else:
            print_alerts([made])

    with_ems(registry, work)


def alert_side(above: bool, below: bool) -> str:
    """Raises `BadInput` for both."""
    if above and below:
        raise BadInput('--above and --below: name one, or neither for either')
    side = AlertSide.EITHER
    if above:
        side = AlertSide.ABOVE
    if below:
        side = AlertSide.BELOW
    return side.value


def _find(client: EmsClient, name: str) -> str:
    if name in client.alerts:
        return name
    found = [aid for aid in client.alerts if aid.startswith(name)]
    if not found:
        raise BadInput(
            f'there is no alert {name!r}: see `piker ems alerts`'
        )
    if len(found) > 1:
        raise BadInput(
            f'{name!r} may be any of {len(found)} alerts: write more of it'
        )
    return found[0]


@click.command('drop-alert', context_settings=CONTEXT)
@click.argument('aids', nargs=-1, required=True, metavar='ALERT...')
@client_options
@guarded
def drop_alert(
    aids: tuple[str, ...], registry: str, as_json: bool
) -> None:
    """
    Forget alerts.

    The beginning of an ALERT's name will do.
    """

    async def work(client: EmsClient) -> None:
        for name in aids:
            aid = _find(client, name)
            await client.drop_alert(aid)
            if as_json:
                emit({'aid': aid})
            else:
                click.echo(f'{aid}: dropped')

    with_ems(registry, work)


COMMANDS = (alert, drop_alert)
