"""
Messages between two of our processes, beside the context that they share.

A message on a stream of the runtime takes some 0.4 ms and a turn of the event
loop before it is even sent.  For what cannot wait there is a Unix socket
between the two tasks: `Pipe.send` has handed the bytes to the kernel when it
returns.  The context stays what tells of life, death and errors.

The listening socket has an abstract name that the kernel has chosen, which
leaves no file behind; only the process that is expected gets in.  Source:
unix(7), "Autobind feature" and ``SO_PEERCRED``.
"""
from __future__ import annotations

import logging
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import trio

from ..errors import ActorDied

__all__ = ['Door', 'Pipe', 'connect_pipe', 'open_door']

log = logging.getLogger(__name__)

_SIZE = struct.Struct('<I')
_READ = 1 << 16
# Bytes that may wait for the other side to read.
_MOST_WAITING = 64 << 20


class Pipe:
    """
    One end; `run` is to run in a task that ends before it is closed.

    Close it, or use it as a context.  Messages come whole and in order.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._waiting = bytearray()
        self._stirred = trio.Event()
        self._got = bytearray()
        self._broken = ''

    def send(self, message: bytes) -> None:
        """
        Have a message sent, at once if the other side reads; doesn't wait.

        Without another side it is dropped: `receive` raises then.
        """
        framed = _SIZE.pack(len(message)) + message
        if self._broken:
            return
        sent = 0
        if not self._waiting:
            sent = self._write(framed)
        if sent < len(framed) and not self._broken:
            self._waiting += framed[sent:]
            self._stirred.set()
            if len(self._waiting) > _MOST_WAITING:
                self._break(f'{_MOST_WAITING >> 20} MB were not read')

    async def run(self) -> None:
        """Send what could not be sent at once, until cancelled."""
        while True:
            while self._waiting:
                await trio.lowlevel.wait_writable(self._socket.fileno())
                del self._waiting[:self._write(self._waiting)]
            self._stirred = trio.Event()
            await self._stirred.wait()

    async def receive(self) -> list[bytes]:
        """
        What has come since the last call, at least one message.

        Raises `ActorDied` once the other side has closed its end.
        """
        while not (messages := self._cut()):
            await trio.lowlevel.wait_readable(self._socket.fileno())
            try:
                data = self._socket.recv(_READ)
            except BlockingIOError:
                continue
            except OSError as err:
                data = b''
                self._broken = self._broken or str(err)
            if not data:
                why = self._broken or 'the other side has closed it'
                raise ActorDied(f'the connection broke: {why}')
            self._got += data
        return messages

    def _cut(self) -> list[bytes]:
        messages = []
        at, end = 0, len(self._got)
        while end - at >= _SIZE.size:
            size, = _SIZE.unpack_from(self._got, at)
            start = at + _SIZE.size
            if end - start < size:
                break
            at = start + size
            messages.append(bytes(self._got[start:at]))
        del self._got[:at]
        return messages

    def _write(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as err:
            self._break(str(err))
            return 0

    def _break(self, why: str) -> None:
        self._broken = why
        self._waiting.clear()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """The other side is told at once."""
        self._broken = self._broken or 'it is closed'
        self._socket.close()

    def __enter__(self) -> Pipe:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Door:
    """Where another process comes in: it is told the ``address``."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.address = listener.getsockname()[1:].decode()

    async def accept(self, pid: int) -> Pipe:
        """The pipe to process ``pid``; nobody else is let in."""
        while True:
            await trio.lowlevel.wait_readable(self._listener.fileno())
            try:
                peer, _ = self._listener.accept()
            except BlockingIOError:
                continue
            credentials = peer.getsockopt(
                socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize('3i')
            )
            its_pid, uid, _ = struct.unpack('3i', credentials)
            if (its_pid, uid) == (pid, os.getuid()):
                return Pipe(peer)
            peer.close()
            log.warning(
                'refused process %d of user id %d: only %d may connect',
                its_pid, uid, pid,
            )


@contextmanager
def open_door() -> Iterator[Door]:
    """A `Door`, closed when the block is left; its pipes stay."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.setblocking(False)
        listener.bind('')
        listener.listen(4)
        yield Door(listener)


def connect_pipe(address: str) -> Pipe:
    """
    The other end of the pipe that a `Door` accepts.

    Raises `ActorDied` if there is no such door any more.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # On this machine, to a socket that listens: it does not wait.
        sock.connect('\0' + address)
    except OSError as err:
        sock.close()
        raise ActorDied(f'nobody is at the other end: {err}') from err
    return Pipe(sock)
