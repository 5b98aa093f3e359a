"""
HTTP requests that are sent once, for orders.

The library that fetches market data sends a request again by itself when a
connection breaks before the answer has come.  An order must not be sent
twice, and what may have reached the venue must be told from what cannot
have: so this is h11 on a trio stream, with connections kept alive.
"""
from __future__ import annotations

import math
import ssl
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import h11
import trio

from ...errors import ConfigError, VenueDown

__all__ = ['Answered', 'HttpPool', 'NotSent']

_READ = 1 << 16
_MOST_BYTES = 1 << 24
_IDLE_S = 20.0  # servers tend to close what is idle for longer


class NotSent(VenueDown):
    """The request cannot have reached the venue."""


class Answered(NamedTuple):
    """An answer; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Connection:
    def __init__(self, stream: trio.abc.Stream, watch: trio.SocketStream):
        self.stream = stream
        self.http = h11.Connection(h11.CLIENT)
        self.since = trio.current_time()
        self._watch = watch

    @property
    def usable(self) -> bool:
        """Whether it can carry another request, as far as can be seen."""
        if trio.current_time() - self.since > _IDLE_S:
            return False
        # An idle connection on which something arrives is being closed.
        return not self._watch.socket.is_readable()


class HttpPool:
    """
    Connections to one server; any number of requests may be under way.

    ``headers`` are those of every request; `ConfigError` for one that cannot
    be sent.  Close it when done (`aclose`).
    """

    def __init__(
        self, base_url: str, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        parts = urlsplit(base_url)
        self._secure = parts.scheme == 'https'
        self._host = parts.hostname or ''
        self._port = parts.port or (443 if self._secure else 80)
        self._netloc = parts.netloc
        self._headers = [('Host', self._netloc), ('Content-Length', '0'),
                         *headers]
        try:
            h11.Request(method='GET', target='/', headers=self._headers)
        except (h11.LocalProtocolError, UnicodeError):
            # Without the value, which may be a key.
            raise ConfigError(
                f'{self._netloc}: an API key that is not printable ASCII in '
                'one piece cannot be sent: look at the account’s key_file'
            ) from None
        self._rest_of_head = ' HTTP/1.1\r\n' + ''.join(
            f'{name}: {value}\r\n' for name, value in self._headers
        ) + '\r\n'
        self._idle: list[_Connection] = []

    @property
    def idle_s(self) -> float:
        """How long none of the connections at hand has been used."""
        newest = max((c.since for c in self._idle), default=-math.inf)
        return trio.current_time() - newest

    async def request(self, method: str, target: str) -> Answered:
        """
        Send a request without a body and wait for its answer.

        ``target`` is quoted already.  Raises `NotSent` if no connection
        could be had, `VenueDown` if it broke after that; cancelled, it
        closes its connection.
        """
        connection = await self._connection()
        try:
            answered = await self._exchange(connection, method, target)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError,
                h11.ProtocolError) as err:
            await trio.aclose_forcefully(connection.stream)
            raise VenueDown(
                f'{self._netloc}: the connection broke before the answer '
                f'({err!r})'
            ) from err
        except BaseException:
            await trio.aclose_forcefully(connection.stream)
            raise
        http = connection.http
        if http.our_state is h11.DONE and http.their_state is h11.DONE:
            http.start_next_cycle()
            connection.since = trio.current_time()
            self._idle.append(connection)
        else:
            await trio.aclose_forcefully(connection.stream)
        return answered

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            await trio.aclose_forcefully(connection.stream)
        try:
            plain = await trio.open_tcp_stream(self._host, self._port)
        except OSError as err:
            raise NotSent(f'{self._netloc} cannot be reached: {err}') from err
        if not self._secure:
            return _Connection(plain, plain)
        secure = trio.SSLStream(
            plain, ssl.create_default_context(),
            server_hostname=self._host, https_compatible=True,
        )
        try:
            await secure.do_handshake()
        except (OSError, trio.BrokenResourceError) as err:
            await trio.aclose_forcefully(plain)
            raise NotSent(f'{self._netloc}: no secure connection: '
                          f'{err}') from err
        return _Connection(secure, plain)

    async def _exchange(
        self, connection: _Connection, method: str, target: str
    ) -> Answered:
        http, stream = connection.http, connection.stream
        await stream.send_all(
            f'{method} {target}{self._rest_of_head}'.encode('ascii')
        )
        # It is told what was sent; no order waits for its checks.
        http.send(h11.Request(
            method=method, target=target, headers=self._headers
        ))
        http.send(h11.EndOfMessage())
        status, found, body = 0, {}, b''
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await stream.receive_some(_READ))
            elif isinstance(event, h11.Response):
                status = event.status_code
                found = {
                    name.decode(): value.decode('latin-1')
                    for name, value in event.headers
                }
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > _MOST_BYTES:
                    raise h11.RemoteProtocolError('an answer without end')
            elif isinstance(event, h11.EndOfMessage):
                return Answered(status, found, body)
            elif isinstance(event, h11.ConnectionClosed):
                raise h11.RemoteProtocolError('closed without an answer')

    async def aclose(self) -> None:
        """Close what is idle."""
        while self._idle:
            await trio.aclose_forcefully(self._idle.pop().stream)
