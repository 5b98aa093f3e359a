"""
One generated listing: its tape, its book, its agents, and users' orders.
"""
from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from itertools import count

from .edited import EditedTape
from .edits import Edit, prints_of
from .engine import Book, Fill, Report, Side
from .flow import GUESTS, Flow, Step
from .listings import GENESIS_MS, Listing
from .market import Touch, touch_of
from .matching import Ticket

__all__ = ['SPEEDS_MS', 'LiveMarket', 'for_users']

SPEEDS_MS = (100, 1000)  # of the depth streams
# Update ids grow faster with time than the book changes, so that they never
# fall back across a restart.
_UPDATES_PER_MS = 8


class _Changes:
    """Book levels changed since a depth stream was last told."""

    def __init__(self, update_id: int) -> None:
        self.last = update_id
        self.places: dict[tuple[Side, int], None] = {}


class LiveMarket:
    """
    One listing's present.

    ``position_ms`` is up to when everything has happened, ``trade_ms`` the
    time of what is happening.

    `begin` lets the agents in.  Then steps are taken from ``flow``, each of
    which is to be given to `note`.
    """

    def __init__(
        self, tape: EditedTape, start_ms: int, quote_rate: float
    ) -> None:
        self.spec: Listing = tape.listing
        self.history = tape
        self.digits = self.spec.price_digits, self.spec.size_digits
        self.touch: Touch = (None, None)
        self.last: int | None = None
        self.flow: Flow | None = None
        self._quote_rate = quote_rate
        if tape.edits.count:  # a clock that was put back
            last = tape.edits[tape.edits.count - 1].edit.time_ms
            start_ms = max(start_ms, last)
        self._empty(start_ms)

    def _empty(self, start_ms: int) -> None:
        self.position_ms = self.trade_ms = start_ms
        self.book = Book((start_ms - GENESIS_MS) * _UPDATES_PER_MS)
        self.changes = {
            speed: _Changes(self.book.update_id) for speed in SPEEDS_MS
        }

    def begin(self, resting: list[Ticket], start_ms: int) -> None:
        """
        Fill an empty book: first ``resting``, then the agents.

        Needs the day's plan.
        """
        self._empty(max(start_ms, self.position_ms))
        for ticket in resting:
            self.book.submit(
                GUESTS + ticket.order_id, ticket.side, ticket.size,
                ticket.price, display=ticket.display,
            )
        start_ms = self.position_ms
        self._agg_ids = count(self.history.count_until(start_ms))
        self.last = self.history.price_before(start_ms + 1)
        self.flow = Flow(
            self.history, self.book, start_ms, self._quote_rate,
            guests=bool(resting),
        )
        self.touch = touch_of(self.book)
        self.book.take_changes()
        for changes in self.changes.values():
            changes.last = self.book.update_id

    def next_agg_id(self) -> int:
        """The id of the aggregate trade that is published next."""
        return next(self._agg_ids)

    def note(self, step: Step) -> Edit | None:
        """Take a taker order of the agents into account; see `depart`."""
        assert self.flow is not None
        assert step.taker is not None
        if step.taker.fills:
            self.last = step.taker.fills[-1].price
        if not self.flow.guests:
            return None
        prints = prints_of(step.taker.fills, step.taker.side is Side.SELL)
        return self.history.depart(step.time_ms, step.first, step.last, prints)

    def submit(self, ticket: Ticket) -> tuple[Report, Edit | None]:
        """
        Put a user's order into the book; ids are those of the book.

        The flow must know that there are guests.
        """
        assert self.flow is not None
        report = self.book.submit(
            GUESTS + ticket.order_id, ticket.side, ticket.size, ticket.price,
            tif=ticket.tif, post_only=ticket.post_only,
            display=ticket.display, own=_GuestIds(ticket.own),
            stp=ticket.stp,
        )
        if not report.fills:
            return report, None
        planned = self.flow.planned
        self.last = report.fills[-1].price
        prints = prints_of(report.fills, report.side is Side.SELL)
        edit = self.history.depart(self.trade_ms, planned, planned, prints)
        self.flow.disturbed(report, self.trade_ms)
        return report, edit

    def cancel(self, order_id: int) -> int | None:
        """Take a user's order off the book."""
        return self.book.cancel(GUESTS + order_id)

    def sweep(
        self, side: Side, size: int, price: int | None, own: Container[int]
    ) -> list[tuple[int, int]]:
        """See `Book.sweep`; ids are the venue's."""
        return self.book.sweep(side, size, price, _GuestIds(own))


class _GuestIds:
    """The venue's order ids ``own`` as the book knows them."""

    def __init__(self, own: Container[int]) -> None:
        self._own = own

    def __contains__(self, order_id: object) -> bool:
        return isinstance(order_id, int) and order_id - GUESTS in self._own


def for_users(report: Report) -> Report:
    """With the venue's ids in place of the book's; 0 for the agents."""
    def of(order_id: int) -> int:
        return max(0, order_id - GUESTS)

    return replace(
        report, order_id=of(report.order_id),
        fills=tuple(
            Fill(f.trade_id, of(f.maker_id), f.price, f.size)
            for f in report.fills
        ),
        expired=tuple(map(of, report.expired)),
    )
