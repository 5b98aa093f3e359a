"""
The bus of one ``brokerd``: which feeds run, and who uses them.

One task an instrument, started at the first request and registered for later
look-ups; every further client of the same instrument only adds its name.
"""
from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import trio
from msgspec.structs import replace

from ..clock import Clock
from ..errors import NoSuchSymbol, did_you_mean
from ..instruments import Instrument, InstrumentId
from ..messages import FeedStatus
from .backend import Backend
from .gapfill import GapFiller
from .keeping import START_TIMEOUT_S, drop_unused, failure_of, wait_ready
from .live import LiveFeed
from .livebook import Books
from .sampling import Sampler
from .source import BarSource
from .storage import StoreClient
from .wake import WakerHub

__all__ = ['Bus', 'open_bus']

class Bus:
    """The feeds of one provider; made by `open_bus`."""

    def __init__(
        self,
        backend: Backend,
        clock: Clock,
        prefix: str,
        settings: dict[str, Any],
        nursery: trio.Nursery,
        source: BarSource,
        filler: GapFiller | None = None,
    ) -> None:
        self.backend = backend
        self._source = source
        self._filler = filler
        self.hub = WakerHub(prefix)
        self.sampler = Sampler(backend.clock)
        self._clock = clock
        self._prefix = prefix
        self._settings = settings
        self._nursery = nursery
        self._feeds: dict[str, LiveFeed] = {}
        self._scopes: dict[str, trio.CancelScope] = {}
        self._keys = 0
        self.books = Books(
            backend, clock, prefix, self.hub, settings, nursery,
            self.instrument,
        )

    async def instrument(self, symbol: str) -> Instrument:
        """Look up by any spelling of the id; `NoSuchSymbol` with a hint."""
        local = InstrumentId.parse(symbol).local
        known = await self.backend.instruments()
        found = known.get(local)
        if found is None:
            hint = did_you_mean(local, known)
            raise NoSuchSymbol(
                f'{self.backend.name} has no symbol {local!r}.{hint} '
                f'`piker search TEXT` lists what there is.'
            )
        return found

    async def feed(self, symbol: str) -> LiveFeed:
        """
        The feed of an instrument, once its memory can be mapped.

        Raises `NoSuchSymbol`, or `VenueError` if the venue cannot serve it.
        """
        instrument = await self.instrument(symbol)
        feed = self._feeds.get(instrument.id)
        if feed is None:
            # No checkpoint between look-up and entry: that is the lock.
            feed = self._make(instrument)
            self._feeds[instrument.id] = feed
            self._nursery.start_soon(self._keep, feed)
        feed.unused_since_ns = self._clock.now_ns()
        await wait_ready(feed, 'feed', lambda: (
            f'no data within {START_TIMEOUT_S:.0f} s: the stream of '
            f'{self.backend.name} cannot be reached'
        ))
        # Whoever waited for long gets its time to register all the same.
        feed.unused_since_ns = self._clock.now_ns()
        return feed

    def _make(self, instrument: Instrument) -> LiveFeed:
        settings = self._settings
        return LiveFeed(
            instrument,
            self._source,
            prefix=self._prefix,
            hub=self.hub,
            sampler=self.sampler,
            clock=self._clock,
            history={
                1: settings['history_1s'],
                60: settings['history_60s'],
            },
            ring=settings['ring'],
            stale_after_s=settings['stale_after_s'],
        )

    async def _keep(self, feed: LiveFeed) -> None:
        """Run a feed; its failure ends it alone and is told to who asks."""
        name = feed.instrument.id
        try:
            async with trio.open_nursery() as nursery:
                self._scopes[name] = nursery.cancel_scope
                if self._filler is not None:
                    nursery.start_soon(self._filler.fill, feed)
                await feed.run()
        except Exception as err:
            feed.error = failure_of(name, 'feed', err)
        finally:
            self._feeds.pop(name, None)
            self._scopes.pop(name, None)

    @contextmanager
    def registered(self, feeds: list[LiveFeed], client: str) -> Iterator[None]:
        """Hold the feeds for a client."""
        self._keys += 1
        key = self._keys
        for feed in feeds:
            feed.subscribers[key] = client
        try:
            yield
        finally:
            for feed in feeds:
                feed.subscribers.pop(key, None)
                feed.unused_since_ns = self._clock.now_ns()

    def drop(self, symbol: str) -> bool:
        """End a feed and destroy its memory; whether it ran."""
        scope = self._scopes.get(str(InstrumentId.parse(symbol)))
        if scope is None:
            return False
        scope.cancel()
        return True

    def status(self) -> list[FeedStatus]:
        return [self._status(feed) for feed in self._feeds.values()]

    def _status(self, feed: LiveFeed) -> FeedStatus:
        if self._filler is None:
            return feed.status()
        gaps, bars = self._filler.left(feed.instrument.id)
        return replace(feed.status(), gaps_left=gaps, bars_left=bars)

    async def drop_unused(self) -> None:
        """End feeds that nobody has used for as long as the settings say."""
        await drop_unused(
            self._feeds, self._clock, self._settings['linger_s'],
            lambda feed: self.drop(feed.instrument.id),
        )


@asynccontextmanager
async def open_bus(
    backend: Backend,
    clock: Clock,
    prefix: str,
    settings: dict[str, Any],
    store: StoreClient | None = None,
    table_root: str = '',
    *,
    fill: bool = False,
) -> AsyncGenerator[Bus, None]:
    """
    The bus with its background tasks; leaving it ends every feed.

    ``prefix`` begins the names of all shared memory of this daemon; what is
    made in it is kept by ``store``, whose tables are under ``table_root``.
    With ``fill``, gaps of what is stored are filled while feeds are live.
    """
    source = BarSource(backend, store, table_root)
    filler = GapFiller(source, store) if fill and store else None
    async with trio.open_nursery() as nursery:
        bus = Bus(backend, clock, prefix, settings, nursery, source, filler)
        try:
            await nursery.start(bus.hub.serve)
            nursery.start_soon(bus.sampler.run)
            nursery.start_soon(bus.drop_unused)
            nursery.start_soon(bus.books.drop_unused)
            yield bus
        finally:
            nursery.cancel_scope.cancel()
            bus.hub.unlink()
