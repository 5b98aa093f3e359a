"""
``pikerd``: the root of the tree, in the foreground.
"""
from __future__ import annotations

import tomllib
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..errors import ConfigError
from ..service import Tree, serve
from .common import guarded, run
from .options import CONTEXT, level_option_from, registry_option

__all__ = ['pikerd']


def parse_overrides(items: tuple[str, ...]) -> dict[str, Any]:
    """``KEY=VALUE`` pairs; the value is TOML, or else text as it stands."""
    found: dict[str, Any] = {}
    for item in items:
        key, mark, text = item.partition('=')
        if not mark or not key:
            raise ConfigError(
                f'{item!r} is not KEY=VALUE, for example '
                'providers.sim.seed=7'
            )
        try:
            found[key.strip()] = tomllib.loads(f'x = {text}')['x']
        except tomllib.TOMLDecodeError:
            found[key.strip()] = text
    return found


def set_option(function: Any) -> Any:
    """The ``--set KEY=VALUE`` option."""
    return click.option(
        '--set', 'overrides', metavar='KEY=VALUE', multiple=True,
        help='Override a setting, e.g. providers.sim.seed=7; repeatable.',
    )(function)


@click.command(context_settings=CONTEXT)
@registry_option
@level_option_from('info', expose=True)
@set_option
@click.option(
    '--config', type=click.Path(dir_okay=False, path_type=Path),
    help='Settings file instead of piker.toml in the config directory.',
)
@click.option(
    '--with', 'daemons', metavar='DAEMON', multiple=True,
    help='Start a daemon right away, e.g. brokerd.sim; repeatable.',
)
@click.option(
    '--until-idle', is_flag=True,
    help='End when the last client has left.',
)
@guarded
def pikerd(
    registry: str,
    loglevel: str,
    overrides: tuple[str, ...],
    config: Path | None,
    daemons: tuple[str, ...],
    until_idle: bool,
) -> None:
    """
    Run the tree of daemons until Ctrl-C.

    Daemons are started when a client first asks for them, restarted when
    they die, and ended in order with the root.
    """
    # pydantic is for whoever reads settings: clients only pass them on.
    from ..config import load_settings

    tree = Tree.parse(registry)
    settings = load_settings(config, parse_overrides(overrides))
    run(partial(
        serve,
        tree,
        settings.model_dump(mode='json'),
        loglevel,
        until_idle=until_idle,
        daemons=daemons,
    ))


if __name__ == '__main__':
    pikerd(prog_name='pikerd')
