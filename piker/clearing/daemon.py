"""
``emsd``: the daemon that holds every order, alert and position.
"""
from __future__ import annotations

from typing import Any

import trio

from ..clock import SystemClock
from ..errors import as_piker_error, to_wire
from ..service import (
    TreeClient,
    actor_state,
    calm_collector,
    daemon_life,
    shorten_slice,
    tractor,
)
from .ems import open_ems_core
from .endpoints import EMS

__all__ = ['emsd']


@tractor.context  # type: ignore[untyped-decorator, unused-ignore]
async def emsd(ctx: Any, root: dict[str, Any]) -> None:
    """Serve until the root ends, or the journal cannot be written."""
    started = False
    async with daemon_life('emsd', root) as tree:
        try:
            async with open_ems_core(
                TreeClient.of(tree), str(tree), root['settings'],
                SystemClock(),
            ) as ems:
                actor_state()[EMS] = ems
                shorten_slice()
                calm_collector()
                await ctx.started({})
                started = True
                await trio.sleep_forever()
        except Exception as err:
            known = as_piker_error(err)
            if known is None or started:
                raise
            await ctx.started(to_wire(known))
