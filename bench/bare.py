"""
The ceiling: ``python -m bench.bare URL FILE`` reads frames and no more.

A trio stream, one read, frame headers parsed, payloads left alone.
"""
from __future__ import annotations

import json
import sys
import threading
import time
from urllib.parse import urlsplit

import trio

_REQUEST = (
    'GET /stream?streams=btcusdt@trade/btcusdt@bookTicker HTTP/1.1\r\n'
    'Host: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n'
    'Sec-WebSocket-Version: 13\r\n\r\n'
)


def count_frames(data: bytes, at: int) -> tuple[int, int]:
    """How many whole frames are in ``data`` from ``at``, and their end."""
    found, end = 0, len(data)
    while end - at >= 2:
        size = data[at + 1]
        start = at + 2
        if size >= 126:
            if end < start + 2:
                break
            size = data[start] << 8 | data[start + 1]
            start += 2
        if start + size > end:
            break
        at = start + size
        found += 1
    return found, at


async def read(url: str, path: str) -> None:
    stamps = []
    expected = [1 << 62]

    def listen() -> None:
        for line in sys.stdin:
            expected[0] = json.loads(line).get('expect', expected[0])

    threading.Thread(target=listen, daemon=True).start()
    parts = urlsplit(url)
    stream = await trio.open_tcp_stream(parts.hostname, parts.port)
    await stream.send_all(_REQUEST.format(parts.netloc).encode())
    data = b''
    while b'\r\n\r\n' not in data:
        data += await stream.receive_some()
    rest = data.partition(b'\r\n\r\n')[2]
    print(json.dumps({'ready': True}), flush=True)
    total = 0
    while total < expected[0]:
        with trio.move_on_after(0.05) as waiting:
            data = await stream.receive_some(1 << 17)
        if waiting.cancelled_caught:
            continue
        if not data:
            break
        found, end = count_frames(rest + data, 0)
        rest = (rest + data)[end:]
        total += found
        stamps.append((time.monotonic_ns(), found))
    await trio.Path(path).write_text(json.dumps(stamps))
    print(json.dumps({'finished': total}), flush=True)
    sys.stdin.read()


if __name__ == '__main__':
    trio.run(read, *sys.argv[1:])
