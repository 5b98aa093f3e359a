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
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy.typing as npt
import trio

from ..clock import NS_PER_S
from ..errors import BadMessage, VenueDown, VenueError
from ..instruments import Instrument
from .bars import BarWriter
from .source import PAGE, BarSource, joined

__all__ = ['History', 'backfill_bars', 'load_start']

log = logging.getLogger(__name__)

T = TypeVar('T')

_DAY_NS = 86400 * NS_PER_S
# Rows of stored history that are put in place without a pause.
_AT_ONCE = 1 << 16
_TRIES = 6
_PAUSE_S = 0.5
# Before the venue is asked once more at a start.
_AGAIN_S = 0.25


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
    source: BarSource, instrument: Instrument, periods_s: Sequence[int]
) -> History:
    """
    The newest page of bars of each period, the top of the book, the volume.

    All are asked for at once; 60 s must be among the periods.  ``last`` is
    NaN if the venue knows no price yet.  A venue that fails is asked once
    more.  Raises `VenueError`.
    """
    now = source.backend.clock.now_ns()
    minute = 60 * NS_PER_S
    midnight = now // _DAY_NS * _DAY_NS
    # A whole minute of trades is re-read, so that a consumer that follows
    # ticks across a restart finds those it missed.
    start = History(seam_ns=(now // minute - 1) * minute, read_ns=now)

    async def twice(ask: Callable[[], Awaitable[T]]) -> T:
        try:
            return await ask()
        except VenueDown as err:
            if err.pause_s:
                # It has said when, and was listened to.
                raise
            log.info('%s: asking once more: %s', instrument.id, err)
        await trio.sleep(_AGAIN_S)
        return await ask()

    async def get_bars(period_s: int) -> None:
        stop = start.seam_ns // (period_s * NS_PER_S)
        start.bars[period_s] = await twice(
            lambda: source.recent(instrument, period_s, stop - PAGE, stop)
        )

    async def get_top() -> None:
        start.top = await twice(lambda: source.backend.top(instrument))

    async def get_early_volume() -> None:
        # Of today, what lies before the page of minute bars.
        stop = start.seam_ns // minute - PAGE
        if stop > midnight // minute:
            rows = await twice(lambda: source.total(
                instrument, 60, midnight // minute, stop
            ))
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


async def backfill_bars(
    source: BarSource,
    instrument: Instrument,
    writer: BarWriter,
    depth: int,
) -> None:
    """
    Prepend older bars until ``depth`` bars are there.

    From storage where it has them, from the venue page by page where it does
    not, the newest first.  Ends early where the venue's history begins.  A
    venue that fails is asked again with growing pauses; if that does not
    help, `VenueError` is raised.  What has been loaded stays.
    """
    period_ns = writer.period_ns
    want = max(0, writer.next - depth)
    if writer.first <= want:
        return
    kept = await source.stored(
        instrument, writer.period_s, want * period_ns,
        writer.first * period_ns,
    )
    while writer.first > want:
        run = joined(kept, writer.first, period_ns)
        if len(run):
            kept = kept[:len(kept) - len(run)]
            await _prepend(writer, run)
            continue
        # Down to the next stored bar, the venue has to tell.
        newest = int(kept['time'][-1]) // period_ns + 1 if len(kept) else want
        page = await _page_with_patience(
            source, instrument, writer, max(newest, want)
        )
        if not len(page):
            return
        writer.prepend(page)


async def _prepend(writer: BarWriter, rows: npt.NDArray[Any]) -> None:
    """In parts, so that the feed goes on meanwhile."""
    while len(rows):
        writer.prepend(rows[-_AT_ONCE:])
        rows = rows[:-_AT_ONCE]
        await trio.lowlevel.checkpoint()


async def _page_with_patience(
    source: BarSource, instrument: Instrument, writer: BarWriter, start: int
) -> npt.NDArray[Any]:
    """A page before the oldest bar; `VenueError` after the last try."""
    failures = 0
    while True:
        try:
            return await source.page(
                instrument, writer.period_s, start, writer.first,
                background=True,
            )
        except (VenueError, BadMessage) as err:
            failures += 1
            if failures == _TRIES:
                raise VenueError(
                    f'{instrument.id}: no more {writer.period_s} s history '
                    f'for now: {err}'
                ) from err
            await trio.sleep(_PAUSE_S * failures)
