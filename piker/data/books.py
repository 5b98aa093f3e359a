"""
The order books of one ``brokerd``.

Each runs only while somebody looks at it, and a little longer.
"""
from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from ..clock import Clock
from ..instruments import Instrument
from ..messages import BookStatus
from .backend import Backend
from .keeping import Keeper
from .livebook import LiveBook
from .wake import WakerHub

__all__ = ['Books']


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
        self._instrument = instrument
        self._keeper = Keeper(
            'order book', self._make, clock, settings['book_linger_s'],
            nursery,
        )
        self.drop_unused = self._keeper.drop_unused

    @asynccontextmanager
    async def opened(
        self, symbol: str, client: str
    ) -> AsyncGenerator[LiveBook, None]:
        """
        Hold the book of an instrument for a client, from when it is whole.

        Raises `NoSuchSymbol`, or `VenueError` if the venue cannot serve it.
        """
        book = self._keeper.find(await self._instrument(symbol))
        with self._keeper.held([book], client):
            await self._keeper.wait(book)
            yield book

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

    def status(self) -> list[BookStatus]:
        return [book.status() for book in self._keeper]
