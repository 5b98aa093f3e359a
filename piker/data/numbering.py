"""
What to make of a trade that is not the next one, by the venue's ids.
"""
from __future__ import annotations

import logging

from ..clock import NS_PER_S, Clock
from .ticks import TickRow

__all__ = ['DROP', 'MOST_ID', 'REFUSE', 'RESET', 'Numbering']

log = logging.getLogger(__name__)

# What the ring's field can hold.
MOST_ID = 1 << 63
# Answers of `Numbering.place` besides a number of missing trades.
REFUSE, DROP, RESET = -1, -2, -3
# Missing trades are fewer than so many, and so many for each second since the
# newest one: ids of no market rise faster.
_FAR_IDS = _FAR_IDS_A_S = 10_000


class Numbering:
    """
    The ids of one instrument's trades, which rise by one.

    ``expected`` is the id that the next trade must have, ``None`` before the
    first; ``last_ns`` the newest trade's time.  ``name`` is for the log.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        # A trade whose id cannot be, and which id was due: see `_is_reset`.
        self._stray: tuple[TickRow, int] | None = None

    def place(
        self, row: TickRow, expected: int | None, last_ns: int
    ) -> int:
        """
        What to do with a trade that is not the next one.

        How many are missing before it (0: none), `REFUSE`, `DROP` where it
        is known already, or `RESET`: write the stray first, then this one.
        """
        id_ = row[6]
        if not 0 <= id_ < MOST_ID:
            # nothing can be told from it, not even a hole
            return REFUSE
        if expected is None:
            return 0
        if id_ > expected and not self.is_far(row, expected, last_ns):
            return id_ - expected
        if id_ < expected and row[0] <= last_ns:
            return DROP
        if self._is_reset(row, expected):
            return RESET
        log.warning(
            '%s: refused a trade with id %d where %d was due',
            self._name, id_, expected,
        )
        self._stray = row, expected
        return REFUSE

    def is_far(
        self, row: TickRow, expected: int | None, last_ns: int
    ) -> bool:
        """Whether an id is further ahead than trades can have been missed."""
        if expected is None:
            return False
        newest = min(row[0], self._clock.now_ns())
        since_ns = max(0, newest - last_ns)
        return row[6] - expected > (
            _FAR_IDS + _FAR_IDS_A_S * since_ns // NS_PER_S
        )

    def _is_reset(self, row: TickRow, expected: int) -> bool:
        """
        Whether the venue numbers its trades anew.

        One id that cannot be is a fault.  The next trade tells: where it
        follows on from that one, and nothing came that was due, it was none.
        """
        if self._stray is None:
            return False
        stray, due = self._stray
        return due == expected and row[6] == stray[6] + 1

    def take_stray(self) -> TickRow:
        """The trade that was the first with new numbers, after a `RESET`."""
        assert self._stray
        (stray, due), self._stray = self._stray, None
        log.warning(
            '%s: trade ids went from %d to %d: the venue began anew',
            self._name, due - 1, stray[6],
        )
        return stray
