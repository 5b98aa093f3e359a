"""
The HTTP and WebSocket server: hypercorn's connection handling on our nursery.

Hypercorn's own ``serve`` would install a lifespan and drain slow connections
for seconds; driving its `TCPServer` directly leaves listeners, tasks and
sockets with us, so that a connection can be cut at once.
"""
from __future__ import annotations

import errno
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from ...errors import PortInUse

if TYPE_CHECKING:
    from hypercorn.trio.tcp_server import TCPServer

__all__ = ['Connection', 'Server', 'open_server']

log = logging.getLogger(__name__)

App = Callable[[Any, Any, Any], Awaitable[None]]


class Connection:
    """One accepted TCP connection; a `hub.Transport` for websockets."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.server: TCPServer | None = None

    async def send_all(self, data: bytes) -> None:
        """Write between hypercorn's own writes."""
        assert self.server is not None
        async with self.server.send_lock:
            await self._stream.send_all(data)

    def abort(self) -> None:
        self._stream.socket.close()


class Server:
    """A listening server; ``refuse`` says whether to hang up on newcomers."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connections: set[Connection] = set()
        self.accepted = 0
        self.refuse: Callable[[], bool] = lambda: False

    def abort_all(self) -> None:
        """Cut every open connection."""
        for connection in list(self.connections):
            connection.abort()


@asynccontextmanager
async def open_server(
    app: App, host: str, port: int
) -> AsyncIterator[Server]:
    """
    Serve the ASGI ``app`` until the block is left.

    Port 0 takes a free one.  The per-connection ASGI ``state`` holds the
    `Connection` as ``'connection'``.  Raises `PortInUse`.
    """
    from hypercorn.app_wrappers import ASGIWrapper
    from hypercorn.config import Config
    from hypercorn.trio.tcp_server import TCPServer
    from hypercorn.trio.worker_context import WorkerContext
    from hypercorn.typing import ConnectionState

    config = Config()
    config.errorlog = logging.getLogger(f'{__name__}.hypercorn')
    config.keep_alive_timeout = 60
    config.keep_alive_max_requests = 1 << 40
    config.include_server_header = False
    context = WorkerContext(None)
    wrapped = ASGIWrapper(app)
    try:
        listeners = await trio.open_tcp_listeners(port, host=host)
    except OSError as err:
        if err.errno != errno.EADDRINUSE:
            raise
        raise PortInUse(
            f'port {port} of {host} is taken by another program: name '
            'another one, or 0 for any that is free'
        ) from err
    server = Server(listeners[0].socket.getsockname()[1])

    async def handle(stream: trio.SocketStream) -> None:
        server.accepted += 1
        if server.refuse():
            stream.socket.close()
            return
        connection = Connection(stream)
        state = ConnectionState({'connection': connection})
        connection.server = TCPServer(
            wrapped, config, context, state,
            stream,  # type: ignore[arg-type]
        )
        server.connections.add(connection)
        try:
            await connection.server.run()
        except Exception as err:
            # garbage from one peer must not take the others down
            log.debug('connection ended: %r', err)
        finally:
            server.connections.discard(connection)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handle, listeners)
        try:
            yield server
        finally:
            # hypercorn shields its last writes; a closed socket ends them
            server.abort_all()
            nursery.cancel_scope.cancel()

