"""
What the commands of ``piker store`` share: options, progress, the last word.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ...clock import format_ns
from ...config import load_settings
from ...data.storage.names import TableId
from ...errors import BadInput
from ..common import emit, guarded
from ..options import (
    config_option,
    decorated,
    json_option,
    level_option,
    range_options,
)

if TYPE_CHECKING:
    from ...data.storage import Store

__all__ = [
    'format_option',
    'kind_argument',
    'period_of',
    'progress_of',
    'say',
    'store_options',
    'symbol_argument',
    'time_options',
    'times',
]

F = TypeVar('F', bound=Callable[..., Any])

symbol_argument = click.argument('symbol')
kind_argument = click.argument('kind', required=False, default='bars_60s')
format_option = click.option(
    '--format', 'form', type=click.Choice(['parquet', 'csv']), default=None,
    help='By default what the name of FILE ends in.',
)
root_option = click.option(
    '--root', metavar='DIR|URL', default=None,
    help='Root of the tables; by default storage.root of the settings.',
)


def time_options(function: F) -> F:
    """``--start`` and ``--end``, which must be in this order."""

    @wraps(function)
    def wrapper(
        *args: Any, start: int | None, end: int | None, **values: Any
    ) -> Any:
        if start is not None and end is not None and end <= start:
            raise BadInput(
                f'--end {format_ns(end)[:19]} is not after --start '
                f'{format_ns(start)[:19]}'
            )
        return function(*args, start=start, end=end, **values)

    add = range_options('--start', '--end')
    return decorated(wrapper, add)  # type: ignore[no-any-return]


def store_options(function: F) -> F:
    """Which tables, and ``--json``: the command gets a ``where``."""

    @wraps(function)
    def wrapper(
        *args: Any, root: str | None, config: Path | None, **values: Any
    ) -> Any:
        return function(*args, where=_open(root, config), **values)

    add = (root_option, config_option, level_option, json_option, guarded)
    return decorated(wrapper, *add)  # type: ignore[no-any-return]


def _open(root: str | None, config: Path | None) -> Store:
    # What its libraries warn of is not for people; how it ends, we say.
    os.environ.setdefault('RUST_LOG', 'error')
    # deltalake and polars take a while to load: not for help.
    from ...data.storage import Store

    settings = load_settings(config).storage
    if root is None:
        return Store(settings.root, settings.options)
    return Store(root, settings.options)


def period_of(symbol: str, kind: str) -> int:
    """Of bars; raises `BadInput` for ticks, which have no gaps."""
    period_s = TableId.of(symbol, kind).period_s
    if not period_s:
        raise BadInput('ticks have no gaps: name a kind of bars')
    return period_s


def times(first_ns: int, last_ns: int) -> tuple[str, str]:
    return format_ns(first_ns)[:19], format_ns(last_ns)[:19]


@contextmanager
def progress_of(
    title: str, total: int, as_json: bool
) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, where a person looks at it."""
    console = Console(stderr=True)
    shown = console.is_terminal and not as_json
    with Progress(
        TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
        console=console, disable=not shown, transient=True,
    ) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.update(task, advance=count)


def say(as_json: bool, text: str, **values: Any) -> None:
    """How it ended, for people or for programs."""
    if as_json:
        emit(values)
    else:
        click.echo(text)
