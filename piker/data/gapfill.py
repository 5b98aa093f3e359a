"""
Gaps of stored history, filled from the venue while a feed is live.

What a feed loads at its start it has in memory, and `stored` writes it from
there.  Older holes between stored bars are nobody's, so they are found and
filled here, the newest first, with what the venue's limits leave over.
Nothing of it is kept in this process: whatever was filled is stored, a hole
that the venue cannot fill is noted there, and the next start finds the rest.
"""
from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import trio

from ..errors import BadMessage, PikerError, VenueRefused
from ..instruments import Instrument
from .bars import Bars
from .live import LiveFeed
from .source import BarSource
from .storage import StoreClient
from .storage.fill import fill_gap
from .storage.ranges import Gap

__all__ = ['GapFiller', 'GapsLeft']

log = logging.getLogger(__name__)

# Between requests of all feeds together, on top of the venue's limits: 4 a
# second are some 8 % of what Binance allows.
_PAUSE_S = 0.25
# Pages that are stored in one commit.
_BATCH_PAGES = 8
# After all is filled; and after a failure, the longer the more there were.
_AGAIN_S = 3600.0
_RETRY_S = (5.0, 15.0, 60.0, 300.0)
_LOOK_S = 0.5


class GapsLeft(NamedTuple):
    """What is still to be filled of one instrument, all periods together."""

    gaps: int
    bars: int


@dataclass
class _Batch:
    """What came for a gap and is not stored yet."""

    period_s: int
    gap: Gap
    rows: list[npt.NDArray[Any]] = field(default_factory=list)
    absent: list[Gap] = field(default_factory=list)


class GapFiller:
    """
    Fills the gaps of all feeds of one ``brokerd``.

    Feeds take turns, a page each: one request is under way at any time.
    """

    def __init__(self, source: BarSource, store: StoreClient) -> None:
        self._source = source
        self._store = store
        self._turn = trio.Lock()
        self._left: dict[str, dict[tuple[int, Gap], int]] = {}

    def left(self, symbol: str) -> GapsLeft:
        """Progress of a feed; zeros where nothing is known to be missing."""
        bars = self._left.get(symbol, {}).values()
        return GapsLeft(len(bars), sum(bars))

    async def fill(self, feed: LiveFeed) -> None:
        """
        Fill what is missing of a feed's instrument, until cancelled.

        Never raises by itself: a venue or a store that fails is asked again
        after a pause, from what is missing then.
        """
        name = feed.instrument.id
        failures = 0
        try:
            await feed.ready.wait()
            while True:
                try:
                    await self._fill_all(feed)
                    failures, pause = 0, _AGAIN_S
                except PikerError as err:
                    pause = _RETRY_S[min(failures, len(_RETRY_S) - 1)]
                    failures += 1
                    log.warning(
                        '%s: filling gaps goes on in %.0f s: %s',
                        name, pause, err,
                    )
                except Exception:
                    # The feed is worth more than its past.
                    log.exception('%s: filling gaps broke', name)
                    return
                await trio.sleep(pause)
        finally:
            self._left.pop(name, None)

    async def _fill_all(self, feed: LiveFeed) -> None:
        """One pass over the gaps of all periods, the newest first."""
        instrument = feed.instrument
        buffers = {
            period_s: Bars.attach(name)
            for period_s, name in feed.info().bars.items()
        }
        await _loaded(feed)
        gaps: dict[tuple[int, Gap], int] = {}
        for period_s, bars in buffers.items():
            # What is in memory is stored from there.
            found = await self._store.missing(
                instrument.id, period_s, bars.first * bars.period_ns
            )
            gaps |= {(period_s, gap): gap.bars(period_s) for gap in found}
        self._left[instrument.id] = gaps
        if gaps:
            log.info(
                '%s: %d gaps of %d bars to fill', instrument.id, len(gaps),
                sum(gaps.values()),
            )
        for period_s, gap in sorted(
            gaps, key=lambda one: one[1].end_ns, reverse=True
        ):
            await _loaded(feed)
            bars = buffers[period_s]
            # A client may have scrolled back meanwhile.
            first_ns = bars.first * bars.period_ns
            needed = Gap(gap.start_ns, min(gap.end_ns, first_ns))
            if needed.end_ns > needed.start_ns:
                await self._fill(instrument, period_s, needed, gap)
            del gaps[period_s, gap]

    async def _fill(
        self, instrument: Instrument, period_s: int, needed: Gap, gap: Gap
    ) -> None:
        """Ask for what is ``needed`` of ``gap``; store what comes."""
        batch = _Batch(period_s, gap)

        async def put(rows: npt.NDArray[Any]) -> None:
            batch.rows.append(rows)
            await keep_some()

        async def none(looked: Gap) -> None:
            batch.absent.append(looked)
            await keep_some()

        async def keep_some() -> None:
            if len(batch.rows) + len(batch.absent) >= _BATCH_PAGES:
                await self._keep(instrument, batch)

        try:
            await fill_gap(
                needed, period_s, partial(self._ask, instrument, period_s),
                put, none,
            )
        except (BadMessage, VenueRefused) as err:
            # It would say the same again; older gaps may fare better.
            log.warning(
                '%s: a gap of %d s bars stays: %s', instrument.id, period_s,
                err,
            )
        finally:
            # Also before a failure is told; nothing waits when cancelled.
            await self._keep(instrument, batch)

    async def _ask(
        self, instrument: Instrument, period_s: int, start_ns: int, end_ns: int
    ) -> npt.NDArray[Any]:
        async with self._turn:
            rows = await self._source.backend.bars(
                instrument, period_s, start_ns, end_ns, background=True
            )
            await trio.sleep(_PAUSE_S)
        return rows

    async def _keep(self, instrument: Instrument, batch: _Batch) -> None:
        """Hand a batch to the store; raises `StorageError`."""
        left = self._left[instrument.id]
        key = batch.period_s, batch.gap
        if batch.rows:
            rows = np.concatenate(batch.rows[::-1])
            await self._store.add_bars(instrument.id, batch.period_s, rows)
            left[key] -= len(rows)
            batch.rows.clear()
        if batch.absent:
            await self._store.note_absent(
                instrument.id, batch.period_s, batch.absent
            )
            left[key] -= sum(gap.bars(batch.period_s) for gap in batch.absent)
            batch.absent.clear()


async def _loaded(feed: LiveFeed) -> None:
    """Wait until no history is being loaded into memory."""
    reader = feed.ring.reader()
    while reader.backfilling:
        await trio.sleep(_LOOK_S)
