"""
One symbol as the server sees it, generated or replayed.
"""
from __future__ import annotations

from typing import Protocol

from .engine import Side
from .history import History

__all__ = ['Depth', 'Exchange', 'Market', 'Spec', 'Touch', 'touch_of']

Level = tuple[int, int]
Touch = tuple[Level | None, Level | None]


class Spec(Protocol):
    """What the exchange information says of a symbol."""

    @property
    def symbol(self) -> str: ...

    @property
    def base(self) -> str: ...

    @property
    def quote(self) -> str: ...

    @property
    def price_digits(self) -> int: ...

    @property
    def size_digits(self) -> int: ...

    @property
    def min_notional(self) -> str: ...


class Depth(Protocol):
    """A book that can be looked at; see `engine.Book`."""

    update_id: int

    def best(self, side: Side) -> tuple[int, int] | None: ...

    def depth(self, side: Side, limit: int) -> list[tuple[int, int]]: ...

    def size_at(self, side: Side, price: int) -> int: ...


def touch_of(book: Depth) -> Touch:
    """Best bid and best ask, each (price, size) or None."""
    return book.best(Side.BUY), book.best(Side.SELL)


class Market(Protocol):
    """A symbol's present and past."""

    @property
    def spec(self) -> Spec: ...

    @property
    def book(self) -> Depth: ...

    @property
    def history(self) -> History: ...

    @property
    def touch(self) -> Touch:
        """Best bid and ask, safe to read from any thread."""

    @property
    def position_ms(self) -> int:
        """Up to when things have happened and been published."""


class Exchange(Protocol):
    """All symbols, and the venue's clock."""

    @property
    def markets(self) -> dict[str, Market]: ...

    def now_ms(self) -> int:
        """The venue's time."""
