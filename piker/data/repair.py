"""
Repairing bars around trades that nobody gives any more.

The missing ticks stay missing, and counted; the venue's own bars say what
they came to.
"""
from __future__ import annotations

import logging

import trio

from ..clock import NS_PER_S, format_ns
from ..errors import BadMessage, VenueError
from ..instruments import Instrument
from .backend import Backend
from .sampling import BarBuilder
from .source import PAGE
from .ticks import TickWriter

__all__ = ['Repairer']

log = logging.getLogger(__name__)

# The venue's own bars are final this long after their period.
_SETTLE_NS = 2 * NS_PER_S
# Holes that wait are bounded; beyond this the newest ones are one.
_MOST_HOLES = 1000
# A venue that has lost trades may not be able to tell for a while.
_PAUSES_S = (1.0, 5.0, 15.0, 60.0, 60.0)


class Repairer:
    """
    Takes the bars around each hole from the venue, once they are closed.

    Run `run` in a task.
    """

    def __init__(
        self,
        instrument: Instrument,
        backend: Backend,
        builders: dict[int, BarBuilder],
        ring: TickWriter,
    ) -> None:
        self._instrument = instrument
        self._backend = backend
        self._builders = builders
        self._ring = ring
        # from when to when, in ns
        self._holes: list[tuple[int, int]] = []
        self._noted = trio.Event()

    def note(self, start_ns: int, end_ns: int) -> None:
        """Trades between these times are missing for good."""
        holes = self._holes
        if holes and (
            start_ns <= holes[-1][1] or len(holes) >= _MOST_HOLES
        ):
            before, until = holes.pop()
            start_ns, end_ns = min(before, start_ns), max(until, end_ns)
        holes.append((start_ns, end_ns))
        self._noted.set()

    async def run(self) -> None:
        """Repair whatever is noted, until cancelled."""
        while True:
            await self._noted.wait()
            self._noted = trio.Event()
            while self._holes:
                await self._repair_with_patience(*self._holes.pop(0))

    async def _repair_with_patience(self, start_ns: int, end_ns: int) -> None:
        problem: Exception | None = None
        for pause_s in (0.0, *_PAUSES_S):
            await trio.sleep(pause_s)
            try:
                for builder in self._builders.values():
                    await self._repair(builder, start_ns, end_ns)
            except (VenueError, BadMessage) as err:
                problem = err
            else:
                return
        log.warning(
            '%s: bars from %s to %s stay wrong: %s', self._instrument.id,
            format_ns(start_ns), format_ns(end_ns), problem,
        )

    async def _repair(
        self, builder: BarBuilder, start_ns: int, end_ns: int
    ) -> None:
        """One buffer's bars from one time to another, page by page."""
        period_ns = builder.period_ns
        first = max(start_ns // period_ns, builder.writer.first)
        stop = end_ns // period_ns + 1
        settled_ns = stop * period_ns + _SETTLE_NS
        while (now := self._backend.clock.now_ns()) < settled_ns:
            await trio.sleep((settled_ns - now) / NS_PER_S)
        for low in range(first, stop, PAGE):
            rows = await self._backend.bars(
                self._instrument,
                builder.writer.period_s,
                low * period_ns,
                min(low + PAGE, stop) * period_ns,
                background=True,
            )
            self._ring.count('repaired', builder.repair(rows))
