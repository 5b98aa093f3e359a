"""
Healing a tape: ticks wait until the trades before them are there.

Trades carry consecutive ids; wherever one is missing (at the start, after a
reconnect, in the middle of the stream) the ticks that follow are held back,
the missing trades are fetched from the venue, and both are joined in the
tape's order.
"""
from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from ..errors import BadMessage, VenueError
from .backend import Backend
from .intake import Intake
from .ticks import FeedState, TickRow
from .ticktypes import in_order, is_trade
from .turns import Queued

__all__ = ['Healer']

log = logging.getLogger(__name__)

# Held-back ticks are bounded; beyond this the oldest are fetched again.
_MOST_HELD = 500_000
_HEAL_FOR_S = 30.0
_PAUSE_S = 0.25
_MOST_PAUSE_S = 5.0
# Messages that overtake each other on their way are this close together.
_REORDER_S = 0.02


class Healer:
    """
    Stands before an `Intake`; run `run` in a task.

    ``held`` are the ticks that are held back, ``None`` while all is well.
    ``on_whole`` is called when they are about to be written, ``on_write``
    after each write.  ``joined`` is set after the first time.
    """

    def __init__(
        self,
        backend: Backend,
        intake: Intake,
        on_whole: Callable[[], None],
        on_write: Callable[[], None],
    ) -> None:
        self.held: list[TickRow] | None = []
        self.arrived = trio.Event()
        self.joined = trio.Event()
        self._backend = backend
        self._intake = intake
        self._on_whole = on_whole
        self._on_write = on_write
        self._reader = intake.ring.reader()
        self._wanted = trio.Event()
        self._since = 0.0

    @property
    def _name(self) -> str:
        return self._intake.instrument.id

    @property
    def held_s(self) -> float:
        """For how long ticks have been held back; 0 while none are."""
        if self.held is None:
            return 0.0
        return trio.current_time() - self._since

    def take(self, rows: list[TickRow], *, final: bool = False) -> None:
        """Write ticks; from the first missing trade on, hold them back."""
        left = self._intake.take(rows, final=final)
        if left:
            self._hold_from_now(left)
        self._on_write()

    def hold(self, rows: list[TickRow]) -> None:
        """Keep ticks while earlier ones are missing."""
        held = self.held
        assert held is not None
        held += rows
        if len(held) > _MOST_HELD:
            del held[:len(held) // 2]
        self.arrived.set()

    def heal(self) -> None:
        """Have whatever is missing fetched before anything is written."""
        self._hold_from_now([] if self.held is None else self.held)

    def _hold_from_now(self, held: list[TickRow]) -> None:
        if self.held is None:
            self._since = trio.current_time()
        self.held = held
        self._wanted.set()

    async def run(self) -> None:
        """Heal whenever it is needed, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            await self._join()
            self.joined.set()

    async def _join(self) -> None:
        """Fetch what is missing before the held-back ticks; then go on."""
        if self.joined.is_set():
            # Messages that only overtook each other are all here soon.
            await trio.sleep(_REORDER_S)
        queued = Queued()
        with queued.leave_after(_HEAL_FOR_S) as healing:
            pause = _PAUSE_S
            while not self._is_whole():
                try:
                    with queued.counting():
                        await self._fetch_missing()
                    break
                except (VenueError, BadMessage) as err:
                    log.warning('%s: fetching trades: %s', self._name, err)
                await trio.sleep(pause)
                pause = min(2 * pause, _MOST_PAUSE_S)
        if healing.cancelled_caught:
            log.warning(
                '%s: no missing trades within %.0f s: going on without',
                self._name, _HEAL_FOR_S,
            )
        held, self.held = in_order(self.held or []), None
        intake = self._intake
        expected, last_ns = intake.next_id, intake.last_ns
        if expected is not None:
            # What was fetched may reach into what was held: no duplicates.
            held = [
                row for row in held
                if not is_trade(row)
                or row[6] >= expected
                or row[0] > last_ns
            ]
            first = next(filter(is_trade, held), None)
            if first:
                intake.skip_to(first)
        self._on_whole()
        self.take(held)

    def _is_whole(self) -> bool:
        """Whether nothing is missing before or within the held-back ticks."""
        expected = self._intake.next_id
        if expected is None or self._reader.state != FeedState.LIVE:
            return False
        ids = {row[6] for row in self.held or () if is_trade(row)}
        return bool(ids) and ids.issuperset(range(expected, max(ids) + 1))

    async def _fetch_missing(self) -> None:
        """
        Take trades from the venue up to the first one that is held back.

        Or to the newest it has.  Raises `VenueError`, `BadMessage`.
        """
        intake = self._intake
        while True:
            expected = intake.next_id
            page = await self._backend.trades_since(
                intake.instrument,
                after_id=None if expected is None else expected - 1,
                time_ns=intake.seam_ns if expected is None else None,
            )
            if expected is None and page:
                intake.next_id = page[0][6]
            stop = self._first_held()
            fresh = [
                row for row in page
                if row[6] >= (intake.next_id or 0)
                and (stop is None or row[6] < stop)
            ]
            if fresh:
                self.take(fresh, final=True)
                self._intake.ring.count('filled', len(fresh))
            if not fresh or intake.next_id in (expected, stop):
                return

    def _first_held(self) -> int | None:
        """The id of the first trade that is held back and can be one."""
        for row in self.held or ():
            if is_trade(row) and not self._intake.is_far(row):
                return row[6]
        return None
