"""
Waking readers that sleep on a ring.

A reader that polls costs the writer nothing.  One that sleeps sets its flag
in a small segment of its own and waits for an eventfd; the writer looks at
one byte a ring and writes to the eventfds of those that sleep.  The eventfd
reaches the reader over an abstract Unix socket, which leaves no file behind,
closes when either side dies, and tells the kernel's word of who connects.

The flag and the ring's head are a Dekker pair: each side stores its own and
then loads the other's, so both need a full fence in between; see `_fence`.
Sources: eventfd(2), unix(7), Dekker's algorithm.
"""
from __future__ import annotations

import array
import logging
import os
import select
import socket
import struct
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import trio

from ..errors import ActorDied, PeerRefused, SegmentGone
from .shm import Segment

__all__ = ['Sleeper', 'Waker', 'WakerHub', 'connect_sleeper', 'open_waker']

log = logging.getLogger(__name__)

_SLOTS = 4096
_FLAGS = np.dtype([('sleeping', 'u1'), ('ring_sleeps', 'u1')])
_REPLY = struct.Struct('=ii')
_lock = threading.Lock()


def _fence() -> None:
    # An uncontended lock is an atomic read-modify-write, which no load or
    # store may pass on x86-64.
    _lock.acquire()
    _lock.release()


class Waker:
    """The writer's side for one ring: `wake` after each commit."""

    def __init__(self, number: int, flags: Segment) -> None:
        self.number = number
        self._sleeping = flags.column_view('sleeping')
        self._ring = flags.column_view('ring_sleeps')
        self._readers: dict[int, int] = {}
        # Ends the connections of this ring's readers.
        self.dropped = trio.Event()

    def __len__(self) -> int:
        return len(self._readers)

    def add(self, slot: int, fd: int) -> None:
        self._readers[slot] = fd

    def remove(self, slot: int) -> None:
        self._readers.pop(slot, None)

    def wake(self) -> None:
        """Wake whoever sleeps on this ring."""
        if not self._readers:
            return
        _fence()
        if not self._ring[self.number]:
            return
        self._ring[self.number] = 0
        # A reader that arms itself from here on must not find its flag
        # looked at before the ring's is cleared.
        _fence()
        for slot, fd in self._readers.items():
            if self._sleeping[slot]:
                self._sleeping[slot] = 0
                os.eventfd_write(fd, 1)


class WakerHub:
    """
    The daemon's side: hands eventfds to readers of its rings.

    ``address`` is the abstract socket's name, without the leading NUL.
    """

    def __init__(self, prefix: str) -> None:
        self.address = f'{prefix}wake'
        self._flags = Segment.create(f'{prefix}flags', _FLAGS, _SLOTS)
        self._rings: dict[str, Waker] = {}
        self._free_rings = list(range(_SLOTS))[::-1]
        self._free_slots = list(range(_SLOTS))[::-1]

    def ring(self, name: str) -> Waker:
        """The waker of a ring, made at the first request."""
        if name not in self._rings:
            self._rings[name] = Waker(self._free_rings.pop(), self._flags)
        return self._rings[name]

    def drop_ring(self, name: str) -> None:
        """Forget a ring; its readers see their connection end."""
        waker = self._rings.pop(name, None)
        if waker:
            waker.dropped.set()
            self._free_rings.append(waker.number)

    async def serve(
        self, *, task_status: Any = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Accept readers until cancelled; a reader's end frees its slot."""
        with trio.socket.socket(
            socket.AF_UNIX, socket.SOCK_SEQPACKET
        ) as listener:
            await listener.bind('\0' + self.address)
            listener.listen(64)
            async with trio.open_nursery() as nursery:
                task_status.started()
                while True:
                    peer, _ = await listener.accept()
                    nursery.start_soon(self._serve_reader, peer)

    async def _serve_reader(self, peer: trio.socket.SocketType) -> None:
        slot = fd = -1
        waker = None
        with peer:
            try:
                _check_peer(peer)
                name = (await peer.recv(256)).decode()
                waker = self._rings.get(name)
                if waker is None or not self._free_slots:
                    await peer.send(_REPLY.pack(-1, -1))
                    return
                slot = self._free_slots.pop()
                fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
                rights = [(
                    socket.SOL_SOCKET,
                    socket.SCM_RIGHTS,
                    array.array('i', [fd]).tobytes(),
                )]
                waker.add(slot, fd)
                await peer.sendmsg([_REPLY.pack(waker.number, slot)], rights)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_cancel_after, waker.dropped, nursery)
                    await peer.recv(1)
                    nursery.cancel_scope.cancel()
            except PeerRefused as err:
                log.warning('%s', err)
            except (OSError, UnicodeDecodeError) as err:
                log.debug('a sleeping reader broke off: %s', err)
            finally:
                if waker and slot >= 0:
                    waker.remove(slot)
                    self._free_slots.append(slot)
                if fd >= 0:
                    os.close(fd)

    @property
    def flags_segment(self) -> str:
        return self._flags.name

    def unlink(self) -> None:
        self._flags.unlink()


async def _cancel_after(event: trio.Event, nursery: trio.Nursery) -> None:
    await event.wait()
    nursery.cancel_scope.cancel()


def _check_peer(peer: trio.socket.SocketType) -> None:
    credentials = peer.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize('3i')
    )
    pid, uid, _ = struct.unpack('3i', credentials)
    if uid != os.getuid():
        raise PeerRefused(
            f'refused a reader from user id {uid} (pid {pid}): only user id '
            f'{os.getuid()} may connect'
        )


class Sleeper:
    """A reader's side: `sleep` until the writer has committed more."""

    def __init__(
        self, peer: socket.socket, fd: int, flags: Segment, numbers: bytes
    ) -> None:
        self._peer = peer
        self._fd = fd
        # One wait for both of them: a nursery a sleep would cost more than
        # all the rest of reading a tick.
        self._either = select.epoll()
        self._either.register(fd, select.EPOLLIN)
        self._either.register(peer, select.EPOLLIN)
        self._peer_ended = select.poll()
        self._peer_ended.register(peer, select.POLLIN)
        number, slot = _REPLY.unpack(numbers)
        self._sleeping = flags.column_view('sleeping')
        self._ring = flags.column_view('ring_sleeps')
        self._number = number
        self._slot = slot

    def arm(self) -> None:
        """Announce a sleep; look at the ring once more before sleeping."""
        self._sleeping[self._slot] = 1
        self._ring[self._number] = 1
        _fence()

    def disarm(self) -> None:
        self._sleeping[self._slot] = 0

    def close(self) -> None:
        """Give the place back to the hub."""
        self.disarm()
        self._either.close()
        os.close(self._fd)
        self._peer.close()

    async def sleep(self) -> None:
        """
        Wait to be woken, after `arm`.

        Raises `ActorDied` if the writer's process ends or drops the ring.
        """
        await trio.lowlevel.wait_readable(self._either.fileno())
        try:
            os.eventfd_read(self._fd)
        except BlockingIOError:
            # The hub never sends a second message: readable means closed.
            if self._peer_ended.poll(0):
                raise ActorDied('the writer of the ring has ended') from None


async def connect_sleeper(address: str, ring: str) -> Sleeper:
    """
    Register as a sleeper on the ring of this segment name.

    Close it when done.  Raises `ActorDied` if the daemon is gone,
    `SegmentGone` if it has no such ring.
    """
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        try:
            # Both ends are on this machine and the backlog is short: neither
            # call waits for longer than the daemon's next scheduling.
            peer.connect('\0' + address)
            peer.send(ring.encode())
            await trio.lowlevel.wait_readable(peer.fileno())
            numbers, fds, _, _ = socket.recv_fds(peer, _REPLY.size, 1)
        except OSError as err:
            raise ActorDied(f'nobody wakes readers of {ring}: {err}') from err
        if not fds:
            raise SegmentGone(f'{ring} is not a live ring')
        flags = Segment.attach(
            address.removesuffix('wake') + 'flags', writable=True
        )
        return Sleeper(peer, fds[0], flags, numbers)
    except BaseException:
        peer.close()
        raise


@asynccontextmanager
async def open_waker(address: str, ring: str) -> AsyncGenerator[Sleeper, None]:
    """`connect_sleeper`, closed when the block is left."""
    sleeper = await connect_sleeper(address, ring)
    try:
        yield sleeper
    finally:
        sleeper.close()
