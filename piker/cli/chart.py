"""
``piker chart``: the desktop window.
"""
from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import click

from ..data import Feed, open_feed
from ..data.resample import base_period
from ..errors import BadInput
from ..service import Tree
from .common import check_symbols, guarded, own_pikerd
from .options import CONTEXT, level_option, registry_option
from .pikerd import parse_overrides, set_option

__all__ = ['chart']


@click.command(context_settings=CONTEXT)
@click.argument('symbol')
@registry_option
@level_option
@set_option
@click.option(
    '--period', type=int, default=60, show_default=True, metavar='S',
    help='Bar period in seconds: any that divides a day, or a week.',
)
@click.option(
    '--screenshot', metavar='FILE', type=click.Path(path_type=Path),
    help='Write a PNG and exit; needs no display.',
)
@click.option(
    '--after', 'after_s', type=click.FloatRange(0), default=5.0,
    show_default=True, metavar='SECONDS',
    help='How long after the first quote the screenshot is taken.',
)
@click.option(
    '--size', metavar='WxH', default='1600x900', show_default=True,
    help='Size of the window or picture in pixels.',
)
@guarded
def chart(
    symbol: str,
    registry: str,
    overrides: tuple[str, ...],
    period: int,
    screenshot: Path | None,
    after_s: float,
    size: str,
) -> None:
    """
    Open a live chart of SYMBOL, e.g. btcusdt.sim.

    Press F1 in the window for its keys.
    """
    check_symbols([symbol])
    base_period(period)
    parse_overrides(overrides)
    options = [f'--set={item}' for item in overrides]
    address = str(Tree.parse(registry))

    @asynccontextmanager
    async def feed(symbols: list[str]) -> AsyncGenerator[Feed, None]:
        async with open_feed(
            symbols,
            registry=address,
            client='chart',
            start=own_pikerd(address, options, symbols),
        ) as opened:
            yield opened

    # Qt takes a third of a second to load: only here.
    from ..ui import run_chart

    run_chart(
        feed,
        symbol,
        period_s=period,
        screenshot=screenshot,
        after_s=after_s,
        size=_parse_size(size),
    )


def _parse_size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition('x')
    if not (width.isdigit() and height.isdigit()):
        raise BadInput(f'{text!r} is not a size: write it like 1600x900')
    return int(width), int(height)
