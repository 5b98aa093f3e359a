"""
Settings: one TOML file in the XDG config directory, validated by pydantic.

An absent file means the defaults.  Errors name the file, the key, the value
and what would be right.
"""
from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)
from pydantic_core import PydanticCustomError

from .errors import ConfigError, did_you_mean
from .paths import config_file

__all__ = [
    'AccountSettings',
    'BinanceSettings',
    'EmsSettings',
    'FeedSettings',
    'PaperSettings',
    'RiskSettings',
    'ServiceSettings',
    'Settings',
    'SimSettings',
    'StorageSettings',
    'load_settings',
]


_ACCOUNT = re.compile(r'[a-z][a-z0-9_]*\Z')


class _Model(BaseModel):
    model_config = ConfigDict(
        extra='forbid', frozen=True, allow_inf_nan=False
    )


class BinanceSettings(_Model):
    """Where the venue is and what to take from it; no key is needed."""

    rest_url: str = 'https://api.binance.com'
    stream_url: str = 'wss://stream.binance.com:9443'
    trades: Literal['aggTrade', 'trade'] = 'aggTrade'


class SimSettings(_Model):
    """
    The embedded venue.

    ``port`` 0 takes any free one and keeps it while the tree lives.  With
    ``url`` (``http://host:port``) the tree uses a venue that runs already
    instead of starting its own.  ``replay`` serves recordings instead of
    generated flow, ``speed`` times as fast (0: as fast as they are taken).
    """

    port: int = Field(0, ge=0, le=65535)
    seed: int = Field(1, ge=0)
    replay: list[Path] = []
    speed: float = Field(1.0, ge=0)
    start: Literal['now', 'subscribed', 'manual'] = 'subscribed'
    url: str = ''
    trades: Literal['aggTrade', 'trade'] = 'aggTrade'


class ProviderSettings(_Model):
    """One table per provider."""

    binance: BinanceSettings = BinanceSettings()
    sim: SimSettings = SimSettings()


class FeedSettings(_Model):
    """
    How much of each feed is kept.

    ``ring`` ticks (a power of two) and, in bars, how far back the start loads
    history by itself.  ``workers`` processes share the feeds of a provider,
    for when one core is not enough.  A feed that nobody uses for ``linger_s``
    seconds is dropped; until then a client that comes back finds it warm.
    Of an order book ``book_levels`` a side are kept, and for ``book_linger_s``
    seconds after the last who looked at it has left.
    """

    ring: int = Field(1 << 16, ge=1 << 8, le=1 << 24)
    history_1s: int = Field(3600, ge=0)
    history_60s: int = Field(3000, ge=0)
    workers: int = Field(1, ge=1, le=64)
    linger_s: float = Field(3600.0, ge=0)
    stale_after_s: float = Field(5.0, gt=0)
    book_levels: int = Field(1000, ge=1, le=4000)
    book_linger_s: float = Field(60.0, ge=0)

    @field_validator('ring')
    @classmethod
    def _power_of_two(cls, ring: int) -> int:
        if ring & (ring - 1):
            raise PydanticCustomError(
                'power_of_two',
                'Input should be a power of two, for example {near}',
                {'near': 1 << ring.bit_length()},
            )
        return ring


class StorageSettings(_Model):
    """
    What is kept on disk, and where.

    ``root`` is a directory or an object store's URL (``s3://bucket/prefix``),
    empty for ``tables`` in the data directory; ``options`` go to the object
    store (``AWS_ENDPOINT_URL``, ``AWS_REGION``, …; credentials are better
    kept in the environment).  Bars are written once they have been closed for
    ``settle_s``, since late trades amend them; everything every ``flush_s``.
    Small files are compacted once there are ``compact_files`` of them.  With
    ``fill_gaps`` a live feed has the holes of its stored bars filled from the
    venue, in the background.
    """

    enabled: bool = True
    root: str = ''
    options: dict[str, str] = Field({}, repr=False)
    ticks: Literal['trades', 'all', 'none'] = 'trades'
    flush_s: float = Field(30.0, gt=0)
    settle_s: float = Field(10.0, ge=0)
    compact_files: int = Field(32, ge=2)
    fill_gaps: bool = True


class RiskSettings(_Model):
    """
    Limits of an account or of one instrument in it; unset ones do not hold.

    Per instrument: ``max_order`` and ``max_position`` in the base currency,
    ``max_notional`` of one order in the quote currency, ``collar`` the
    fraction by which a price may be worse than the market's.
    ``max_open_orders``, ``max_orders_a_second`` and ``max_daily_loss`` (in
    the quote currency, since midnight UTC) are counted over what they are
    set for.
    """

    max_order: Decimal | None = Field(None, gt=0)
    max_position: Decimal | None = Field(None, ge=0)
    max_notional: Decimal | None = Field(None, gt=0)
    max_open_orders: int | None = Field(None, ge=0)
    max_orders_a_second: int | None = Field(None, ge=1)
    collar: Decimal | None = Field(None, gt=0, le=1)
    max_daily_loss: Decimal | None = Field(None, ge=0)


class PaperSettings(_Model):
    """
    The model by which a paper account fills.

    ``balances`` are what a new account begins with.  Fees are fractions of
    the notional; an order reaches the market ``latency_ms`` after it was
    sent; a market order pays ``slippage_ticks`` on top of what it takes from
    the book.
    """

    balances: dict[str, Decimal] = {'usdt': Decimal(100_000)}
    maker_fee: Decimal = Field(Decimal('0.001'), ge=0, lt=1)
    taker_fee: Decimal = Field(Decimal('0.001'), ge=0, lt=1)
    latency_ms: float = Field(20.0, ge=0)
    slippage_ticks: int = Field(0, ge=0)


class AccountSettings(_Model):
    """
    An account to trade with.

    Without a ``provider`` it is one on paper.  ``live = true`` is what allows
    real money to be traded; the embedded venue's needs none.  The keys are
    read from ``key_file`` (two lines, key and secret, readable by its owner
    only) or, without one, from ``PIKER_<ACCOUNT>_KEY`` and
    ``PIKER_<ACCOUNT>_SECRET`` of the environment.
    """

    provider: str = ''
    live: bool = False
    key_file: Path | None = None
    paper: PaperSettings = PaperSettings()
    risk: RiskSettings = RiskSettings()
    instruments: dict[str, RiskSettings] = {}


class EmsSettings(_Model):
    """
    The execution management system.

    ``journal`` is its file, empty for ``ems.sqlite`` in the data directory.
    ``answer_within_s`` is how long a venue may take to answer before what was
    asked is in doubt.
    """

    journal: str = ''
    answer_within_s: float = Field(5.0, gt=0)


class ServiceSettings(_Model):
    """
    The tree itself.

    ``keep_cores_awake`` keeps the machine's cores from sleeping while
    ``pikerd`` runs: ticks and orders arrive sooner, for more power.
    """

    keep_cores_awake: bool = False


class Settings(_Model):
    """The whole configuration."""

    service: ServiceSettings = ServiceSettings()
    providers: ProviderSettings = ProviderSettings()
    feed: FeedSettings = FeedSettings()
    storage: StorageSettings = StorageSettings()
    ems: EmsSettings = EmsSettings()
    accounts: dict[str, AccountSettings] = Field({}, validate_default=True)

    @field_validator('accounts')
    @classmethod
    def _names(
        cls, accounts: dict[str, AccountSettings]
    ) -> dict[str, AccountSettings]:
        for name in accounts:
            if not _ACCOUNT.match(name):
                raise PydanticCustomError(
                    'account_name',
                    '{name} is not a name of lower-case letters, digits and _',
                    {'name': name},
                )
        # There are always one on paper and one at the embedded venue.
        return {
            'paper': AccountSettings(),
            'sim': AccountSettings(provider='sim'),
        } | accounts


def load_settings(
    path: Path | None = None, overrides: dict[str, Any] | None = None
) -> Settings:
    """
    Read and check the settings.

    ``overrides`` maps dotted keys (``providers.sim.port``) to values that
    win over the file.  Raises `ConfigError`.
    """
    path = path or config_file()
    tree: dict[str, Any] = {}
    try:
        tree = tomllib.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f'{path}: cannot be read: {err}') from err
    except tomllib.TOMLDecodeError as err:
        raise ConfigError(f'{path}: not valid TOML: {err}') from err
    for key, value in (overrides or {}).items():
        _set(tree, key.split('.'), value)
    try:
        return Settings.model_validate(tree)
    except ValidationError as err:
        raise ConfigError(_explain(path, err)) from err


def _set(tree: dict[str, Any], keys: list[str], value: Any) -> None:
    *parents, last = keys
    for key in parents:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise ConfigError(f'{".".join(keys)}: {key!r} is not a table')
    tree[last] = value


def _explain(path: Path, err: ValidationError) -> str:
    lines = []
    for problem in err.errors():
        keys = [str(part) for part in problem['loc']]
        name = '.'.join(keys)
        if problem['type'] == 'extra_forbidden':
            known = _known(keys[:-1])
            lines.append(
                f'{path}: {name} is not a setting.'
                f'{did_you_mean(keys[-1], known)} '
                f'Settings here: {", ".join(known) or "none"}.'
            )
        else:
            lines.append(
                f'{path}: {name} = {problem["input"]!r}: {problem["msg"]}.'
            )
    return '\n'.join(lines)


def _known(keys: list[str]) -> list[str]:
    model: Any = Settings
    for key in keys:
        field = model.model_fields.get(key)
        if field is None or not isinstance(field.annotation, type):
            return []
        model = field.annotation
    return sorted(getattr(model, 'model_fields', ()))
