"""
``piker store``: the group of commands.
"""
from __future__ import annotations

import click

from ..options import CONTEXT, HintedGroup
from . import filling, looking, moving, upkeep

__all__ = ['store']


@click.group(cls=HintedGroup, context_settings=CONTEXT)
def store() -> None:
    """
    Bars and ticks kept on disk, in Delta Lake tables.

    Works on the tables themselves, with or without a running tree.  KIND is
    bars_1s, bars_60s or ticks.
    """


for _module in (looking, moving, upkeep, filling):
    for _command in _module.COMMANDS:
        store.add_command(_command)
