"""
The plainest order book there is, to hold ours against, and a venue's side.
"""
from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from piker.data.depth import DepthEvent, DepthSnapshot, DepthSync

Level = tuple[float, float]


def segment_name() -> str:
    """One that no test beside this one has."""
    return f'piker-test-{uuid.uuid4().hex}'


@dataclass
class PlainBook:
    """Two dicts."""

    bids: dict[float, float] = field(default_factory=dict)
    asks: dict[float, float] = field(default_factory=dict)

    def apply(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        for mine, changes in ((self.bids, bids), (self.asks, asks)):
            for price, size in changes:
                if size:
                    mine[price] = size
                else:
                    mine.pop(price, None)

    def best_bids(self) -> list[Level]:
        return sorted(self.bids.items(), reverse=True)

    def best_asks(self) -> list[Level]:
        return sorted(self.asks.items())


@dataclass
class Venue:
    """A book, its update ids and its events, as a venue makes them."""

    book: PlainBook = field(default_factory=PlainBook)
    update_id: int = 100
    states: dict[int, PlainBook] = field(default_factory=dict)

    def change(
        self, bids: list[Level], asks: list[Level], updates: int
    ) -> DepthEvent:
        first = self.update_id + 1
        self.update_id += updates
        self.book.apply(bids, asks)
        self.states[self.update_id] = PlainBook(
            dict(self.book.bids), dict(self.book.asks)
        )
        return DepthEvent(first, self.update_id, first, first, bids, asks)

    def snapshot(self, limit: int = 0) -> DepthSnapshot:
        top = limit or None
        return DepthSnapshot(
            self.update_id, 0, 0, self.book.best_bids()[:top],
            self.book.best_asks()[:top], limit,
        )


def assert_same(sync: DepthSync, want: PlainBook) -> None:
    """All that is known of the book is right, and nothing between it."""
    for side, levels in (
        (sync.bids, want.best_bids()), (sync.asks, want.best_asks()),
    ):
        have = side.levels()
        if side.cut:
            assert have == levels[:len(have)]
        else:
            assert have == levels
