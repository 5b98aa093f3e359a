"""
``stored``: the daemon that keeps what is made.

A process of its own, so that neither polars nor the writing of tables ever
shares an interpreter with ``brokerd``.
"""
from __future__ import annotations

import os
from typing import Any

import trio

from ...config import StorageSettings
from ...errors import as_piker_error, to_wire
from ...service import actor_state, daemon_life, tractor
from .keeper import KEEPER, open_keeper

__all__ = ['stored']


@tractor.context  # type: ignore[untyped-decorator, unused-ignore]
async def stored(ctx: Any, root: dict[str, Any]) -> None:
    """Serve until the root ends."""
    settings = StorageSettings(**root['settings'].get('storage', {}))
    async with daemon_life('stored', root) as tree:
        prefix = tree.process_prefix(os.getpid())
        try:
            async with open_keeper(settings, prefix) as keeper:
                actor_state()[KEEPER] = keeper
                await ctx.started({'root': keeper.store.root})
                await trio.sleep_forever()
        except Exception as err:
            known = as_piker_error(err)
            if known is None:
                raise
            await ctx.started(to_wire(known))
