"""
What ``stored`` does: recorders, loans of stored bars, compaction.
"""
from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import trio

from ...config import StorageSettings
from ...errors import PikerError
from ...messages import FlumeInfo
from ..shm import SHM_DIR
from .names import TableId, bars_kind
from .ranges import Gap, without
from .recorder import Recorder

if TYPE_CHECKING:
    from .store import Store

__all__ = ['KEEPER', 'Keeper', 'open_keeper']

log = logging.getLogger(__name__)

# The key of the keeper in `actor_state`.
KEEPER = 'keeper'

_WRITERS = 4
_READERS = 2
_COMPACT_CHECK_S = 20.0
_VACUUM_EVERY_S = 3600.0
# How long what is left may take to write when the daemon ends: less than it
# has, be it that the root stops it (3 s) or is gone (2.5 s, `child`).
_FINISH_S = 2.0


class Keeper:
    """The recorders of one daemon and its store; made by `open_keeper`."""

    def __init__(
        self,
        store: Store,
        settings: StorageSettings,
        prefix: str,
        nursery: trio.Nursery,
    ) -> None:
        self.store = store
        self.settings = settings
        self._prefix = prefix
        self._nursery = nursery
        self._recorders: dict[tuple[str, str], Recorder] = {}
        self._writers = trio.CapacityLimiter(_WRITERS)
        self._readers = trio.CapacityLimiter(_READERS)
        self._upkeep = trio.CapacityLimiter(1)
        self._loans = itertools.count()
        self._written: set[tuple[str, str]] = set()
        self._vacuumed: dict[tuple[str, str], float] = {}
        self.compacted = 0
        self.error = ''

    # recording

    @contextmanager
    def recording(self, flumes: list[FlumeInfo], life: str) -> Iterator[None]:
        """
        Record these while the body runs; the rest is written afterwards.

        Raises `SegmentGone` if the memory of one cannot be mapped.
        """
        held: list[Recorder] = []
        try:
            for info in flumes:
                recorder = self._recorder(info, life)
                recorder.holders += 1
                held.append(recorder)
            yield
        finally:
            for recorder in held:
                recorder.holders -= 1
                if not recorder.holders:
                    recorder.end.set()

    def _recorder(self, info: FlumeInfo, life: str) -> Recorder:
        key = info.ticks, life
        recorder = self._recorders.get(key)
        if recorder is None or recorder.end.is_set():
            recorder = Recorder(
                info, life, self.store, self.settings, self._writers,
                self._note_written,
            )
            self._recorders[key] = recorder
            self._nursery.start_soon(self._keep, key, recorder)
        return recorder

    async def _keep(self, key: tuple[str, str], recorder: Recorder) -> None:
        """Run a recorder; a fault of it ends it alone."""
        try:
            await recorder.run()
        except Exception:
            log.exception('%s: recording it broke', recorder.symbol)
        else:
            log.info('%s: recorded, %s', recorder.symbol, recorder.status())
        if self._recorders.get(key) is recorder:
            del self._recorders[key]

    def _note_written(self, symbol: str, kind: str) -> None:
        # Called in worker threads; adding to a set is atomic.
        self._written.add((symbol, kind))

    async def finish(self) -> None:
        """Write what all recorders have left, as far as time allows."""
        with trio.CancelScope(shield=True), trio.move_on_after(_FINISH_S):
            async with trio.open_nursery() as nursery:
                for recorder in list(self._recorders.values()):
                    nursery.start_soon(recorder.finish)
        left = sum(r.lag_rows for r in self._recorders.values())
        if left:
            log.warning('%d rows were left unwritten at the end', left)

    # lending

    @asynccontextmanager
    async def lent_bars(
        self, symbol: str, period_s: int, start_ns: int, end_ns: int
    ) -> AsyncGenerator[dict[str, Any], None]:
        """
        Stored bars in a segment of shared memory, for as long as it is open.

        At most `LOAN_BARS`; ``next_ns`` is where to go on, 0 at the end.
        Cancelled, it ends after the piece it is at.
        """
        from .lending import lend

        name = f'{self._prefix}loan{next(self._loans)}'
        loan = await trio.to_thread.run_sync(
            partial(
                lend, self.store, name, symbol, period_s, start_ns, end_ns,
                trio.from_thread.check_cancelled,
            ),
            limiter=self._readers,
        )
        try:
            yield asdict(loan)
        finally:
            if loan.segment:
                (SHM_DIR / loan.segment).unlink(missing_ok=True)

    async def gaps(
        self, symbol: str, period_s: int, start_ns: int, end_ns: int
    ) -> list[tuple[int, int]]:
        """What of ``[start_ns, end_ns)`` is not stored."""
        found = await trio.to_thread.run_sync(
            partial(self.store.gaps, symbol, period_s, start_ns, end_ns),
            limiter=self._readers,
        )
        return [(gap.start_ns, gap.end_ns) for gap in found]

    async def missing(
        self, symbol: str, period_s: int, end_ns: int
    ) -> list[tuple[int, int]]:
        """
        Gaps from the oldest stored bar up to ``end_ns``, oldest first.

        Without what the venue has been asked for in vain.
        """

        def find() -> list[Gap]:
            from .absent import absent_ranges

            table_id = TableId.of(symbol, bars_kind(period_s))
            bounds = self.store.bounds(symbol, table_id.kind)
            if bounds is None:
                return []
            gaps = self.store.gaps(symbol, period_s, bounds[0], end_ns)
            return without(gaps, absent_ranges(
                self.store.root, self.store.options, table_id
            ))

        found = await trio.to_thread.run_sync(find, limiter=self._readers)
        return [(gap.start_ns, gap.end_ns) for gap in found]

    async def add_bars(
        self, symbol: str, period_s: int, rows: npt.NDArray[Any]
    ) -> None:
        """Store bars (`BAR_DTYPE`) that came from elsewhere than memory."""
        await trio.to_thread.run_sync(
            self.store.append_bars, symbol, period_s, rows,
            limiter=self._writers,
        )
        self._note_written(symbol, bars_kind(period_s))

    async def note_absent(
        self, symbol: str, period_s: int, ranges: list[tuple[int, int]]
    ) -> None:
        """The venue has no bars there."""

        def note() -> None:
            from .absent import note_absent

            note_absent(
                self.store.root, self.store.options,
                TableId.of(symbol, bars_kind(period_s)), ranges,
            )

        await trio.to_thread.run_sync(note, limiter=self._writers)

    async def bounds(self, symbol: str, kind: str) -> tuple[int, int] | None:
        """Oldest and newest stored time."""
        return await trio.to_thread.run_sync(
            partial(self.store.bounds, symbol, kind), limiter=self._readers
        )

    # upkeep

    async def compact_forever(self) -> None:
        """Compact what has been written to, one table after the other."""
        while True:
            await trio.sleep(_COMPACT_CHECK_S)
            for symbol, kind in list(self._written):
                self._written.discard((symbol, kind))
                await self._compact(symbol, kind)

    async def _compact(self, symbol: str, kind: str) -> None:
        key = symbol, kind
        now = time.monotonic()
        due = now - self._vacuumed.setdefault(key, now) > _VACUUM_EVERY_S
        try:
            done = await trio.to_thread.run_sync(
                partial(
                    self.store.compact, symbol, kind,
                    least_files=self.settings.compact_files, vacuum=due,
                ),
                limiter=self._upkeep,
            )
        except PikerError as err:
            # The next write brings it up again.
            log.warning('compacting %s %s: %s', symbol, kind, err)
            self.error = str(err)
            return
        self.compacted += done.ranges
        if due:
            self._vacuumed[key] = now

    def status(self) -> dict[str, Any]:
        """What is recorded and how far it is, for people and programs."""
        return {
            'root': self.store.root,
            'compacted': self.compacted,
            'error': self.error,
            'recording': {
                recorder.symbol: recorder.status()
                for recorder in self._recorders.values()
            },
        }


@asynccontextmanager
async def open_keeper(
    settings: StorageSettings, prefix: str
) -> AsyncGenerator[Keeper, None]:
    """
    The keeper with its tasks; leaving it writes what is left.

    ``prefix`` begins the names of its shared memory.
    """
    # Recording comes second to making what is recorded.
    os.nice(5)

    def make() -> Store:
        from .store import Store

        return Store(settings.root, settings.options)

    store = await trio.to_thread.run_sync(make)
    async with trio.open_nursery() as nursery:
        keeper = Keeper(store, settings, prefix, nursery)
        nursery.start_soon(keeper.compact_forever)
        try:
            yield keeper
        finally:
            nursery.cancel_scope.cancel()
            await keeper.finish()
