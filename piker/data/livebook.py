"""
One instrument's order book in ``brokerd``: the only writer of its memory.

A book costs the venue a stream and us a snapshot at its start and after each
loss; `books` says when one runs.
"""
from __future__ import annotations

import logging

import trio

from ..clock import NS_PER_S, Clock
from ..errors import BadMessage, PikerError, VenueError, VenueRefused
from ..instruments import Instrument
from ..messages import BookInfo, BookStatus
from .backend import Backend
from .book import BookState, BookWriter
from .depth import DepthEvent, DepthSync
from .wake import WakerHub

__all__ = ['LiveBook']

log = logging.getLogger(__name__)

_BEAT_S = 0.5
# Snapshots are dear (see the provider): the shortest and the longest time
# from one to the next, doubled while they are needed again and again.
_PAUSE_S = (0.25, 5.0)
_CALM_S = 10.0
# How often a book that runs out of known levels is renewed.
_RENEW_S = 30.0


class LiveBook:
    """
    The writer of one book; satisfies `backend.DepthSubscription`.

    Run `run` in a task; `ready` is set once the book is the venue's.
    """

    def __init__(
        self,
        instrument: Instrument,
        backend: Backend,
        *,
        prefix: str,
        hub: WakerHub,
        clock: Clock,
        levels: int,
        stale_after_s: float,
    ) -> None:
        self.instrument = instrument
        self.levels = levels
        self._backend = backend
        self._hub = hub
        self._clock = clock
        self._stale_after_ns = int(stale_after_s * NS_PER_S)
        self._sync = DepthSync()
        self._writer = BookWriter(
            f'{prefix}{instrument.id}.book', instrument.id, levels
        )
        self._reader = self._writer.reader()
        self._waker = hub.ring(self._writer.segment.name)
        self._connection = 0
        self._up = False
        self._ask = trio.Event()
        self._refused = trio.Event()
        self._pause_s = _PAUSE_S[0]
        self._asked_at = -_CALM_S
        self.ready = trio.Event()
        self.closed = trio.Event()
        self.error: PikerError | None = None
        # What last went wrong with it, for a person.
        self._fault = ''
        self.subscribers: dict[int, str] = {}
        self.unused_since_ns = clock.now_ns()

    # what the provider calls

    def rows(self, events: list[DepthEvent]) -> None:
        """Take events in the order of arrival."""
        sync = self._sync
        was = sync.synced
        self._writer.heard(events[-1].recv)
        changed = sync.put(events)
        if changed or sync.synced != was or self._state != self._writer.state:
            self._show()
        if was and not sync.synced:
            log.warning(
                '%s: updates are missing after %d: fetching the book again',
                self.instrument.id, sync.update_id,
            )
        if self._needs_snapshot:
            self._ask.set()

    def refused(self, count: int) -> None:
        self._writer.count('refused', count)

    def link_up(self) -> None:
        """The stream runs (again): nothing is known but what it will say."""
        self._connection += 1
        self._up = True
        self._fault = ''
        self._writer.heard(self._clock.now_ns())
        self._sync.restart()
        self._show()
        # Connections are kept apart already.
        self._pause_s = _PAUSE_S[0]
        self._ask.set()

    def link_down(self, reason: str) -> None:
        self._connection += 1
        self._up = False
        self._fault = reason
        self._writer.count('reconnects')
        self._sync.restart()
        self._show()
        log.warning('%s: %s', self.instrument.id, reason)

    def link_refused(self, reason: str) -> None:
        """The venue will not send changes: see `run`."""
        self._up = False
        self._fault = reason
        self._refused.set()
        self._show()
        log.error('the book of %s: %s', self.instrument.id, reason)

    def link_alive(self) -> None:
        self._writer.heard(self._clock.now_ns())
        if self._state != self._writer.state:
            self._show()

    # the book

    @property
    def _state(self) -> BookState:
        silent = self._clock.now_ns() - self._reader.heard_ns
        if not self._up or silent > self._stale_after_ns:
            return BookState.STALE
        return BookState.LIVE if self._sync.synced else BookState.SYNCING

    @property
    def problem(self) -> str:
        """What keeps it from being the venue's; empty if nothing does."""
        state = self._state
        if state == BookState.LIVE:
            return ''
        if self._up and state == BookState.STALE:
            return 'nothing is heard of the venue'
        if self._up:
            return self._fault or 'the book is being fetched'
        return self._fault

    @property
    def _needs_snapshot(self) -> bool:
        return not self._sync.synced or self._sync.thin(self.levels)

    def _show(self, state: BookState | None = None) -> None:
        """Write the book as it is now."""
        state = self._state if state is None else state
        if state != self._writer.state:
            log.info('the book of %s is %s', self.instrument.id, state.label)
        if state == BookState.LIVE:
            self._fault = ''
            self.ready.set()
        self._writer.set_reason(self.problem)
        self._writer.write(self._sync, state)
        self._waker.wake()

    async def run(self) -> None:
        """
        Live until cancelled; raises `VenueError` if it cannot even start.

        The memory's name is gone when it ends.
        """
        try:
            async with (
                self._backend.subscribe_depth(self.instrument, self),
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(self._beat)
                nursery.start_soon(self._fail_if_refused)
                await self._fetch_snapshots()
        finally:
            self._show(BookState.CLOSED)
            self._hub.drop_ring(self._writer.segment.name)
            self._writer.unlink()

    async def _fail_if_refused(self) -> None:
        """A book that never was whole has nothing to wait with."""
        await self._refused.wait()
        if not self.ready.is_set():
            raise VenueRefused(f'{self.instrument.id}: {self.problem}')

    async def _fetch_snapshots(self) -> None:
        while True:
            await self._ask.wait()
            self._ask = trio.Event()
            while self._up and self._needs_snapshot:
                await self._wait_turn()
                if self._up and self._needs_snapshot:
                    await self._fetch_snapshot()

    async def _wait_turn(self) -> None:
        """Keep snapshots apart, the more so the more are needed."""
        now = trio.current_time()
        if now - self._asked_at > _CALM_S:
            self._pause_s = _PAUSE_S[0]
        while True:
            pause_s = _RENEW_S if self._sync.synced else self._pause_s
            if trio.current_time() >= self._asked_at + pause_s:
                break
            # A renewal becomes urgent when a gap comes meanwhile.
            with trio.move_on_at(self._asked_at + pause_s):
                await self._ask.wait()
            self._ask = trio.Event()
        self._pause_s = min(2 * self._pause_s, _PAUSE_S[1])

    async def _fetch_snapshot(self) -> None:
        first = self._asked_at < 0
        self._asked_at = trio.current_time()
        connection = self._connection
        self._sync.asked()
        try:
            # The first one is somebody's wait; later ones leave room.
            snapshot = await self._backend.depth_snapshot(
                self.instrument, background=not first
            )
        except (VenueError, BadMessage) as err:
            if isinstance(err, VenueRefused) and not self.ready.is_set():
                raise
            self._fault = str(err)
            log.warning('%s: the book: %s', self.instrument.id, err)
            self._writer.set_reason(self.problem)
            return
        if connection != self._connection:
            return
        if self._sync.load(snapshot):
            self._show()

    async def _beat(self) -> None:
        """Show readers that this writer lives, and whether the venue does."""
        while True:
            self._writer.beat(self._clock.now_ns())
            if self._state != self._writer.state:
                self._show()
            await trio.sleep(_BEAT_S)

    # what is said of it

    def info(self) -> BookInfo:
        return BookInfo(
            self.instrument, self._writer.segment.name, self._hub.address
        )

    def status(self) -> BookStatus:
        return BookStatus(
            self.instrument.id,
            self._writer.state.label,
            len(self.subscribers),
            len(self._sync.bids),
            len(self._sync.asks),
            (self._clock.now_ns() - self._reader.heard_ns) / NS_PER_S,
            self._reader.counters,
            reason=self._reader.reason,
        )
