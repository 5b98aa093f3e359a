"""
``brokerd``: the daemon of one provider.
"""
from __future__ import annotations

import os
from typing import Any

import trio

from ..clock import SystemClock
from ..data.bus import open_bus
from ..data.endpoints import BUS
from ..errors import as_piker_error, to_wire
from ..service import actor_state, daemon_life, tractor
from . import backend_factory

__all__ = ['brokerd']


@tractor.context  # type: ignore[untyped-decorator, unused-ignore]
async def brokerd(
    ctx: Any, part: str, root: dict[str, Any], upstream: dict[str, Any]
) -> None:
    """
    Serve the provider called ``part`` until the root ends.

    ``part`` may carry the number of a further worker, as in ``sim.1``;
    ``upstream`` is what its helper daemon said of itself, if it has one.
    """
    settings = root['settings']
    provider = part.partition('.')[0]
    async with daemon_life(f'brokerd.{part}', root) as tree:
        prefix = tree.process_prefix(os.getpid())
        try:
            factory = backend_factory(provider)
            # the venue counts all workers' requests as one
            share = 1 / settings['feed']['workers']
            own = settings['providers'].get(provider, {}) | {'share': share}
            async with (
                factory(provider, own, upstream) as backend,
                open_bus(
                    backend, SystemClock(), prefix, settings['feed']
                ) as bus,
            ):
                actor_state()[BUS] = bus
                await ctx.started({'provider': provider})
                await trio.sleep_forever()
        except Exception as err:
            known = as_piker_error(err)
            if known is None:
                raise
            await ctx.started(to_wire(known))
