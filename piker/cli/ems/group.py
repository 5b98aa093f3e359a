"""
``piker ems``: the group of commands, and the way to the desk.
"""
from __future__ import annotations

from functools import partial

import click

from ..common import check_symbols, guarded, run
from ..options import (
    CONTEXT,
    HintedGroup,
    level_option,
    refuse_misplaced,
    registry_option,
)
from . import alerts, changing, lists, placing, switch

__all__ = ['ems']


@click.group(
    cls=HintedGroup, context_settings=CONTEXT, invoke_without_command=True
)
@registry_option
@level_option
@click.option(
    '-w', '--watch', 'watched', metavar='SYMBOL', multiple=True,
    help='Show its quotes; repeatable.',
)
@click.option(
    '-a', '--account', metavar='A', default='paper', show_default=True,
    help='The account that orders of the desk go to, unless they say '
    'otherwise.',
)
@click.pass_context
@guarded
def ems(
    ctx: click.Context,
    registry: str,
    watched: tuple[str, ...],
    account: str,
) -> None:
    """
    Trade: without a command, the order desk in this terminal.

    The desk shows quotes, orders, positions, fills, alerts and the log, live;
    ? lists its keys.  Commands that trade, and the desk, need a pikerd that
    runs already, since orders outlive them.
    """
    if ctx.invoked_subcommand is not None:
        refuse_misplaced(ctx)
        return
    check_symbols(watched)
    # The terminal library takes a while to load: only here.
    from ..desk import run_desk

    run(partial(
        run_desk, registry, [s.lower() for s in watched], account
    ))


for _module in (placing, changing, switch, alerts, lists):
    for _command in _module.COMMANDS:
        ems.add_command(_command)
