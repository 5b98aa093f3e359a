"""
The hot receive path of a WebSocket: one read, many frames.

`FrameTap` lies between a transport and trio-websocket.  The handshake and
the control frames (ping, pong, close) pass through to it; data frames, which
are all that matters at rate, are cut out and handed over in batches, one
batch a read.  Source of the framing: RFC 6455, section 5.2.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from ...errors import BadMessage

__all__ = ['FrameTap', 'split_frames']

_READ = 1 << 17
_MOST_BYTES = 1 << 24
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
        if size >= 126:
            if size > 127:
                raise BadMessage('a masked frame from the server')
            wide = 2 if size == 126 else 8
            if end < start + wide:
                break
            size = int.from_bytes(data[start:start + wide], 'big')
            start += wide
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


class FrameTap(trio.abc.Stream):
    """
    A stream that keeps data frames for itself.

    ``deliver`` gets each batch of payloads, in order, called from the task
    that reads; it must not wait.
    """

    def __init__(
        self,
        transport: trio.abc.Stream,
        deliver: Callable[[list[bytes]], None],
    ) -> None:
        self._transport = transport
        self._deliver = deliver
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
                return head + mark + self._split(data)
            control = self._split(data)
            if control:
                return control

    def _split(self, data: bytes) -> bytes:
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
