"""
Older bars, loaded as the view comes near the oldest.

The window says what it lacks on every frame (`ChartWindow.older_wanted`); one
task per period asks the feed for it.  Bars are addressed by absolute index,
so nothing on screen moves when others are put before them.
"""
from __future__ import annotations

import trio

from ..data.ticks import FeedState
from ..errors import PikerError, as_piker_error
from .feeds import FlumeLike
from .notes import Older, OlderNote
from .periods import load_share
from .window import ChartWindow

__all__ = ['Pager', 'bars_to_ask']

# Kept bars asked for at once: what comes shows page by page, and leaving
# the chart need not wait for more.
_MOST_BASE = 20_000
_PAUSE_S = 2.0
_MOST_PAUSE_S = 60.0


def bars_to_ask(wanted: int, period_s: int) -> int:
    """How many of the bars that a view lacks to ask for at once."""
    return max(1, min(wanted, _MOST_BASE // load_share(period_s)))


class Pager:
    """Serves one flume to one window until `run` is cancelled."""

    def __init__(self, window: ChartWindow, flume: FlumeLike) -> None:
        self._window = window
        self._flume = flume
        self._busy: set[int] = set()
        self._ended: dict[int, int] = {}  # by period, the oldest bar then
        self._failures = 0

    async def run(self) -> None:
        """Load what the window asks for."""
        token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:

            def start(period_s: int, wanted: int) -> None:
                if not self._idle(period_s):
                    return
                self._busy.add(period_s)
                nursery.start_soon(self._load, period_s, wanted)

            def ask(period_s: int, wanted: int) -> None:
                # Qt's callbacks run between trio's steps, not in a task.
                if self._idle(period_s):
                    token.run_sync_soon(start, period_s, wanted)

            self._window.older_wanted.connect(ask)
            try:
                await trio.sleep_forever()
            finally:
                self._window.older_wanted.disconnect(ask)

    def _idle(self, period_s: int) -> bool:
        if period_s in self._busy:
            return False
        ended = self._ended.get(period_s)
        # A daemon that was restarted may have less than was seen.
        return ended is None or self._flume.bars[period_s].first > ended

    async def _load(self, period_s: int, wanted: int) -> None:
        window = self._window
        window.show_older(period_s, OlderNote(Older.LOADING))
        ended = False
        try:
            while wanted and not ended:
                count = bars_to_ask(wanted, period_s)
                ended = await self._ask(period_s, count)
                wanted = window.lacking(period_s)
        except (PikerError, BaseExceptionGroup) as err:
            known = as_piker_error(err)
            if known is None:
                raise
            pause = min(_PAUSE_S * 2 ** self._failures, _MOST_PAUSE_S)
            self._failures += 1
            window.show_older(
                period_s, OlderNote(Older.FAILED, str(known), pause)
            )
            await trio.sleep(pause)
        else:
            self._failures = 0
            state = Older.ENDED if ended else Older.IDLE
            window.show_older(period_s, OlderNote(state))
        finally:
            self._busy.discard(period_s)

    async def _ask(self, period_s: int, count: int) -> bool:
        """Have bars loaded; returns whether there are no older ones."""
        before = self._flume.bars[period_s]
        first, empty = before.first, not len(before)
        came = await self._flume.load_more(period_s, count)
        after = self._flume.bars[period_s]
        if after is not before:
            # Another daemon's: nothing can be said of its history.
            return False
        # New bars at the other end count as having come, too.
        if came > 0 and (empty or after.first < first):
            return False
        if self._flume.state in {FeedState.STALE, FeedState.RECONNECTING}:
            raise PikerError('the venue does not answer')
        self._ended[period_s] = after.first
        return True
