"""
Live quotes of the symbols that a desk shows.
"""
from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any

import trio

from ...data import Feed, FeedState, Flume, Quote
from ...errors import BadInput, PikerError
from ...instruments import Instrument

__all__ = ['Quotes', 'Watched']

log = logging.getLogger(__name__)

_AGAIN_S = 5.0
# Symbols at once: each is a subscription.
_MOST = 100

# Opens the feed of one symbol.
OpenFeed = Callable[[str], AbstractAsyncContextManager[Feed]]


class Watched:
    """One symbol: its flume once there is one, or why there is none."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.flume: Flume | None = None
        self.trouble = ''
        # Asking again would not help.
        self.refused = False
        self.way = 0  # of the last change of the price: 1 up, -1 down
        self._last = 0.0
        self.scope = trio.CancelScope()

    def quote(self) -> Quote | None:
        if self.flume is None:
            return None
        quote = self.flume.quote()
        if self._last and quote.last != self._last:
            self.way = 1 if quote.last > self._last else -1
        self._last = quote.last
        return quote

    @property
    def live(self) -> bool:
        return self.flume is not None and self.flume.state is FeedState.LIVE

    @property
    def state(self) -> str:
        if self.flume is None:
            return self.trouble or 'opening'
        return self.flume.state.label

    @property
    def instrument(self) -> Instrument | None:
        return None if self.flume is None else self.flume.instrument

    def last(self) -> Decimal | None:
        """The last price, exactly, if the data is live."""
        if self.flume is None or not self.live:
            return None
        instrument = self.flume.instrument
        last = Decimal(repr(self.flume.quote().last))
        return instrument.round_price(last)


class Quotes:
    """The feeds of those symbols that are wanted; run `run` in a task."""

    def __init__(self, open_feed: OpenFeed) -> None:
        self._open_feed = open_feed
        self._watched: dict[str, Watched] = {}
        self._nursery: trio.Nursery | None = None

    def __getitem__(self, symbol: str) -> Watched | None:
        return self._watched.get(symbol)

    def all(self) -> list[Watched]:
        return list(self._watched.values())

    async def run(self, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    def want(self, symbols: Collection[str]) -> None:
        """Follow these, in this order, and no others."""
        assert self._nursery is not None, 'run it first'
        for symbol in self._watched.keys() - symbols:
            self._watched.pop(symbol).scope.cancel()
        before = self._watched
        self._watched = {}
        for symbol in list(symbols)[:_MOST]:
            watched = before.get(symbol)
            if watched is None:
                watched = Watched(symbol)
                self._nursery.start_soon(self._follow, watched)
            self._watched[symbol] = watched

    async def _follow(self, watched: Watched) -> None:
        with watched.scope:
            while True:
                try:
                    async with self._open_feed(watched.symbol) as feed:
                        watched.flume = feed[watched.symbol]
                        watched.trouble = ''
                        await trio.sleep_forever()
                except PikerError as err:
                    watched.flume = None
                    watched.trouble = str(err)
                    log.warning('%s: %s', watched.symbol, err)
                    if isinstance(err, BadInput):
                        watched.refused = True
                        return
                await trio.sleep(_AGAIN_S)
