"""
How users' orders get into an exchange's books, and what comes back.

`Matcher` is what an exchange offers, `Desk` what it tells.  Both sides are
synchronous: between a `settle` and a `publish` nothing else happens, so that
what an order did can be written down before anybody hears of it.
"""
from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple, Protocol

from .edits import Edit
from .engine import Report, Side, Stp, Tif

__all__ = ['Desk', 'Matcher', 'NoDesk', 'Ticket']


class Ticket(NamedTuple):
    """
    A user's order as the book takes it; see `engine.Book.submit`.

    ``order_id`` is the venue's, a small number.
    """

    order_id: int
    side: Side
    size: int
    price: int | None
    tif: Tif = Tif.GTC
    post_only: bool = False
    display: int = 0
    own: Container[int] = ()
    stp: Stp = Stp.NONE


class Desk(Protocol):
    """Who keeps the users' orders."""

    def resting(self, symbol: str) -> list[Ticket]:
        """The orders to put into an empty book, first in line first."""

    def turn(self) -> AbstractContextManager[None]:
        """While things happen; what they changed is saved at its end."""

    def edited(self, symbol: str, edit: Edit) -> None:
        """The tape has left its plan; to be kept."""

    def traded(self, symbol: str, report: Report, time_ms: int) -> None:
        """
        A taker order that is nobody's here was matched, perhaps with users'.

        Ids of users' orders in ``report`` are the venue's.
        """

    def began(self, symbol: str) -> None:
        """The book has been filled anew and has a last price."""


class Matcher(Protocol):
    """An exchange that takes users' orders."""

    desk: Desk

    async def settle(self, symbol: str) -> None:
        """Do everything that is due; `submit` and `cancel` may follow."""

    def watch(self, symbol: str) -> None:
        """Tell the desk of all trades of a symbol from now on."""

    def submit(self, symbol: str, ticket: Ticket) -> Report:
        """Match and perhaps rest an order; ids are the venue's."""

    def cancel(self, symbol: str, order_id: int) -> int | None:
        """Take an order off; its open lots, None if it does not rest."""

    def sweep(
        self, symbol: str, side: Side, size: int, price: int | None,
        own: Container[int],
    ) -> list[tuple[int, int]]:
        """(price, lots) that an order would get now."""

    def last_price(self, symbol: str) -> int | None:
        """Of the last trade, in ticks; None before the first."""

    def now_ms(self) -> int:
        """The venue's time."""

    def trade_ms(self, symbol: str) -> int:
        """The time that a trade has now."""

    def publish(self) -> None:
        """Tell the streams what `submit` and `cancel` have done."""


class NoDesk:
    """A `Desk` without users."""

    def resting(self, symbol: str) -> list[Ticket]:
        return []

    @contextmanager
    def turn(self) -> Iterator[None]:
        yield

    def edited(self, symbol: str, edit: Edit) -> None:
        """Nobody keeps it."""

    def traded(self, symbol: str, report: Report, time_ms: int) -> None:
        """Nobody to book it for."""

    def began(self, symbol: str) -> None:
        """Nobody waits for it."""
