"""
What ``brokerd`` answers to its clients, by remote call.

Errors that a person can act on travel as data (`errors.to_wire`).
"""
from __future__ import annotations

from typing import Any

import trio

from ..errors import PikerError, to_wire
from ..messages import Steps, pack
from ..service import actor_state, tractor, wait_exit
from .bus import Bus

__all__ = [
    'BUS',
    'drop_feed',
    'extend_feed',
    'feed_status',
    'fetch_bars',
    'follow_steps',
    'list_instruments',
    'open_book',
    'open_feeds',
]

# The key of the bus in `actor_state`.
BUS = 'bus'


def _bus() -> Bus:
    bus: Bus = actor_state()[BUS]
    return bus


@tractor.context  # type: ignore[untyped-decorator, unused-ignore]
async def open_feeds(
    ctx: Any, symbols: list[str], client: str, pid: int, started: int
) -> None:
    """
    Hold feeds for a client until it leaves, dies, or one of them ends.

    Starts with a `FlumeInfo` for each symbol, in order, or with the error.
    """
    told = False
    try:
        async with trio.open_nursery() as nursery:

            async def end_after(wait: Any) -> None:
                await wait()
                nursery.cancel_scope.cancel()

            # From now on: it may be long until all are open.
            nursery.start_soon(end_after, lambda: wait_exit(pid, started))
            async with _bus().opened(symbols, client, pid) as held:
                await ctx.started(
                    {'flumes': [pack(feed.info()) for feed in held]}
                )
                told = True
                for feed in held:
                    nursery.start_soon(end_after, feed.closed.wait)
                await trio.sleep_forever()
    except PikerError as err:
        if told:
            raise
        await ctx.started(to_wire(err))


@tractor.context  # type: ignore[untyped-decorator, unused-ignore]
async def open_book(
    ctx: Any, symbol: str, client: str, pid: int, started: int
) -> None:
    """
    Hold an order book for a client until it leaves, dies, or the book ends.

    Starts with a `BookInfo`, or with the error.
    """
    told = False
    try:
        async with _bus().books.opened(symbol, client) as book:
            await ctx.started({'book': pack(book.info())})
            told = True
            async with trio.open_nursery() as nursery:

                async def end_with_client() -> None:
                    await wait_exit(pid, started)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(end_with_client)
                await book.closed.wait()
                nursery.cancel_scope.cancel()
    except PikerError as err:
        if told:
            raise
        await ctx.started(to_wire(err))


@tractor.context  # type: ignore[untyped-decorator, unused-ignore]
async def follow_steps(ctx: Any, pid: int, started: int) -> None:
    """Stream `Steps` of the sampler until the client leaves or dies."""
    with _bus().sampler.followed() as steps:
        await ctx.started({})
        async with ctx.open_stream() as stream, trio.open_nursery() as nursery:

            async def end_with_client() -> None:
                await wait_exit(pid, started)
                nursery.cancel_scope.cancel()

            nursery.start_soon(end_with_client)
            async for index in steps:
                await stream.send(
                    pack(Steps({str(p): i for p, i in index.items()}))
                )


async def list_instruments() -> dict[str, Any]:
    """Every instrument of the provider."""
    try:
        known = await _bus().backend.instruments()
    except PikerError as err:
        return to_wire(err)
    return {'instruments': [pack(found) for found in known.values()]}


async def feed_status() -> dict[str, Any]:
    """Of each feed and each book, and the provider's own counters."""
    bus = _bus()
    return {
        'feeds': [pack(status) for status in bus.status()],
        'books': [pack(status) for status in bus.books.status()],
        'provider': bus.backend.status(),
    }


async def extend_feed(
    symbol: str, period_s: int, depth: int
) -> dict[str, Any]:
    """Load older bars of a feed until ``depth`` bars are there."""
    try:
        feed = await _bus().feed(symbol)
        return {'bars': await feed.extend(period_s, depth)}
    except PikerError as err:
        return to_wire(err)


async def fetch_bars(
    symbol: str, period_s: int, start_ns: int, end_ns: int
) -> dict[str, Any]:
    """
    The venue's own bars of a range, at most a page: the newest of them.
    """
    bus = _bus()
    try:
        instrument = await bus.instrument(symbol)
        rows = await bus.backend.bars(
            instrument, period_s, start_ns, end_ns, background=True
        )
    except PikerError as err:
        return to_wire(err)
    return {'bars': rows.tolist()}


async def drop_feed(symbol: str) -> dict[str, Any]:
    """End a feed and destroy its shared memory."""
    try:
        return {'dropped': _bus().drop(symbol)}
    except PikerError as err:
        return to_wire(err)
