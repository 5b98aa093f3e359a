"""
``piker venue``: the embedded venue alone, for any client to connect to.
"""
from __future__ import annotations

import signal
from functools import partial

import click
import trio

from ..brokers.sim.venue import VenueConfig, open_venue
from ..clock import SteadyClock
from .common import emit, guarded, run
from .options import CONTEXT, json_option, level_option

__all__ = ['venue']


@click.command(context_settings=CONTEXT)
@level_option
@json_option
@click.option(
    '--port', type=click.IntRange(0, 65535), default=0, show_default=True,
    help='Port to listen on; 0 takes any free one.',
)
@click.option(
    '--seed', type=click.IntRange(min=0), default=1, show_default=True,
    help='Another seed is another market, with other prices and trades.',
)
@click.option(
    '--replay', 'files', metavar='FILE', multiple=True,
    help='Serve this recording instead of generated flow; repeatable.',
)
@click.option(
    '--speed', type=click.FloatRange(0), default=1.0, show_default=True,
    help='Pace of the replay; 0 is as fast as it is taken.',
)
@click.option(
    '--start', type=click.Choice(['now', 'subscribed', 'manual']),
    default='subscribed', show_default=True,
    help='When a replay begins.',
)
@click.option(
    '--state', metavar='FILE', default='', type=click.Path(dir_okay=False),
    help='Keep accounts, orders and fills in this file; without one they '
    'are forgotten at the end.',
)
@guarded
def venue(
    as_json: bool,
    port: int,
    seed: int,
    files: tuple[str, ...],
    speed: float,
    start: str,
    state: str,
) -> None:
    """
    Run the embedded exchange until Ctrl-C.

    It speaks Binance Spot's REST and stream protocol, so any client of that
    can connect to it.  Orders are signed with the key sim-key and the secret
    sim-secret, which every venue has; they are worth nothing.
    """
    config = VenueConfig(
        port=port,
        seed=seed,
        replay=files,
        speed=speed,
        start=start,  # type: ignore[arg-type]
        state=state,
    )
    run(partial(_serve, config, as_json))


async def _serve(config: VenueConfig, as_json: bool) -> None:
    # Listen for signals first: a Ctrl-C at any time ends it in order.
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with open_venue(config, SteadyClock()) as running:
            if as_json:
                emit({
                    'host': running.host,
                    'port': running.port,
                    'rest': running.rest_url,
                    'streams': running.ws_url,
                })
            else:
                click.echo(
                    f'venue at {running.rest_url}/api/v3 and '
                    f'{running.ws_url}/stream; Ctrl-C ends it'
                )
            await signals.__anext__()
