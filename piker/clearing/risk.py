"""
Risk: what an account may do, checked before an order is accepted, and in part
once more before one that has waited goes to the venue.

Limits that are a matter of one instrument (``max_order``, ``max_position``,
``max_notional``, ``collar``) hold with the instrument's own value where it
has one, else with the account's.  Those that count (``max_open_orders``,
``max_orders_a_second``, ``max_daily_loss``) hold over what they are set for:
the account's over the whole account, an instrument's over that instrument,
both where both are set.

How limits look at an order:

- The worst position is the one after this order and every open one of its
  side has filled, and none of the other side.  Of orders that share ``oco``
  one fills, so only the largest of them counts.
- Orders that are held for a parent of the other side undo what that will
  have done; only what they have together beyond its size is counted.
- An order *reduces* if even then the position is not beyond zero, or if it
  is held so and adds nothing to what is counted.  ``max_position`` and
  ``max_daily_loss`` do not refuse one that does.
- What an order is worth is its size at the price it may fill at: its limit
  for a buy; the greater of its limit and where it comes to the market for a
  sell; where it comes to the market if it has no limit.
- It comes to the market at its stop, a trailing stop at where that is now,
  others, or one that is through its trigger already, at the live price.
- The collar is about a limit price, against where the order comes to the
  market.  One without a limit goes by the market itself; it still needs a
  live price if it is to go there now, and so does whatever has to be valued
  at one: it is refused without.

When an order goes to the venue, fills that nobody could know of may have come:
``max_position`` and ``max_daily_loss`` are looked at again, against what is at
the venue by then.  An order that takes from the position as it is goes however
bad things are; only what is about to take from it as well counts, and not what
rests there at a limit: a stop must not be held up by a take-profit.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, localcontext
from typing import NamedTuple

import msgspec

from ..config import AccountSettings, RiskSettings
from ..errors import BadInput, RiskRefused, did_you_mean
from ..orders import OrderRequest, OrderType
from .exposure import OpenOrder, committed, entry_of
from .money import EXACT
from .terms import digits

__all__ = ['Risk', 'RiskView', 'Tally']

_ZERO = Decimal(0)
_NO_LIMITS = RiskSettings()


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is counted over an account, or over one instrument in it.

    ``open_orders`` now, ``last_second`` the submissions of the second before
    now, ``day_pnl`` the profit (loss: below 0) since midnight UTC, realised
    and unrealised, after fees, in the quote currency of the order that is
    checked: an account's is the sum over its instruments with that quote.
    """

    open_orders: int = 0
    last_second: int = 0
    day_pnl: Decimal = _ZERO


class RiskView(msgspec.Struct, frozen=True, kw_only=True):
    """
    What there is to know for checking an order.

    ``position`` (signed) and ``orders`` are those of the account in the
    order's instrument.  When an order is changed, they and ``open_orders`` of
    the tallies leave out the order itself; of several that are submitted at
    once, each is checked with those before it among them.  ``market`` is the
    live price, ``None`` if there is none or it is stale.
    """

    position: Decimal = _ZERO
    orders: tuple[OpenOrder, ...] = ()
    market: Decimal | None = None
    account: Tally = Tally()
    instrument: Tally = Tally()


class _Scope(NamedTuple):
    """What limits are set for: an account, or an instrument in it."""

    name: str
    table: str  # of the configuration
    limits: RiskSettings
    tally: Tally


class Risk:
    """The limits of all accounts."""

    def __init__(self, accounts: Mapping[str, AccountSettings]) -> None:
        self._accounts = accounts

    def check(self, request: OrderRequest, view: RiskView) -> None:
        """
        `RiskRefused` names the first limit that an order goes beyond.

        The message holds the limit, its value, where it is set and the
        order's own value, but not which order it is.  `BadInput` for an
        account that there isn't.
        """
        check = _Check(request, view, self._scopes(request, view))
        with localcontext(EXACT):
            check.counts()
            check.size()
            check.notional()
            check.collar()
            if not check.undoes:
                check.position()
            if not check.reduces:
                check.loss()

    def check_release(self, request: OrderRequest, view: RiskView) -> None:
        """
        `RiskRefused` for an order that waited, and would go too far by now.

        Of ``view``, ``orders`` are those that are at the venue; ``market``
        and what else is counted are not looked at.
        """
        check = _Check(
            request, view, self._scopes(request, view), released=True
        )
        with localcontext(EXACT):
            if not check.reduces:
                check.position()
                check.loss()

    def _scopes(
        self, request: OrderRequest, view: RiskView
    ) -> tuple[_Scope, ...]:
        account = self._accounts.get(request.account)
        if account is None:
            near = did_you_mean(request.account, self._accounts)
            raise BadInput(
                f'there is no account {request.account!r}.{near} Accounts '
                'are tables [accounts.NAME] of the configuration'
            )
        table = f'accounts.{request.account}'
        own = account.instruments.get(request.symbol, _NO_LIMITS)
        return (
            _Scope(request.symbol, f'{table}.instruments."{request.symbol}"',
                   own, view.instrument),
            _Scope(f'account {request.account}', f'{table}.risk',
                   account.risk, view.account),
        )


class _Check:
    """One order against the limits that hold for it, the nearest first."""

    def __init__(
        self,
        request: OrderRequest,
        view: RiskView,
        scopes: tuple[_Scope, ...],
        *,
        released: bool = False,
    ) -> None:
        self._request = request
        self._view = view
        self._scopes = scopes
        self._sign = request.side.sign
        # what is against this order's side is below 0
        position = view.position * self._sign
        mine = OpenOrder(
            oid=request.oid, side=request.side, left=request.size,
            oco=request.oco, parent=request.parent,
            held=bool(request.parent) and not released,
        )
        orders = view.orders
        before = committed(request.side, orders, orders)
        after = committed(request.side, [*orders, mine], orders)
        self._after = position + after
        self.undoes = after == before and entry_of(mine, orders) is not None
        self._beside = 'the open ones of its side'
        if released:
            self._beside = 'those of its side at the venue'
            moving = [order for order in orders if order.at_once]
            after = committed(request.side, [*moving, mine], orders)
        self.reduces = self.undoes or position + after <= 0

    def counts(self) -> None:
        for scope, most in self._each('max_orders_a_second'):
            count = scope.tally.last_second + 1
            if count > most:
                raise self._refused(
                    'max_orders_a_second', most, scope,
                    f'this is number {count} within a second; wait a moment',
                )
        for scope, most in self._each('max_open_orders'):
            count = scope.tally.open_orders + 1
            if count > most:
                raise self._refused(
                    'max_open_orders', most, scope,
                    f'this would be number {count}; cancel some',
                )

    def size(self) -> None:
        for scope, most in self._nearest('max_order'):
            if self._request.size > most:
                raise self._refused(
                    'max_order', most, scope,
                    f"the order's size is {digits(self._request.size)}",
                )

    def notional(self) -> None:
        for scope, most in self._nearest('max_notional'):
            price = self._worth()
            if price is None:
                raise self._blind('max_notional', most, scope)
            worth = self._request.size * price
            if worth > most:
                raise self._refused(
                    'max_notional', most, scope,
                    f'the order is worth {digits(worth)}: '
                    f'{digits(self._request.size)} at {digits(price)}',
                )

    def collar(self) -> None:
        request = self._request
        if request.price is None and request.type.waits:
            return
        for scope, collar in self._nearest('collar'):
            reference = self._reference()
            if reference is None:
                raise self._blind('collar', collar, scope)
            if request.price is None:
                return
            worst = reference * (1 + self._sign * collar)
            if (request.price - worst) * self._sign > 0:
                side = 'above' if self._sign > 0 else 'below'
                raise self._refused(
                    'collar', collar, scope,
                    f"the order's price {digits(request.price)} is {side} "
                    f'{digits(worst)}, which is that much worse than '
                    f'{digits(reference)}',
                )

    def position(self) -> None:
        for scope, most in self._nearest('max_position'):
            if self._after > most:
                now = digits(self._view.position)
                after = digits(self._after * self._sign)
                raise self._refused(
                    'max_position', most, scope,
                    f'the position is {now} and could become {after} with '
                    f'this order and {self._beside}',
                )

    def loss(self) -> None:
        for scope, most in self._each('max_daily_loss'):
            if -scope.tally.day_pnl > most:
                raise self._refused(
                    'max_daily_loss', most, scope,
                    f'{digits(-scope.tally.day_pnl)} is lost today, and the '
                    f'order of {digits(self._request.size)} does not only '
                    f'reduce the position of {digits(self._view.position)}',
                )

    def _reference(self) -> Decimal | None:
        """Where it comes to the market, as far as that is known."""
        request, market = self._request, self._view.market
        if request.type is OrderType.TRAILING_STOP:
            if market is None or request.trail is None:
                return None
            return market + self._sign * request.trail
        stop = request.stop
        if stop is None or not request.type.waits:
            return market
        if market is None or request.type is OrderType.THROUGH:
            return stop
        beyond = (market - stop) * self._sign  # of a stop: through
        if request.type is OrderType.TAKE_PROFIT:
            beyond = -beyond
        return market if beyond >= 0 else stop

    def _worth(self) -> Decimal | None:
        """The price that it is valued at."""
        price, reference = self._request.price, self._reference()
        if price is None or (self._sign < 0 and reference is not None):
            known = (p for p in (price, reference) if p is not None)
            return max(known, default=None)
        return price

    def _nearest(self, name: str) -> Iterator[tuple[_Scope, Decimal]]:
        for found in self._each(name):
            yield found
            return

    def _each(self, name: str) -> Iterator[tuple[_Scope, Decimal]]:
        for scope in self._scopes:
            limit = getattr(scope.limits, name)
            if limit is not None:
                yield scope, limit

    def _refused(
        self, name: str, limit: Decimal | int, scope: _Scope, why: str
    ) -> RiskRefused:
        return RiskRefused(
            f'beyond {name} = {digits(Decimal(limit))} of {scope.name}: '
            f'{why}. The limit is set in [{scope.table}]'
        )

    def _blind(self, name: str, limit: Decimal, scope: _Scope) -> RiskRefused:
        return self._refused(
            name, limit, scope,
            f'there is no live price of {self._request.symbol} to check a '
            f'{self._request.type} order with; wait for one or give a price',
        )
