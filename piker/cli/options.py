"""
What the options of all commands have in common.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from .. import log
from ..clock import parse_time
from ..errors import BadInput, did_you_mean
from ..service.tree import DEFAULT_REGISTRY
from .common import Failure

__all__ = [
    'CONTEXT',
    'HintedGroup',
    'TimeParam',
    'client_options',
    'config_option',
    'decorated',
    'given',
    'json_option',
    'level_option',
    'level_option_from',
    'range_options',
    'refuse_misplaced',
    'registry_option',
]

F = TypeVar('F', bound=Callable[..., Any])

CONTEXT = {'help_option_names': ['-h', '--help']}

registry_option = click.option(
    '--registry',
    metavar='HOST:PORT',
    envvar='PIKER_REGISTRY',
    default=DEFAULT_REGISTRY,
    show_default=True,
    help='Address of the tree (environment: PIKER_REGISTRY).',
)
json_option = click.option(
    '--json', 'as_json', is_flag=True,
    help='Print JSON, one object a line where there is a stream.',
)
config_option = click.option(
    '--config', type=click.Path(path_type=Path), default=None,
    help='Settings file to read instead of the usual one.',
)


def _set_level(ctx: click.Context, param: Any, value: str) -> str:
    try:
        log.set_up(ctx.info_name or 'piker', value)
    except BadInput as err:
        raise Failure(err) from err
    return value


def level_option_from(
    default: str, *, expose: bool = False
) -> Callable[[F], F]:
    """
    The ``--loglevel`` option of a command that speaks up at ``default``.

    It takes effect by itself; with ``expose`` the command gets it as well.
    """
    return click.option(
        '-l', '--loglevel', 'loglevel', metavar='LEVEL', default=default,
        show_default=True, callback=_set_level, expose_value=expose,
        help='One of debug, info, warning, error, critical.',
    )


level_option = level_option_from('warning')


def decorated(function: Any, *decorators: Callable[[Any], Any]) -> Any:
    """``function`` with these on it, the last one next to it."""
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def client_options(function: F) -> F:
    """``--registry``, ``--loglevel`` and ``--json``."""
    return registry_option(level_option(json_option(function)))


class TimeParam(click.ParamType[int]):
    """A time in UTC, as ns."""

    name = 'time'

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_time(value)
        except ValueError:
            self.fail(
                f'{value!r} is not a time: write 2026-07-01 or '
                '2026-07-01T12:00:00', param, ctx,
            )


def range_options(
    start: str, end: str, default: int | None = None
) -> Callable[[F], F]:
    """Two options for a range of time, of which the end is not part."""

    def decorate(function: F) -> F:
        first = click.option(
            start, type=TimeParam(), metavar='TIME', default=default,
            help='From this time (UTC) on.',
        )
        last = click.option(
            end, type=TimeParam(), metavar='TIME', default=None,
            help='Up to before this time.',
        )
        return first(last(function))

    return decorate


def given(params: Sequence[click.Parameter]) -> Callable[[F], F]:
    """These parameters, as a decorator."""

    def decorate(function: Any) -> Any:
        kept = getattr(function, '__click_params__', [])
        function.__click_params__ = [*kept, *reversed(params)]
        return function

    return decorate


class HintedGroup(click.Group):
    """A group that has a guess at what a mistyped command should be."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith('-'):
            hint = did_you_mean(args[0], names)
            ctx.fail(f'No such command {args[0]!r}.{hint}')
        return super().resolve_command(ctx, args)


def refuse_misplaced(ctx: click.Context) -> None:
    """
    An option of a group says nothing to a command of it: `BadInput`.

    An account that was named and then not used would be a costly surprise.
    """
    name = ctx.invoked_subcommand or ''
    assert isinstance(ctx.command, click.Group)
    command = ctx.command.get_command(ctx, name)
    known = {o for p in (command.params if command else []) for o in p.opts}
    for param in ctx.command.params:
        source = ctx.get_parameter_source(param.name or '')
        if source is not click.core.ParameterSource.COMMANDLINE:
            continue
        option = param.opts[-1]
        if option in known:
            raise BadInput(
                f'{option} before {name!r} would say nothing: write '
                f'{option} after {name!r}'
            )
        raise BadInput(f'{name!r} takes no {option}')
