"""
History into shared memory, while the live end is already moving.

`load_start` gets the least a feed needs to show: one page of bars before the
*seam* and a last price.  From the seam on, bars are built from trades, which
is exact wherever the stream happened to start; before it they are the
venue's.  `backfill_bars` then loads older pages in front of them.
"""
from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import trio

from ..clock import NS_PER_S
from ..errors import BadMessage, VenueError
from ..instruments import Instrument
from .backend import Backend
from .bars import BAR_DTYPE, BarWriter, flat_fill

__all__ = ['History', 'backfill_bars', 'load_start']

log = logging.getLogger(__name__)

_DAY_NS = 86400 * NS_PER_S
_PAGE = 1000
_TRIES = 6
_PAUSE_S = 0.5


@dataclass
class History:
    """
    What a feed starts from.

    ``bars`` end right before ``seam_ns``, the open of the last whole minute;
    ``last`` is the middle of the book where nothing has ever traded.
    ``top`` is bid, bid size, ask, ask size.
    """

    seam_ns: int
    read_ns: int = 0
    bars: dict[int, npt.NDArray[Any]] = field(default_factory=dict)
    last: float = math.nan
    last_ns: int = 0
    top: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    day_volume: float = 0.0  # of today, before the seam


async def load_start(
    backend: Backend, instrument: Instrument, periods_s: Sequence[int]
) -> History:
    """
    The newest page of bars of each period, the top of the book, the volume.

    All are asked for at once; 60 s must be among the periods.  ``last`` is
    NaN if the venue knows no price yet.  Raises `VenueError`.
    """
    now = backend.clock.now_ns()
    minute = 60 * NS_PER_S
    midnight = now // _DAY_NS * _DAY_NS
    # A whole minute of trades is re-read, so that a consumer that follows
    # ticks across a restart finds those it missed.
    start = History(seam_ns=(now // minute - 1) * minute, read_ns=now)

    async def get_bars(period_s: int) -> None:
        period_ns = period_s * NS_PER_S
        stop = start.seam_ns // period_ns
        rows = await backend.bars(
            instrument, period_s, (stop - _PAGE) * period_ns, start.seam_ns
        )
        start.bars[period_s] = _contiguous(rows, stop, period_ns)

    async def get_top() -> None:
        start.top = await backend.top(instrument)

    async def get_early_volume() -> None:
        # Of today, what lies before the page of minute bars.
        end = start.seam_ns - _PAGE * minute
        if end > midnight:
            rows = await backend.bars(instrument, 60, midnight, end)
            start.day_volume += float(rows['volume'].sum())

    async with trio.open_nursery() as nursery:
        for period_s in periods_s:
            nursery.start_soon(get_bars, period_s)
        nursery.start_soon(get_top)
        nursery.start_soon(get_early_volume)
    minutes = start.bars[60]
    today = minutes['time'] >= midnight
    start.day_volume += float(minutes['volume'][today].sum())
    _set_last(start, max(periods_s))
    return start


def _set_last(start: History, period_s: int) -> None:
    rows = start.bars[period_s]
    if len(rows):
        start.last = float(rows['close'][-1])
        start.last_ns = int(rows['time'][-1])
        return
    bid, _, ask, _ = start.top
    if bid > 0 and ask > 0:
        start.last = (bid + ask) / 2
    elif bid > 0 or ask > 0:
        start.last = bid or ask


def _contiguous(
    rows: npt.NDArray[Any], stop: int, period_ns: int
) -> npt.NDArray[Any]:
    """``rows`` with every hole up to index ``stop`` filled flat."""
    if not len(rows):
        return np.zeros(0, BAR_DTYPE)
    first = int(rows['time'][0]) // period_ns
    return flat_fill(
        rows, first, stop, period_ns, float(rows['open'][0])
    )


async def backfill_bars(
    backend: Backend,
    instrument: Instrument,
    writer: BarWriter,
    depth: int,
) -> None:
    """
    Prepend pages of older bars until ``depth`` bars are there.

    Ends early where the venue's history begins.  A venue that fails is asked
    again with growing pauses, then left alone with a line in the log; what
    has been loaded stays.
    """
    period_s, period_ns = writer.period_s, writer.period_ns
    want = writer.next - depth
    failures = 0
    while writer.first > want:
        stop = writer.first
        start = max(stop - _PAGE, want)
        try:
            rows = await backend.bars(
                instrument,
                period_s,
                start * period_ns,
                stop * period_ns,
                background=True,
            )
        except (VenueError, BadMessage) as err:
            failures += 1
            if failures == _TRIES:
                log.warning(
                    '%s: no more %d s history for now: %s',
                    instrument.id, period_s, err,
                )
                return
            await trio.sleep(_PAUSE_S * failures)
            continue
        page = _contiguous(rows, stop, period_ns)
        if not len(page):
            return
        writer.prepend(page)
