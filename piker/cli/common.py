"""
What all commands share: output, and errors as exit codes.
"""
from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
import trio

from ..brokers import PROVIDERS
from ..errors import (
    NoSuchProvider,
    PikerError,
    StorageError,
    as_piker_error,
    did_you_mean,
)
from ..instruments import InstrumentId
from ..service.ground import TransportClosed

__all__ = [
    'Failure',
    'ask',
    'check_provider',
    'check_symbols',
    'check_writable',
    'counted',
    'emit',
    'guarded',
    'own_pikerd',
    'run',
    'write_line',
]

F = TypeVar('F', bound=Callable[..., Any])

_BROKEN = (OSError, TransportClosed, trio.BrokenResourceError)


class Failure(click.ClickException):
    """
    One of our errors on its way out: its text, its exit code.

    Make it while the command runs: it is shown under the program's name.
    """

    def __init__(self, error: PikerError) -> None:
        super().__init__(str(error))
        self.exit_code = error.exit_code  # type: ignore[misc]
        context = click.get_current_context(silent=True)
        name = context.find_root().info_name if context else None
        self._program = name or 'piker'

    def show(self, file: Any = None) -> None:
        for line in self.message.splitlines():
            click.echo(f'{self._program}: {line}', err=True)


class _PipeClosed(Exception):
    """
    Whoever read our output has gone.

    No `OSError`, as `BrokenPipeError` is: on its way out of a feed that would
    be taken for a connection of the tree that broke.
    """


def run(function: Callable[[], Awaitable[Any]]) -> Any:
    """
    `trio.run` it; our errors become a line and an exit code.

    Ctrl-C ends quietly with 130, a closed pipe with 0.
    """
    try:
        return trio.run(function)
    except KeyboardInterrupt:
        sys.exit(130)
    except _PipeClosed:
        _quiet_exit()
    except BaseException as err:
        raise _translated(err) from err


def _translated(err: BaseException) -> BaseException:
    known = as_piker_error(err)
    if known is not None:
        return Failure(known)
    if isinstance(err, BaseExceptionGroup):
        if err.subgroup(KeyboardInterrupt):
            return SystemExit(130)
        if err.subgroup(_PipeClosed):
            _quiet_exit()
        # A connection that breaks while ours is on its way out says no more.
        _, rest = err.split(_BROKEN)
        known = as_piker_error(rest) if rest else None
        if known is not None:
            return Failure(known)
    return err


def _quiet_exit() -> None:
    # Python would complain once more when it flushes stdout at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def guarded(function: F) -> F:
    """For what a command does outside of `run`: the same translation."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except _PipeClosed:
            _quiet_exit()
        except KeyboardInterrupt:
            sys.exit(130)
        except click.Abort as err:
            # A question that got no answer: at the end of the input, or so.
            if isinstance(err.__context__, KeyboardInterrupt):
                click.echo(err=True)
                sys.exit(130)
            raise
        except (PikerError, BaseExceptionGroup) as err:
            raise _translated(err) from err

    return wrapper  # type: ignore[return-value]


def write_line(text: str) -> None:
    """One line on stdout, at once."""
    try:
        sys.stdout.write(text + '\n')
        sys.stdout.flush()
    except BrokenPipeError as err:
        raise _PipeClosed from err


def emit(item: Any) -> None:
    """One line of JSON on stdout, at once."""
    write_line(msgspec.json.encode(item).decode())


def counted(count: int, one: str) -> str:
    """``1 gap``, ``1,000 gaps``."""
    return f'{count:,} {one}{"" if count == 1 else "s"}'


def check_provider(name: str) -> None:
    """Raise `NoSuchProvider` before any daemon is started in vain."""
    if name not in PROVIDERS:
        raise NoSuchProvider(
            f'no provider is called {name!r}.'
            f'{did_you_mean(name, PROVIDERS)} '
            f'The providers are {", ".join(PROVIDERS)}.'
        )


def check_symbols(symbols: Sequence[str]) -> None:
    """Raise `BadInput` for an id that no provider could know."""
    for symbol in symbols:
        check_provider(InstrumentId.parse(symbol).provider)


def ask(question: str) -> None:
    """Go on only after a yes; no answer is a no."""
    # polars has system calls restarted after Ctrl-C: the question would stay.
    signal.siginterrupt(signal.SIGINT, True)
    click.confirm(question, abort=True, err=True)


def check_writable(file: Path) -> None:
    """Raise `StorageError` before much is done for a file in vain."""
    if not file.parent.is_dir():
        raise StorageError(
            f'{file} cannot be written: there is no directory {file.parent}'
        )
    if not os.access(file.parent, os.W_OK):
        raise StorageError(
            f'{file} cannot be written: {file.parent} may not be written to'
        )


def own_pikerd(
    registry: str, options: list[str], symbols: Sequence[str] = ()
) -> Callable[[], list[str]]:
    """
    For `open_tree`: says that a daemon is started, and how.

    The providers of ``symbols`` start with it, before they are asked for.
    """
    providers = {InstrumentId.parse(symbol).provider for symbol in symbols}
    daemons = [f'--with=brokerd.{name}' for name in sorted(providers)]

    def start() -> list[str]:
        click.echo(
            f'piker: no pikerd runs at {registry}: starting one for this '
            'command (it ends with its last client)',
            err=True,
        )
        return ['--loglevel=warning', *daemons, *options]

    return start
