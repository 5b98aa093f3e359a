"""
`open_feed`: live data of any number of instruments, for any client.

Everything is read from shared memory that ``brokerd`` writes; what goes over
the actor tree is the handshake and the steps of the sampler.  When a daemon
is restarted the flumes go on by themselves: same objects, new memory.
"""
from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import trio

from ..clock import NS_PER_S
from ..errors import (
    ActorDied,
    BadInput,
    DaemonError,
    NoSuchPeriod,
    PikerError,
    SegmentGone,
    as_piker_error,
    from_wire,
)
from ..instruments import Instrument, InstrumentId
from ..messages import FlumeInfo, Steps, unpack
from ..service import (
    Tree,
    TreeClient,
    open_tree,
    remote,
    started_ticks,
    tractor,
)
from .bars import Bars
from .ticks import FeedState, Kind, Quote, TickReader, Ticks
from .wake import open_waker

__all__ = ['Feed', 'Flume', 'iter_ohlc_periods', 'open_feed']

log = logging.getLogger(__name__)

_ENDPOINTS = 'piker.data.endpoints'
# A writer that has not shown itself for this long is taken for dead.
_BEAT_LATE_NS = 3 * NS_PER_S
_RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)
# How long a lost daemon is tried for before a feed gives up.
_GIVE_UP_S = 60.0


class Flume:
    """
    One instrument's live data, read-only.

    ``bars`` maps periods in s (1 and 60) to `Bars`; entries are replaced when
    the daemon is restarted, so take them from here each time.
    """

    def __init__(self, info: FlumeInfo) -> None:
        self.instrument: Instrument = info.instrument
        self.bars: dict[int, Bars] = _Periods()
        self._bind(info)
        self.first_quote: Quote = self.quote()

    def _bind(self, info: FlumeInfo) -> None:
        """Map the memory of a (new) daemon; raises `SegmentGone`."""
        reader = TickReader.attach(info.ticks)
        bars = {p: Bars.attach(name) for p, name in info.bars.items()}
        self._info = info
        self._reader = reader
        self.bars.update(bars)
        self._lost = False
        self._rebound = trio.Event()

    def _lose(self) -> None:
        self._lost = True

    def quote(self) -> Quote:
        """The latest quote."""
        return self._reader.quote()

    @property
    def state(self) -> FeedState:
        """How far the data can be trusted right now."""
        if self._lost:
            return FeedState.RECONNECTING
        state = self._reader.state
        late = time.time_ns() - self._reader.beat_ns > _BEAT_LATE_NS
        if state == FeedState.LIVE and late:
            return FeedState.STALE
        return state

    @property
    def age_s(self) -> float:
        """Seconds since anything was heard on the feed's connection."""
        return max(0.0, (time.time_ns() - self._reader.heard_ns) / NS_PER_S)

    @property
    def counters(self) -> dict[str, int]:
        """What the feed's writer counted, see `ticks.COUNTERS`."""
        return self._reader.counters

    @property
    def backfilling(self) -> bool:
        """Whether older bars are still being loaded."""
        return self._reader.backfilling

    async def ticks(
        self, *, from_start: bool = False
    ) -> AsyncGenerator[Ticks, None]:
        """
        Every tick from now on, in order, in runs as they come.

        With ``from_start`` begins with what the ring still holds.  Sleeps
        while there is nothing.  After a restart of the daemon it goes on
        with the first trade not seen yet; ``missed`` of a run says how many
        ticks were overwritten, or trades lost, before it.
        """
        last_trade, last_recv = -1, -1
        while True:
            rebound = self._rebound
            try:
                reader = TickReader.attach(
                    self._info.ticks, from_start=from_start
                )
                async with open_waker(
                    self._info.waker, self._info.ticks
                ) as sleeper:
                    while True:
                        run = reader.read()
                        if run is None:
                            sleeper.arm()
                            if not reader.pending:
                                await sleeper.sleep()
                            sleeper.disarm()
                            continue
                        if from_start and last_recv >= 0:
                            run = _unseen(run, last_trade, last_recv)
                        if not len(run):
                            continue
                        last_recv = int(run.recv[-1])
                        trades = run.id[run.kind == Kind.TRADE]
                        if len(trades):
                            last_trade = int(trades[-1])
                        yield run
            except (ActorDied, SegmentGone):
                await rebound.wait()
                from_start = True


def _unseen(run: Ticks, last_trade: int, last_recv: int) -> Ticks:
    """What of a run of a new ring was not in the old one."""
    trades = run.kind == Kind.TRADE
    return run.where(np.where(
        trades, run.id > last_trade, run.recv > last_recv
    ))


class _Periods(dict[int, Bars]):
    def __missing__(self, period_s: int) -> Bars:
        known = ', '.join(str(p) for p in sorted(self))
        raise NoSuchPeriod(
            f'no live bars of {period_s} s: there are {known} s'
        )


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
        provider: str,
        symbols: list[str],
        client: str,
        task_status: Any = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Keep the flumes of one provider bound, across restarts of it."""
        started = False
        lost_at = trio.current_time()
        failures = 0
        while True:
            try:
                async with self._subscribed(
                    provider, symbols, client
                ) as (ctx, infos):
                    for symbol, info in zip(symbols, infos, strict=True):
                        self._offer(symbol, info)
                    failures = 0
                    if not started:
                        started = True
                        task_status.started()
                    await ctx.result()
                    log.warning('%s ended the feed: asking again', provider)
            except PikerError as err:
                retry = isinstance(err, ActorDied | SegmentGone)
                if not started and not retry:
                    raise
                log.warning('%s', err)
            if failures == 0:
                lost_at = trio.current_time()
            elif trio.current_time() - lost_at > _GIVE_UP_S:
                raise ActorDied(
                    f'brokerd.{provider} did not come back within '
                    f'{_GIVE_UP_S:.0f} s'
                )
            for symbol in symbols:
                if symbol in self._flumes:
                    self._flumes[symbol]._lose()
            await trio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
            failures += 1

    @asynccontextmanager
    async def _subscribed(
        self, provider: str, symbols: list[str], client: str
    ) -> AsyncGenerator[tuple[Any, list[FlumeInfo]], None]:
        daemon = await self._tree.find(f'brokerd.{provider}')
        pid = os.getpid()
        try:
            async with (
                self._tree.portal(daemon) as portal,
                portal.open_context(
                    remote(_ENDPOINTS, 'open_feeds'),
                    symbols=symbols,
                    client=client,
                    pid=pid,
                    started=started_ticks(pid),
                ) as (ctx, first),
            ):
                if 'error' in first:
                    raise from_wire(first)
                flumes = [unpack(FlumeInfo, f) for f in first['flumes']]
                yield ctx, flumes
                await ctx.cancel()
        except tractor.RemoteActorError as err:
            raise DaemonError(f'brokerd.{provider}: {err}') from err

    def _offer(self, symbol: str, info: FlumeInfo) -> None:
        flume = self._flumes.get(symbol)
        if flume is None:
            self._flumes[symbol] = Flume(info)
            return
        rebound = flume._rebound
        flume._bind(info)
        rebound.set()

    async def drop(self, symbol: str) -> None:
        """Destroy the shared memory of a symbol; it is made anew if used."""
        provider = InstrumentId.parse(symbol).provider
        daemon = await self._tree.find(f'brokerd.{provider}')
        async with self._tree.portal(daemon) as portal:
            answer = await portal.run(
                remote(_ENDPOINTS, 'drop_feed'), symbol=symbol
            )
        if 'error' in answer:
            raise from_wire(answer)

    async def _relay_steps(
        self, provider: str, send: trio.MemorySendChannel[dict[str, int]]
    ) -> None:
        """Follow a provider's sampler into ``send``, across restarts."""
        pid = os.getpid()
        while True:
            try:
                daemon = await self._tree.find(f'brokerd.{provider}')
                async with (
                    self._tree.portal(daemon) as portal,
                    portal.open_context(
                        remote(_ENDPOINTS, 'follow_steps'),
                        pid=pid,
                        started=started_ticks(pid),
                    ) as (ctx, _),
                    ctx.open_stream(backpressure=True) as stream,
                ):
                    async for message in stream:
                        await send.send(unpack(Steps, message).index)
            except (ActorDied, tractor.RemoteActorError) as err:
                log.warning('%s', err)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            await trio.sleep(_RETRY_S[1])


async def iter_ohlc_periods(
    feed: Feed, symbol: str, period_s: int
) -> AsyncGenerator[int, None]:
    """
    The index of each new sample period of ``symbol``, as it begins.

    When index ``i`` comes, the bar ``i - 1`` has been closed by the clock.
    Goes on across restarts of the daemon; an index that passed meanwhile is
    not made up for: indices only ever rise.
    """
    flume = feed[symbol]
    flume.bars[period_s]
    provider = InstrumentId.parse(flume.instrument.id).provider
    send, receive = trio.open_memory_channel[dict[str, int]](16)
    feed._nursery.start_soon(feed._relay_steps, provider, send)
    newest = -1
    with receive:
        async for steps in receive:
            index = steps.get(str(period_s), -1)
            if index > newest:
                newest = index
                yield index


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
    groups: dict[str, list[str]] = {}
    for symbol in dict.fromkeys(symbols):
        groups.setdefault(InstrumentId.parse(symbol).provider, []).append(
            symbol
        )
    try:
        async with (
            open_tree(Tree.parse(registry), client, start=start) as tree,
            trio.open_nursery() as nursery,
        ):
            feed = Feed(tree, nursery)
            async with trio.open_nursery() as starting:
                for provider, names in groups.items():
                    starting.start_soon(
                        nursery.start, feed.hold, provider, names, client
                    )
            yield feed
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        known = as_piker_error(group)
        if known is None:
            raise
        raise known from group
