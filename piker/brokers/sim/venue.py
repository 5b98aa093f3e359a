"""
The embedded venue: an exchange in a box that speaks Binance Spot's protocol.

`open_venue` serves either generated flow or recordings over HTTP and
WebSocket until its block is left; see `VenueConfig` for what can be set.
"""
from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from ...clock import Clock
from .config import FaultConfig, VenueConfig

if TYPE_CHECKING:
    from .app import App, RunningExchange

__all__ = ['FaultConfig', 'Venue', 'VenueConfig', 'open_venue']


class Venue:
    """A running venue, reachable at ``host``:``port``."""

    def __init__(self, host: str, port: int, app: App) -> None:
        self.host = host
        self.port = port
        self._app = app

    @property
    def rest_url(self) -> str:
        return f'http://{self.host}:{self.port}'

    @property
    def ws_url(self) -> str:
        return f'ws://{self.host}:{self.port}'

    def stats(self) -> dict[str, Any]:
        """What ``GET /sim/v1/stats`` answers."""
        return self._app.stats()


@asynccontextmanager
async def open_venue(
    config: VenueConfig, clock: Clock
) -> AsyncIterator[Venue]:
    """
    Run a venue until the block is left.

    ``clock`` is the venue's wall clock; a replay has its own and only runs on
    by ``clock`` after its end.  Raises `PortInUse` if the port is taken,
    `NoSuchSymbol` for a symbol that isn't listed, `BadInput` for a recording
    that can't be read or a clock before the venue's genesis.  Leaving the
    block cuts all connections and leaves no task behind.
    """
    from .app import App
    from .faults import Faults
    from .hub import Hub
    from .server import open_server
    from .threads import in_thread

    hub = Hub()
    faults = Faults(config.faults, hub, config.seed)
    exchange: RunningExchange
    if config.replay:
        from .replay import ReplayExchange

        exchange = await in_thread(
            ReplayExchange, config, clock, hub, faults.publish
        )
    else:
        from .generated import GeneratedExchange

        exchange = GeneratedExchange(
            clock, hub, faults.publish, seed=config.seed,
            symbols=config.symbols, quote_rate=config.quote_rate,
        )
    app = App(config, exchange, hub, faults)
    async with open_server(app, config.host, config.port) as server:
        server.refuse = faults.refuse
        async with trio.open_nursery() as nursery:
            nursery.start_soon(faults.run)
            nursery.start_soon(exchange.run)
            yield Venue(config.host, server.port, app)
            nursery.cancel_scope.cancel()
