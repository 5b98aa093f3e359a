"""
``piker store fill``: what is missing, from the venue.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ...clock import NS_PER_S, SystemClock
from ...service import Tree, open_tree
from ..common import counted, own_pikerd, run
from ..options import CONTEXT, registry_option
from .tools import (
    kind_argument,
    period_of,
    progress_of,
    say,
    store_options,
    symbol_argument,
    time_options,
)

if TYPE_CHECKING:
    from ...data.storage import Store

__all__ = ['COMMANDS']


@click.command(context_settings=CONTEXT)
@symbol_argument
@kind_argument
@registry_option
@store_options
@time_options
def fill(
    symbol: str,
    kind: str,
    start: int | None,
    end: int | None,
    registry: str,
    where: Store,
    as_json: bool,
) -> None:
    """
    Fill gaps with bars from the venue, the newest first.

    With --start or --end also before the first and after the last bar.
    """
    period_s = period_of(symbol, kind)
    if start is None or end is None:
        # Between what is stored: something has to be.
        where.info(symbol, kind)
    if end is not None:
        # what is not over yet, nobody has
        period_ns = period_s * NS_PER_S
        now_ns = SystemClock().now_ns()
        end = min(end, now_ns // period_ns * period_ns)
    missing = sum(
        gap.bars(period_s) for gap in where.gaps(symbol, period_s, start, end)
    )
    with progress_of('filling', missing, as_json) as progress:
        found = run(partial(
            _fill, where, symbol, period_s, str(Tree.parse(registry)),
            (start, end), progress,
        ))
    say(
        as_json,
        f'{found.filled:,} of {counted(found.missing, "missing bar")} in '
        f'{counted(found.gaps, "gap")} filled',
        **found._asdict(),
    )


async def _fill(
    where: Store,
    symbol: str,
    period_s: int,
    registry: str,
    bounds: tuple[int | None, int | None],
    progress: Callable[[int], None],
) -> Any:
    from ...data.storage.fill import fetch_from_tree, fill_gaps

    async with open_tree(
        Tree.parse(registry), 'fill', start=own_pikerd(registry, [])
    ) as tree:
        return await fill_gaps(
            where, symbol, period_s, fetch_from_tree(tree),
            start_ns=bounds[0], end_ns=bounds[1], progress=progress,
        )


COMMANDS = (fill,)
