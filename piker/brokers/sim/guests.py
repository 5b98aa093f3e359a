"""
Users' orders in a replay: filled against the recording, which stays as it is.

The recorded book and tape know nothing of them, so they take no liquidity
away and never meet each other.  An order that could trade at once takes the
recorded levels; one that rests has, at its price, the recorded size ahead of
it and fills as trades there use that up, or whole when the tape or the other
side of the book goes through its price.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .engine import Fill, Report, Side, Status, Tif
from .market import Depth
from .matching import Ticket

__all__ = ['GuestBook']

_FIRST_TRADE_ID = 1 << 48  # none of a venue's own
_LEVELS = 5000


@dataclass(slots=True)
class _Resting:
    side: Side
    price: int
    left: int
    ahead: int


class GuestBook:
    """The users' orders of one replayed symbol; ``book`` is the recorded."""

    def __init__(self, book: Depth) -> None:
        self.watched = False
        self.last: int | None = None
        self._book = book
        self._resting: dict[int, _Resting] = {}
        self._next_trade_id = _FIRST_TRADE_ID

    def submit(self, ticket: Ticket) -> Report:
        """As `engine.Book.submit`, as far as a replay can."""
        found = self.sweep(ticket.side, ticket.size, ticket.price)
        left = ticket.size - sum(lots for _, lots in found)
        if found and ticket.post_only:
            return Report(ticket.order_id, ticket.side, Status.REJECTED,
                          ticket.size)
        if left and ticket.tif is Tif.FOK:
            return Report(ticket.order_id, ticket.side, Status.EXPIRED,
                          ticket.size)
        fills = tuple(
            self._fill(0, price, lots) for price, lots in found
        )
        if fills:
            self.last = fills[-1].price
        status = Status.FILLED
        if left and (ticket.price is None or ticket.tif is not Tif.GTC):
            status = Status.EXPIRED
        elif left:
            assert ticket.price is not None
            status = Status.OPEN
            self._resting[ticket.order_id] = _Resting(
                ticket.side, ticket.price, left,
                self._book.size_at(ticket.side, ticket.price),
            )
        return Report(ticket.order_id, ticket.side, status, left, fills)

    def cancel(self, order_id: int) -> int | None:
        """Its open lots, None if it does not rest."""
        found = self._resting.pop(order_id, None)
        return None if found is None else found.left

    def sweep(
        self, side: Side, size: int, price: int | None
    ) -> list[tuple[int, int]]:
        """(price, lots) that the recorded book has for an order."""
        found = []
        best = self._book.best(side.other)
        levels = self._book.depth(side.other, _LEVELS) or (
            [best] if best else []
        )
        for at, lots in levels:
            if not size or (price is not None and (
                at > price if side is Side.BUY else at < price
            )):
                break
            found.append((at, min(lots, size)))
            size -= found[-1][1]
        return found

    def trade(
        self, trade_id: int, price: int, size: int, sell: bool
    ) -> Report:
        """
        A recorded trade: its report, with the users' fills that it causes.
        """
        self.last = price
        side = Side.SELL if sell else Side.BUY
        fills = [Fill(trade_id, 0, price, size)]
        for order_id, order in list(self._resting.items()):
            through = price < order.price if order.side is Side.BUY else (
                price > order.price
            )
            lots = order.left if through else 0
            if price == order.price and side is order.side.other:
                used = min(order.ahead, size)
                order.ahead -= used
                lots = min(order.left, size - used)
                size -= used + lots
            if lots:
                fills.append(self._take(order_id, lots))
        return Report(0, side, Status.FILLED, 0, tuple(fills))

    def quoted(self) -> Iterator[Report]:
        """The book has changed: reports of what it went through."""
        for order_id, order in list(self._resting.items()):
            best = self._book.best(order.side.other)
            if best is not None and (
                best[0] <= order.price if order.side is Side.BUY
                else best[0] >= order.price
            ):
                yield Report(
                    0, order.side.other, Status.FILLED, 0,
                    (self._take(order_id, order.left),),
                )

    @property
    def idle(self) -> bool:
        """Whether nothing rests."""
        return not self._resting

    def _take(self, order_id: int, lots: int) -> Fill:
        order = self._resting[order_id]
        order.left -= lots
        if not order.left:
            del self._resting[order_id]
        return self._fill(order_id, order.price, lots)

    def _fill(self, maker_id: int, price: int, lots: int) -> Fill:
        self._next_trade_id += 1
        return Fill(self._next_trade_id, maker_id, price, lots)
