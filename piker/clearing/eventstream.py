"""
Events of ``emsd`` as a client reads them.
"""
from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from weakref import WeakSet

import trio

from ..errors import DaemonError
from .wire import Event

__all__ = ['MOST_WAITING', 'EventStream']

# Events that may wait for a reader.
MOST_WAITING = 10_000


class EventStream(AsyncIterator[Event]):
    """
    An async iterator over events, each `DialogView`, `Fill`, …

    Raises `DaemonError` once more than 10,000 wait unread.  Entered as a
    context it is given up at its end, else when nothing refers to it.
    """

    def __init__(self, streams: WeakSet[EventStream]) -> None:
        self._streams = streams
        self._waiting: deque[Event] = deque()
        self._came = trio.Event()
        self._lost = False
        streams.add(self)

    def put(self, event: Event) -> None:
        """Queue an event."""
        if len(self._waiting) >= MOST_WAITING:
            self._lost = True
        else:
            self._waiting.append(event)
        self._came.set()

    def close(self) -> None:
        """Hear of nothing more."""
        self._streams.discard(self)

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._lost:
                self.close()
                raise DaemonError(
                    f'more than {MOST_WAITING} events waited to be read: '
                    'read them as they come, or look at the mirrors instead'
                )
            self._came = trio.Event()
            await self._came.wait()
        await trio.lowlevel.checkpoint()
        return self._waiting.popleft()
