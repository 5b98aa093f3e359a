"""
What a client's handles on a daemon's memory share: holding, sleeping.

A handle is bound to the memory of one life of its daemon; when that ends it
is lost, and bound anew to the next one's.
"""
from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Generic, Protocol, TypeVar

import trio

from ..clock import NS_PER_S
from ..errors import (
    ActorDied,
    BadInput,
    DataError,
    PikerError,
    SegmentGone,
    VenueError,
    VenueRefused,
    as_piker_error,
)
from ..service import shorten_slice
from .wake import Sleeper, connect_sleeper

__all__ = ['Handle', 'SleepingStream', 'hold', 'single_errors']

log = logging.getLogger(__name__)

T = TypeVar('T')

# A writer that has not shown itself for this long is taken for dead.
_BEAT_LATE_NS = 3 * NS_PER_S
_RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)
# How long a lost daemon is tried for before its handles give up.
_GIVE_UP_S = 60.0
# Before asking a daemon again that answers, and cannot or will not serve.
_UNABLE_S, _REFUSED_S = 5.0, 60.0


async def hold(
    daemon: Callable[[], str],
    subscribed: Callable[[], AbstractAsyncContextManager[tuple[Any, T]]],
    bind: Callable[[T], Any],
    lose: Callable[[str], None],
    *,
    started: bool = False,
    refused: Callable[[PikerError], bool] = lambda err: False,
    task_status: Any = trio.TASK_STATUS_IGNORED,
) -> None:
    """
    Keep handles bound for ever, across restarts of their daemon.

    ``subscribed`` opens a context at the daemon and gives it along with what
    the daemon said, which ``bind`` takes; what that returned first is what
    the task starts with.  ``lose`` is called whenever the context has ended,
    with the reason.

    Before the first start, unless it was ``started`` by somebody else, only
    deaths are retried and other errors are raised.  Later, what the venue or
    the daemon will not do is put before ``refused``, which may have others
    hold from there on, and say so; else it is tried again for ever.
    `ActorDied` is raised if the daemon does not come back.
    """
    problem = ''
    lost_at = trio.current_time()
    failures = 0
    while True:
        try:
            async with subscribed() as (ctx, told):
                bound = bind(told)
                failures = 0
                if not started:
                    started = True
                    task_status.started(bound)
                await ctx.result()
                problem = f'{daemon()} ended a subscription'
        except PikerError as err:
            problem = str(err)
            if not started and not isinstance(err, ActorDied | SegmentGone):
                raise
            if isinstance(err, VenueError | BadInput):
                # It is there, and may be able to later.
                if refused(err):
                    return
                log.warning('%s', err)
                lose(problem)
                failures = 0
                likely = not isinstance(err, VenueRefused | BadInput)
                await trio.sleep(_UNABLE_S if likely else _REFUSED_S)
                continue
        log.warning('%s', problem)
        if failures == 0:
            lost_at = trio.current_time()
        elif trio.current_time() - lost_at > _GIVE_UP_S:
            raise ActorDied(
                f'{daemon()} did not come back within {_GIVE_UP_S:.0f} s: '
                f'{problem}'
            )
        lose(problem)
        await trio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
        failures += 1


@contextmanager
def single_errors() -> Iterator[None]:
    """Of a group of errors raise the one that is ours, if there is one."""
    try:
        yield
    except BaseExceptionGroup as group:
        known = as_piker_error(group)
        if known is None:
            raise
        raise known from group


class _Reader(Protocol):
    """What a reader of any ring tells of its writer."""

    @property
    def reason(self) -> str: ...
    @property
    def beat_ns(self) -> int: ...
    @property
    def heard_ns(self) -> int: ...
    @property
    def counters(self) -> dict[str, int]: ...


R = TypeVar('R', bound=_Reader)


class Handle(Generic[T, R]):
    """
    Something bound to memory that a daemon names by a ``T``.

    ``_bind`` maps it, or raises `SegmentGone`, and calls `_bound`.
    """

    _reader: R
    _info: T
    _lost: bool
    _why: str
    _rebound: trio.Event

    def _bind(self, info: T) -> None:
        raise NotImplementedError

    def _bound(self, info: T, reader: R) -> None:
        self._info = info
        self._reader = reader
        self._lost = False
        self._why = ''
        self._rebound = trio.Event()

    def _rebind(self, info: T) -> None:
        """`_bind` anew, and tell those who wait for it."""
        rebound = self._rebound
        self._bind(info)
        rebound.set()

    def _lose(self, reason: str) -> None:
        self._lost = True
        self._why = reason

    @property
    def _late(self) -> bool:
        """Whether the writer has not shown itself when it should have."""
        return time.time_ns() - self._reader.beat_ns > _BEAT_LATE_NS

    @property
    def reason(self) -> str:
        """Why this is not live, in words; empty if it is or nobody knows."""
        if self._lost:
            return self._why
        try:
            return self._reader.reason
        except DataError:
            # Half written by a writer that died; that it did is told next.
            return ''

    @property
    def age_s(self) -> float:
        """Seconds since anything was heard on the connection."""
        return max(0.0, (time.time_ns() - self._reader.heard_ns) / NS_PER_S)

    @property
    def counters(self) -> dict[str, int]:
        """What the writer counted; see ``COUNTERS`` of `ticks`, `book`."""
        return self._reader.counters


H = TypeVar('H', bound='Handle[Any, Any]')


class SleepingStream(Generic[H]):
    """
    A stream that sleeps on a ring while there is nothing to read.

    It reads the memory that its handle was bound to when it was begun, and
    goes over to the next one when that has ended.
    """

    _sleeper: Sleeper | None = None

    def __init__(self, flume: H) -> None:
        self._flume = flume
        self._begin()

    def _begin(self) -> None:
        """Read what the handle is bound to now, from its beginning."""
        self._rebound = self._flume._rebound
        self._info = self._flume._info

    async def _next_life(self) -> None:
        """Once the handle is bound anew, `_begin` there."""
        self.close()
        await self._rebound.wait()
        self._begin()

    def close(self) -> None:
        """Give up the place among the sleepers."""
        if self._sleeper:
            self._sleeper.close()
            self._sleeper = None

    def __del__(self) -> None:
        self.close()

    async def _sleep_on(
        self, waker: str, ring: str, pending: Callable[[], bool]
    ) -> bool:
        """
        Until something is written; raises `ActorDied`, `SegmentGone`.

        Returns whether it had to wait for that, which is a checkpoint.
        """
        if self._sleeper is None:
            # Whoever sleeps wants to know soon.
            shorten_slice()
            self._sleeper = await connect_sleeper(waker, ring)
        self._sleeper.arm()
        if pending():
            return False
        await self._sleeper.stir()
        # Whoever waits for what was written need not wait for this as well.
        if not pending():
            self._sleeper.check()
        return True
