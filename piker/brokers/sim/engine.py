"""
A price-time-priority matching engine for one instrument.

Pure and self-contained: no I/O, no clock, no randomness.  Prices are whole
ticks and sizes whole lots; the caller names its orders by integer ids that it
never uses twice while the order is open.
"""
from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

__all__ = ['Book', 'Fill', 'Report', 'Side', 'Status', 'Tif']


class Side(Enum):
    BUY = 'BUY'
    SELL = 'SELL'

    @property
    def other(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class Tif(Enum):
    """How long an order works: until cancelled, or only right now."""

    GTC = 'GTC'
    IOC = 'IOC'
    FOK = 'FOK'


class Status(Enum):
    """What became of a submitted order."""

    OPEN = 'OPEN'  # rests, perhaps partly filled
    FILLED = 'FILLED'
    EXPIRED = 'EXPIRED'  # market, IOC or FOK with something left over
    REJECTED = 'REJECTED'  # post-only that would have taken


class Fill(NamedTuple):
    """One match, at the resting order's price."""

    trade_id: int
    maker_id: int
    price: int
    size: int


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a submission; ``remaining`` lots were not filled."""

    order_id: int
    side: Side
    status: Status
    remaining: int
    fills: tuple[Fill, ...] = ()


class _Half:
    """One side: price → resting orders in order of arrival, and totals."""

    __slots__ = ('levels', 'prices', 'totals')

    def __init__(self) -> None:
        self.prices: list[int] = []  # ascending
        self.levels: dict[int, dict[int, int]] = {}
        self.totals: dict[int, int] = {}

    def add(self, order_id: int, price: int, size: int) -> None:
        level = self.levels.get(price)
        if level is None:
            insort(self.prices, price)
            self.levels[price] = {order_id: size}
            self.totals[price] = size
        else:
            level[order_id] = size
            self.totals[price] += size

    def drop(self, order_id: int, price: int) -> int:
        level = self.levels[price]
        size = level.pop(order_id)
        if level:
            self.totals[price] -= size
        else:
            self.drop_level(price)
        return size

    def drop_level(self, price: int) -> None:
        del self.levels[price], self.totals[price]
        del self.prices[bisect_left(self.prices, price)]


class Book:
    """
    The order book of one instrument and the rules by which it matches.

    Better prices match first, at one price the earlier order; trades happen
    at the resting order's price.  ``update_id`` counts changes of a price
    level and ``next_trade_id`` trades; both may be set before the first
    order.  Level changes are collected until `take_changes` is called.
    """

    def __init__(self, update_id: int = 0, next_trade_id: int = 0) -> None:
        self.update_id = update_id
        self.next_trade_id = next_trade_id
        self._bids = _Half()
        self._asks = _Half()
        self._where: dict[int, tuple[Side, int]] = {}
        self._changes: dict[tuple[Side, int], None] = {}

    def submit(
        self,
        order_id: int,
        side: Side,
        size: int,
        price: int | None = None,
        *,
        tif: Tif = Tif.GTC,
        post_only: bool = False,
    ) -> Report:
        """
        Match an order and rest what is left of it, if it may rest.

        ``price`` None is a market order, which never rests.  A post-only
        order that would match is rejected whole; a FOK order that can't be
        filled whole expires whole.  Raises `ValueError` for a size or price
        that isn't positive, an id that is open, or a post-only order that may
        not rest.
        """
        if size <= 0 or (price is not None and price <= 0):
            raise ValueError(f'size {size} and price {price} must be positive')
        if order_id in self._where:
            raise ValueError(f'order {order_id} is already open')
        if post_only and (price is None or tif is not Tif.GTC):
            raise ValueError('a post-only order must be GTC and have a price')
        crosses = self._crosses(side, price)
        if post_only and crosses:
            return Report(order_id, side, Status.REJECTED, size)
        if tif is Tif.FOK and self._available(side, price, size) < size:
            return Report(order_id, side, Status.EXPIRED, size)
        left = size
        fills: tuple[Fill, ...] = ()
        if crosses:
            left, fills = self._match(side, size, price)
        if not left:
            return Report(order_id, side, Status.FILLED, 0, fills)
        if price is None or tif is not Tif.GTC:
            return Report(order_id, side, Status.EXPIRED, left, fills)
        self._half(side).add(order_id, price, left)
        self._where[order_id] = (side, price)
        self._touch(side, price)
        return Report(order_id, side, Status.OPEN, left, fills)

    def cancel(self, order_id: int) -> int | None:
        """Take an order off; its open lots, or None if it isn't open."""
        found = self._where.pop(order_id, None)
        if found is None:
            return None
        side, price = found
        size = self._half(side).drop(order_id, price)
        self._touch(side, price)
        return size

    def is_open(self, order_id: int) -> bool:
        return order_id in self._where

    def best(self, side: Side) -> tuple[int, int] | None:
        """Best price of ``side`` and the lots there, or None if empty."""
        half = self._half(side)
        if not half.prices:
            return None
        price = half.prices[-1 if side is Side.BUY else 0]
        return price, half.totals[price]

    def depth(self, side: Side, limit: int) -> list[tuple[int, int]]:
        """The best ``limit`` levels of ``side``, best first."""
        half = self._half(side)
        if side is Side.BUY:
            prices = half.prices[: -limit - 1 : -1]
        else:
            prices = half.prices[:limit]
        return [(price, half.totals[price]) for price in prices]

    def size_at(self, side: Side, price: int) -> int:
        """Lots resting at a price."""
        return self._half(side).totals.get(price, 0)

    def queue(self, side: Side, price: int) -> list[tuple[int, int]]:
        """(order id, open lots) at a price, first in line first."""
        return list(self._half(side).levels.get(price, {}).items())

    def take_changes(self) -> list[tuple[Side, int]]:
        """(side, price) of each level changed since the last call."""
        changed = list(self._changes)
        self._changes.clear()
        return changed

    def _half(self, side: Side) -> _Half:
        return self._bids if side is Side.BUY else self._asks

    def _touch(self, side: Side, price: int) -> None:
        self.update_id += 1
        self._changes[side, price] = None

    def _crosses(self, side: Side, price: int | None) -> bool:
        best = self.best(side.other)
        if best is None:
            return False
        if price is None:
            return True
        return best[0] <= price if side is Side.BUY else best[0] >= price

    def _available(self, side: Side, price: int | None, need: int) -> int:
        half = self._half(side.other)
        found = 0
        prices = half.prices if side is Side.BUY else reversed(half.prices)
        for at in prices:
            if price is not None and (
                at > price if side is Side.BUY else at < price
            ):
                break
            found += half.totals[at]
            if found >= need:
                break
        return found

    def _match(
        self, side: Side, size: int, limit: int | None
    ) -> tuple[int, tuple[Fill, ...]]:
        fills: list[Fill] = []
        opposite = side.other
        half = self._half(opposite)
        while size and self._crosses(side, limit):
            price = half.prices[0 if side is Side.BUY else -1]
            level = half.levels[price]
            taken = 0
            for maker_id in list(level):
                resting = level[maker_id]
                traded = min(resting, size)
                fills.append(
                    Fill(self.next_trade_id, maker_id, price, traded)
                )
                self.next_trade_id += 1
                taken += traded
                size -= traded
                if traded == resting:
                    del level[maker_id], self._where[maker_id]
                else:
                    level[maker_id] = resting - traded
                if not size:
                    break
            if level:
                half.totals[price] -= taken
            else:
                half.drop_level(price)
            self._touch(opposite, price)
        return size, tuple(fills)
