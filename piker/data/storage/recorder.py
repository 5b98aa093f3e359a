"""
`Recorder`: one instrument's shared memory into its tables, as it is made.

The event loop only copies out of the ring and looks at indices; tables are
read and written by worker threads, a bounded number at a time.  What cannot
be written stays where it is, in the buffer or in memory, and is tried again
with growing pauses.
"""
from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import trio

from ...config import StorageSettings
from ...errors import DataError, PikerError, SegmentGone
from ...messages import FlumeInfo
from .follow import (
    BarFollower,
    TickBatch,
    TickFollower,
    unstored,
    usable,
)

if TYPE_CHECKING:
    from .store import Store

__all__ = ['Recorder']

log = logging.getLogger(__name__)

T = TypeVar('T')

_LOOK_S = 0.5
# A small part of the smallest ring anybody uses.
_AT_ONCE = 4000
_BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class Recorder:
    """
    Records one instrument; run `run` in a task.

    Raises `SegmentGone` if the memory cannot be mapped.  ``life`` tells one
    run of the writer from another: rings of both may have the same name.
    """

    def __init__(
        self,
        info: FlumeInfo,
        life: str,
        store: Store,
        settings: StorageSettings,
        limiter: trio.CapacityLimiter,
        stored: Callable[[str, str], None],
    ) -> None:
        self.symbol = info.instrument.id
        self.life = life
        self.holders = 0
        self._store = store
        self._settings = settings
        self._limiter = limiter
        self._stored = stored
        self.bars = {
            period: BarFollower(name, settings.settle_s)
            for period, name in info.bars.items()
        }
        self.ticks: TickFollower | None = None
        if settings.ticks != 'none':
            self.ticks = TickFollower(
                info.ticks, quotes=settings.ticks == 'all'
            )
        self._resumed = self.ticks is None
        self.end = trio.Event()
        self.done = trio.Event()
        self.flushes = 0
        self.errors = 0
        self.refused = 0
        self.error = ''
        self._failures = 0
        self._flushed_at = time.monotonic()
        self._hurry = False

    @property
    def _ring(self) -> str:
        assert self.ticks is not None
        return f'{self.ticks.ring}@{self.life}'

    # the task

    async def run(self) -> None:
        """
        Record until `end` is set and all that can be stored is.

        Cancelled, it returns at once; call `finish` for what is left.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._look)
                await self._flush_forever()
                nursery.cancel_scope.cancel()
        finally:
            self.done.set()

    async def _look(self) -> None:
        pause = _LOOK_S
        while True:
            count = self.look()
            # At this rate, so many ticks come by until we look again.
            pause = min(_LOOK_S, pause * _AT_ONCE / max(1, count))
            pause = max(0.01, pause)
            await trio.sleep(pause)

    def look(self) -> int:
        """Note what the writer has done; returns the ticks copied."""
        now = trio.current_time()
        for follower in self.bars.values():
            try:
                follower.observe(now)
            except DataError as err:
                self._note(err)
        return self.ticks.drain() if self.ticks is not None else 0

    async def _flush_forever(self) -> None:
        every = self._settings.flush_s
        # Spread over the interval, so that symbols take turns.
        share = zlib.crc32(self.symbol.encode()) / 2 ** 32
        await self._pause(min(every, 1.0) * share)
        while not await self._resume():
            await trio.sleep(self._backoff())
        await self._pause(every * (0.1 + 0.9 * share))
        while True:
            ended = self.end.is_set()
            self.look()
            fine = await self.flush()
            if ended and fine:
                return
            if fine:
                await self._pause(every)
            else:
                await trio.sleep(self._backoff())

    async def _resume(self) -> bool:
        """Find out where a former run has stopped; whether that is known."""
        if self.ticks is not None and not self._resumed:
            position = await self._try(partial(
                self._store.ring_position, self.symbol, self._ring
            ), nothing=-1)
            if position is None:
                return False
            self.ticks.resume(max(0, position))
        self._resumed = True
        return True

    def _backoff(self) -> float:
        at = min(self._failures, len(_BACKOFF_S)) - 1
        return _BACKOFF_S[max(0, at)]

    async def _pause(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self.end.wait()

    async def finish(self) -> None:
        """Write what is left; for the end of the daemon.  One try each."""
        if self.done.is_set() and not self.lag_rows:
            return
        self._hurry = True
        if await self._resume():
            self.look()
            await self.flush()

    async def flush(self) -> bool:
        """Write everything that is ready; whether all of it was written."""
        fine = await self._flush_ticks()
        for follower in self.bars.values():
            fine = await self._flush_bars(follower) and fine
        if fine:
            self._flushed_at = time.monotonic()
            self.flushes += 1
        return fine

    async def _flush_ticks(self) -> bool:
        if self.ticks is None:
            return True
        while (batch := self.ticks.take()) is not None:
            written = await self._try(partial(self._write_ticks, batch))
            if written is None:
                return False
            self.ticks.done(batch, written)
        return True

    async def _flush_bars(self, follower: BarFollower) -> bool:
        while True:
            written = await self._try(partial(self._write_bars, follower))
            if written is None:
                follower.fresh()
                return False
            if written < 0:
                return True

    async def _try(
        self, step: Callable[[], T | None], nothing: T | None = None
    ) -> T | None:
        """
        Run a step of table work in a thread.

        ``None`` if it failed; ``nothing`` stands for a ``None`` of its own.
        """
        try:
            found = await trio.to_thread.run_sync(
                step, limiter=self._limiter,
                abandon_on_cancel=self._hurry,  # type: ignore[call-arg]
            )
        except PikerError as err:
            self._note(err)
            self._failures += 1
            return None
        if self._failures:
            log.warning('%s: the store works again', self.symbol)
        self._failures, self.error = 0, ''
        return nothing if found is None else found

    def _note(self, err: PikerError) -> None:
        self.errors += 1
        if str(err) != self.error:
            log.warning('%s: %s', self.symbol, err)
        self.error = str(err)

    # in worker threads

    def _write_ticks(self, batch: TickBatch) -> int:
        position = self._store.ring_position(self.symbol, self._ring)
        rows = batch.rows
        if position is not None:
            # An earlier try may have been committed without our hearing.
            rows = rows[batch.seq >= position]
        elif len(rows):
            rows = self._new_ticks(rows)
        rows = self._usable(rows)
        if not len(rows):
            return 0
        written = self._store.append_ticks(
            self.symbol, rows, ring=self._ring, position=batch.position
        )
        self._stored(self.symbol, 'ticks')
        return written

    def _new_ticks(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A new ring begins with trades that the last one may have had."""
        stored = self._store.read_ticks(
            self.symbol,
            int(rows['time'].min()), int(rows['time'].max()) + 1,
        )
        return unstored(rows, stored)

    def _write_bars(self, follower: BarFollower) -> int:
        """Write one batch; -1 once there is none left."""
        try:
            batch = follower.take()
        except SegmentGone as err:
            # It moved to a larger buffer and went away between two looks.
            self._note(err)
            return -1
        if batch is None:
            rows = follower.amended()
            self._append(follower, rows)
            follower.amended_done(rows)
            return -1
        rows = batch.rows
        if batch.compare and len(rows):
            stored = self._store.read_bars(
                self.symbol, follower.period_s,
                batch.start * follower.bars.period_ns,
                batch.stop * follower.bars.period_ns,
            )
            rows = changed(rows, stored)
        self._append(follower, rows)
        follower.done(batch, len(rows))
        return len(rows)

    def _append(
        self, follower: BarFollower, rows: npt.NDArray[Any]
    ) -> None:
        rows = self._usable(rows)
        if len(rows):
            self._store.append_bars(self.symbol, follower.period_s, rows)
            self._stored(self.symbol, f'bars_{follower.period_s}s')

    def _usable(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        good = usable(rows)
        if len(good) < len(rows):
            self.refused += len(rows) - len(good)
            log.warning(
                '%s: %d rows that cannot be true are not stored',
                self.symbol, len(rows) - len(good),
            )
        return good

    # what is said of it

    @property
    def lag_rows(self) -> int:
        """Rows that are ready and not stored."""
        ticks = self.ticks.waiting if self.ticks else 0
        return ticks + sum(f.waiting for f in self.bars.values())

    def status(self) -> dict[str, Any]:
        """Counters, for the ``status`` endpoint."""
        return {
            'bars': {str(p): f.stored for p, f in self.bars.items()},
            'ticks': self.ticks.stored if self.ticks else 0,
            'lost': self.ticks.lost if self.ticks else 0,
            'torn': sum(f.torn for f in self.bars.values()),
            'waiting': self.lag_rows,
            'flushes': self.flushes,
            'since_flush_s': time.monotonic() - self._flushed_at,
            'refused': self.refused,
            'errors': self.errors,
            'error': self.error,
            'ending': self.end.is_set(),
        }


def changed(
    rows: npt.NDArray[Any], stored: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Those of ``rows`` (rising times) that ``stored`` lacks or differs in."""
    if not len(stored):
        return rows
    at = np.minimum(
        np.searchsorted(stored['time'], rows['time']), len(stored) - 1
    )
    different: npt.NDArray[Any] = rows[stored[at] != rows]
    return different
