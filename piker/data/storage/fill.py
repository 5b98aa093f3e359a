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
from .gaps import Gap

if TYPE_CHECKING:
    from .store import Store

__all__ = ['Fetch', 'Filled', 'fetch_from_tree', 'fill_gaps', 'to_rows']

# ``await fetch(instrument_id, period_s, start_ns, end_ns)`` → bars of the
# range, sorted; fewer, or none, where there are none.
Fetch = Callable[[str, int, int, int], Awaitable[npt.NDArray[Any]]]

_PAGE = 1000


class Filled(NamedTuple):
    """What `fill_gaps` did, in bars."""

    gaps: int
    missing: int
    filled: int


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

    A page that comes back with holes is filled flat, as live bars are; one
    that comes back empty stays a gap.  ``progress`` gets the bars of each
    page.  Errors of ``fetch`` pass through; what was filled stays.
    """
    gaps = await trio.to_thread.run_sync(
        partial(store.gaps, instrument_id, period_s, start_ns, end_ns)
    )
    period = period_s * NS_PER_S
    filled = 0
    for gap in reversed(gaps):
        for page in _pages(gap, period):
            left = page
            # A venue with smaller pages gives the newest part of ours.
            while left.end_ns > left.start_ns:
                rows = await fetch(instrument_id, period_s, *left)
                rows = _whole(rows, left, period)
                if not len(rows):
                    break
                await trio.to_thread.run_sync(
                    store.append_bars, instrument_id, period_s, rows
                )
                filled += len(rows)
                left = Gap(left.start_ns, int(rows['time'][0]))
            if progress:
                progress(page.bars(period_s))
    missing = sum(gap.bars(period_s) for gap in gaps)
    return Filled(len(gaps), missing, filled)


def _pages(gap: Gap, period: int) -> list[Gap]:
    """A gap in pages, newest first."""
    step = _PAGE * period
    ends = range(gap.end_ns, gap.start_ns, -step)
    return [Gap(max(gap.start_ns, end - step), end) for end in ends]


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
