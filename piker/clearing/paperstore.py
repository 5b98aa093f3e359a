"""
Paper accounts on disk: a SQLite file beside the journal.

One row per order, balance and fill, and for what was taken of each side of a
market, as JSON.  What `commit` has returned
from survives a power cut.  Calls may come from any thread.
"""
from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec

from ..errors import StorageError
from ..gateway import FillReport, VenueStatus
from ..orders import Balance
from .papermarket import Taken
from .paperorders import PaperChanges, PaperOrder

__all__ = ['PaperStore']

_SCHEMA = '''
create table if not exists orders (
    account text not null, cid text not null, number integer not null,
    open integer not null, body blob not null, primary key (account, cid)
) without rowid;
create index if not exists open_orders on orders (account) where open;
create table if not exists balances (
    account text not null, asset text not null, body blob not null,
    primary key (account, asset)
) without rowid;
create table if not exists fills (
    account text not null, number integer not null, symbol text not null,
    cid text not null, time_ns integer not null, body blob not null,
    primary key (account, number)
) without rowid;
create index if not exists fills_of on fills (account, cid);
create table if not exists taken (
    account text not null, symbol text not null, side text not null,
    body blob not null, primary key (account, symbol, side)
) without rowid;
'''


class Rows(NamedTuple):
    """Rows of the tables, and the keys of those of ``taken`` that go."""

    orders: list[Any]
    balances: list[Any]
    fills: list[Any]
    taken: list[Any]
    freed: list[Any]


class PaperStore:
    """The file of all paper accounts; close it, or use it as a context."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._translated():
            self._db = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False
            )
            self._db.execute('pragma journal_mode = wal')
            self._db.execute('pragma synchronous = full')
            self._db.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @staticmethod
    def encode(account: str, changes: PaperChanges) -> Rows:
        """Changes as rows, which no later change can alter."""
        encode = msgspec.json.encode
        return Rows(
            [
                (
                    account, order.placed.cid, int(order.venue_id),
                    order.status is VenueStatus.OPEN, encode(order),
                )
                for order in changes.orders
            ],
            [
                (account, asset, encode(balance))
                for asset, balance in changes.balances.items()
            ],
            [
                (
                    account, int(fill.trade_id), fill.symbol, fill.cid,
                    fill.time_ns, encode(fill),
                )
                for fill in changes.fills
            ],
            [
                (account, taken.symbol, str(taken.side), encode(taken))
                for taken in changes.taken if taken.levels
            ],
            [
                (account, taken.symbol, str(taken.side))
                for taken in changes.taken if not taken.levels
            ],
        )

    def commit(self, rows: Rows) -> None:
        """Make rows durable, all or none of them."""
        db = self._db
        with self._lock, self._translated():
            db.execute('begin immediate')
            try:
                db.executemany(
                    'insert or replace into orders values (?, ?, ?, ?, ?)',
                    rows.orders,
                )
                db.executemany(
                    'insert or replace into balances values (?, ?, ?)',
                    rows.balances,
                )
                db.executemany(
                    'insert into fills values (?, ?, ?, ?, ?, ?)', rows.fills
                )
                db.executemany(
                    'insert or replace into taken values (?, ?, ?, ?)',
                    rows.taken,
                )
                db.executemany(
                    'delete from taken where (account, symbol, side) = '
                    '(?, ?, ?)', rows.freed,
                )
                db.execute('commit')
            except BaseException:
                db.execute('rollback')
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as err:
            raise StorageError(f'{self._path}: {err}') from err

    def open_orders(self, account: str) -> list[PaperOrder]:
        """In the order in which they came."""
        rows = self._rows(
            'select body from orders where account = ? and open '
            'order by number', account,
        )
        return [msgspec.json.decode(row[0], type=PaperOrder) for row in rows]

    def balances(self, account: str) -> dict[str, Balance] | None:
        """``None`` for an account that has never been here."""
        rows = self._rows(
            'select asset, body from balances where account = ?', account
        )
        return {
            asset: msgspec.json.decode(body, type=Balance)
            for asset, body in rows
        } or None

    def taken(self, account: str) -> list[Taken]:
        rows = self._rows('select body from taken where account = ?', account)
        return [msgspec.json.decode(row[0], type=Taken) for row in rows]

    def numbers(self, account: str) -> tuple[int, int]:
        """The last order and trade numbers, 0 without any."""
        found = [
            self._rows(
                f'select coalesce(max(number), 0) from {table} '
                'where account = ?', account,
            )
            for table in ('orders', 'fills')
        ]
        return found[0][0][0], found[1][0][0]

    def order(self, account: str, cid: str) -> PaperOrder | None:
        rows = self._rows(
            'select body from orders where account = ? and cid = ?',
            account, cid,
        )
        for row in rows:
            return msgspec.json.decode(row[0], type=PaperOrder)
        return None

    def fills(self, account: str, cid: str) -> list[FillReport]:
        """Those of one order, oldest first."""
        return self._fills('cid = ?', account, cid)

    def fills_after(
        self, account: str, symbol: str, number: int, since_ns: int
    ) -> list[FillReport]:
        """Those after trade ``number`` and not before ``since_ns``."""
        return self._fills(
            'symbol = ? and number > ? and time_ns >= ?',
            account, symbol, number, since_ns,
        )

    def _fills(self, where: str, *values: Any) -> list[FillReport]:
        rows = self._rows(
            f'select body from fills where account = ? and {where} '
            'order by number', *values,
        )
        return [msgspec.json.decode(row[0], type=FillReport) for row in rows]

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with (
            self._lock,
            self._translated(),
            closing(self._db.execute(query, values)) as cursor,
        ):
            return cursor.fetchall()
