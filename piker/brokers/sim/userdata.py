"""
User data streams: listen keys, and the events of an account.

https://developers.binance.com/docs/binance-spot-api-docs/user-data-stream
An account has one listen key at a time.  It is valid for an hour after it was
made or last kept alive, also across a restart of the venue.
"""
from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from .params import ApiError
from .wire import encode

__all__ = ['KEY_VALID_MS', 'UserData']

KEY_VALID_MS = 3_600_000

Publish = Callable[[str, bytes], None]


class UserData:
    """
    Who listens to which account.

    Events are collected by `tell` and go out with `flush`, through
    ``publish``.  ``changed`` says that the keys are to be saved.
    """

    def __init__(self, publish: Publish) -> None:
        self.changed = False
        self._publish = publish
        self._keys: dict[str, tuple[str, int]] = {}  # key → account, end
        self._waiting: list[tuple[str, dict[str, Any]]] = []

    def load(self, keys: dict[str, tuple[str, int]]) -> None:
        self._keys = {key: (row[0], row[1]) for key, row in keys.items()}

    def saved(self) -> dict[str, tuple[str, int]]:
        """What `load` takes."""
        return dict(self._keys)

    def open(self, account: str, now_ms: int) -> str:
        """The account's listen key, valid for an hour from now."""
        self.expire(now_ms)
        key = self.key_of(account) or secrets.token_urlsafe(45)[:60]
        self._keys[key] = account, now_ms + KEY_VALID_MS
        self.changed = True
        return key

    def key_of(self, account: str) -> str | None:
        return next(
            (key for key, row in self._keys.items() if row[0] == account),
            None,
        )

    def keep(self, account: str, key: str, now_ms: int) -> None:
        """Let a key be valid for another hour; `ApiError` if it isn't."""
        self._find(account, key)
        self._keys[key] = account, now_ms + KEY_VALID_MS
        self.changed = True

    def close(self, account: str, key: str) -> None:
        """End a key's stream; `ApiError` if there is none."""
        self._find(account, key)
        del self._keys[key]
        self.changed = True

    def expire(self, now_ms: int) -> None:
        """End the streams whose keys nobody has kept alive."""
        for key, (_account, end) in list(self._keys.items()):
            if end <= now_ms:
                del self._keys[key]
                self.changed = True
                self._publish(key, encode({
                    'e': 'listenKeyExpired', 'E': now_ms, 'listenKey': key
                }))

    def keys(self) -> list[str]:
        """All keys that are valid."""
        return list(self._keys)

    def tell(self, account: str, event: dict[str, Any]) -> None:
        """Let the account know of ``event`` with the next `flush`."""
        self._waiting.append((account, event))

    def flush(self) -> None:
        """Send what was told."""
        waiting, self._waiting = self._waiting, []
        for account, event in waiting:
            key = self.key_of(account)
            if key is not None:
                self._publish(key, encode(event))

    def _find(self, account: str, key: str) -> None:
        if self._keys.get(key, ('', 0))[0] != account:
            raise ApiError(-1125, 'This listenKey does not exist.')
