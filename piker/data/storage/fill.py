"""
Filling gaps of stored bars from wherever older bars can be had.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import trio

from ...clock import NS_PER_S
from ...errors import BadMessage, from_wire
from ...instruments import InstrumentId
from ...service import TreeClient, remote
from ..bars import BAR_DTYPE, flat_fill
from .names import TableId, bars_kind
from .ranges import Gap, pages

if TYPE_CHECKING:
    from .store import Store

__all__ = [
    'PAGE',
    'Fetch',
    'Filled',
    'fetch_from_tree',
    'fill_gap',
    'fill_gaps',
    'to_rows',
]

# ``await fetch(instrument_id, period_s, start_ns, end_ns)`` → bars of the
# range, sorted; fewer, or none, where there are none.
Fetch = Callable[[str, int, int, int], Awaitable[npt.NDArray[Any]]]

# Bars that are asked for at once.
PAGE = 1000


class Filled(NamedTuple):
    """What `fill_gaps` did, in bars."""

    gaps: int
    missing: int
    filled: int


async def fill_gap(
    gap: Gap,
    period_s: int,
    fetch: Callable[[int, int], Awaitable[npt.NDArray[Any]]],
    put: Callable[[npt.NDArray[Any]], Awaitable[None]],
    none: Callable[[Gap], Awaitable[None]],
) -> None:
    """
    Ask for the bars of one gap, page by page, the newest first.

    ``put`` gets what came of a page, with its holes filled flat, as live
    bars are; ``none`` the part of a page for which nothing came.  Errors
    pass through.
    """
    period = period_s * NS_PER_S
    for left in pages(gap, PAGE * period):
        # A venue with smaller pages gives the newest part of ours.
        while left.end_ns > left.start_ns:
            rows = _whole(await fetch(*left), left, period)
            if not len(rows):
                await none(left)
                break
            await put(rows)
            left = Gap(left.start_ns, int(rows['time'][0]))


async def fill_gaps(
    store: Store,
    instrument_id: str,
    period_s: int,
    fetch: Fetch,
    *,
    start_ns: int | None = None,
    end_ns: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Filled:
    """
    Fetch what is missing, newest first, and store it page by page.

    What the venue does not have stays a gap and is noted as looked for.
    ``progress`` gets the bars of each page.  Errors of ``fetch`` pass
    through; what was filled stays.
    """
    from .absent import note_absent

    in_thread = trio.to_thread.run_sync
    gaps = await in_thread(
        partial(store.gaps, instrument_id, period_s, start_ns, end_ns)
    )
    table_id = TableId.of(instrument_id, bars_kind(period_s))
    filled = 0

    def seen(bars: int) -> None:
        if progress:
            progress(bars)

    async def put(rows: npt.NDArray[Any]) -> None:
        nonlocal filled
        await in_thread(store.append_bars, instrument_id, period_s, rows)
        filled += len(rows)
        seen(len(rows))

    async def none(looked: Gap) -> None:
        await in_thread(
            note_absent, store.root, store.options, table_id, [looked]
        )
        seen(looked.bars(period_s))

    for gap in reversed(gaps):
        await fill_gap(
            gap, period_s, partial(fetch, instrument_id, period_s), put, none
        )
    missing = sum(gap.bars(period_s) for gap in gaps)
    return Filled(len(gaps), missing, filled)


def _whole(
    rows: npt.NDArray[Any], page: Gap, period: int
) -> npt.NDArray[Any]:
    inside = (rows['time'] >= page.start_ns) & (rows['time'] < page.end_ns)
    rows = rows[inside]
    if not len(rows):
        return rows
    first = int(rows['time'][0]) // period
    stop = page.end_ns // period
    return flat_fill(rows, first, stop, period, float(rows['open'][0]))


def to_rows(bars: Sequence[Sequence[Any]]) -> npt.NDArray[Any]:
    """Rows from lists of `BAR_DTYPE` fields; raises `BadMessage`."""
    try:
        return np.array([tuple(bar) for bar in bars], BAR_DTYPE)
    except (TypeError, ValueError) as err:
        raise BadMessage(f'not bars: {err}') from err


def fetch_from_tree(tree: TreeClient) -> Fetch:
    """Bars from the venue, through the ``brokerd`` of its provider."""

    async def fetch(
        instrument_id: str, period_s: int, start_ns: int, end_ns: int
    ) -> npt.NDArray[Any]:
        provider = InstrumentId.parse(instrument_id).provider
        daemon = await tree.find(f'brokerd.{provider}')
        async with tree.portal(daemon) as portal:
            answer = await portal.run(
                remote('piker.data.endpoints', 'fetch_bars'),
                symbol=instrument_id, period_s=period_s,
                start_ns=start_ns, end_ns=end_ns,
            )
        if 'error' in answer:
            raise from_wire(answer)
        return to_rows(answer['bars'])

    return fetch
