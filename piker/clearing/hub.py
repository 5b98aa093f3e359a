"""
The clients of ``emsd``: who they are and what each has yet to be sent.
"""
from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import trio

from ..errors import DaemonError
from ..orders import Notice
from .wire import Event, pack_event

__all__ = ['Hub', 'Member']

log = logging.getLogger(__name__)

# Messages that may wait for one client.
_MOST_WAITING = 20_000
_NOTICES = 200


class Member:
    """One client's queue; what does not fit ends the client."""

    def __init__(self, name: str, most: int = _MOST_WAITING) -> None:
        self.name = name
        self._most = most
        self._send, self._receive = trio.open_memory_channel[Any](math.inf)
        self._waiting = 0
        self._dropped = trio.Event()

    def put(self, messages: Sequence[Any]) -> None:
        """Queue messages; does not wait."""
        if self._dropped.is_set():
            return
        self._waiting += len(messages)
        if self._waiting > self._most:
            log.warning('client %s does not read: dropped', self.name)
            self._dropped.set()
            return
        for message in messages:
            self._send.send_nowait(message)

    async def batch(self) -> list[Any]:
        """All that waits, at least one message."""
        found = [await self._receive.receive()]
        try:
            while True:
                found.append(self._receive.receive_nowait())
        except trio.WouldBlock:
            return found

    def sent(self, count: int) -> None:
        """So many have gone out."""
        self._waiting -= count

    async def raise_when_dropped(self) -> None:
        """`DaemonError` once the queue is full."""
        await self._dropped.wait()
        raise DaemonError(
            f'{self.name} was dropped: {self._most} messages waited for it '
            'and it did not read them'
        )


class Hub:
    """All clients that are attached."""

    def __init__(self) -> None:
        self._members: set[Member] = set()
        self.notices: deque[Notice] = deque(maxlen=_NOTICES)

    @property
    def clients(self) -> list[str]:
        return sorted(member.name for member in self._members)

    @contextmanager
    def joined(self, name: str) -> Iterator[Member]:
        """A client from here on; what is published next is the first news."""
        member = Member(name)
        self._members.add(member)
        try:
            yield member
        finally:
            self._members.discard(member)

    def publish(self, news: Sequence[Event]) -> None:
        """Tell every client."""
        self.notices += [n for n in news if isinstance(n, Notice)]
        if not self._members or not news:
            return
        packed = [pack_event(event) for event in news]
        for member in self._members:
            member.put(packed)
