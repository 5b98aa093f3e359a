"""
The venue's own endpoints for accounts: ``/sim/v1/{accounts,balances,books}``.
"""
from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec

from ...errors import BadInput, did_you_mean
from .accounts import (
    AGENTS,
    DEFAULT_ACCOUNT,
    DEFAULT_KEY,
    DEFAULT_SECRET,
    HOUSE,
    ONE,
    Account,
    amount_of,
)
from .desk import UserDesk
from .listings import Listing, all_listings
from .reports import balance_event, list_row, order_row, trade_row
from .wire import Json, fixed

__all__ = ['BackOffice', 'open_default_account']

_RATE = '0.001'
_WORTH = 100_000  # USDT's worth of each asset that is not money
_MONEY = {'USDT': '1000000', 'BTC': '10'}


class _NewAccount(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    key: str
    secret: str
    balances: dict[str, str | int | float] = {}
    maker: str | float = _RATE
    taker: str | float = _RATE


class _Transfer(msgspec.Struct, forbid_unknown_fields=True):
    asset: str
    amount: str | int | float
    account: str = DEFAULT_ACCOUNT


class BackOffice:
    """Opens accounts, moves money in and out, shows the books."""

    def __init__(self, desk: UserDesk) -> None:
        self._desk = desk
        self._books = desk.books
        self._accounts = desk.books.accounts

    def open_account(self, body: bytes) -> Json:
        given = _decode(body, _NewAccount)
        if not given.name or not given.key or not given.secret:
            raise BadInput('an account needs a name, a key and a secret')
        account = Account(
            given.name, given.key, given.secret,
            maker=amount_of(given.maker, 'maker'),
            taker=amount_of(given.taker, 'taker'),
            uid=len(self._accounts.by_name),
        )
        amounts = {asset: amount_of(amount, f'balances.{asset}')
                   for asset, amount in given.balances.items()}
        if min(amounts.values(), default=0) < 0 or not (
            0 <= account.maker < ONE and 0 <= account.taker < ONE
        ):
            raise BadInput('balances and rates must not be below zero, and '
                           'rates below one')
        with self._desk.turn():
            self._accounts.add(account)
            for asset, amount in amounts.items():
                self._accounts.deposit(account, asset.upper(), amount)
        return {'name': account.name, 'key': account.key, 'uid': account.uid}

    def transfer(self, body: bytes, now_ms: int) -> Json:
        """A deposit or, below zero, a withdrawal."""
        given = _decode(body, _Transfer)
        account = self._named(given.account)
        asset = given.asset.upper()
        amount = amount_of(given.amount, 'amount')
        with self._desk.turn():
            self._accounts.deposit(account, asset, amount)
            self._desk.userdata.tell(
                account.name, balance_event(asset, amount, now_ms)
            )
        return {'asset': asset, **_balance(account, asset)}

    def listed(self) -> list[Json]:
        """All accounts, without their secrets."""
        return [{'name': a.name, 'key': a.key, 'uid': a.uid,
                 'maker': fixed(a.maker, 8), 'taker': fixed(a.taker, 8)}
                for a in self._accounts.users()]

    def books(self, name: str) -> Json:
        """Everything of an account, or of all if there is no name."""
        if name:
            return self._of(self._named(name))
        return {
            'accounts': [self._of(a) for a in self._accounts.users()],
            'agents': _balances(self._accounts.by_name[AGENTS]),
            'house': _balances(self._accounts.by_name[HOUSE]),
        }

    def _named(self, name: str) -> Account:
        found = {a.name: a for a in self._accounts.users()}
        if name not in found:
            raise BadInput(
                f'there is no account {name!r}.' + did_you_mean(name, found)
            )
        return found[name]

    def _of(self, account: Account) -> Json:
        books, name = self._books, account.name
        return {
            'account': name, 'key': account.key, 'uid': account.uid,
            'maker': fixed(account.maker, 8), 'taker': fixed(account.taker, 8),
            'balances': _balances(account),
            'orders': [
                order_row(order, books.specs[order.symbol])
                for order in books.orders.values() if order.account == name
            ],
            'fills': [
                trade_row(e, books.specs[e.symbol])
                | {'counterOrderId': e.counter}
                for e in books.executions if e.account == name
            ],
            'lists': [
                list_row(pair, books.legs(pair), pair.made_ms)
                for pair in books.lists.values() if pair.account == name
            ],
        }


def open_default_account(desk: UserDesk) -> None:
    """See to it that the account everybody knows the key of is there."""
    accounts = desk.books.accounts
    if DEFAULT_ACCOUNT in accounts.by_name:
        return
    rate = amount_of(_RATE, 'rate')
    account = Account(DEFAULT_ACCOUNT, DEFAULT_KEY, DEFAULT_SECRET,
                      maker=rate, taker=rate, uid=len(accounts.by_name))
    with desk.turn():
        accounts.add(account)
        for asset, amount in _default_balances(all_listings()).items():
            accounts.deposit(account, asset, amount)


def _default_balances(listings: Iterable[Listing]) -> dict[str, int]:
    """A million USDT, ten BTC, and a round number of everything else."""
    found = {asset: amount_of(amount, asset)
             for asset, amount in _MONEY.items()}
    prices = {'USDT': 1.0}
    for listing in listings:
        prices.setdefault(
            listing.base, listing.price * prices.get(listing.quote, 1.0)
        )
        count = _WORTH / prices[listing.base]
        grid = 10 ** math.floor(math.log10(count))
        found.setdefault(listing.base, round(count / grid * ONE) // ONE
                         * round(grid * ONE))
    return found


def _balances(account: Account) -> dict[str, Json]:
    return {asset: _balance(account, asset) for asset in account.assets()}


def _balance(account: Account, asset: str) -> Json:
    return {'free': fixed(account.free[asset], 8),
            'locked': fixed(account.locked[asset], 8)}


def _decode(body: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body or b'{}', type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as err:
        raise BadInput(f'not what is expected: {err}') from err
