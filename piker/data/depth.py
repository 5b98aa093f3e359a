"""
An order book kept from a stream of differences: rules only, no I/O.

A venue sends what changed, numbered without holes, and on request a snapshot
that says up to which number it goes.  `DepthSync` joins the two whatever the
order of arrival, and knows at any time whether its book is the venue's own at
`DepthSync.update_id`.

Source: Binance Spot API documentation, "How to manage a local order book
correctly":
https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
"""
from __future__ import annotations

import math
from array import array
from bisect import bisect_left, insort
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ['BookSide', 'DepthEvent', 'DepthSnapshot', 'DepthSync', 'Level']

# price, size; both finite, price > 0, size >= 0
Level = tuple[float, float]

# Events kept while a snapshot is on its way: minutes of a busy stream.
_MOST_HELD = 5000
# Levels kept a side; more are cut, the worst first.
_MOST_LEVELS = 20_000


class DepthEvent(NamedTuple):
    """
    What changed from update ``first`` to ``last``, both included.

    A level's size replaces the one before it, 0 removes it.  ``time`` is the
    venue's, ``recv`` when the bytes were read; ns UTC.
    """

    first: int
    last: int
    time: int
    recv: int
    bids: list[Level]
    asks: list[Level]


class DepthSnapshot(NamedTuple):
    """
    The book after ``update_id``.

    A side that has ``limit`` levels may go on beyond them; 0 says that
    nothing was left out.
    """

    update_id: int
    time: int
    recv: int
    bids: list[Level]
    asks: list[Level]
    limit: int = 0


class BookSide:
    """
    One side's levels in two sorted columns, best first.

    ``sign`` is 1 for asks and -1 for bids.  What lies beyond the end of a
    snapshot that was cut is unknown and left out, also when it changes:
    every level that is there is right, and between them none is missing.
    """

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._keys = array('d')  # price × sign, ascending
        self._sizes = array('d')
        self._edge = math.inf
        self._low = 0

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def cut(self) -> bool:
        """Whether the venue has, or had, more levels than are known."""
        return self._edge < math.inf

    def load(self, levels: list[Level], limit: int) -> None:
        """Replace everything."""
        found = sorted(
            {p * self._sign: s for p, s in levels if s > 0}.items()
        )
        self._keys = array('d', [key for key, _ in found])
        self._sizes = array('d', [size for _, size in found])
        full = 0 < limit <= len(levels) and found
        self._edge = self._keys[-1] if full else math.inf
        self._low = 0
        self._trim()

    def put(self, levels: list[Level]) -> None:
        """Set the sizes of these levels."""
        keys, sizes = self._keys, self._sizes
        sign, edge, low = self._sign, self._edge, self._low
        for price, size in levels:
            key = price * sign
            if key > edge:
                continue
            at = bisect_left(keys, key)
            if at < len(keys) and keys[at] == key:
                if size:
                    sizes[at] = size
                else:
                    del keys[at], sizes[at]
            elif size:
                keys.insert(at, key)
                sizes.insert(at, size)
            else:
                continue
            low = min(low, at)
        self._low = low
        self._trim()

    def _trim(self) -> None:
        if len(self._keys) > _MOST_LEVELS:
            del self._keys[_MOST_LEVELS:], self._sizes[_MOST_LEVELS:]
            self._edge = self._keys[-1]

    def take_changed(self) -> int:
        """From which level on anything changed since the last call."""
        low, self._low = self._low, len(self._keys)
        return low

    def copy(
        self,
        prices: npt.NDArray[np.float64],
        sizes: npt.NDArray[np.float64],
        low: int = 0,
    ) -> int:
        """
        Write the levels from ``low`` on into columns, as many as fit.

        Returns how many levels the columns now hold.
        """
        end = min(len(self._keys), len(prices))
        if low < end:
            keys = np.frombuffer(self._keys)
            np.multiply(keys[low:end], self._sign, out=prices[low:end])
            sizes[low:end] = np.frombuffer(self._sizes)[low:end]
        return end

    def levels(self) -> list[Level]:
        """All of it, best first."""
        sign = self._sign
        return [
            (key * sign, size)
            for key, size in zip(self._keys, self._sizes, strict=True)
        ]


COUNTERS = (
    'updates',  # events received
    'duplicates',  # … that said nothing new
    'covered',  # … that a snapshot contained already
    'gaps',  # holes in the numbers
    'healed',  # … that a late event closed
    'snapshots',  # snapshots used
    'old_snapshots',  # … and ones too old to be used
    'resyncs',  # times the book was lost and found again
)


class DepthSync:
    """
    Joins events and snapshots into the venue's book.

    Call `asked` when a snapshot is requested, `load` with the answer, `put`
    with events as they come, `restart` when the connection breaks.
    """

    def __init__(self) -> None:
        self.bids, self.asks = BookSide(-1), BookSide(1)
        self.update_id = 0
        self.time = 0
        self.recv = 0
        self.synced = False
        self.counters = dict.fromkeys(COUNTERS, 0)
        # Whether `update_id` belongs to the numbers of this connection.
        self._based = False
        self._snapshot_id = -1
        self._gap_at = -1
        self._lost = False
        # What cannot be used yet, by number.
        self._held: list[DepthEvent] = []
        # What was used while a snapshot was on its way, in case it is older.
        self._applied: list[DepthEvent] | None = None

    def put(self, events: list[DepthEvent]) -> bool:
        """Take events in any order; whether the book has changed."""
        before = self.update_id
        self.counters['updates'] += len(events)
        for event in events:
            if self.synced and event.first <= self.update_id + 1:
                self._take(event)
                continue
            insort(self._held, event, key=_number)
            if len(self._held) > _MOST_HELD:
                del self._held[0]
            if self._based and self._drain():
                self.counters['healed'] += 1
        return self.update_id != before

    def asked(self) -> None:
        """A snapshot is requested now."""
        self._applied = []

    def load(self, snapshot: DepthSnapshot) -> bool:
        """
        Start over from a snapshot; whether it could be used.

        It cannot if events are missing between its number and the first one
        at hand: ask for another.
        """
        events = sorted([*(self._applied or ()), *self._held], key=_number)
        self._applied = None
        needed = 0
        if events:
            needed = events[0].first
        elif self._based:
            needed = self.update_id + 1
        if snapshot.update_id + 1 < needed:
            self.counters['old_snapshots'] += 1
            return False
        self.bids.load(snapshot.bids, snapshot.limit)
        self.asks.load(snapshot.asks, snapshot.limit)
        self.update_id = self._snapshot_id = snapshot.update_id
        self.time, self.recv = snapshot.time, snapshot.recv
        self._based = True
        self._held = events
        self.counters['snapshots'] += 1
        if self._drain():
            self.counters['resyncs'] += 1
        return True

    def restart(self) -> None:
        """
        The connection is lost, and the numbers with it.

        The book stays as it was, for whoever wants to see it.
        """
        self._lost |= self._based
        self._based = self.synced = False
        self._held = []
        self._applied = None

    def thin(self, levels: int) -> bool:
        """Whether a side shows fewer than ``levels`` while there are more."""
        return any(
            side.cut and len(side) < levels for side in (self.bids, self.asks)
        )

    def _drain(self) -> bool:
        """
        Take what is held as far as the numbers go on.

        Says whether a book that was lost is whole again.
        """
        used = 0
        for event in self._held:
            if event.first > self.update_id + 1:
                break
            self._take(event)
            used += 1
        del self._held[:used]
        self.synced = not self._held
        if self.synced:
            lost, self._lost = self._lost, False
            return lost
        self._lost = True
        if self._gap_at != self.update_id:
            self._gap_at = self.update_id
            self.counters['gaps'] += 1
        return False

    def _take(self, event: DepthEvent) -> None:
        if event.last <= self.update_id:
            known = event.last <= self._snapshot_id
            self.counters['covered' if known else 'duplicates'] += 1
            return
        self.bids.put(event.bids)
        self.asks.put(event.asks)
        self.update_id = event.last
        self.time, self.recv = event.time, event.recv
        if self._applied is not None:
            self._applied.append(event)
            if len(self._applied) > _MOST_HELD:
                del self._applied[0]


def _number(event: DepthEvent) -> Any:
    return event.first, event.last
