"""
What the root answers to its clients; runs in ``pikerd``.

Each is an actor-remote function; errors travel as data (`errors.to_wire`).
"""
from __future__ import annotations

from typing import Any

from ..errors import PikerError, to_wire
from ..messages import ClientInfo, pack
from .ground import tractor
from .services import Services
from .watch import wait_exit

__all__ = [
    'attach',
    'feed_daemons',
    'find_daemon',
    'stop_daemon',
    'tree_status',
]


async def find_daemon(name: str) -> dict[str, Any]:
    """`DaemonInfo` of a daemon that runs, started if need be."""
    try:
        info = await Services.current().find_or_spawn(name)
    except PikerError as err:
        return to_wire(err)
    return {'info': pack(info)}


async def feed_daemons(symbols: list[str]) -> dict[str, Any]:
    """The daemon that carries each symbol's feed, by name."""
    services = Services.current()
    try:
        return {'names': [services.feed_daemon(s) for s in symbols]}
    except PikerError as err:
        return to_wire(err)


async def stop_daemon(name: str) -> dict[str, Any]:
    """End a daemon in order."""
    try:
        await Services.current().stop_daemon(name)
    except PikerError as err:
        return to_wire(err)
    return {}


async def tree_status() -> dict[str, Any]:
    """`TreeStatus` as it is now."""
    return {'status': pack(Services.current().status())}


@tractor.context  # type: ignore[untyped-decorator, unused-ignore]
async def attach(ctx: Any, name: str, pid: int, started: int) -> None:
    """A client's lease: held until it leaves or its process ends."""
    services = Services.current()
    key = services.attach(ClientInfo(name, pid))
    try:
        await ctx.started({})
        await wait_exit(pid, started)
    finally:
        services.detach(key)
