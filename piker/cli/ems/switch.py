"""
``piker ems halt`` and ``resume``: the kill switch.
"""
from __future__ import annotations

import click

from ...clearing import EmsClient
from ..common import counted, emit, guarded
from ..options import CONTEXT, client_options
from .client import (
    any_account,
    check_account,
    check_over,
    newest,
    settled,
    with_ems,
)

__all__ = ['COMMANDS']


@click.command(context_settings=CONTEXT)
@any_account
@click.option(
    '--reason', metavar='TEXT', default='halted by hand', show_default=True,
    help='What to tell those who are refused.',
)
@client_options
@guarded
def halt(
    account: str, reason: str, registry: str, as_json: bool
) -> None:
    """
    Cancel everything and refuse new orders until `resume`.

    For every client, and across restarts.
    """

    async def work(client: EmsClient) -> None:
        check_account(client, account)
        open_ = [
            v for v in client.dialogs.values()
            if not v.status.final and account in {'', v.request.account}
        ]
        await client.halt(account, reason)
        await settled(client, open_, lambda view: view.status.final)
        views = newest(client, open_)
        over = sum(view.status.final for view in views)
        _tell(
            client, as_json, f'{account or "all accounts"}: halted, '
            f'{counted(over, "open order")} ended'
        )
        check_over(views)

    with_ems(registry, work)


@click.command(context_settings=CONTEXT)
@any_account
@client_options
@guarded
def resume(
    account: str, registry: str, as_json: bool
) -> None:
    """Lift a halt: orders are taken again."""

    async def work(client: EmsClient) -> None:
        check_account(client, account)
        await client.resume(account)
        _tell(client, as_json, f'{account or "all accounts"}: resumed')

    with_ems(registry, work)


def _tell(client: EmsClient, as_json: bool, text: str) -> None:
    if not as_json:
        click.echo(text)
        return
    for view in client.accounts.values():
        emit({'account': view.account, 'halted': view.halted})


COMMANDS = (halt, resume)
