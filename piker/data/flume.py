"""
`Flume`: one instrument's live data, read from shared memory.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable

import numpy as np
import trio

from ..clock import NS_PER_S
from ..errors import ActorDied, BadInput, DataError, SegmentGone
from ..instruments import Instrument
from ..messages import FlumeInfo
from .bars import Bars
from .holding import Handle, SleepingStream
from .resample import ResampledBars, base_period
from .ticks import FeedState, Kind, Quote, TickReader, Ticks

__all__ = ['Flume', 'QuoteStream', 'TickStream']

_DAY_NS = 86400 * NS_PER_S
# Ticks of a run at most.
_MOST = 1 << 14

# Asks the daemon for (symbol, base period in s, bars there shall be).
Extend = Callable[[str, int, int], Awaitable[None]]


class Flume(Handle[FlumeInfo, TickReader]):
    """
    One instrument's live data, read-only.

    ``bars`` maps periods in s to live buffers: 1 and 60 are `Bars` in shared
    memory, any other that divides a day, or a week, is resampled from them
    (`resample`).  Entries are replaced when the daemon is restarted, so take
    them from here each time.
    """

    def __init__(self, info: FlumeInfo, extend: Extend) -> None:
        self._extend = extend
        self.instrument: Instrument = info.instrument
        self.bars = _Periods()
        self._newest: Quote | None = None
        self._bind(info)
        self.first_quote: Quote = self.quote()

    def _bind(self, info: FlumeInfo) -> None:
        """Map the memory of a (new) daemon; raises `SegmentGone`."""
        reader = TickReader.attach(info.ticks)
        bars = {p: Bars.attach(name) for p, name in info.bars.items()}
        self.bars.bind(bars)
        self._bound(info, reader)

    def quote(self) -> Quote:
        """
        The latest quote; its volume is that of the day that it is now.

        Where its writer died half-way, the one before until it is back.
        """
        # before the quote: a day that begins in between has no volume yet
        day = self._reader.volume_day
        try:
            quote = self._newest = self._reader.quote()
        except DataError:
            # A writer died in the middle of it; there will be another one.
            if self._newest is None:
                raise
            quote = self._newest
        if quote.volume and day < self._today():
            return dataclasses.replace(quote, volume=0.0)
        return quote

    def _today(self) -> int:
        """
        The day that it is now, counted since the epoch.

        The sampler begins it with a bar.  What comes late for the one before
        still counts there, in the ring.
        """
        try:
            return (self.bars[1].next - 1) * NS_PER_S // _DAY_NS
        except SegmentGone:
            # The bars have moved, and their writer is gone.
            return 0

    @property
    def state(self) -> FeedState:
        """How far the data can be trusted right now."""
        if self._lost:
            return FeedState.RECONNECTING
        state = self._reader.state
        if state == FeedState.LIVE and self._late:
            return FeedState.STALE
        return state

    @property
    def outages(self) -> int:
        """How often the stream behind it has broken off or begun anew."""
        return self._reader.outages

    @property
    def backfilling(self) -> bool:
        """Whether older bars are still being loaded."""
        return self._reader.backfilling

    def quotes(self, rate_hz: float = 10.0) -> QuoteStream:
        """
        The latest quote, at most ``rate_hz`` times a second, as it changes.

        Raises `BadInput` for a rate that is not positive.
        """
        return QuoteStream(self, rate_hz)

    async def load_more(self, period_s: int, count: int) -> int:
        """
        Have ``count`` more bars of a period loaded before the oldest one.

        Any period that can be had; for resampled ones as many base bars are
        loaded as that takes.  Returns how many bars more there are now; none
        means that there is no older history.  Raises `VenueError`,
        `ActorDied`.
        """
        bars, base_s = self.bars[period_s], base_period(period_s)
        before = bars.first
        need = count * (period_s // base_s)
        depth = len(self.bars[base_s]) + need
        await self._extend(self.instrument.id, base_s, depth)
        return max(0, before - self.bars[period_s].first)

    def ticks(self, *, from_start: bool = False) -> TickStream:
        """
        Every tick from now on, in order, in runs as they come.

        With ``from_start`` begins with what the ring still holds.
        """
        return TickStream(self, from_start)


class TickStream(SleepingStream[Flume]):
    """
    An async iterator over the ticks of a flume, as `Ticks` runs.

    Sleeps while there is nothing.  After a restart of the daemon it goes on
    with the first trade not seen yet; ``missed`` of a run says how many ticks
    were overwritten before it could be read.  May be left at any time; one
    task at a time may wait in it.
    """

    def __init__(self, flume: Flume, from_start: bool) -> None:
        self._from_start = from_start
        # Id of the newest trade and the newest ``recv`` that were given,
        # but for those of the last run.
        self._given = (-1, -1)
        self._last: Ticks | None = None
        # In a later life, ticks before this one may be among those given in
        # the former one, up to `_before`.
        self._caught_up = 0
        self._before = self._given
        super().__init__(flume)

    def _begin(self) -> None:
        super()._begin()
        # A place of its own in memory that is mapped: its name may be gone.
        self._reader = self._flume._reader.another(from_start=self._from_start)

    def __aiter__(self) -> TickStream:
        return self

    async def __anext__(self) -> Ticks:
        await trio.lowlevel.checkpoint_if_cancelled()
        self._note()
        slept = False
        while True:
            try:
                behind = self._caught_up - self._reader.position
                run = self._reader.read(min(behind, _MOST) if behind > 0
                                        else _MOST)
                if run is None:
                    slept |= await self._sleep()
                    continue
            except (ActorDied, SegmentGone):
                # All that the next ring holds, less what has been given.
                self._from_start = True
                await self._next_life()
                self._caught_up = self._reader.written
                self._before = self._given
                continue
            if behind > 0:
                run = _unseen(run, *self._before)
                if not len(run):
                    continue
            self._last = run
            if not slept:
                await trio.lowlevel.cancel_shielded_checkpoint()
            return run

    def _note(self) -> None:
        """
        Remember how far ticks have been given.

        Not as they are given: whoever has waited for them waits no longer.
        """
        run, self._last = self._last, None
        if run is None:
            return
        trade, recv = self._given
        trades = run.id[run.kind == Kind.TRADE]
        if len(trades):
            trade = int(trades[-1])
        self._given = trade, max(recv, int(run.recv.max()))

    async def _sleep(self) -> bool:
        """Until there is more to read; raises `ActorDied`."""
        return await self._sleep_on(
            self._info.waker, self._info.ticks,
            lambda: bool(self._reader.pending),
        )


class QuoteStream:
    """
    An async iterator over an instrument's latest quotes, conflated.

    A reader that is slower than the market gets the newest state, never a
    queue; ``conflated`` counts the ticks that came between the quotes it was
    given.  May be left at any time.
    """

    def __init__(self, flume: Flume, rate_hz: float) -> None:
        if not rate_hz > 0:
            raise BadInput(f'{rate_hz} quotes a second: must be positive')
        self._flume = flume
        self._pause_s = 1 / rate_hz
        self._last: Quote | None = None
        self._due = trio.current_time()
        self._written = flume._reader.written
        self.conflated = 0

    def __aiter__(self) -> QuoteStream:
        return self

    async def __anext__(self) -> Quote:
        while True:
            await trio.sleep_until(self._due)
            self._due = trio.current_time() + self._pause_s
            quote = self._flume.quote()
            if quote != self._last:
                self._last = quote
                self._count()
                return quote

    def _count(self) -> None:
        written = self._flume._reader.written
        # A new ring counts from nought.
        came = written - self._written if written >= self._written else 0
        self._written = written
        self.conflated += max(0, came - 1)


def _unseen(run: Ticks, last_trade: int, last_recv: int) -> Ticks:
    """What of a run of a new ring was not in the old one."""
    trades = run.kind == Kind.TRADE
    return run.where(np.where(
        trades, run.id > last_trade, run.recv > last_recv
    ))


class _Periods(dict[int, Bars | ResampledBars]):
    """Live buffers by period; others are resampled from them when named."""

    def __missing__(self, period_s: int) -> Bars | ResampledBars:
        base = self[base_period(period_s)]
        assert isinstance(base, Bars)
        self[period_s] = ResampledBars(base, period_s)
        return self[period_s]

    def bind(self, bars: dict[int, Bars]) -> None:
        """The buffers of a (new) daemon; views of the old ones go."""
        self.clear()
        self.update(bars)
