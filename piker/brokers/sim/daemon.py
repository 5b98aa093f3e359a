"""
``simd``: the daemon that runs the embedded venue inside a tree.
"""
from __future__ import annotations

from typing import Any

import trio

from ...clock import SteadyClock
from ...errors import PikerError, to_wire
from ...paths import data_dir
from ...service import daemon_life, tractor
from .venue import VenueConfig, open_venue

__all__ = ['simd']


@tractor.context  # type: ignore[untyped-decorator, unused-ignore]
async def simd(ctx: Any, root: dict[str, Any], port: int) -> None:
    """
    Serve the venue until the root ends.

    ``port`` is where it listened before a restart, 0 at first.  Its books are
    in the data directory, by seed.
    """
    settings = root['settings']['providers']['sim']
    config = VenueConfig(
        port=port or settings['port'],
        seed=settings['seed'],
        replay=tuple(settings['replay']),
        speed=settings['speed'],
        start=settings['start'],
        state=str(data_dir() / 'sim' / f'seed-{settings["seed"]}.sqlite'),
    )
    async with daemon_life('simd', root):
        try:
            async with open_venue(config, SteadyClock()) as venue:
                await ctx.started({'host': venue.host, 'port': venue.port})
                await trio.sleep_forever()
        except PikerError as err:
            await ctx.started(to_wire(err))
