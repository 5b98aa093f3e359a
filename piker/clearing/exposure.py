"""
How far orders that are open together may move a position.
"""
from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from ..orders import OrderSide

__all__ = ['OpenOrder', 'committed', 'entry_of']

_ZERO = Decimal(0)


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """
    An order that may still fill, in whatever state: dark, held, on its way.

    ``left`` is what may still fill, ``held`` whether it waits for ``parent``
    to fill, ``at_once`` whether it fills as soon as it is at the venue.
    """

    oid: str
    side: OrderSide
    left: Decimal
    oco: str = ''
    parent: str = ''
    held: bool = False
    at_once: bool = False


def entry_of(
    order: OpenOrder, orders: tuple[OpenOrder, ...]
) -> OpenOrder | None:
    """The open order of the other side that it is held for, if any."""
    if order.held:
        for other in orders:
            if other.oid == order.parent and other.side is not order.side:
                return other
    return None


def committed(
    side: OrderSide,
    standing: Iterable[OpenOrder],
    orders: tuple[OpenOrder, ...],
) -> Decimal:
    """How far those of ``side`` among ``standing`` may move the position."""
    free: list[tuple[str, Decimal]] = []
    exits: dict[str, list[tuple[str, Decimal]]] = {}
    entries: dict[str, OpenOrder] = {}
    for order in standing:
        if order.side is not side:
            continue
        parent = entry_of(order, orders)
        if parent is None:
            free.append((order.oco, order.left))
            continue
        # It will have the size that its parent fills.
        left = min(order.left, parent.left)
        exits.setdefault(parent.oid, []).append((order.oco, left))
        entries[parent.oid] = parent
    for oid, parts in exits.items():
        # They come only with their entry, so not with what excludes that.
        entry = entries[oid]
        free.append((entry.oco, max(_ZERO, _most(parts) - entry.left)))
    return _most(free)


def _most(parts: Iterable[tuple[str, Decimal]]) -> Decimal:
    """The sum of sizes, but of those that share a name only the largest."""
    alone = _ZERO
    groups: dict[str, Decimal] = {}
    for oco, left in parts:
        if oco:
            groups[oco] = max(groups.get(oco, _ZERO), left)
        else:
            alone += left
    return alone + sum(groups.values(), _ZERO)
