"""
The market as ``emsd`` follows it: a feed for each symbol that is wanted.

Ticks go to the sink straight from the task that reads them, and only while
the feed is live.  What was missed while it was not is never handed on; when
it is live again, its latest state comes first.
"""
from __future__ import annotations

import logging
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import trio

from ..data import (
    BookFlume,
    BookState,
    Feed,
    FeedState,
    Flume,
    Quote,
    Ticks,
    open_feed,
)
from ..data.ticks import Kind
from ..errors import PikerError
from ..instruments import Instrument

__all__ = ['Market', 'MarketSink', 'latest_trade']

log = logging.getLogger(__name__)

_LOOK_S = 0.1
# How long a feed that nobody wants any more is kept.
_LINGER_S = 60.0
_RETRY_S = (0.1, 0.5, 1.0, 2.0, 5.0)
# Feeds that are opened at the same time, and how long one that does not come
# up keeps others from being.
_AT_ONCE = 8
_TURN_S = 2.0
# As many, late ones included, keep those from being that nobody waits for:
# ``brokerd`` opens few of a process at a time, in the order of arrival.
_LATE_AT_ONCE = 12
_LATE_S = 20.0
# Levels of a book that an order may walk.
_LEVELS = 200

Levels = list[tuple[Decimal, Decimal]]


class MarketSink(Protocol):
    """Who is told; nothing in it may wait."""

    def on_instrument(self, instrument: Instrument) -> None:
        """A feed has been opened; before anything else of it."""

    def on_market(self, symbol: str, quote: Quote | None) -> None:
        """A feed is live and stands at ``quote``, or is not: ``None``."""

    def on_ticks(self, symbol: str, ticks: Ticks) -> None:
        """Ticks of a live feed, in order."""


class _Follower:
    """One symbol."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.flume: Flume | None = None
        self.live = False
        self.error: PikerError | None = None
        self.tried = trio.Event()
        # Who waits for it to be opened.
        self.waiting = 0
        self.unwanted_since: float | None = None
        self.book: BookFlume | None = None
        self.book_wanted = trio.Event()


class _Turns:
    """
    Who may open a feed: a few at a time, first what somebody waits for.

    After a restart there may be a feed to open for each of very many orders;
    that of a new order is not to be the last of them.
    """

    def __init__(self) -> None:
        self._queue: list[tuple[_Follower, trio.Event]] = []
        self._taken: set[trio.Event] = set()
        self._late: set[trio.Event] = set()

    async def take(self, follower: _Follower) -> trio.Event:
        """Wait for a turn, which is to be ended."""
        turn = trio.Event()
        self._queue.append((follower, turn))
        self.go_on()
        try:
            await turn.wait()
        except BaseException:
            self.end(turn)
            raise
        return turn

    def end(self, turn: trio.Event) -> None:
        """Once the feed is open or will not be; later ones do nothing."""
        self._taken.discard(turn)
        self._late.discard(turn)
        self._queue = [one for one in self._queue if one[1] is not turn]
        self.go_on()

    async def end_late(self, turn: trio.Event) -> None:
        """Go on with the others while one is still being opened."""
        await trio.sleep(_TURN_S)
        if turn not in self._taken:
            return
        self._taken.remove(turn)
        self._late.add(turn)
        self.go_on()
        await trio.sleep(_LATE_S - _TURN_S)
        self.end(turn)

    def go_on(self) -> None:
        """Give turns to those who may have one now."""
        while self._queue and len(self._taken) < _AT_ONCE:
            first = next((one for one in self._queue if one[0].waiting), None)
            if first is None:
                if len(self._taken) + len(self._late) >= _LATE_AT_ONCE:
                    return
                first = self._queue[0]
            self._queue.remove(first)
            self._taken.add(first[1])
            first[1].set()


class Market:
    """
    The feeds.

    ``opener`` opens one, as `open_feed` does.  Run `run` in a task.
    """

    def __init__(
        self, registry: str, sink: MarketSink, *, opener: Any = open_feed
    ) -> None:
        self._registry = registry
        self._sink = sink
        self._open_feed = opener
        self._followers: dict[str, _Follower] = {}
        self._turns = _Turns()
        self._wanted: set[str] = set()
        self._nursery: trio.Nursery | None = None

    async def run(
        self, task_status: Any = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Follow what is wanted until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for symbol in self._wanted:
                self._start(symbol)
            task_status.started()
            await trio.sleep_forever()

    @property
    def status(self) -> dict[str, bool]:
        """Symbol → whether its feed is live."""
        return {f.symbol: f.live for f in self._followers.values()}

    def want(self, symbols: Iterable[str]) -> None:
        """From now on these, all of them and no others."""
        wanted = set(symbols)
        if wanted == self._wanted:
            return
        for symbol in self._wanted - wanted:
            if follower := self._followers.get(symbol):
                follower.unwanted_since = trio.current_time()
        self._wanted = wanted
        for symbol in wanted:
            self._start(symbol)

    async def opened(self, symbol: str) -> None:
        """
        Have a symbol's feed opened, and wait until that was tried.

        Raises what kept it from opening.
        """
        follower = self._start(symbol)
        if symbol not in self._wanted:
            follower.unwanted_since = trio.current_time()
        follower.waiting += 1
        self._turns.go_on()
        try:
            await follower.tried.wait()
        finally:
            follower.waiting -= 1
        if follower.flume is None and follower.error is not None:
            raise follower.error

    def quote(self, symbol: str) -> Quote | None:
        """The latest quote of a feed that is live."""
        follower = self._followers.get(symbol)
        if follower is None or follower.flume is None or not follower.live:
            return None
        return follower.flume.quote()

    def want_book(self, symbol: str) -> None:
        """Follow a symbol's order book as well, as long as its feed."""
        if follower := self._followers.get(symbol):
            follower.book_wanted.set()

    def depth(self, symbol: str) -> tuple[Levels, Levels]:
        """
        Bids and asks as they are now, best first; empty if unknown.

        Whoever asks has the book followed from then on.
        """
        self.want_book(symbol)
        follower = self._followers.get(symbol)
        if follower is None or follower.book is None:
            return [], []
        book = follower.book.read()
        if book.state != BookState.LIVE:
            return [], []
        return _exact(book.bids.rows()), _exact(book.asks.rows())

    def is_open(self, symbol: str) -> bool:
        follower = self._followers.get(symbol)
        return follower is not None and follower.flume is not None

    def _start(self, symbol: str) -> _Follower:
        follower = self._followers.get(symbol)
        if follower is None:
            follower = _Follower(symbol)
            if self._nursery is None:
                return follower
            self._followers[symbol] = follower
            self._nursery.start_soon(self._follow, follower)
        if symbol in self._wanted:
            follower.unwanted_since = None
        return follower

    async def _follow(self, follower: _Follower) -> None:
        """One symbol until nobody wants it any more."""
        failures = 0
        nursery = self._nursery
        assert nursery is not None
        try:
            while not self._unwanted(follower):
                turn = await self._turns.take(follower)
                nursery.start_soon(self._turns.end_late, turn)
                try:
                    async with self._open_feed(
                        [follower.symbol], registry=self._registry,
                        client='emsd',
                    ) as feed:
                        self._turns.end(turn)
                        failures = 0
                        async with trio.open_nursery() as beside:
                            beside.start_soon(_keep_book, follower, feed)
                            await self._read(follower, feed)
                            beside.cancel_scope.cancel()
                        return
                except PikerError as err:
                    follower.error = err
                    if not follower.tried.is_set():
                        follower.tried.set()
                        if follower.symbol not in self._wanted:
                            return
                    log.warning('no feed of %s: %s', follower.symbol, err)
                finally:
                    self._turns.end(turn)
                    self._set_dead(follower)
                    follower.flume = None
                await trio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
                failures += 1
        finally:
            del self._followers[follower.symbol]

    def _unwanted(self, follower: _Follower) -> bool:
        since = follower.unwanted_since
        return since is not None and (
            trio.current_time() - since > _LINGER_S
        )

    async def _read(self, follower: _Follower, feed: Feed) -> None:
        flume = follower.flume = feed[follower.symbol]
        self._sink.on_instrument(flume.instrument)
        if flume.state == FeedState.LIVE:
            # Whoever waits for the feed finds it live.
            self._set_live(follower, flume)
        follower.tried.set()
        while not self._unwanted(follower):
            if flume.state == FeedState.LIVE:
                await self._read_live(follower, flume)
            else:
                await trio.sleep(_LOOK_S)

    async def _read_live(self, follower: _Follower, flume: Flume) -> None:
        """Hand ticks on until the feed is not live any more."""
        outages = flume.outages

        def broken() -> bool:
            return flume.state != FeedState.LIVE or flume.outages != outages

        async def look() -> None:
            while not (broken() or self._unwanted(follower)):
                await trio.sleep(_LOOK_S)
            nursery.cancel_scope.cancel()

        # From the newest tick on: what was missed before is not looked at.
        stream = flume.ticks()
        self._set_live(follower, flume)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(look)
                async for run in stream:
                    if broken():
                        break
                    self._sink.on_ticks(follower.symbol, run)
                nursery.cancel_scope.cancel()
        finally:
            stream.close()
            self._set_dead(follower)

    def _set_live(self, follower: _Follower, flume: Flume) -> None:
        if not follower.live:
            follower.live = True
            self._sink.on_market(follower.symbol, flume.quote())

    def _set_dead(self, follower: _Follower) -> None:
        if follower.live:
            follower.live = False
            self._sink.on_market(follower.symbol, None)


async def _keep_book(follower: _Follower, feed: Feed) -> None:
    """Have the book at hand once somebody wants it."""
    await follower.book_wanted.wait()
    while True:
        try:
            async with feed.book(follower.symbol, levels=_LEVELS) as book:
                follower.book = book
                await trio.sleep_forever()
        except PikerError as err:
            log.warning('no order book of %s: %s', follower.symbol, err)
        finally:
            follower.book = None
        await trio.sleep(_RETRY_S[-1])


def _exact(rows: list[tuple[float, float]]) -> Levels:
    """The decimals that were parsed to these floats: the shortest ones."""
    return [(Decimal(repr(p)), Decimal(repr(s))) for p, s in rows]


def latest_trade(quote: Quote) -> Ticks:
    """
    The last price as a run of one trade of no size, with its own time.
    """

    def column(value: float, dtype: str) -> npt.NDArray[Any]:
        return np.array([value], dtype)

    return Ticks(
        seq=column(0, 'u8'), time=column(quote.time, 'i8'),
        recv=column(quote.recv, 'i8'), kind=column(Kind.TRADE, 'u1'),
        side=column(0, 'i1'), price=column(quote.last, 'f8'),
        size=column(0, 'f8'), id=column(-1, 'i8'), count=column(0, 'u4'),
    )
