"""
The bell of a ring: how its writer wakes who sleeps on it.

All readers of a ring wait for one eventfd.  Before one sleeps it sets the
ring's flag, a byte in a small shared segment; after each commit the writer
looks at that byte, clears it and rings.  The kernel wakes readers one by one
in the time of whoever rings: beyond `DIRECT` readers that is no longer the
writer but a process of its own, which the writer wakes alone; see `relay`.

Flag and ring's head are a Dekker pair: each side stores its own and then
loads the other's, so both need a full `fence` in between.  And the flag is
cleared before the bell is rung, while a reader lets go of old rings before it
sets the flag: so whoever's flag was cleared also hears the bell, perhaps for
nothing, and no reader sleeps with neither flag nor bell to come.
Source: Dekker's algorithm; eventfd(2); pipe(7).
"""
from __future__ import annotations

import os
import socket
import threading

import numpy as np
import trio

from .shm import Segment

__all__ = ['DIRECT', 'FLAGS', 'Waker', 'fence']

FLAGS = np.dtype([('asleep', 'u1')])
# So many readers are woken by the writer itself: the detour takes time.
DIRECT = 2
_lock = threading.Lock()


def fence() -> None:
    # An uncontended lock is an atomic read-modify-write, which no load or
    # store may pass on x86-64.
    _lock.acquire()
    _lock.release()


class Waker:
    """The writer's side for one ring: `wake` after each commit."""

    def __init__(self, number: int, flags: Segment) -> None:
        self.number = number
        self._asleep = flags.column_view('asleep')
        self._readers = 0
        # Both are open only while there are readers, the pipe to the relay
        # only while that wakes them.
        self._bell = self._pipe = -1
        # Ends the connections of this ring's readers.
        self.dropped = trio.Event()

    def __len__(self) -> int:
        return self._readers

    @property
    def crowded(self) -> bool:
        """Whether there are more readers than the writer should wake."""
        return self._readers > DIRECT

    @property
    def relayed(self) -> bool:
        return self._pipe >= 0

    def add(self) -> int:
        """Count in a reader; returns the bell it is to wait for."""
        if not self._readers:
            self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._readers += 1
        return self._bell

    def remove(self) -> None:
        self._readers -= 1
        if not self.crowded:
            self.take_back()
        if not self._readers:
            os.close(self._bell)
            self._bell = -1

    def wake(self) -> None:
        """Wake whoever sleeps on this ring."""
        if not self._readers:
            return
        fence()
        if not self._asleep[self.number]:
            return
        # Who is woken may set the flag again at once, so it must be cleared
        # before: both system calls take a lock, which is a fence.
        self._asleep[self.number] = 0
        if self._pipe < 0:
            os.eventfd_write(self._bell, 1)
            return
        try:
            os.write(self._pipe, b'\0')
        except BlockingIOError:
            pass  # full of requests to do just this
        except BrokenPipeError:
            self.take_back()

    def hand_over(self, relay: socket.socket) -> None:
        """
        Have the relay ring from now on; raises `OSError` if it cannot.

        What is written before it takes the pipe waits for it in there.
        """
        reading, pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            socket.send_fds(relay, [b'\0'], [reading, self._bell])
        except BaseException:
            os.close(pipe)
            raise
        finally:
            os.close(reading)
        self._pipe = pipe

    def take_back(self) -> None:
        """Ring oneself again, once at once: a request may have been lost."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
            os.eventfd_write(self._bell, 1)
