"""
What the commands of ``piker ledger`` share: options, the journal, numbers.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from ...clearing.journal import JournalReader, journal_file
from ...clearing.ledger import KINDS, Ledger, LedgerRow
from ...clock import format_ns
from ...config import Settings, load_settings
from ...errors import BadInput, did_you_mean
from ...instruments import InstrumentId
from ..common import guarded
from ..options import (
    config_option,
    decorated,
    level_option,
    range_options,
)

__all__ = [
    'Range',
    'Source',
    'account_option',
    'exact',
    'fill_options',
    'money',
    'source_options',
]

F = TypeVar('F', bound=Callable[..., Any])

_FINE = Decimal('1E-8')

account_option = click.option(
    '--account', metavar='NAME', default='', help='Only this account.'
)
symbol_option = click.option(
    '--symbol', metavar='SYMBOL', default='', help='Only this instrument.'
)
journal_option = click.option(
    '--journal', type=click.Path(path_type=Path, dir_okay=False),
    metavar='FILE', default=None,
    help='Journal to read; by default ems.journal of the settings.',
)


def source_options(function: F) -> F:
    """Which journal is read: the command gets a ``source``."""

    @wraps(function)
    def wrapper(
        *args: Any, config: Path | None, journal: Path | None, **values: Any
    ) -> Any:
        return function(*args, source=Source(config, journal), **values)

    add = (journal_option, config_option, level_option, guarded)
    return decorated(wrapper, *add)  # type: ignore[no-any-return]


def fill_options(function: F) -> F:
    """Which fills are looked at, and where: ``wanted`` and ``source``."""

    @wraps(function)
    def wrapper(
        *args: Any, account: str, symbol: str, since: int,
        until: int | None, **values: Any,
    ) -> Any:
        wanted = Range.checked(account, symbol, since, until)
        return function(*args, wanted=wanted, **values)

    add = (
        account_option, symbol_option,
        range_options('--since', '--until', 0), source_options,
    )
    return decorated(wrapper, *add)  # type: ignore[no-any-return]


class Source:
    """A journal, and the accounts of the settings."""

    def __init__(self, config: Path | None, journal: Path | None) -> None:
        self._config, self._journal = config, journal

    @cached_property
    def _settings(self) -> Settings:
        return load_settings(self._config)

    @property
    def path(self) -> Path:
        return self._journal or journal_file(self._settings.ems.journal)

    def read(self, account: str = '') -> Ledger:
        """
        All that is in the journal; without one, nothing, and says so.

        Raises `BadInput` for an account that neither settings nor journal
        know.
        """
        if self.path.exists():
            with JournalReader(self.path) as reader:
                found = Ledger(reader.entries(kinds=KINDS))
        else:
            found = Ledger([])
            click.echo(
                f'nothing was traded yet: there is no journal {self.path}. '
                'The first order makes it, on paper for example: '
                'piker ems buy btcusdt.sim 0.01', err=True,
            )
        known = set(self._settings.accounts) | set(found.accounts)
        if account and account not in known:
            raise BadInput(
                f'there is no account {account!r}.'
                f'{did_you_mean(account, known)} '
                f'Accounts: {", ".join(sorted(known))}.'
            )
        return found


class Range(msgspec.Struct, frozen=True):
    """Which fills are looked at."""

    account: str
    symbol: str
    since_ns: int
    until_ns: int | None

    @classmethod
    def checked(
        cls, account: str, symbol: str, since: int, until: int | None
    ) -> Range:
        if symbol:
            symbol = str(InstrumentId.parse(symbol))
        if until is not None and until <= since:
            raise BadInput(
                f'--until {format_ns(until)[:19]} is not after --since '
                f'{format_ns(since)[:19]}'
            )
        return cls(account, symbol, since, until)

    def rows(self, source: Ledger) -> Iterable[LedgerRow]:
        return source.rows(
            self.account, self.symbol, self.since_ns, self.until_ns
        )


def exact(value: Decimal) -> str:
    return f'{value.normalize():f}'


def money(value: Decimal) -> str:
    """To a hundredth, or to 8 digits where that would show little."""
    if value and abs(value) < 1:
        return exact(value.quantize(_FINE))
    return f'{value:,.2f}'
