"""Clients for the venue's tests."""
from __future__ import annotations

import json
from contextlib import asynccontextmanager

import trio
from trio_websocket import open_websocket_url

from piker.brokers.sim.listings import GENESIS_MS

START_MS = GENESIS_MS + 40 * 86_400_000 + 36_000_000


class Rest:
    """A minimal HTTP client of its own."""

    def __init__(self, venue):
        self.venue = venue

    async def request(self, path, method='GET', body=b''):
        """Status, headers in lower case, decoded body."""
        stream = await trio.open_tcp_stream(self.venue.host, self.venue.port)
        async with stream:
            await stream.send_all(
                f'{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n'
                f'Content-Length: {len(body)}\r\n\r\n'.encode() + body
            )
            raw = b''.join([part async for part in stream])
        head, _, text = raw.partition(b'\r\n\r\n')
        lines = head.decode().split('\r\n')
        headers = dict(line.lower().split(': ', 1) for line in lines[1:])
        status = int(lines[0].split()[1])
        if headers['content-type'].startswith('application/json'):
            return status, headers, json.loads(text)
        return status, headers, text

    async def get(self, path):
        status, _headers, body = await self.request(path)
        assert status == 200, body
        return body

    async def post(self, path, given=None):
        return await self.request(
            path, 'POST', json.dumps(given or {}).encode()
        )


class Socket:
    """A websocket with JSON on it."""

    def __init__(self, ws):
        self.ws = ws

    async def raw(self):
        with trio.fail_after(10):
            return await self.ws.get_message()

    async def get(self):
        return json.loads(await self.raw())

    async def find(self, matches):
        while True:
            message = await self.get()
            if matches(message):
                return message

    async def call(self, method, *params, request_id=1):
        """Send a request; its reply, other messages are dropped."""
        await self.ws.send_message(json.dumps(
            {'method': method, 'params': list(params), 'id': request_id}
        ))
        return await self.find(
            lambda m: isinstance(m, dict) and 'id' in m
            and ('result' in m or 'error' in m)
        )


@asynccontextmanager
async def open_socket(venue, path):
    url = f'ws://{venue.host}:{venue.port}{path}'
    async with open_websocket_url(url, disconnect_timeout=1) as ws:
        yield Socket(ws)


class Bare:
    """A websocket on a bare TCP stream: only reads, and as fast as can be."""

    def __init__(self, stream):
        self.stream = stream
        self.rest = b''

    async def handshake(self, path):
        """Upgrade; the status line of the answer."""
        await self.stream.send_all(
            f'GET {path} HTTP/1.1\r\nHost: x\r\n'
            'Upgrade: websocket\r\nConnection: Upgrade\r\n'
            'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
            'Sec-WebSocket-Version: 13\r\n\r\n'.encode()
        )
        head = b''
        while b'\r\n\r\n' not in head:
            head += await self.stream.receive_some()
        head, _, self.rest = head.partition(b'\r\n\r\n')
        return head.partition(b'\r\n')[0].decode()

    async def read(self):
        """The text frames that have come; empty if the server hung up."""
        while True:
            frames, at = self._parse()
            self.rest = self.rest[at:]
            if frames:
                return frames
            with trio.fail_after(10):
                more = await self.stream.receive_some(1 << 20)
            if not more:
                return []
            self.rest += more

    def _parse(self):
        found, at, data = [], 0, self.rest
        while len(data) - at >= 2:
            size, head = data[at + 1], 2
            if size >= 126:
                head = 4 if size == 126 else 10
                size = int.from_bytes(data[at + 2 : at + head])
            if len(data) - at < head + size:
                break
            if data[at] == 0x81:
                found.append(data[at + head : at + head + size])
            at += head + size
        return found, at


@asynccontextmanager
async def open_bare(venue, path):
    async with await trio.open_tcp_stream(venue.host, venue.port) as stream:
        bare = Bare(stream)
        assert '101' in await bare.handshake(path)
        yield bare
