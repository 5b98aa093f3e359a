"""
The embedded venue: an exchange in a box that speaks Binance Spot's protocol.

`open_venue` serves either generated flow or recordings over HTTP and
WebSocket until its block is left; see `VenueConfig` for what can be set.
"""
from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import trio

from ...clock import Clock
from .config import FaultConfig, VenueConfig

if TYPE_CHECKING:
    from .app import App, RunningExchange
    from .market import Spec

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
    from .backoffice import open_default_account
    from .desk import make_desk
    from .faults import Faults
    from .hub import Hub
    from .listings import all_listings
    from .server import open_server
    from .state import State
    from .threads import in_thread

    hub = Hub()
    faults = Faults(config.faults, hub, config.seed)
    exchange: RunningExchange
    # a replay begins anew with each start, and so do its books
    state = State('' if config.replay else config.state,
                  f'seed {config.seed}')
    specs: dict[str, Spec]
    if config.replay:
        from .replay import ReplayExchange

        exchange = await in_thread(
            ReplayExchange, config, clock, hub, faults.publish
        )
        specs = {name: market.spec for name, market in
                 exchange.markets.items()}
    else:
        from .generated import GeneratedExchange

        exchange = GeneratedExchange(
            clock, hub, faults.publish, seed=config.seed,
            symbols=config.symbols, quote_rate=config.quote_rate,
            edits=state.edits(),
        )
        specs = {listing.symbol: listing for listing in all_listings()}
    desk = make_desk(exchange, specs, state, faults.publish_user)
    open_default_account(desk)
    faults.user_streams = desk.userdata.keys
    app = App(config, exchange, hub, faults, desk)
    with closing(state):
        async with open_server(app, config.host, config.port) as server:
            server.refuse = faults.refuse
            async with trio.open_nursery() as nursery:
                nursery.start_soon(faults.run)
                nursery.start_soon(exchange.run)
                nursery.start_soon(app.run)
                yield Venue(config.host, server.port, app)
                nursery.cancel_scope.cancel()
