"""
The hot receive path of a WebSocket: one read, many frames.

`FrameTap` lies between a transport and trio-websocket.  The handshake and
the control frames (ping, pong, close) pass through to it; data frames, which
are all that matters at rate, are handed over in batches, one batch a read:
cut into payloads, or, where there are many, as one JSON list.  Source of the
framing: RFC 6455, section 5.2.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import trio

from ...errors import BadMessage

__all__ = ['FrameTap', 'JsonList', 'join_frames', 'split_frames']

# The bytes of a JSON list; anything that can be read as a buffer.
JsonList = npt.NDArray[np.uint8]

_READ = 1 << 17
# From this many bytes on, some 130 messages, joining them into a list is
# quicker than cutting them apart (bench/hotpath.py).  On a processor that was
# idle before it takes yet more.
_MANY_BYTES = 20_000
_MOST_BYTES = 1 << 24
_TEXT = 0x01
_CONTROL = 0x08
_FIN = 0x80


def split_frames(
    data: bytes, payloads: list[bytes], control: bytearray, partial: bytearray
) -> bytes:
    """
    Cut whole frames off the front of ``data``; returns what is left over.

    Payloads of complete messages go to ``payloads``, control frames as they
    are to ``control``; ``partial`` collects a fragmented message between
    calls.  Frames are those a server sends: never masked.
    """
    at, end = 0, len(data)
    while end - at >= 2:
        head = data[at]
        size = data[at + 1]
        start = at + 2
        if size == 126:
            start = at + 4
            if end < start:
                break
            size = data[at + 2] << 8 | data[at + 3]
        elif size > 126:
            if size > 127:
                raise BadMessage('a masked frame from the server')
            start = at + 10
            if end < start:
                break
            size = int.from_bytes(data[at + 2:start], 'big')
            if size > _MOST_BYTES:
                raise BadMessage(f'a frame of {size} bytes')
        stop = start + size
        if stop > end:
            break
        if head & _CONTROL:
            control += data[at:stop]
        elif head & _FIN and not partial:
            payloads.append(data[start:stop])
        else:
            partial += data[start:stop]
            if head & _FIN:
                payloads.append(bytes(partial))
                partial.clear()
        at = stop
    return data[at:] if at else data


def join_frames(data: bytes) -> tuple[JsonList, int, int] | None:
    """
    The frames at the front of ``data`` as one JSON list, without a loop.

    Returns the list, how many payloads are in it and how many bytes of
    ``data`` they took.  Only whole text messages of 126 to 65,535 bytes are
    taken, which is what the stream is made of; ``None`` where anything else
    lies between them.  The payloads are not looked at: a list that cannot be
    decoded, or has another length, must be taken apart by `split_frames`.
    """
    raw = np.frombuffer(data, np.uint8)
    # All that may be the head of such a frame, also within payloads…
    heads = np.flatnonzero(raw[:-3] == _FIN | _TEXT)
    heads = heads[raw[heads + 1] == 126]
    if not len(heads) or heads[0]:
        return None
    ends = heads + 4 + (raw[heads + 2].astype(np.int64) << 8 | raw[heads + 3])
    # … and are heads if each begins where the one before it ends.
    if np.any(ends[:-1] != heads[1:]):
        return None
    many = len(heads) - int(ends[-1] > len(data))
    if not many:
        return None
    heads, end = heads[:many], int(ends[many - 1])
    out = np.empty(end + 1, np.uint8)
    out[:end] = raw[:end]
    out[heads] = ord(',')
    for at in (1, 2, 3):
        out[heads + at] = ord(' ')
    out[0], out[end] = ord('['), ord(']')
    return out, many, end


class FrameTap(trio.abc.Stream):
    """
    A stream that keeps data frames for itself.

    ``deliver`` gets each batch of payloads, in order, called from the task
    that reads; it must not wait.  Of large batches ``deliver_list`` is asked
    first, with a list and its length; it takes all of it or returns `False`.
    """

    def __init__(
        self,
        transport: trio.abc.Stream,
        deliver: Callable[[list[bytes]], None],
        deliver_list: Callable[[JsonList, int], bool],
    ) -> None:
        self._transport = transport
        self._deliver = deliver
        self._deliver_list = deliver_list
        self._rest = b''
        self._partial = bytearray()
        self._upgraded = False
        self.bytes_read = 0

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The next bytes that are trio-websocket's business."""
        while True:
            data = await self._transport.receive_some(_READ)
            if not data:
                return b''
            self.bytes_read += len(data)
            if self._rest:
                data = self._rest + data
                self._rest = b''
            if not self._upgraded:
                head, mark, data = data.partition(b'\r\n\r\n')
                if not mark:
                    self._rest = head
                    continue
                if b' 101 ' not in head.partition(b'\r\n')[0]:
                    # refused: what follows is the body of the answer
                    return head + mark + data
                self._upgraded = True
                return head + mark + self.feed(data)
            control = self.feed(data)
            if control:
                return control

    def feed(self, data: bytes) -> bytes:
        """Deliver the messages of what was read; returns control frames."""
        if len(data) >= _MANY_BYTES:
            joined = join_frames(data)
            if joined and self._deliver_list(*joined[:2]):
                data = data[joined[2]:]
        payloads: list[bytes] = []
        control = bytearray()
        self._rest = split_frames(data, payloads, control, self._partial)
        if payloads:
            self._deliver(payloads)
        return bytes(control)

    async def send_all(self, data: Any) -> None:
        await self._transport.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._transport.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._transport.aclose()
