"""
What ``brokerd`` answers to ``emsd``: gateways.
"""
from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import msgspec
import trio

from ..data.endpoints import BUS
from ..errors import BadMessage, PikerError, as_piker_error, to_wire
from ..gateway import Gateway, GatewayFactory
from ..messages import pack
from ..orders import Command
from ..service import actor_state, tractor, wait_exit
from . import PROVIDERS

__all__ = ['open_gateway']

_convert: Callable[..., Command] = msgspec.convert


@tractor.context  # type: ignore[untyped-decorator, unused-ignore]
async def open_gateway(
    ctx: Any, account: str, settings: dict[str, Any], pid: int, started: int
) -> None:
    """
    Carry an account's orders until its user leaves or dies.

    Starts with the gateway's `Abilities`, or with the error.  Then commands
    come and lists of `GatewayMessage` go over the stream.
    """
    backend = actor_state()[BUS].backend
    factory: GatewayFactory = import_module(
        PROVIDERS[backend.name]
    ).open_gateway
    told = False
    try:
        async with factory(account, settings, backend) as gateway:
            await ctx.started(pack(gateway.abilities))
            told = True
            async with (
                ctx.open_stream(backpressure=True) as stream,
                trio.open_nursery() as nursery,
            ):

                async def end_with_client() -> None:
                    await wait_exit(pid, started)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(end_with_client)
                nursery.start_soon(_report, gateway, stream)
                async for data in stream:
                    gateway.send(_read(data))
                nursery.cancel_scope.cancel()
    except (PikerError, BaseExceptionGroup) as err:
        known = as_piker_error(err)
        if told or known is None:
            raise
        await ctx.started(to_wire(known))


async def _report(gateway: Gateway, stream: Any) -> None:
    while True:
        messages = await gateway.receive()
        await stream.send([pack(message) for message in messages])


def _read(data: Any) -> Command:
    try:
        return _convert(data, Command, strict=False)
    except msgspec.ValidationError as err:
        raise BadMessage(f'not a command: {err}') from err
