"""
What ``brokerd`` answers to ``emsd``: gateways.
"""
from __future__ import annotations

from importlib import import_module
from typing import Any

import msgspec
import trio

from ..data.endpoints import BUS
from ..errors import (
    ActorDied,
    BadMessage,
    PikerError,
    as_piker_error,
    to_wire,
)
from ..gateway import Command, Gateway, GatewayFactory, LiveGateway
from ..messages import pack
from ..service import (
    Pipe,
    actor_state,
    open_door,
    tractor,
    wait_exit,
)
from . import PROVIDERS

__all__ = ['open_gateway']

_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(Command)


@tractor.context  # type: ignore[untyped-decorator, unused-ignore]
async def open_gateway(
    ctx: Any, account: str, settings: dict[str, Any], pid: int, started: int
) -> None:
    """
    Carry an account's orders until its user leaves or dies.

    Starts with the gateway's `Abilities` and the address of a pipe, or with
    the error.  Over the pipe come `Command`s and go lists of
    `GatewayMessage`, in msgpack.
    """
    backend = actor_state()[BUS].backend
    factory: GatewayFactory = import_module(
        PROVIDERS[backend.name]
    ).open_gateway
    told = False
    try:
        async with (
            factory(account, settings, backend) as gateway,
            trio.open_nursery() as nursery,
        ):

            async def end_with_client() -> None:
                await wait_exit(pid, started)
                nursery.cancel_scope.cancel()

            nursery.start_soon(end_with_client)
            with open_door() as door:
                await ctx.started({
                    'abilities': pack(gateway.abilities),
                    'pipe': door.address,
                })
                told = True
                pipe = await door.accept(pid)
            with pipe:
                await _carry(gateway, pipe)
            nursery.cancel_scope.cancel()
    except (PikerError, BaseExceptionGroup) as err:
        known = as_piker_error(err)
        if told or known is None:
            raise
        await ctx.started(to_wire(known))


async def _carry(gateway: LiveGateway, pipe: Pipe) -> None:
    """Until the other side closes the pipe."""
    idle: list[trio.Event] = []
    async with trio.open_nursery() as nursery:

        async def lead() -> None:
            """
            Take what comes next, and leave what comes after to another task.

            To hand a command on to a task would take a turn of the loop, and
            to make one of it as long again.
            """
            while True:
                try:
                    *others, last = await pipe.receive()
                except ActorDied:
                    nursery.cancel_scope.cancel()
                    return
                if idle:
                    idle.pop().set()
                else:
                    nursery.start_soon(lead)
                for data in others:
                    gateway.send(_read(data))
                await gateway.carry_out(_read(last))
                idle.append(rest := trio.Event())
                await rest.wait()

        nursery.start_soon(pipe.run)
        nursery.start_soon(_report, gateway, pipe)
        nursery.start_soon(lead)


async def _report(gateway: Gateway, pipe: Pipe) -> None:
    while True:
        pipe.send(_encode(await gateway.receive()))


def _read(data: bytes) -> Command:
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError as err:
        raise BadMessage(f'not a command: {err}') from err
