"""
``brokerd``: the daemon of one provider.
"""
from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import trio

from ..clock import SystemClock
from ..data.bus import open_bus
from ..data.endpoints import BUS
from ..data.storage import open_store_client, table_root
from ..errors import as_piker_error, to_wire
from ..service import (
    WRITER_NS,
    TreeClient,
    actor_state,
    calm_collector,
    daemon_life,
    shorten_slice,
    tractor,
)
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
            storage = settings['storage']
            kept: AbstractAsyncContextManager[Any] = nullcontext()
            if storage['enabled'] and _is_worth_keeping(own):
                kept = open_store_client(TreeClient.of(tree))
            async with (
                kept as store,
                factory(provider, own, upstream) as backend,
                open_bus(
                    backend,
                    SystemClock(),
                    prefix,
                    settings['feed'],
                    store,
                    table_root(storage['root']),
                    fill=storage['fill_gaps'],
                ) as bus,
            ):
                actor_state()[BUS] = bus
                shorten_slice(WRITER_NS)
                calm_collector()
                await ctx.started({'provider': provider})
                await trio.sleep_forever()
        except Exception as err:
            known = as_piker_error(err)
            if known is None:
                raise
            await ctx.started(to_wire(known))


def _is_worth_keeping(settings: dict[str, Any]) -> bool:
    """
    Whether a provider's data is that of its market.

    A replay, another seed, or somebody else's venue behind ``sim`` would mix
    different tapes under one name.
    """
    mixed = settings.get('replay') or settings.get('url')
    return not mixed and settings.get('seed', 1) == 1
