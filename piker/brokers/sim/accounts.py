"""
Users' balances: what is free and what open orders hold.

Amounts are whole numbers of 10^-8 of an asset.  Every change is a transfer,
so the sum over all accounts, the agents' and the house's included, is what
was deposited.
"""
from __future__ import annotations

from collections import Counter
from decimal import ROUND_DOWN, Decimal, InvalidOperation

from ...errors import BadInput

__all__ = ['AGENTS', 'DEFAULT_ACCOUNT', 'DEFAULT_KEY', 'DEFAULT_SECRET',
           'HOUSE', 'ONE', 'Account', 'Accounts', 'amount_of']

ONE = 10**8
# Worth nothing and no secret: the account that every venue has.
DEFAULT_ACCOUNT = 'sim'
DEFAULT_KEY = 'sim-key'
DEFAULT_SECRET = 'sim-secret'
# The agents' side of users' trades, which may go below zero, and commissions.
AGENTS = '(agents)'
HOUSE = '(house)'


class Account:
    """
    One user's money.

    ``maker`` and ``taker`` are commission rates in 10^-8.  ``holds`` says how
    much of which asset each open order, or list of orders, keeps from being
    spent; ``locked`` is their sum.
    """

    def __init__(
        self, name: str, key: str, secret: str, *, maker: int, taker: int,
        uid: int,
    ) -> None:
        self.name = name
        self.key = key
        self.secret = secret
        self.maker = maker
        self.taker = taker
        self.uid = uid
        self.updated_ms = 0
        self.free: Counter[str] = Counter()
        self.locked: Counter[str] = Counter()
        self.holds: dict[tuple[str, int], tuple[str, int]] = {}

    def total(self, asset: str) -> int:
        return self.free[asset] + self.locked[asset]

    def held(self, group: tuple[str, int]) -> int:
        """What a group of orders holds."""
        return self.holds.get(group, ('', 0))[1]

    def hold(self, group: tuple[str, int], asset: str, amount: int) -> None:
        """Let ``group`` hold ``amount`` from now on; 0 lets go."""
        change = amount - self.held(group)
        self.free[asset] -= change
        self.locked[asset] += change
        if amount:
            self.holds[group] = asset, amount
        else:
            self.holds.pop(group, None)

    def assets(self) -> list[str]:
        """Those that it has or had something of."""
        return sorted(self.free.keys() | self.locked.keys())


class Accounts:
    """All accounts; ``changed`` are those to be saved."""

    def __init__(self) -> None:
        self.by_name: dict[str, Account] = {}
        self.by_key: dict[str, Account] = {}
        self.changed: dict[str, set[str]] = {}  # account → assets
        for name in (AGENTS, HOUSE):
            self.add(Account(name, '', '', maker=0, taker=0, uid=0))

    def add(self, account: Account) -> None:
        """Raises `BadInput` for a name or key that is taken."""
        if account.name in self.by_name:
            raise BadInput(f'there is an account {account.name!r} already')
        if account.key in self.by_key:
            raise BadInput(f'the key of {account.name!r} is taken already')
        self.by_name[account.name] = account
        if account.key:
            self.by_key[account.key] = account
        self.changed.setdefault(account.name, set())

    def users(self) -> list[Account]:
        return [a for a in self.by_name.values() if a.key]

    def deposit(self, account: Account, asset: str, amount: int) -> None:
        """Add or, below zero, take; `BadInput` if there is not as much."""
        if account.free[asset] + amount < 0:
            raise BadInput(
                f'{account.name!r} has no {-amount / ONE} {asset} to take out'
            )
        account.free[asset] += amount
        self.touch(account, asset)

    def move(self, asset: str, amount: int, source: Account,
             target: Account) -> None:
        """Transfer what is free."""
        source.free[asset] -= amount
        target.free[asset] += amount
        self.touch(source, asset)
        self.touch(target, asset)

    def hold(
        self, account: Account, group: tuple[str, int], asset: str,
        amount: int,
    ) -> None:
        """See `Account.hold`."""
        if account.held(group) != amount:
            account.hold(group, asset, amount)
            self.touch(account, asset)

    def touch(self, account: Account, asset: str) -> None:
        self.changed.setdefault(account.name, set()).add(asset)


def amount_of(text: object, name: str) -> int:
    """A decimal number as whole 10^-8; `BadInput` names what is wrong."""
    try:
        value = Decimal(str(text))
        if not value.is_finite():
            raise InvalidOperation
    except InvalidOperation:
        raise BadInput(f'{name} = {text!r} is not a number') from None
    whole = (value * ONE).quantize(Decimal(1), ROUND_DOWN)
    if whole != value * ONE:
        raise BadInput(f'{name} = {text!r} has more than eight places')
    return int(whole)
