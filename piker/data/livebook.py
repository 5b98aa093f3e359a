"""
The order books of one ``brokerd``: each kept by one task, for all who ask.

A book costs the venue a stream and us a snapshot at its start and after each
loss, so it runs only while somebody looks at it, and a little longer.
"""
from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from ..clock import NS_PER_S, Clock
from ..errors import BadMessage, PikerError, VenueError, VenueRefused
from ..instruments import Instrument
from ..messages import BookInfo, BookStatus
from .backend import Backend
from .book import BookState, BookWriter
from .depth import DepthEvent, DepthSync
from .keeping import START_TIMEOUT_S, drop_unused, failure_of, wait_ready
from .wake import WakerHub

__all__ = ['Books', 'LiveBook']

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
        self.scope = trio.CancelScope()
        self.error: PikerError | None = None
        # What keeps it from being the venue's, for a person.
        self.problem = ''
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
        self._writer.heard(self._clock.now_ns())
        self._sync.restart()
        self._show()
        # Connections are kept apart already.
        self._pause_s = _PAUSE_S[0]
        self._ask.set()

    def link_down(self, reason: str) -> None:
        self._connection += 1
        self._up = False
        self.problem = reason
        self._writer.count('reconnects')
        self._sync.restart()
        self._show()
        log.warning('%s: %s', self.instrument.id, reason)

    def link_refused(self, reason: str) -> None:
        """The venue will not send changes: see `run`."""
        self._up = False
        self.problem = reason
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
    def _needs_snapshot(self) -> bool:
        return not self._sync.synced or self._sync.thin(self.levels)

    def _show(self, state: BookState | None = None) -> None:
        """Write the book as it is now."""
        state = self._state if state is None else state
        if state != self._writer.state:
            log.info('the book of %s is %s', self.instrument.id, state.label)
        if state == BookState.LIVE:
            self.problem = ''
            self.ready.set()
        self._writer.segment.set_note(self.problem)
        self._writer.write(self._sync, state)
        self._waker.wake()

    async def run(self) -> None:
        """
        Live until cancelled; raises `VenueError` if it cannot even start.

        Close it afterwards.
        """
        async with (
            self._backend.subscribe_depth(self.instrument, self),
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(self._beat)
            nursery.start_soon(self._fail_if_refused)
            await self._fetch_snapshots()

    async def _fail_if_refused(self) -> None:
        """A book that never was whole has nothing to wait with."""
        await self._refused.wait()
        if not self.ready.is_set():
            raise VenueRefused(f'{self.instrument.id}: {self.problem}')

    def close(self) -> None:
        """Say that it has ended, and take the memory's name away."""
        self._show(BookState.CLOSED)
        self._hub.drop_ring(self._writer.segment.name)
        self._writer.unlink()
        self.closed.set()

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
            self.problem = str(err)
            log.warning('%s: the book: %s', self.instrument.id, err)
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
        )


class Books:
    """
    Which books run, and who looks at them.

    ``instrument`` looks an instrument up by any spelling of its id.
    """

    def __init__(
        self,
        backend: Backend,
        clock: Clock,
        prefix: str,
        hub: WakerHub,
        settings: dict[str, Any],
        nursery: trio.Nursery,
        instrument: Callable[[str], Awaitable[Instrument]],
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._prefix = prefix
        self._hub = hub
        self._settings = settings
        self._nursery = nursery
        self._instrument = instrument
        self._books: dict[str, LiveBook] = {}
        self._keys = 0

    @asynccontextmanager
    async def opened(
        self, symbol: str, client: str
    ) -> AsyncGenerator[LiveBook, None]:
        """
        Hold the book of an instrument for a client, from when it is whole.

        Raises `NoSuchSymbol`, or `VenueError` if the venue cannot serve it.
        """
        instrument = await self._instrument(symbol)
        book = self._books.get(instrument.id)
        if book is None:
            # No checkpoint between look-up and entry: that is the lock.
            book = self._books[instrument.id] = self._make(instrument)
            self._nursery.start_soon(self._keep, book)
        self._keys += 1
        key = self._keys
        book.subscribers[key] = client
        try:
            await wait_ready(book, 'book', lambda: (
                f'no order book within {START_TIMEOUT_S:.0f} s: '
                f'{book.problem or "the stream cannot be reached"}'
            ))
            yield book
        finally:
            book.subscribers.pop(key, None)
            book.unused_since_ns = self._clock.now_ns()

    def _make(self, instrument: Instrument) -> LiveBook:
        return LiveBook(
            instrument,
            self._backend,
            prefix=self._prefix,
            hub=self._hub,
            clock=self._clock,
            levels=self._settings['book_levels'],
            stale_after_s=self._settings['stale_after_s'],
        )

    async def _keep(self, book: LiveBook) -> None:
        """Run a book; its failure ends it alone and is told to who asks."""
        name = book.instrument.id
        try:
            with book.scope:
                await book.run()
        except Exception as err:
            book.error = failure_of(name, 'book', err)
        finally:
            # Only now may it be made anew: one writer at a time.
            self._books.pop(name, None)
            book.close()

    async def drop_unused(self) -> None:
        """End books that nobody looked at for as long as the settings say."""
        await drop_unused(
            self._books, self._clock, self._settings['book_linger_s'],
            lambda book: book.scope.cancel(),
        )

    def status(self) -> list[BookStatus]:
        return [book.status() for book in self._books.values()]
