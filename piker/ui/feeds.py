"""
What the chart asks of the data layer, and one frame's worth of it.

The window never awaits data: it looks at shared memory once per frame
(`Watch.look`), which costs the writer nothing.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from ..data.ticks import FeedState, Quote
from ..errors import NoSuchPeriod
from ..instruments import Instrument
from .periods import bar_time

__all__ = ['BarsLike', 'FeedLike', 'FlumeLike', 'Look', 'OpenFeed', 'Watch']

_DAY_S = 86_400


class BarsLike(Protocol):
    """What the chart reads of bars, kept ones and resampled ones."""

    @property
    def segment_name(self) -> str: ...

    @property
    def first(self) -> int: ...

    @property
    def next(self) -> int: ...

    @property
    def changes(self) -> int: ...

    @property
    def amended(self) -> int: ...

    def __len__(self) -> int: ...

    def view(
        self, field: str, start: int, stop: int
    ) -> npt.NDArray[Any]: ...


class FlumeLike(Protocol):
    """One instrument's live data, as the data layer's ``Flume``."""

    instrument: Instrument

    @property
    def bars(self) -> Mapping[int, BarsLike]: ...

    def quote(self) -> Quote: ...

    @property
    def state(self) -> FeedState: ...

    @property
    def reason(self) -> str: ...

    @property
    def age_s(self) -> float: ...

    @property
    def counters(self) -> dict[str, int]: ...

    @property
    def backfilling(self) -> bool: ...

    async def load_more(self, period_s: int, count: int) -> int: ...


class FeedLike(Protocol):
    def __getitem__(self, symbol: str) -> FlumeLike: ...


OpenFeed = Callable[[list[str]], AbstractAsyncContextManager[FeedLike]]


@dataclass(frozen=True, slots=True)
class Look:
    """
    What was seen in one glance; equal looks need no new picture.

    ``reason`` says why the feed is not live, empty where it is.  ``age_s`` is
    in whole seconds and ``left_s`` the whole seconds until the newest bar
    closes, or -1 when that is not known.
    """

    segment: str
    first: int
    stop: int
    changes: int
    amended: int
    quote: Quote
    state: FeedState
    reason: str
    age_s: int
    left_s: int
    backfilling: bool


class Watch:
    """
    A flume and the bar period that is on screen.

    ``bars`` are those of the last look, so that all of one frame is made of
    the same buffer even if the flume's has been replaced meanwhile.  Raises
    `NoSuchPeriod`.
    """

    def __init__(self, flume: FlumeLike, period_s: int) -> None:
        self.flume = flume
        self.instrument = flume.instrument
        self.period_s = period_s
        self.tick = float(self.instrument.tick_size)
        self.bars = self._current()

    def has(self, period_s: int) -> bool:
        """Whether bars of this period are to be had."""
        try:
            self.flume.bars[period_s]
        except (KeyError, NoSuchPeriod):
            return False
        return True

    def _current(self) -> BarsLike:
        try:
            return self.flume.bars[self.period_s]
        except KeyError:
            have = ', '.join(f'{p} s' for p in sorted(self.flume.bars))
            raise NoSuchPeriod(
                f'{self.instrument.id} has no {self.period_s} s bars; '
                f'there are {have}'
            ) from None

    def look(self) -> Look:
        bars = self.bars = self._current()
        age = self.flume.age_s
        left = bar_time(bars.next, self.period_s) - time.time()
        state = self.flume.state
        live = state is FeedState.LIVE
        return Look(
            segment=bars.segment_name,
            first=bars.first,
            stop=bars.next,
            changes=bars.changes,
            amended=bars.amended,
            quote=self.flume.quote(),
            state=state,
            reason='' if live else self.flume.reason,
            age_s=int(age) if age < 1e9 else 0,
            left_s=int(left) if 0 <= left <= self.period_s else -1,
            backfilling=self.flume.backfilling,
        )

    def reference(self) -> tuple[float, str]:
        """
        The price a day ago and what to call the change since.

        With less history than that, the oldest price there is.
        """
        for period in (60, 1):
            bars = self.flume.bars[period]
            if len(bars):
                break
        else:
            return 0.0, ''
        first, stop = bars.first, bars.next
        at = stop - _DAY_S // period
        if at >= first:
            return float(bars.view('close', at, at + 1)[0]), '24h'
        hours = (stop - first) * period / 3600
        since = f'{hours:.0f}h' if hours >= 1 else f'{hours * 60:.0f}m'
        return float(bars.view('open', first, first + 1)[0]), since
