"""
The market as a paper order meets it: what is shown, less what was taken.

Pure.  Paper orders change nothing at the venue, so what one has taken is
still shown there; it is remembered until the touch moves, so that the same
size is not taken twice.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from ..instruments import Instrument
from ..orders import OrderSide

__all__ = ['Level', 'PaperMarket']

Level = tuple[Decimal, Decimal]  # price, size

_ZERO = Decimal(0)
# Ticks beyond the touch that are assumed to hold anything.
_MOST_LEVELS = 1000


class PaperMarket:
    """One instrument's bid and ask, and the levels behind where known."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.base = instrument.base.lower()
        self.quote = instrument.quote.lower()
        self._touch: dict[OrderSide, Level | None] = {
            OrderSide.BUY: None, OrderSide.SELL: None,
        }
        self._book: dict[OrderSide, Sequence[Level]] = {}
        self._taken: dict[OrderSide, dict[Decimal, Decimal]] = {
            OrderSide.BUY: {}, OrderSide.SELL: {},
        }

    def best(self, side: OrderSide) -> Decimal | None:
        """The best price of the bids (``BUY``) or asks, if there is one."""
        level = self._touch[side]
        return level[0] if level else None

    def show(self, side: OrderSide, price: Decimal, size: Decimal) -> None:
        """The touch of a side as the venue now has it; size 0: no one."""
        level = (price, size) if size and price else None
        if level is None or self.best(side) != price:
            self._taken[side].clear()
        self._touch[side] = level

    def show_book(
        self, bids: Sequence[Level], asks: Sequence[Level]
    ) -> None:
        """
        The levels behind the touch, best first, for orders that arrive now.

        Empty where the book is not known.
        """
        self._book = {OrderSide.BUY: bids, OrderSide.SELL: asks}

    def shown_at(self, side: OrderSide, price: Decimal) -> Decimal | None:
        """
        What is shown at a price of a side; ``None`` where it is not known.

        Nothing inside the spread, and nothing on the far side of it.
        """
        level = self._touch[side]
        if level is None:
            return _ZERO
        best, size = level
        if price == best:
            return size
        if (price - best) * side.sign > 0:
            return _ZERO
        book = self._book.get(side)
        if not book or (price - book[-1][0]) * side.sign < 0:
            return None
        return next((s for p, s in book if p == price), _ZERO)

    def offers(
        self, side: OrderSide, limit: Decimal | None
    ) -> Iterator[Level]:
        """
        What an order of ``side`` can take up to ``limit``, best first.

        Beyond the touch that is the book; where it is not known, each tick
        is taken to hold as much as the touch does.
        """
        taken = self._taken[side.other]
        for price, size in self._levels(side):
            if limit is not None and (price - limit) * side.sign > 0:
                return
            left = size - taken.get(price, _ZERO)
            if left > 0:
                yield price, left

    def take(self, side: OrderSide, price: Decimal, size: Decimal) -> None:
        """Note that an order of ``side`` has had so much of a level."""
        taken = self._taken[side.other]
        taken[price] = taken.get(price, _ZERO) + size

    def _levels(self, side: OrderSide) -> Iterator[Level]:
        touch = self._touch[side.other]
        if touch is None:
            return
        best, size = touch
        yield touch
        behind = [
            level for level in self._book.get(side.other, ())
            if (level[0] - best) * side.sign > 0
        ]
        if behind:
            yield from behind
            return
        step = self.instrument.tick_size * side.sign
        for n in range(1, _MOST_LEVELS):
            price = best + n * step
            if price <= 0:
                return
            yield price, size
