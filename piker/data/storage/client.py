"""
`StoreClient`: how ``brokerd`` and other actors use ``stored``.

Nothing here imports polars or deltalake, and nothing here ends a feed: the
daemon may die, restart, or be stopped at any moment.
"""
from __future__ import annotations

import logging
import mmap
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import trio

from ...errors import (
    ActorDied,
    PikerError,
    SegmentGone,
    StorageError,
    TreeEnding,
)
from ...messages import FlumeInfo, pack
from ...service import TreeClient, raise_error
from ..bars import BAR_DTYPE, BAR_FIELDS
from ..shm import Segment
from .line import Line
from .ranges import Gap

__all__ = ['StoreClient', 'open_store_client']

log = logging.getLogger(__name__)

_DAEMON = 'stored'
_ENDPOINTS = 'piker.data.storage.endpoints'
_RETRY_S = (0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
# Tries of one question before its asker is told that there is no answer.
_TRIES = 4

# Rows are put together from columns in blocks that fit the cache.
_BLOCK = 1 << 14

T = TypeVar('T')
Columns = dict[str, npt.NDArray[Any]]


class StoreClient:
    """
    A handle on the store of a tree; made by `open_store_client`.

    Questions raise `StorageError` if the store has no answer within
    ``timeout_s``; whoever asks then does without.
    """

    def __init__(
        self, tree: TreeClient, line: Line, timeout_s: float
    ) -> None:
        self._tree = tree
        self._line = line
        self._timeout_s = timeout_s

    async def load_bars(
        self, instrument_id: str, period_s: int, start_ns: int, end_ns: int
    ) -> npt.NDArray[Any]:
        """
        Stored bars that open in ``[start_ns, end_ns)``, `BAR_DTYPE` rows.

        Sorted, one a time, with gaps where nothing is stored.  For millions
        of bars `load_bar_columns` takes half the time, or less.
        """
        return rows_of(await self.load_bar_columns(
            instrument_id, period_s, start_ns, end_ns
        ))

    async def load_bar_columns(
        self, instrument_id: str, period_s: int, start_ns: int, end_ns: int
    ) -> dict[str, npt.NDArray[Any]]:
        """
        The same bars as one read-only array for each field of `BAR_DTYPE`.

        They are the shared memory itself, which is given back once no array
        refers to it any more; only what takes several segments is copied.
        Cancelled, it leaves nothing behind.
        """
        parts: list[Columns] = []
        at = start_ns
        while True:
            columns, at = await self._ask(
                lambda at=at: self._borrow(  # type: ignore[misc]
                    instrument_id, period_s, at, end_ns
                )
            )
            parts.append(columns)
            if not at:
                break
        if len(parts) == 1:
            return parts[0]
        joined: Columns = {}
        for field in BAR_FIELDS:
            joined[field] = np.concatenate([part[field] for part in parts])
            joined[field].flags.writeable = False
        return joined

    async def _borrow(
        self, symbol: str, period_s: int, start_ns: int, end_ns: int
    ) -> tuple[Columns, int]:
        """One loan, which ends once its memory is mapped here."""
        async with self._line.asked(
            'load_bars', symbol=symbol, period_s=period_s,
            start_ns=start_ns, end_ns=end_ns,
        ) as found:
            raise_error(found)
            if not found['segment']:
                return {f: np.empty(0, BAR_DTYPE[f]) for f in BAR_FIELDS}, 0
            segment = Segment.attach(found['segment'])
            segment.unlink()
            columns = segment.columns
        rows = found['rows']
        return (
            {field: columns[field][:rows] for field in BAR_FIELDS},
            int(found['next_ns']),
        )

    async def gaps(
        self, instrument_id: str, period_s: int, start_ns: int, end_ns: int
    ) -> list[tuple[int, int]]:
        """What of ``[start_ns, end_ns)`` is not stored, oldest first."""
        answer = await self._ask(lambda: self._run(
            'find_gaps', symbol=instrument_id, period_s=period_s,
            start_ns=start_ns, end_ns=end_ns,
        ))
        return [(int(a), int(b)) for a, b in answer['gaps']]

    async def missing(
        self, instrument_id: str, period_s: int, end_ns: int
    ) -> list[Gap]:
        """
        Gaps from the oldest stored bar up to ``end_ns``, oldest first.

        Without what the venue has been asked for in vain (`note_absent`).
        """
        answer = await self._ask(lambda: self._run(
            'missing_bars', symbol=instrument_id, period_s=period_s,
            end_ns=end_ns,
        ))
        return [Gap(int(a), int(b)) for a, b in answer['gaps']]

    async def add_bars(
        self, instrument_id: str, period_s: int, rows: npt.NDArray[Any]
    ) -> None:
        """Store bars (`BAR_DTYPE`) that are in no buffer; durable then."""
        await self._ask(lambda: self._run(
            'add_bars', symbol=instrument_id, period_s=period_s,
            bars=rows.tobytes(),
        ))

    async def note_absent(
        self, instrument_id: str, period_s: int, ranges: Sequence[Gap]
    ) -> None:
        """Have it remembered that the venue has no bars there."""
        await self._ask(lambda: self._run(
            'note_absent', symbol=instrument_id, period_s=period_s,
            ranges=[list(gap) for gap in ranges],
        ))

    async def bounds(
        self, instrument_id: str, kind: str
    ) -> tuple[int, int] | None:
        """Oldest and newest stored time of a table, ``None`` without any."""
        answer = await self._ask(lambda: self._run(
            'stored_bounds', symbol=instrument_id, kind=kind
        ))
        found = answer['bounds']
        return (int(found[0]), int(found[1])) if found else None

    async def status(self) -> dict[str, Any]:
        """What the daemon says of itself and of each recorder."""
        return await self._ask(lambda: self._run('status'))

    @asynccontextmanager
    async def record(
        self, flumes: Callable[[], Sequence[FlumeInfo]]
    ) -> AsyncGenerator[None, None]:
        """
        Have this process's shared memory stored while the body runs.

        ``flumes`` is called whenever the store comes (back) up, since
        buffers that have grown since have new names.  Enters at once and
        never raises by itself: the registration is made, and made again, in
        the background.  What has not been written when the body ends is
        written then, by the daemon.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_recording, flumes)
            try:
                yield
            finally:
                nursery.cancel_scope.cancel()

    async def _keep_recording(
        self, flumes: Callable[[], Sequence[FlumeInfo]]
    ) -> None:
        failures = 0
        told = ''
        while True:
            try:
                async with self._tree.context(
                    await self._tree.find(_DAEMON), _ENDPOINTS, 'record',
                    flumes=[pack(flume) for flume in flumes()],
                ) as (ctx, _):
                    failures, told = 0, ''
                    await ctx.result()
            except (SegmentGone, TreeEnding) as err:
                # It grew or was dropped in the same moment, or all ends.
                log.debug('not recorded: %s', err)
            except PikerError as err:
                if str(err) != told:
                    log.warning('not recording for now: %s', err)
                told = str(err)
            await trio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
            failures += 1

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Ask, once more if the daemon dies over it."""
        error: PikerError | None = None
        with trio.move_on_after(self._timeout_s):
            for attempt in range(_TRIES):
                try:
                    return await question()
                except (ActorDied, SegmentGone) as err:
                    error = err
                await trio.sleep(_RETRY_S[attempt])
        raise StorageError(
            f'the store gave no answer: '
            f'{error or f"none within {self._timeout_s:.0f} s"}'
        ) from error

    async def _run(self, what: str, **given: Any) -> dict[str, Any]:
        async with self._line.asked(what, **given) as answer:
            raise_error(answer)
            return answer


@asynccontextmanager
async def open_store_client(
    tree: TreeClient, *, timeout_s: float = 20.0
) -> AsyncGenerator[StoreClient, None]:
    """
    The store of a tree, for a process that is attached to it.

    Nothing is connected or started before the first question.
    """
    async with trio.open_nursery() as nursery:
        line = Line(tree, _DAEMON, _ENDPOINTS, nursery)
        yield StoreClient(tree, line, timeout_s)
        nursery.cancel_scope.cancel()


def rows_of(columns: Columns) -> npt.NDArray[Any]:
    """Columns put together as `BAR_DTYPE` rows."""
    many = len(columns['time'])
    if many <= _BLOCK:
        rows = np.empty(many, BAR_DTYPE)
    else:
        # Of small pages: huge ones, which numpy asks for, may stall.
        memory = mmap.mmap(-1, many * BAR_DTYPE.itemsize)
        rows = np.frombuffer(memory, BAR_DTYPE)
    for at in range(0, len(rows), _BLOCK):
        part = rows[at:at + _BLOCK]
        for field in BAR_FIELDS:
            part[field] = columns[field][at:at + len(part)]
    return rows
