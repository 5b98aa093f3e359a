"""
What ``emsd`` answers to its clients.

Errors that a person can act on travel as data (`errors.to_wire`).
"""
from __future__ import annotations

from typing import Any

import trio

from ..errors import BadInput, PikerError, to_wire
from ..messages import pack, unpack
from ..orders import Alert, OrderChange, OrderRequest
from ..service import actor_state, tractor, wait_exit
from .calls import Calls
from .ems import Ems
from .hub import Member

__all__ = ['EMS', 'attach', 'ems_status', 'venue_books']

# The key of the `Ems` in `actor_state`.
EMS = 'ems'

# Calls of one client that are under way at once.
_MOST_CALLS = 1000


def _ems() -> Ems:
    ems: Ems = actor_state()[EMS]
    return ems


@tractor.context  # type: ignore[untyped-decorator, unused-ignore]
async def attach(ctx: Any, client: str, pid: int, started: int) -> None:
    """
    Serve a client until it leaves, dies, or does not read what it is sent.

    Starts with an `EmsSnapshot`; the stream is described in `wire`.
    """
    ems = _ems()
    with ems.hub.joined(client) as member:
        await ctx.started(pack(ems.snapshot()))
        async with (
            ctx.open_stream(backpressure=True) as stream,
            trio.open_nursery() as nursery,
        ):

            async def end_with_client() -> None:
                await wait_exit(pid, started)
                nursery.cancel_scope.cancel()

            async def send() -> None:
                while True:
                    batch = await member.batch()
                    await stream.send(batch)
                    member.sent(len(batch))

            nursery.start_soon(end_with_client)
            nursery.start_soon(send)
            nursery.start_soon(member.raise_when_dropped)
            calls = Calls(ems, client)
            limit = trio.Semaphore(_MOST_CALLS)
            async for number, function, arguments in stream:
                await limit.acquire()
                nursery.start_soon(
                    _serve, calls, member, limit, number, function, arguments
                )
            nursery.cancel_scope.cancel()


async def _serve(
    calls: Calls,
    member: Member,
    limit: trio.Semaphore,
    number: int,
    function: str,
    arguments: dict[str, Any],
) -> None:
    """One call; what it brought about is in the queue before its reply."""
    try:
        reply = {'value': await _call(calls, function, arguments)}
    except PikerError as err:
        reply = dict(to_wire(err))
    finally:
        limit.release()
    member.put([{'to': number, **reply}])


async def _call(
    calls: Calls, function: str, arguments: dict[str, Any]
) -> Any:
    match function:
        case 'submit':
            requests = [
                unpack(OrderRequest, r) for r in arguments['requests']
            ]
            return [pack(d) for d in await calls.submit(requests)]
        case 'change':
            change = unpack(OrderChange, arguments['change'])
            return pack(await calls.change(change))
        case 'cancel':
            return pack(await calls.cancel(**arguments))
        case 'cancel_all':
            await calls.cancel_all(**arguments)
        case 'halt':
            await calls.halt(**arguments)
        case 'resume':
            await calls.resume(**arguments)
        case 'add_alert':
            alert = unpack(Alert, arguments['alert'])
            return pack(await calls.add_alert(alert))
        case 'drop_alert':
            await calls.drop_alert(**arguments)
        case 'dialog':
            return pack(calls.dialog(**arguments))
        case _:
            raise BadInput(f'emsd has no function {function!r}')
    return None


async def ems_status() -> dict[str, Any]:
    """Counters of ``emsd``, see `Ems.status`."""
    return {'ems': _ems().status()}


async def venue_books(
    account: str, symbols: list[str], since_ns: int
) -> dict[str, Any]:
    """A fresh look at the venue: `probe.VenueBooks`."""
    try:
        books = await _ems().venue_books(account, symbols, since_ns)
    except PikerError as err:
        return dict(to_wire(err))
    return dict(pack(books))
