"""
The transport under a stream connection: TCP, or TLS on it.
"""
from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

import trio

from ...errors import VenueDown

__all__ = ['CONNECT_TIMEOUT_S', 'Transport', 'open_transport']

CONNECT_TIMEOUT_S = 10.0


class Transport(NamedTuple):
    """A connected stream, and whom a handshake on it is for."""

    stream: trio.abc.Stream
    netloc: str


@asynccontextmanager
async def open_transport(url: str) -> AsyncGenerator[Transport, None]:
    """
    Connect to where a ``ws`` or ``wss`` URL points, for the block.

    Raises `VenueDown` if that takes too long, `OSError`.  Leaving cuts the
    connection, whatever state it is in.
    """
    parts = urlsplit(url)
    secure = parts.scheme == 'wss'
    host, port = parts.hostname or '', parts.port or (443 if secure else 80)
    stream: trio.abc.Stream
    with trio.move_on_after(CONNECT_TIMEOUT_S) as connecting:
        if secure:
            stream = await trio.open_ssl_over_tcp_stream(
                host, port, ssl_context=ssl.create_default_context()
            )
        else:
            stream = await trio.open_tcp_stream(host, port)
    if connecting.cancelled_caught:
        raise VenueDown(f'no connection within {CONNECT_TIMEOUT_S:.0f} s')
    try:
        yield Transport(stream, f'{host}:{port}')
    finally:
        await trio.aclose_forcefully(stream)
