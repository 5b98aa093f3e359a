"""
The orders of a paper account, and how a venue would report them.
"""
from __future__ import annotations

from decimal import Decimal

import msgspec

from ..gateway import (
    Abilities,
    FillReport,
    OrderReport,
    PlaceOrder,
    VenueStatus,
)
from ..orders import Balance, OrderSide, OrderType, Tif
from .papermarket import Taken

__all__ = ['ABILITIES', 'PaperChanges', 'PaperOrder', 'reported']

ABILITIES = Abilities(
    types=frozenset({OrderType.MARKET, OrderType.LIMIT}),
    tifs=frozenset({Tif.GTC, Tif.IOC, Tif.FOK}),
)

_ZERO = Decimal(0)


class PaperOrder(msgspec.Struct, kw_only=True):
    """
    An order that has reached the market; ``base`` and ``quote`` are assets.

    ``ahead`` is the size that is filled before it at its price, ``None``
    where that is not known yet; ``shrunk`` what quotes have taken off it and
    trades until ``shrunk_until_ns`` may explain.
    """

    placed: PlaceOrder
    base: str
    quote: str
    venue_id: str
    arrived_ns: int
    changed_ns: int
    status: VenueStatus = VenueStatus.OPEN
    filled: Decimal = _ZERO
    ahead: Decimal | None = None
    shrunk: Decimal = _ZERO
    shrunk_until_ns: int = 0
    reason: str = ''

    @property
    def left(self) -> Decimal:
        return self.placed.size - self.filled

    @property
    def limit(self) -> Decimal:
        assert self.placed.price is not None
        return self.placed.price

    @property
    def held(self) -> tuple[str, Decimal]:
        """What it keeps from being spent while it is open: asset, amount."""
        if self.placed.side is OrderSide.SELL:
            return self.base, self.left
        return self.quote, self.left * (self.placed.price or _ZERO)


class PaperChanges(msgspec.Struct):
    """
    What has changed since it was last asked for.

    Of ``taken`` one without levels stands for a side of which nothing is.
    """

    orders: list[PaperOrder]
    balances: dict[str, Balance]
    fills: list[FillReport]
    taken: list[Taken] = []


def reported(order: PaperOrder) -> OrderReport:
    """The order as its venue would report it."""
    placed = order.placed
    return OrderReport(
        cid=placed.cid, venue_id=order.venue_id, symbol=placed.symbol,
        side=placed.side, size=placed.size, filled=order.filled,
        type=placed.type, status=order.status, price=placed.price,
        tif=placed.tif, post_only=placed.post_only, reason=order.reason,
        time_ns=order.changed_ns,
    )
