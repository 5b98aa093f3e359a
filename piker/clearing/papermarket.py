"""
The market as a paper order meets it: what is shown, less what was taken.

Pure.  Paper orders change nothing at the venue, so what one has taken is
still shown there; it is remembered until the touch moves, so that the same
size is not taken twice.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

import msgspec

from ..instruments import Instrument
from ..orders import OrderSide

__all__ = ['Level', 'PaperMarket', 'Taken']

Level = tuple[Decimal, Decimal]  # price, size

_ZERO = Decimal(0)


class Taken(msgspec.Struct):
    """
    What paper orders have had of the bids (``BUY``) or asks of a symbol.

    By price; it counts as long as the best price is ``touch``.
    """

    symbol: str
    side: OrderSide
    touch: Decimal
    levels: dict[Decimal, Decimal]


class PaperMarket:
    """
    One instrument's bid and ask, and the levels behind where known.

    ``taken`` is what orders had of it before this was made.
    """

    def __init__(
        self, instrument: Instrument, taken: Iterable[Taken] = ()
    ) -> None:
        self.instrument = instrument
        self.base = instrument.base.lower()
        self.quote = instrument.quote.lower()
        self._touch: dict[OrderSide, Level | None] = {
            OrderSide.BUY: None, OrderSide.SELL: None,
        }
        self._book: dict[OrderSide, Sequence[Level]] = {}
        self._taken = {found.side: found for found in taken}

    def best(self, side: OrderSide) -> Decimal | None:
        """The best price of the bids (``BUY``) or asks, if there is one."""
        level = self._touch[side]
        return level[0] if level else None

    def show(self, side: OrderSide, price: Decimal, size: Decimal) -> bool:
        """
        The touch of a side as the venue now has it; size 0: no one.

        Returns whether what was taken of that side is forgotten for it.
        """
        level = (price, size) if size and price else None
        self._touch[side] = level
        taken = self._taken.get(side)
        if taken is None or (level and taken.touch == price):
            return False
        del self._taken[side]
        return True

    def taken(self, side: OrderSide) -> Taken | None:
        """What orders have had of a side, if that counts still."""
        return self._taken.get(side)

    def show_book(
        self, bids: Sequence[Level], asks: Sequence[Level]
    ) -> None:
        """
        The levels behind the touch, best first, for orders that arrive now.

        Empty where the book is not known.
        """
        self._book = {OrderSide.BUY: bids, OrderSide.SELL: asks}

    @property
    def book_known(self) -> bool:
        """Whether there was a book when it was shown last."""
        return any(self._book.values())

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

        Beyond the touch that is the book; where it is not known, nothing.
        """
        taken = self._taken.get(side.other)
        had = taken.levels if taken else {}
        for price, size in self._levels(side):
            if limit is not None and (price - limit) * side.sign > 0:
                return
            left = size - had.get(price, _ZERO)
            if left > 0:
                yield price, left

    def take(self, side: OrderSide, price: Decimal, size: Decimal) -> None:
        """Note that an order of ``side`` has had so much of a level."""
        touch = self.best(side.other)
        assert touch is not None
        taken = self._taken.setdefault(
            side.other, Taken(self.instrument.id, side.other, touch, {})
        )
        taken.levels[price] = taken.levels.get(price, _ZERO) + size

    def _levels(self, side: OrderSide) -> Iterator[Level]:
        touch = self._touch[side.other]
        if touch is None:
            return
        yield touch
        for level in self._book.get(side.other, ()):
            if (level[0] - touch[0]) * side.sign > 0:
                yield level
