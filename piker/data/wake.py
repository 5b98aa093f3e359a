"""
Readers that sleep on a ring, and the daemon that wakes them.

A reader that polls costs the writer nothing.  One that sleeps connects to an
abstract Unix socket of the daemon, which leaves no file behind, closes when
either side dies, and tells the kernel's word of who connects.  Over it comes
the ring's bell, an eventfd that all readers of the ring share; see `bell`.

Each reader waits for edges of the bell in an epoll of its own, so nobody
takes it from another, and one that is stopped or dead keeps nobody asleep.
Sources: eventfd(2), epoll(7), unix(7).
"""
from __future__ import annotations

import array
import logging
import os
import select
import socket
import struct
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import trio

from ..errors import ActorDied, DataError, PeerRefused, SegmentGone
from .bell import FLAGS, Waker, fence
from .shm import Segment

__all__ = ['Sleeper', 'Waker', 'WakerHub', 'connect_sleeper', 'open_waker']

log = logging.getLogger(__name__)

_RINGS = 4096
_REPLY = struct.Struct('=i')
# Isolated and without site-packages: it starts in a tenth of the time.
_RELAY = (
    sys.executable, '-I', '-S', str(Path(__file__).with_name('relay.py'))
)
_RESTART_S = 5.0
_ACCEPT_AGAIN_S = 0.1
_CONNECT_AGAIN_S = 0.01


class WakerHub:
    """
    The daemon's side: lets readers of its rings hear their bells.

    ``address`` is the abstract socket's name, without the leading NUL.
    ``relay_pid`` is the process that wakes crowds, once there was one.
    """

    def __init__(self, prefix: str) -> None:
        self.address = f'{prefix}wake'
        self.relay_pid: int | None = None
        self._flags = Segment.create(f'{prefix}flags', FLAGS, _RINGS)
        self._rings: dict[str, Waker] = {}
        self._free_rings = list(range(_RINGS))[::-1]
        self._relay: socket.socket | None = None
        self._crowded = trio.Event()

    def ring(self, name: str) -> Waker:
        """
        The waker of a ring, made at the first request.

        Raises `DataError` if there are too many.
        """
        if name not in self._rings:
            if not self._free_rings:
                raise DataError(f'no room for {name}: {_RINGS} rings')
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
        """Accept readers until cancelled; the relay ends with it."""
        with trio.socket.socket(
            socket.AF_UNIX, socket.SOCK_SEQPACKET
        ) as listener:
            await listener.bind('\0' + self.address)
            listener.listen(64)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._relay_forever)
                task_status.started()
                while True:
                    try:
                        peer, _ = await listener.accept()
                    except OSError as err:
                        # Out of file descriptors: readers wait their turn.
                        log.warning('cannot accept a reader: %s', err)
                        await trio.sleep(_ACCEPT_AGAIN_S)
                        continue
                    nursery.start_soon(self._serve_reader, peer)

    async def _serve_reader(self, peer: trio.socket.SocketType) -> None:
        waker = None
        with peer:
            try:
                _check_peer(peer)
                name = (await peer.recv(256)).decode()
                found = self._rings.get(name)
                if found is None:
                    await peer.send(_REPLY.pack(-1))
                    return
                bell = found.add()
                waker = found
                rights = [(
                    socket.SOL_SOCKET,
                    socket.SCM_RIGHTS,
                    array.array('i', [bell]).tobytes(),
                )]
                await peer.sendmsg([_REPLY.pack(waker.number)], rights)
                self._relieve(waker)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_cancel_after, waker.dropped, nursery)
                    await peer.recv(1)
                    nursery.cancel_scope.cancel()
            except PeerRefused as err:
                log.warning('%s', err)
            except (OSError, UnicodeDecodeError) as err:
                log.debug('a sleeping reader broke off: %s', err)
            finally:
                if waker:
                    waker.remove()

    # crowds

    def _relieve(self, waker: Waker) -> None:
        """Leave a crowd to the relay; starts that if there is none."""
        if not waker.crowded or waker.relayed:
            return
        if self._relay is None:
            self._crowded.set()
            return
        # Else the writer goes on ringing, and the next reader tries anew.
        with suppress(OSError):
            waker.hand_over(self._relay)

    async def _relay_forever(self) -> None:
        """From the first crowd on there is a relay, and a new one after it."""
        while True:
            await self._crowded.wait()
            try:
                await self._run_relay()
            except OSError as err:
                log.warning('cannot start %s: %s', _RELAY[-1], err)
            else:
                log.warning('the process that wakes readers has ended')
            await trio.sleep(_RESTART_S)

    async def _run_relay(self) -> None:
        """Start it and hand crowds over until it ends or we are cancelled."""
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, its:
            ours.setblocking(False)
            async with trio.open_nursery() as nursery:
                process = await nursery.start(partial(
                    trio.run_process, _RELAY, stdin=its, check=False,
                    # Signals for a terminal's whole group are not for it.
                    start_new_session=True,
                ))
                its.close()
                self.relay_pid = process.pid
                try:
                    while await _heard(ours):
                        # It is there: it says so once.
                        self._relay = ours
                        for waker in self._rings.values():
                            self._relieve(waker)
                finally:
                    self._relay = None
                    for waker in self._rings.values():
                        waker.take_back()
                    nursery.cancel_scope.cancel()

    @property
    def flags_segment(self) -> str:
        return self._flags.name

    def unlink(self) -> None:
        self._flags.unlink()


async def _heard(control: socket.socket) -> bytes:
    """A message, or nothing once the other side has ended."""
    await trio.lowlevel.wait_readable(control.fileno())
    try:
        return control.recv(1)
    except ConnectionResetError:
        return b''


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
        self, peer: socket.socket, bell: int, flags: Segment, number: int
    ) -> None:
        self._peer = peer
        self._bell = bell
        # One wait for both of them: a nursery a sleep would cost more than
        # all the rest of reading a tick.
        self._either = select.epoll()
        # Others hear this bell too, so nobody may ever take its count.
        self._either.register(bell, select.EPOLLIN | select.EPOLLET)
        self._either.register(peer, select.EPOLLIN)
        self._asleep = flags.column_view('asleep')
        self._number = number

    def arm(self) -> None:
        """Announce a sleep; look at the ring once more before sleeping."""
        # Let go of what rang while one was awake.  Not later: whatever rings
        # once the flag is set may be all that ever will.
        self._either.poll(0)
        self._asleep[self._number] = 1
        fence()

    def close(self) -> None:
        """Have the hub forget this reader."""
        self._either.close()
        os.close(self._bell)
        self._peer.close()

    async def sleep(self) -> None:
        """
        Wait to be woken, after `arm`; now and then that is for nothing.

        Raises `ActorDied` if the writer's process ends or drops the ring.
        """
        await self.stir()
        self.check()

    async def stir(self) -> None:
        """`sleep`, but a writer that has ended is for `check` to tell."""
        await trio.lowlevel.wait_readable(self._either.fileno())

    def check(self) -> None:
        """Raise `ActorDied` if that is what woke us."""
        # The hub never sends a second message: readable means closed.
        if [fd for fd, _ in self._either.poll(0)] == [self._peer.fileno()]:
            raise ActorDied('the writer of the ring has ended')


async def connect_sleeper(address: str, ring: str) -> Sleeper:
    """
    Register as a sleeper on the ring of this segment name.

    Close it when done.  Raises `ActorDied` if the daemon is gone,
    `SegmentGone` if it has no such ring.
    """
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peer.setblocking(False)
    fds: list[int] = []
    try:
        try:
            await _connect(peer, '\0' + address)
            peer.send(ring.encode())
            await trio.lowlevel.wait_readable(peer.fileno())
            reply, fds, _, _ = socket.recv_fds(peer, _REPLY.size, 1)
        except OSError as err:
            raise ActorDied(f'nobody wakes readers of {ring}: {err}') from err
        if not fds:
            raise SegmentGone(f'{ring} is not a live ring')
        flags = Segment.attach(
            address.removesuffix('wake') + 'flags', writable=True
        )
        return Sleeper(peer, fds[0], flags, *_REPLY.unpack(reply))
    except BaseException:
        peer.close()
        for fd in fds:
            os.close(fd)
        raise


async def _connect(peer: socket.socket, address: str) -> None:
    """Connect, also where many wait for a daemon that does not get to run."""
    while True:
        try:
            peer.connect(address)
        except BlockingIOError:
            # its backlog is full; nothing tells when it no longer is
            await trio.sleep(_CONNECT_AGAIN_S)
        else:
            return


@asynccontextmanager
async def open_waker(address: str, ring: str) -> AsyncGenerator[Sleeper, None]:
    """`connect_sleeper`, closed when the block is left."""
    sleeper = await connect_sleeper(address, ring)
    try:
        yield sleeper
    finally:
        sleeper.close()
