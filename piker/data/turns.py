"""
Waiting for one's turn, which is no sign of a venue that is silent.

`Places` let a bounded number of requests be under way.  Whoever waits for a
place, or for the venue's limits, says so (`queueing`), and time-outs of what
needs the answer leave that time out (`Queued`).
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import trio

__all__ = ['Places', 'Queued', 'queueing', 'uncounted']

# Beyond this even waiting one's turn counts: nothing is to wait for ever.
_MOST_S = 120.0


class Places:
    """
    ``most`` places, of which background work has ``background`` at most.

    Each kind is served in the order of arrival, background work only while
    nothing else waits.  Whoever has taken a place gives it back.
    """

    def __init__(self, most: int, background: int) -> None:
        self._most = most
        self._most_background = background
        self._taken = {False: 0, True: 0}
        # Others before background work.
        self._waiting = {
            False: trio.lowlevel.ParkingLot(),
            True: trio.lowlevel.ParkingLot(),
        }

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return sum(map(len, self._waiting.values()))

    async def take(self, *, background: bool = False) -> None:
        """Wait for a place."""
        await trio.lowlevel.checkpoint()
        if self._waiting[background] or not self._fits(background):
            # Whoever wakes us has counted us.
            await self._waiting[background].park()
        else:
            self._taken[background] += 1

    def give_back(self, *, background: bool = False) -> None:
        """Leave a place to the next."""
        self._taken[background] -= 1
        for kind, lot in self._waiting.items():
            while lot and self._fits(kind):
                self._taken[kind] += 1
                lot.unpark()

    def _fits(self, background: bool) -> bool:
        if background and self._taken[True] >= self._most_background:
            return False
        return sum(self._taken.values()) < self._most


class Queued:
    """Whether anything done within `counting` waits its turn."""

    def __init__(self) -> None:
        self._many = 0
        self._deadlines: list[_Deadline] = []
        self._outer: Queued | None = None

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Heed what this task, and those that it starts, wait for."""
        self._outer = _CURRENT.get()
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)

    def _enter(self) -> None:
        if self._outer is not None:
            self._outer._enter()
        self._many += 1
        if self._many == 1:
            for deadline in self._deadlines:
                deadline.pause()

    def _leave(self) -> None:
        if self._outer is not None:
            self._outer._leave()
        self._many -= 1
        if not self._many:
            for deadline in self._deadlines:
                deadline.resume()

    @contextmanager
    def leave_after(self, seconds: float) -> Iterator[trio.CancelScope]:
        """
        As `trio.move_on_after`, with time in which anything waits left out.
        """
        with trio.move_on_after(seconds) as scope:
            deadline = _Deadline(scope)
            if self._many:
                deadline.pause()
            self._deadlines.append(deadline)
            try:
                yield scope
            finally:
                self._deadlines.remove(deadline)


class _Deadline:
    """That of a scope, which can be put off."""

    def __init__(self, scope: trio.CancelScope) -> None:
        self._scope = scope
        self._left_s = _MOST_S
        self._since = 0.0

    def pause(self) -> None:
        self._since = trio.current_time()
        self._scope.deadline += self._left_s

    def resume(self) -> None:
        used = min(trio.current_time() - self._since, self._left_s)
        self._scope.deadline -= self._left_s - used
        self._left_s -= used


_CURRENT: ContextVar[Queued | None] = ContextVar('queued', default=None)


@contextmanager
def queueing() -> Iterator[Callable[[], None]]:
    """
    In here, nothing is waited for but one's turn.

    Until what this gives is called, that is: it has become something else.
    """
    queued = _CURRENT.get()

    def end() -> None:
        nonlocal queued
        if queued is not None:
            queued._leave()
            queued = None

    if queued is not None:
        queued._enter()
    try:
        yield end
    finally:
        end()


@contextmanager
def uncounted() -> Iterator[None]:
    """In here, what is waited for is of no concern to `Queued` around it."""
    token = _CURRENT.set(None)
    try:
        yield
    finally:
        _CURRENT.reset(token)
