"""
API keys: read from a file or the environment, used to sign, never shown.

Source: Binance Spot API documentation, "SIGNED Endpoint Examples".
"""
from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from ...errors import ConfigError

__all__ = ['Keys', 'read_keys']

# Those of the embedded venue's default account, see docs/venue.rst.
_SIM = ('sim-key', 'sim-secret')


class Keys:
    """A key and its secret."""

    def __init__(self, key: str, secret: str) -> None:
        self._key = SecretStr(key)
        self._mac = hmac.new(secret.encode(), digestmod=hashlib.sha256)

    @property
    def header(self) -> tuple[str, str]:
        """What names the account in a request."""
        return 'X-MBX-APIKEY', self._key.get_secret_value()

    def sign(self, query: str) -> str:
        """The signature of a query string."""
        mac = self._mac.copy()
        mac.update(query.encode())
        return mac.hexdigest()


def read_keys(
    account: str, provider: str, key_file: str | None,
    environ: Mapping[str, str] = os.environ,
) -> Keys:
    """
    The keys of an account; `ConfigError` names where they were looked for.

    Only the embedded venue's account has some of its own.
    """
    if key_file:
        return _read_file(account, Path(key_file).expanduser())
    prefix = f'PIKER_{account.upper()}_'
    key, secret = environ.get(f'{prefix}KEY'), environ.get(f'{prefix}SECRET')
    if key and secret:
        return Keys(key, secret)
    if provider == 'sim':
        return Keys(*_SIM)
    raise ConfigError(
        f'account {account!r} has no keys: name a file of two lines, key and '
        f'secret, with accounts.{account}.key_file in piker.toml, or set '
        f'{prefix}KEY and {prefix}SECRET where pikerd runs'
    )


def _read_file(account: str, path: Path) -> Keys:
    where = f'accounts.{account}.key_file: {path}'
    try:
        mode = path.stat().st_mode
        lines = path.read_text(encoding='utf-8').split()
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f'{where}: cannot be read: {err}') from err
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            f'{where}: others may read it (mode {stat.S_IMODE(mode):o}): '
            f'chmod 600 {path}'
        )
    if len(lines) != 2:
        raise ConfigError(
            f'{where}: has {len(lines)} words, but must be two lines, the '
            'key and the secret'
        )
    return Keys(*lines)
