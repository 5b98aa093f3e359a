"""
The bus of one ``brokerd``: which feeds run, and who uses them.

One task an instrument, started at the first request and registered for later
look-ups; every further client of the same instrument only adds its name.
"""
from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

import trio
from msgspec.structs import replace

from ..clock import Clock
from ..errors import NoSuchSymbol, PikerError, did_you_mean
from ..instruments import Instrument, InstrumentId
from ..messages import FeedStatus
from .backend import Backend
from .books import Books
from .gapfill import GapFiller
from .keeping import Keeper
from .live import LiveFeed
from .sampling import Sampler
from .source import BarSource
from .storage import StoreClient
from .wake import WakerHub

__all__ = ['Bus', 'open_bus']

# Feeds of one client that are opened at the same time.
_AT_ONCE = 16


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
        self._keeper = Keeper(
            'feed', self._make, clock, settings['linger_s'], nursery,
            self._run,
        )
        self.drop_unused = self._keeper.drop_unused
        self._turns = WeakValueDictionary[int, trio.CapacityLimiter]()
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
        feed = self._keeper.find(await self.instrument(symbol))
        await self._keeper.wait(feed)
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

    async def _run(self, feed: LiveFeed) -> None:
        """A feed's life, and the filling of its older gaps beside it."""
        async with trio.open_nursery() as nursery:
            if self._filler is not None:
                nursery.start_soon(self._filler.fill, feed)
            await feed.run()

    @asynccontextmanager
    async def opened(
        self, symbols: list[str], client: str, pid: int
    ) -> AsyncGenerator[list[LiveFeed], None]:
        """
        Hold feeds for a client, from when the memory of each can be mapped.

        They start side by side, so many of a process at a time: whoever
        opens hundreds keeps nobody waiting who opens one.  Raises the first
        error, as `feed`.
        """
        turns = self._turns.setdefault(pid, trio.CapacityLimiter(_AT_ONCE))
        feeds: dict[str, LiveFeed] = {}
        errors: list[PikerError] = []
        with ExitStack() as stack:
            async with trio.open_nursery() as nursery:

                async def start(symbol: str) -> None:
                    async with turns:
                        try:
                            found = await self.instrument(symbol)
                            feed = self._keeper.find(found)
                            # From now on: it may be long until all are.
                            stack.enter_context(
                                self._keeper.held([feed], client)
                            )
                            await self._keeper.wait(feed)
                            feeds[symbol] = feed
                        except PikerError as err:
                            errors.append(err)
                            nursery.cancel_scope.cancel()

                for symbol in symbols:
                    nursery.start_soon(start, symbol)
            if errors:
                raise errors[0]
            yield [feeds[symbol] for symbol in symbols]

    def drop(self, symbol: str) -> bool:
        """End a feed and destroy its memory; whether it ran."""
        return self._keeper.drop(str(InstrumentId.parse(symbol)))

    def status(self) -> list[FeedStatus]:
        return [self._status(feed) for feed in self._keeper]

    def _status(self, feed: LiveFeed) -> FeedStatus:
        if self._filler is None:
            return feed.status()
        gaps, bars = self._filler.left(feed.instrument.id)
        return replace(feed.status(), gaps_left=gaps, bars_left=bars)


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
