"""
`open_feed`: live data of any number of instruments, for any client.

Everything is read from shared memory that ``brokerd`` writes; what goes over
the actor tree is the handshake and the steps of the sampler.  When a daemon
is restarted the flumes go on by themselves: same objects, new memory.
"""
from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import trio

from ..clock import NS_PER_S
from ..errors import BadInput, DaemonError, PikerError
from ..instruments import InstrumentId
from ..messages import DaemonInfo, FlumeInfo, Steps, unpack
from ..service import (
    Tree,
    TreeClient,
    open_tree,
)
from .bookfeed import BookFlume, hold_book
from .flume import Flume
from .holding import hold, single_errors
from .resample import base_period

__all__ = ['Feed', 'iter_ohlc_periods', 'open_feed']

log = logging.getLogger(__name__)

_ENDPOINTS = 'piker.data.endpoints'
_RELAY_AGAIN_S = 0.1


class Feed(Mapping[str, Flume]):
    """The flumes of `open_feed`, by the symbols it was given."""

    def __init__(self, tree: TreeClient, nursery: trio.Nursery) -> None:
        self._tree = tree
        self._nursery = nursery
        self._flumes: dict[str, Flume] = {}

    def __getitem__(self, symbol: str) -> Flume:
        try:
            return self._flumes[symbol]
        except KeyError:
            raise KeyError(
                f'{symbol!r} is not in this feed of {list(self._flumes)}'
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._flumes)

    def __len__(self) -> int:
        return len(self._flumes)

    async def hold(
        self,
        daemon: str,
        symbols: list[str],
        client: str,
        started: bool = False,
        task_status: Any = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """
        Keep the flumes of one daemon bound, across restarts of it.

        Where the daemon can no longer serve all of them, each is held by
        itself from there on, so that one keeps none of the others waiting.
        """

        def bind(infos: list[FlumeInfo]) -> None:
            for symbol, info in zip(symbols, infos, strict=True):
                self._offer(symbol, info)

        def lose(reason: str) -> None:
            for symbol in symbols:
                if symbol in self._flumes:
                    self._flumes[symbol]._lose(reason)

        def refused(err: PikerError) -> bool:
            if len(symbols) == 1:
                return False
            lose(str(err))
            for symbol in symbols:
                self._nursery.start_soon(
                    self.hold, daemon, [symbol], client, True
                )
            return True

        await hold(
            lambda: daemon,
            lambda: self._subscribed(daemon, symbols, client),
            bind, lose, started=started, refused=refused,
            task_status=task_status,
        )

    @asynccontextmanager
    async def _subscribed(
        self, name: str, symbols: list[str], client: str
    ) -> AsyncGenerator[tuple[Any, list[FlumeInfo]], None]:
        async with self._tree.context(
            await self._tree.find(name), _ENDPOINTS, 'open_feeds',
            symbols=symbols, client=client,
        ) as (ctx, first):
            yield ctx, [unpack(FlumeInfo, f) for f in first['flumes']]

    def _offer(self, symbol: str, info: FlumeInfo) -> None:
        flume = self._flumes.get(symbol)
        if flume is None:
            self._flumes[symbol] = Flume(info, self._extend)
            return
        flume._rebind(info)

    def book(
        self, symbol: str, *, levels: int | None = None
    ) -> AbstractAsyncContextManager[BookFlume]:
        """
        The live order book of a symbol, whether it is in the feed or not.

        ``levels`` limits what is read, a side.  Raises as `open_feed`.
        """
        return hold_book(self._tree, symbol, levels=levels)

    async def _extend(self, symbol: str, period_s: int, depth: int) -> None:
        daemon = await self._daemon_of(symbol)
        await self._tree.call(
            daemon, _ENDPOINTS, 'extend_feed',
            symbol=symbol, period_s=period_s, depth=depth,
        )

    async def drop(self, symbol: str) -> None:
        """Destroy the shared memory of a symbol; it is made anew if used."""
        daemon = await self._daemon_of(symbol)
        await self._tree.call(
            daemon, _ENDPOINTS, 'drop_feed', symbol=symbol
        )

    async def _daemon_of(self, symbol: str) -> DaemonInfo:
        names = await self._tree.feed_daemons([symbol])
        return await self._tree.find(names[symbol])

    async def _relay_steps(
        self, symbol: str, send: trio.MemorySendChannel[dict[str, int]]
    ) -> None:
        """Follow a symbol's sampler into ``send``, across restarts."""
        while True:
            try:
                async with (
                    self._tree.context(
                        await self._daemon_of(symbol), _ENDPOINTS,
                        'follow_steps',
                    ) as (ctx, _),
                    ctx.open_stream(backpressure=True) as stream,
                ):
                    async for message in stream:
                        await send.send(unpack(Steps, message).index)
            except DaemonError as err:
                log.warning('%s', err)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            await trio.sleep(_RELAY_AGAIN_S)


class PeriodSteps:
    """An async iterator over indices, see `iter_ohlc_periods`."""

    def __init__(self, feed: Feed, symbol: str, period_s: int) -> None:
        self._bars = feed[symbol].bars[period_s]
        self._base_s = base_period(period_s)
        send, self._receive = trio.open_memory_channel[dict[str, int]](16)
        feed._nursery.start_soon(feed._relay_steps, symbol, send)
        self._newest = -1

    def close(self) -> None:
        """Stop following."""
        self._receive.close()

    def __del__(self) -> None:
        if hasattr(self, '_receive'):
            self.close()

    def __aiter__(self) -> PeriodSteps:
        return self

    async def __anext__(self) -> int:
        while True:
            steps = await self._receive.receive()
            base = steps.get(str(self._base_s))
            if base is None:
                continue
            index = self._bars.index_at(base * self._base_s * NS_PER_S)
            if index > self._newest:
                self._newest = index
                return index


def iter_ohlc_periods(feed: Feed, symbol: str, period_s: int) -> PeriodSteps:
    """
    The index of each new sample period of ``symbol``, as it begins.

    Asynchronously iterable; may be left at any time.  When index ``i``
    comes, the bar ``i - 1`` has been closed by the clock.  Goes on across
    restarts of the daemon; an index that passed meanwhile is not made up
    for: indices only ever rise.  Raises `NoSuchPeriod`.
    """
    return PeriodSteps(feed, symbol, period_s)


@asynccontextmanager
async def open_feed(
    symbols: list[str],
    *,
    registry: str | None = None,
    client: str = 'script',
    start: Callable[[], list[str]] | None = None,
) -> AsyncGenerator[Feed, None]:
    """
    Live data of ``symbols``, e.g. ``['btcusdt.sim']``.

    Works in a plain `trio.run`; ``registry`` is ``HOST:PORT`` of the tree,
    by default that of ``PIKER_REGISTRY``.  Enters once each symbol has a
    first quote and bars that can be mapped; older history goes on loading
    (`Flume.backfilling`).  Raises `NoDaemon`, `NoSuchProvider`,
    `NoSuchSymbol`, `VenueError`; while it is open, `ActorDied` if the tree's
    root dies or a daemon does not come back.
    """
    if not symbols:
        raise BadInput('a feed needs at least one symbol')
    symbols = list(dict.fromkeys(symbols))
    for symbol in symbols:
        InstrumentId.parse(symbol)
    with single_errors():
        async with (
            open_tree(Tree.parse(registry), client, start=start) as tree,
            trio.open_nursery() as nursery,
        ):
            feed = Feed(tree, nursery)
            groups: dict[str, list[str]] = {}
            for symbol, daemon in (await tree.feed_daemons(symbols)).items():
                groups.setdefault(daemon, []).append(symbol)
            async with trio.open_nursery() as starting:
                for daemon, names in groups.items():
                    starting.start_soon(
                        nursery.start, feed.hold, daemon, names, client
                    )
            yield feed
            nursery.cancel_scope.cancel()
