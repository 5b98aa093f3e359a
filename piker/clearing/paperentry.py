"""
How a paper order comes to the market: whether it is taken, and what it takes.
"""
from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from ..orders import OrderSide, OrderType, PlaceOrder
from .papermarket import PaperMarket
from .paperorders import ABILITIES

__all__ = ['Taking', 'malformed', 'unaffordable', 'walk']

_ZERO = Decimal(0)


class Taking(NamedTuple):
    """A part of a level that is taken, and the price that is paid for it."""

    paid: Decimal
    level: Decimal
    size: Decimal


def walk(
    command: PlaceOrder, market: PaperMarket, slippage_ticks: int
) -> list[Taking]:
    """What an order takes on arrival; a market order pays the slippage."""
    limit = command.price
    slip = _ZERO
    if command.type is OrderType.MARKET:
        limit = None
        slip = slippage_ticks * (
            market.instrument.tick_size * command.side.sign
        )
    left = command.size
    found = []
    for price, size in market.offers(command.side, limit):
        part = min(size, left)
        paid = max(price + slip, market.instrument.tick_size)
        found.append(Taking(paid, price, part))
        left -= part
        if not left:
            break
    return found


def malformed(command: PlaceOrder, market: PaperMarket) -> str:
    """Which of the instrument's filters an order fails, if any."""
    instrument, size, price = market.instrument, command.size, command.price
    side = command.side
    if command.type not in ABILITIES.types or command.display is not None:
        return f'no {command.type} order of this kind on paper'
    if size <= 0 or size % instrument.lot_size:
        return f'size {size} is not a multiple of {instrument.lot_size}'
    far = market.best(side.other)
    if command.type is OrderType.LIMIT:
        if price is None or price <= 0 or not instrument.on_tick(price):
            return f'price {price} is not a multiple of {instrument.tick_size}'
        if command.post_only and (
            far is not None and (price - far) * side.sign >= 0
        ):
            return f'post-only, but {price} would take from {far}'
    elif price is not None:
        return 'a market order has no price'
    elif far is None:
        return f'nothing is offered in {command.symbol}'
    notional = size * (price or far or _ZERO)
    if notional < instrument.min_notional:
        return (
            f'worth {notional.normalize():f} {instrument.quote}, less than '
            f'the {instrument.min_notional} that an order must be'
        )
    return ''


def unaffordable(
    command: PlaceOrder, market: PaperMarket, slippage_ticks: int,
    free: Callable[[str], Decimal],
) -> str:
    """Why an order is beyond what is ``free`` of an asset; empty if not."""
    if command.side is OrderSide.SELL:
        asset, need = market.base, command.size
    elif command.price is not None:
        asset, need = market.quote, command.size * command.price
    else:
        asset = market.quote
        need = sum((
            part.paid * part.size
            for part in walk(command, market, slippage_ticks)
        ), _ZERO)
    have = free(asset)
    if need <= have:
        return ''
    return (
        f'insufficient balance: {need.normalize():f} {asset} needed, '
        f'{have.normalize():f} free'
    )
