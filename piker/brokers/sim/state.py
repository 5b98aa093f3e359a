"""
What the venue remembers: a SQLite file, or nothing but memory.

Every turn of the desk is one transaction, committed before anybody hears of
it, so a venue that was killed goes on where it was.  Losing the machine's
power may cost the last turns (``synchronous=NORMAL``), not soundness.
"""
from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from ...errors import BadInput
from .accounts import Account, Accounts
from .edits import Edit
from .orders import Execution, Order, OrderList

__all__ = ['State']

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS accounts
    (name TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS lists (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS executions
    (seq INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS edits
    (seq INTEGER PRIMARY KEY, symbol TEXT NOT NULL, body TEXT NOT NULL);
"""
_encode = msgspec.json.encode


class State:
    """
    A venue's file at ``path``, in memory if it is empty.

    Raises `BadInput` for a file of another venue (``market`` differs) or one
    that can't be read.
    """

    def __init__(self, path: str, market: str) -> None:
        if path:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path or ':memory:', timeout=1,
                                       isolation_level=None)
            # one venue at a time: another one on this file is refused
            self._db.execute('PRAGMA locking_mode=EXCLUSIVE')
            self._db.execute('PRAGMA journal_mode=WAL')
            self._db.execute('PRAGMA synchronous=NORMAL')
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as err:
            raise BadInput(
                f'the venue cannot keep its books in {path}: {err}. Another '
                'venue may have it open: name another file'
            ) from err
        self._check('version', str(_VERSION), path)
        self._check('market', market, path)

    def _check(self, name: str, value: str, path: str) -> None:
        found = self.meta(name)
        if found is None:
            self._db.execute('INSERT INTO meta VALUES (?, ?)', (name, value))
        elif found != value:
            self._db.close()
            raise BadInput(
                f'{path} keeps the books of a venue with {name} {found}, not '
                f'{value}: name another file, or delete it'
            )

    def close(self) -> None:
        self._db.close()

    def meta(self, name: str) -> str | None:
        row = self._db.execute(
            'SELECT value FROM meta WHERE name = ?', (name,)
        ).fetchone()
        return None if row is None else row[0]

    def load_accounts(self, accounts: Accounts) -> None:
        """Put the saved accounts into ``accounts``."""
        for name, body in self._db.execute(
            'SELECT name, body FROM accounts ORDER BY rowid'
        ):
            saved = json.loads(body)
            account = accounts.by_name.get(name)
            if account is None:
                account = Account(
                    name, saved['key'], saved['secret'], maker=saved['maker'],
                    taker=saved['taker'], uid=saved['uid'],
                )
                accounts.add(account)
            account.updated_ms = saved['updated_ms']
            account.free.update(saved['free'])
            account.locked.update(saved['locked'])
        accounts.changed.clear()

    def orders(self) -> list[Order]:
        return self._all('orders', 'id', Order)

    def lists(self) -> list[OrderList]:
        return self._all('lists', 'id', OrderList)

    def executions(self) -> list[Execution]:
        return self._all('executions', 'seq', Execution)

    def edits(self) -> dict[str, list[Edit]]:
        """By symbol, oldest first."""
        found: dict[str, list[Edit]] = {}
        for symbol, body in self._db.execute(
            'SELECT symbol, body FROM edits ORDER BY seq'
        ):
            found.setdefault(symbol, []).append(
                msgspec.json.decode(body, type=Edit)
            )
        return found

    def save(
        self,
        *,
        accounts: Iterable[Account],
        orders: Iterable[Order],
        lists: Iterable[OrderList],
        executions: Iterable[Execution],
        edits: Iterable[tuple[str, Edit]],
        meta: dict[str, str],
    ) -> None:
        """Write all of it, or, if we die, none."""
        write = self._db.executemany
        self._db.execute('BEGIN')
        write('INSERT INTO accounts VALUES (?, ?) '
              'ON CONFLICT (name) DO UPDATE SET body = excluded.body',
              [(a.name, _account(a)) for a in accounts])
        write('REPLACE INTO orders VALUES (?, ?)',
              [(o.id, _encode(o)) for o in orders])
        write('REPLACE INTO lists VALUES (?, ?)',
              [(found.id, _encode(found)) for found in lists])
        write('INSERT INTO executions (body) VALUES (?)',
              [(_encode(e),) for e in executions])
        write('INSERT INTO edits (symbol, body) VALUES (?, ?)',
              [(symbol, _encode(edit)) for symbol, edit in edits])
        write('REPLACE INTO meta VALUES (?, ?)', list(meta.items()))
        self._db.execute('COMMIT')

    def _all(self, table: str, key: str, kind: type[Any]) -> list[Any]:
        rows = self._db.execute(f'SELECT body FROM {table} ORDER BY {key}')
        return [msgspec.json.decode(body, type=kind) for (body,) in rows]


def _account(account: Account) -> str:
    # amounts may be beyond 64 bits, which msgspec does not write
    return json.dumps({
        'key': account.key, 'secret': account.secret, 'maker': account.maker,
        'taker': account.taker, 'uid': account.uid,
        'updated_ms': account.updated_ms, 'free': account.free,
        'locked': account.locked,
    })
