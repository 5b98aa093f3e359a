"""
Risk: what an account may do, checked before an order is accepted.

Limits that are a matter of one instrument (``max_order``, ``max_position``,
``max_notional``, ``collar``) hold with the instrument's own value where it
has one, else with the account's.  Those that count (``max_open_orders``,
``max_orders_a_second``, ``max_daily_loss``) hold over what they are set for:
the account's over the whole account, an instrument's over that instrument,
both where both are set.
"""
from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from ..config import AccountSettings, RiskSettings
from ..orders import OrderRequest, OrderSide

__all__ = ['OpenOrder', 'Risk', 'RiskView', 'Tally']

_ZERO = Decimal(0)
_NO_LIMITS = RiskSettings()


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """
    An order that may still fill, in whatever state: dark, held, on its way.

    ``left`` is what may still fill, ``held`` whether it waits for
    ``parent`` to fill.
    """

    oid: str
    side: OrderSide
    left: Decimal
    oco: str = ''
    parent: str = ''
    held: bool = False


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is counted over an account, or over one instrument in it.

    ``open_orders`` now, ``last_second`` the submissions of the second before
    now, ``day_pnl`` the profit (loss: below 0) since midnight UTC, realised
    and unrealised, after fees, in the quote currency of the order that is
    checked.
    """

    open_orders: int = 0
    last_second: int = 0
    day_pnl: Decimal = _ZERO


class RiskView(msgspec.Struct, frozen=True, kw_only=True):
    """
    What there is to know for checking an order.

    ``position`` (signed) and ``orders`` are those of the account in the
    order's instrument.  When an order is changed, they and the tallies leave
    out the order itself; of several that are submitted at once, each is
    checked with those before it among them.  ``market`` is the live price,
    ``None`` if there is none or it is stale.
    """

    position: Decimal = _ZERO
    orders: tuple[OpenOrder, ...] = ()
    market: Decimal | None = None
    account: Tally = Tally()
    instrument: Tally = Tally()


class Risk:
    """The limits of all accounts."""

    def __init__(self, accounts: Mapping[str, AccountSettings]) -> None:
        self._accounts = accounts

    def check(self, request: OrderRequest, view: RiskView) -> None:
        """
        `RiskRefused` names the first limit that an order goes beyond.

        The message holds the limit, its value, where it is set and the
        order's own value.  `BadInput` for an account that there isn't.
        """
        raise NotImplementedError
