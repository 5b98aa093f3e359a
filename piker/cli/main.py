"""
``piker``: the group of commands, each loaded when it is named.
"""
from __future__ import annotations

from importlib import import_module

import click

from .. import __version__
from .options import CONTEXT, HintedGroup

__all__ = ['piker']

# Command → the module of this package that has it.
COMMANDS = {
    'bars': 'bars',
    'book': 'book',
    'chart': 'chart',
    'ems': 'ems',
    'ledger': 'ledger',
    'search': 'search',
    'services': 'services',
    'store': 'store',
    'venue': 'venue',
    'watch': 'watch',
}


class _Lazy(HintedGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(
        self, ctx: click.Context, cmd_name: str
    ) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(
            import_module(f'.{module}', __package__), cmd_name
        )
        return command


@click.group(cls=_Lazy, context_settings=CONTEXT)
@click.version_option(__version__, '--version', prog_name='piker')
def piker() -> None:
    """
    Live charts, quotes and bars from a tree of trading daemons.

    Start the tree with `pikerd`.  Without one, commands that need live data
    start one for themselves, which ends with its last client.
    """


if __name__ == '__main__':
    piker(prog_name='piker')
