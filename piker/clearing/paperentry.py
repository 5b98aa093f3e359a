"""
How a paper order comes to the market: whether it is taken, and what it takes.
"""
from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from ..gateway import PlaceOrder
from ..orders import OrderSide, OrderType, Tif
from .papermarket import PaperMarket
from .paperorders import ABILITIES
from .terms import digits, near_sizes

__all__ = [
    'Taking', 'goes_deeper', 'malformed', 'unaffordable', 'unfilled', 'walk',
]

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
    left = command.size
    found = []
    for price, size in market.offers(command.side, command.price):
        part = min(size, left)
        paid = _paid(command, market, slippage_ticks, price)
        found.append(Taking(paid, price, part))
        left -= part
        if not left:
            break
    return found


def _paid(
    command: PlaceOrder, market: PaperMarket, slippage_ticks: int,
    price: Decimal,
) -> Decimal:
    tick = market.instrument.tick_size
    if command.type is not OrderType.MARKET:
        return price
    return max(price + slippage_ticks * tick * command.side.sign, tick)


def goes_deeper(command: PlaceOrder, market: PaperMarket) -> bool:
    """Whether an order reaches behind the touch where no book is known."""
    side, price = command.side, command.price
    far = market.best(side.other)
    if market.book_known or far is None or command.post_only:
        return False
    if price is not None and (price - far) * side.sign <= 0:
        return False
    shown = sum(size for _, size in market.offers(side, price))
    return shown < command.size


def unfilled(
    command: PlaceOrder, market: PaperMarket, taking: list[Taking]
) -> str:
    """Why no more than ``taking`` is had of an order that ends with that."""
    found = sum((part.size for part in taking), _ZERO)
    part_of = f'{digits(found)} of {digits(command.size)}'
    far = market.best(command.side.other)
    within = ''
    if command.price is not None:
        within = f' at {digits(command.price)} or better'
    if far is None:
        why = 'nothing was offered'
    elif goes_deeper(command, market):
        why = (
            f'no more was shown at {digits(far)}, and the order book behind '
            'it is not known'
        )
    elif within:
        why = f'no more was offered{within}'
    else:
        why = 'the order book, as far as it is followed, showed no more'
    if market.taken(command.side.other) is not None:
        why += '; what earlier paper orders have had of it is not had twice'
    if command.tif is Tif.FOK:
        return (
            f'not filled, since not whole: {part_of} was offered{within}; '
            f'{why}'
        )
    return f'{part_of} filled: {why}'


def malformed(command: PlaceOrder, market: PaperMarket) -> str:
    """Which of the instrument's filters an order fails, if any."""
    instrument, size, price = market.instrument, command.size, command.price
    side = command.side
    if command.type not in ABILITIES.types or command.display is not None:
        return f'no {command.type} order of this kind on paper'
    if size <= 0 or size % instrument.lot_size:
        return (
            f'size {digits(size)} is not a multiple of the lot size '
            f'{digits(instrument.lot_size)} of {instrument.id}; '
            f'{near_sizes(size, instrument, price)}'
        )
    far = market.best(side.other)
    if command.type is OrderType.LIMIT:
        if price is None or price <= 0 or not instrument.on_tick(price):
            shown = 'none' if price is None else digits(price)
            return (
                f'price {shown} is not a multiple of the tick size '
                f'{digits(instrument.tick_size)} of {instrument.id}'
            )
        if command.post_only and (
            far is not None and (price - far) * side.sign >= 0
        ):
            return (
                f'post-only, but {digits(price)} would take from '
                f'{digits(far)}'
            )
    elif price is not None:
        return 'a market order has no price'
    elif far is None:
        return f'nothing is offered in {command.symbol}'
    notional = size * (price or far or _ZERO)
    if notional < instrument.min_notional:
        return (
            f'worth {digits(notional)} {instrument.quote}, less than '
            f'the {digits(instrument.min_notional)} that an order must be'
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
        # What is not shown is counted at the last price that is.
        asset = market.quote
        taking = walk(command, market, slippage_ticks)
        need = sum((part.paid * part.size for part in taking), _ZERO)
        left = command.size - sum(part.size for part in taking)
        far = taking[-1].level if taking else market.best(OrderSide.SELL)
        need += left * _paid(command, market, slippage_ticks, far or _ZERO)
    have = free(asset)
    if need <= have:
        return ''
    return (
        f'insufficient balance: {digits(need)} {asset} needed, '
        f'{digits(have)} free'
    )
