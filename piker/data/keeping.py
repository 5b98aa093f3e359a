"""
What a daemon keeps for its clients: feeds and books, each by one task.

All are found by name, made at the first request, waited for until they are
ready, ended by a failure that is told to whoever waits, and dropped after
nobody has used them for a while.  `bus` and `books` say what is kept.
"""
from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import trio

from ..clock import NS_PER_S, Clock
from ..errors import DataError, PikerError, VenueDown, as_piker_error
from ..instruments import Instrument
from .turns import Queued

__all__ = ['Keeper', 'Kept']

log = logging.getLogger(__name__)

_LINGER_CHECK_S = 1.0
# How long the first data of anything may take, once its requests have had
# their turn.
_START_TIMEOUT_S = 20.0


class Kept(Protocol):
    """
    Something one task writes and any number of clients read.

    ``ready`` is set once it can be read, ``closed`` when it has ended, with
    ``error`` if it failed; ``problem`` is what keeps it from being ready, as
    far as is known.
    """

    instrument: Instrument
    ready: trio.Event
    closed: trio.Event
    error: PikerError | None
    subscribers: dict[int, str]
    unused_since_ns: int

    @property
    def problem(self) -> str: ...

    async def run(self) -> None:
        """Live until cancelled; its memory has no name afterwards."""


K = TypeVar('K', bound=Kept)


@dataclass
class _Entry(Generic[K]):
    one: K
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    queued: Queued = field(default_factory=Queued)
    # How many wait until it is ready.
    waiting: int = 0


class Keeper(Generic[K]):
    """
    Those of one kind that run, and who uses them.

    ``what`` names one in messages; ``make`` makes one, and ``run`` lives its
    life, by default `Kept.run` alone.  Run `drop_unused` in a task.
    """

    def __init__(
        self,
        what: str,
        make: Callable[[Instrument], K],
        clock: Clock,
        linger_s: float,
        nursery: trio.Nursery,
        run: Callable[[K], Awaitable[None]] | None = None,
    ) -> None:
        self._what = what
        self._make = make
        self._run = run
        self._clock = clock
        self._linger_ns = int(linger_s * NS_PER_S)
        self._nursery = nursery
        self._kept: dict[str, _Entry[K]] = {}
        self._keys = 0

    def __iter__(self) -> Iterator[K]:
        return iter([entry.one for entry in self._kept.values()])

    def find(self, instrument: Instrument) -> K:
        """The one of an instrument, which may still be starting."""
        name = instrument.id
        if name not in self._kept:
            # No checkpoint between look-up and entry: that is the lock.
            entry = self._kept[name] = _Entry(self._make(instrument))
            self._nursery.start_soon(self._keep, entry)
        one = self._kept[name].one
        one.unused_since_ns = self._clock.now_ns()
        return one

    async def wait(self, one: K) -> None:
        """Wait until it is ready; raises why it ended, or `VenueDown`."""
        name = one.instrument.id
        entry = self._kept.get(name)
        if entry is None or entry.one is not one:
            # It has ended; it may be followed by another already.
            entry = _Entry(one)
        entry.waiting += 1
        try:
            await self._first(entry)
        finally:
            entry.waiting -= 1
        if one.closed.is_set():
            # The same words for each who waits, in an exception of its own.
            err = one.error
            raise type(err)(str(err)) if err else VenueDown(
                f'{name}: the {self._what} ended'
            )
        if not one.ready.is_set():
            raise VenueDown(
                f'{name}: no data within {_START_TIMEOUT_S:.0f} s: '
                f'{one.problem or "the stream cannot be reached"}'
            )
        # Whoever waited for long gets its time to register all the same.
        one.unused_since_ns = self._clock.now_ns()

    async def _first(self, entry: _Entry[K]) -> None:
        """Until it is ready or has ended, or was given its time."""
        with entry.queued.leave_after(_START_TIMEOUT_S):
            async with trio.open_nursery() as nursery:

                async def first(event: trio.Event) -> None:
                    await event.wait()
                    nursery.cancel_scope.cancel()

                nursery.start_soon(first, entry.one.ready)
                nursery.start_soon(first, entry.one.closed)

    @contextmanager
    def held(self, some: list[K], client: str) -> Iterator[None]:
        """Hold these for a client."""
        self._keys += 1
        key = self._keys
        for one in some:
            one.subscribers[key] = client
        try:
            yield
        finally:
            for one in some:
                one.subscribers.pop(key, None)
                one.unused_since_ns = self._clock.now_ns()

    def drop(self, name: str) -> bool:
        """End one and destroy its memory; whether it ran."""
        found = self._kept.get(name)
        if found is None:
            return False
        found.scope.cancel()
        return True

    async def _keep(self, entry: _Entry[K]) -> None:
        """Live its life; a failure ends it alone and is told to who asks."""
        one = entry.one
        try:
            with entry.scope, entry.queued.counting():
                await (self._run(one) if self._run else one.run())
        except Exception as err:
            one.error = self._failure(one.instrument.id, err)
        finally:
            # Only now may it be made anew: one writer at a time.
            del self._kept[one.instrument.id]
            one.closed.set()

    def _failure(self, name: str, err: Exception) -> PikerError:
        """What to tell of an exception that ended one; logged here."""
        known = as_piker_error(err)
        if known is None:
            log.error('%s: the %s broke', name, self._what, exc_info=err)
            return DataError(f'{name}: the {self._what} broke: {err!r}')
        log.warning('%s: the %s failed: %s', name, self._what, known)
        return known

    async def drop_unused(self) -> None:
        """End, for ever, what nobody has used for its time."""
        while True:
            await trio.sleep(_LINGER_CHECK_S)
            now = self._clock.now_ns()
            for entry in list(self._kept.values()):
                one = entry.one
                unused = now - one.unused_since_ns
                if not one.ready.is_set():
                    # it may be asked for again
                    unused -= int(_START_TIMEOUT_S * NS_PER_S)
                used = one.subscribers or entry.waiting
                if not used and unused > self._linger_ns:
                    log.info('%s: unused, dropping it', one.instrument.id)
                    entry.scope.cancel()
