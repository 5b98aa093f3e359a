"""
A price-time-priority matching engine for one instrument.

Pure and self-contained: no I/O, no clock, no randomness.  Prices are whole
ticks and sizes whole lots; the caller names its orders by integer ids that it
never uses twice while the order is open.  Icebergs show a part of themselves
and go to the end of the queue with each new part.
"""
from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Container, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

__all__ = ['Book', 'Fill', 'Report', 'Side', 'Status', 'Stp', 'Tif']


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


class Stp(Enum):
    """Who gives way when an order meets another one of its owner."""

    NONE = 'NONE'
    EXPIRE_TAKER = 'EXPIRE_TAKER'
    EXPIRE_MAKER = 'EXPIRE_MAKER'
    EXPIRE_BOTH = 'EXPIRE_BOTH'


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
    """
    The outcome of a submission; ``remaining`` lots were not filled.

    ``expired`` are resting orders of the same owner that were taken off
    instead of being matched; ``prevented`` says that the order itself ended
    because of one.
    """

    order_id: int
    side: Side
    status: Status
    remaining: int
    fills: tuple[Fill, ...] = ()
    expired: tuple[int, ...] = ()
    prevented: bool = False


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
        self._hidden: dict[int, tuple[int, int]] = {}  # id → shown part, rest
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
        display: int = 0,
        own: Container[int] = (),
        stp: Stp = Stp.NONE,
    ) -> Report:
        """
        Match an order and rest what is left of it, if it may rest.

        ``price`` None is a market order, which never rests.  A post-only
        order that would match is rejected whole; a FOK order that can't be
        filled whole expires whole.  With ``display`` no more than that many
        lots of it are shown at a time.  ``own`` are resting orders that it
        must not match with; ``stp`` says what happens when it comes to one.
        Raises `ValueError` for a size or price that isn't positive, an id
        that is open, or a post-only order that may not rest.
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
        allowed = size
        expired: tuple[int, ...] = ()
        if stp is not Stp.NONE and crosses:
            allowed, expired = self._prevent(side, size, price, own, stp)
        if tif is Tif.FOK and (
            sum(lots for _, lots in self.sweep(side, size, price, own)) < size
            or allowed < size
        ):
            return Report(order_id, side, Status.EXPIRED, size,
                          prevented=allowed < size)
        for mine in expired:
            self.cancel(mine)
        left = size
        fills: tuple[Fill, ...] = ()
        if crosses and allowed:
            left, fills = self._match(side, allowed, price)
            left += size - allowed
        if not left:
            return Report(order_id, side, Status.FILLED, 0, fills, expired)
        if price is None or tif is not Tif.GTC or allowed < size:
            return Report(order_id, side, Status.EXPIRED, left, fills,
                          expired, prevented=allowed < size)
        shown = min(left, display) if display else left
        if shown < left:
            self._hidden[order_id] = display, left - shown
        self._half(side).add(order_id, price, shown)
        self._where[order_id] = (side, price)
        self._touch(side, price)
        return Report(order_id, side, Status.OPEN, left, fills, expired)

    def cancel(self, order_id: int) -> int | None:
        """Take an order off; its open lots, or None if it isn't open."""
        found = self._where.pop(order_id, None)
        if found is None:
            return None
        side, price = found
        size = self._half(side).drop(order_id, price)
        size += self._hidden.pop(order_id, (0, 0))[1]
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

    def sweep(
        self,
        side: Side,
        size: int,
        price: int | None = None,
        own: Container[int] = (),
    ) -> list[tuple[int, int]]:
        """
        (price, lots) that an order would get now, were it submitted.

        Counts what icebergs hide, and leaves out the orders in ``own``.
        """
        found = []
        for at, level in self._reached(side, price):
            lots = sum(
                shown + self._hidden.get(order_id, (0, 0))[1]
                for order_id, shown in level.items() if order_id not in own
            )
            lots = min(lots, size)
            if lots:
                found.append((at, lots))
            size -= lots
            if not size:
                break
        return found

    def _reached(
        self, side: Side, price: int | None
    ) -> Iterator[tuple[int, dict[int, int]]]:
        """The levels that an order may match with, best first."""
        half = self._half(side.other)
        buy = side is Side.BUY
        for at in half.prices if buy else reversed(half.prices):
            if price is not None and (at > price if buy else at < price):
                return
            yield at, half.levels[at]

    def _prevent(
        self,
        side: Side,
        size: int,
        price: int | None,
        own: Container[int],
        stp: Stp,
    ) -> tuple[int, tuple[int, ...]]:
        """Lots that the taker may match, and which of ``own`` must go."""
        met: list[int] = []
        before = 0
        for _at, level in self._reached(side, price):
            hidden = 0
            for order_id, shown in level.items():
                if before >= size:
                    return size, tuple(met)
                if order_id not in own:
                    before += shown
                    hidden += self._hidden.get(order_id, (0, 0))[1]
                    continue
                if stp is Stp.EXPIRE_TAKER:
                    return before, ()
                met.append(order_id)
                if stp is Stp.EXPIRE_BOTH:
                    return before, tuple(met)
            before += hidden
        return size, tuple(met)

    def _match(
        self, side: Side, size: int, limit: int | None
    ) -> tuple[int, tuple[Fill, ...]]:
        fills: list[Fill] = []
        opposite = side.other
        half = self._half(opposite)
        while size and self._crosses(side, limit):
            price = half.prices[0 if side is Side.BUY else -1]
            level = half.levels[price]
            taken = refreshed = 0
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
                    del level[maker_id]
                    if maker_id in self._hidden:
                        level[maker_id] = self._next_part(maker_id)
                        refreshed += level[maker_id]
                    else:
                        del self._where[maker_id]
                else:
                    level[maker_id] = resting - traded
                if not size:
                    break
            if level:
                half.totals[price] += refreshed - taken
            else:
                half.drop_level(price)
            self._touch(opposite, price)
        return size, tuple(fills)

    def _next_part(self, order_id: int) -> int:
        """What an iceberg shows next."""
        display, hidden = self._hidden.pop(order_id)
        shown = min(display, hidden)
        if hidden > shown:
            self._hidden[order_id] = display, hidden - shown
        return shown
