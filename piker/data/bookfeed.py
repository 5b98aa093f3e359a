"""
A client's order book: mapped from ``brokerd``, across restarts of it.
"""
from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from ..errors import ActorDied, BadInput, SegmentGone
from ..instruments import Instrument, InstrumentId
from ..messages import BookInfo, unpack
from ..service import (
    Tree,
    TreeClient,
    open_tree,
)
from .book import Book, BookReader, BookState
from .holding import Handle, SleepingStream, hold, single_errors

__all__ = ['BookFlume', 'BookStream', 'hold_book', 'open_book']


class BookFlume(Handle[BookInfo, BookReader]):
    """One instrument's live order book, read-only."""

    def __init__(self, info: BookInfo, levels: int | None) -> None:
        self.instrument: Instrument = info.instrument
        self.levels = levels
        self._bind(info)

    def _bind(self, info: BookInfo) -> None:
        """Map the memory of a (new) daemon; raises `SegmentGone`."""
        self._bound(info, BookReader.attach(info.book))

    def read(self, levels: int | None = None) -> Book:
        """
        The latest book, always whole: the best ``levels`` a side.

        By default as many as were asked for when it was opened.
        """
        most = self.levels if levels is None else levels
        return self._judged(self._reader.read(most))

    def _judged(self, book: Book) -> Book:
        state = self._checked(book.state)
        if state == book.state:
            return book
        return dataclasses.replace(book, state=state)

    @property
    def state(self) -> BookState:
        """How far the book can be trusted right now."""
        return self._checked(self._reader.read(0).state)

    def _checked(self, state: BookState) -> BookState:
        if state != BookState.CLOSED and (self._lost or self._late):
            return BookState.STALE
        return state

    def changes(self) -> BookStream:
        """The book now, and again whenever it has changed."""
        return BookStream(self)


class BookStream(SleepingStream[BookFlume]):
    """
    An async iterator over the states of a book, as `Book`.

    Sleeps while nothing changes; what changed while the caller was busy comes
    as one.  When the daemon dies the last book comes once more, as stale, and
    after its restart the new one.  May be left at any time; one task at a
    time may wait in it.
    """

    def _begin(self) -> None:
        super()._begin()
        self._reader = self._flume._reader
        self._seen = -1
        self._ended = False

    def __aiter__(self) -> BookStream:
        return self

    async def __anext__(self) -> Book:
        await trio.lowlevel.checkpoint_if_cancelled()
        slept = False
        while True:
            if self._ended:
                await self._next_life()
            if self._reader.version != self._seen:
                book = self._reader.read(self._flume.levels)
                self._seen = book.version
                if not slept:
                    await trio.lowlevel.cancel_shielded_checkpoint()
                return self._flume._judged(book)
            try:
                slept |= await self._sleep()
            except (ActorDied, SegmentGone):
                self.close()
                self._ended = True
                if self._rebound is self._flume._rebound:
                    book = self._reader.read(self._flume.levels)
                    return dataclasses.replace(book, state=BookState.STALE)

    async def _sleep(self) -> bool:
        """Until something is written; raises `ActorDied`."""
        return await self._sleep_on(
            self._info.waker, self._info.book,
            lambda: self._reader.version != self._seen,
        )


class _Holder:
    """Keeps one `BookFlume` bound, across restarts of its daemon."""

    def __init__(
        self, tree: TreeClient, symbol: str, client: str, levels: int | None
    ) -> None:
        self._tree = tree
        self._symbol = symbol
        self._daemon = f'brokerd.{InstrumentId.parse(symbol).provider}'
        self._client = client
        self._levels = levels
        self._flume: BookFlume | None = None

    async def hold(
        self, task_status: Any = trio.TASK_STATUS_IGNORED
    ) -> None:
        await hold(
            lambda: self._daemon, self._subscribed, self._bind, self._lose,
            task_status=task_status,
        )

    def _bind(self, info: BookInfo) -> BookFlume:
        if self._flume is None:
            self._flume = BookFlume(info, self._levels)
        else:
            self._flume._rebind(info)
        return self._flume

    def _lose(self, reason: str) -> None:
        if self._flume is not None:
            self._flume._lose(reason)

    @asynccontextmanager
    async def _subscribed(self) -> AsyncGenerator[tuple[Any, BookInfo], None]:
        # A provider's feeds may be spread over several workers.
        names = await self._tree.feed_daemons([self._symbol])
        self._daemon = names[self._symbol]
        async with self._tree.context(
            await self._tree.find(self._daemon), 'piker.data.endpoints',
            'open_book', symbol=self._symbol, client=self._client,
        ) as (ctx, first):
            yield ctx, unpack(BookInfo, first['book'])


def _check(symbol: str, levels: int | None) -> None:
    InstrumentId.parse(symbol)
    if levels is not None and levels < 1:
        raise BadInput(f'levels = {levels}: a book needs at least one')


@asynccontextmanager
async def hold_book(
    tree: TreeClient,
    symbol: str,
    *,
    client: str = 'script',
    levels: int | None = None,
) -> AsyncGenerator[BookFlume, None]:
    """`open_book` on a tree that is open already."""
    _check(symbol, levels)
    holder = _Holder(tree, symbol, client, levels)
    with single_errors():
        async with trio.open_nursery() as nursery:
            yield await nursery.start(holder.hold)
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_book(
    symbol: str,
    *,
    levels: int | None = None,
    registry: str | None = None,
    client: str = 'script',
    start: Callable[[], list[str]] | None = None,
) -> AsyncGenerator[BookFlume, None]:
    """
    The live order book of ``symbol``, without a feed of its ticks.

    ``levels`` limits what is read, a side; `Feed.book` does the same on an
    open feed.  Enters once the book is the venue's.  Raises what `open_feed`
    raises.
    """
    _check(symbol, levels)
    with single_errors():
        async with (
            open_tree(Tree.parse(registry), client, start=start) as tree,
            hold_book(tree, symbol, client=client, levels=levels) as book,
        ):
            yield book
