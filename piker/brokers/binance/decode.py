"""
From payloads to ticks: the hot path's one pass of typed decoding.

A combined-stream message reads ``{"stream":"<name>","data":{…}}``; the name
picks the type to decode and the subscription to deliver to.  Pure: no I/O.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from ...clock import NS_PER_MS, VenueClock
from ...data.backend import DepthSink, Sink
from ...data.ticks import Kind, Side, TickRow
from .depth import depth_rows
from .schemas import HotAggTrade, HotBookTicker, HotTrade

__all__ = ['Router', 'stream_name']

T = TypeVar('T')

_BUY, _SELL = int(Side.BUY), int(Side.SELL)
_TRADE, _BID, _ASK = int(Kind.TRADE), int(Kind.BID), int(Kind.ASK)
_HEAD = b'{"stream":"'
_NAME_AT = len(_HEAD)


class _Combined(msgspec.Struct, Generic[T], gc=False):
    data: T


class _Named(msgspec.Struct):
    stream: str


def _decoder(kind: type[T]) -> Callable[[bytes], _Combined[T]]:
    # Numbers come as text; lax decoding makes floats of them at once.
    combined: Any = _Combined[kind]  # type: ignore[valid-type]
    decode: Callable[[bytes], _Combined[T]] = msgspec.json.Decoder(
        combined, strict=False
    ).decode
    return decode


_agg_trade = _decoder(HotAggTrade)
_trade = _decoder(HotTrade)
_book = _decoder(HotBookTicker)
_named = msgspec.json.Decoder(_Named).decode


def stream_name(payload: bytes) -> bytes:
    """
    The stream a message belongs to, empty for replies and anything else.

    The venue writes ``stream`` first; another order costs a decode.
    """
    if payload[:_NAME_AT] == _HEAD:
        return payload[_NAME_AT:payload.find(b'"', _NAME_AT)]
    try:
        return _named(payload).stream.encode()
    except msgspec.MsgspecError:
        return b''


Rows = Callable[[bytes, int, int, list[Any]], int]


def _agg_trade_rows(
    payload: bytes, recv_ns: int, now_ns: int, out: list[TickRow]
) -> int:
    d = _agg_trade(payload).data
    out.append((
        d.T * NS_PER_MS, recv_ns, _TRADE, _SELL if d.m else _BUY,
        d.p, d.q, d.a, d.l - d.f + 1,
    ))
    return d.E


def _trade_rows(
    payload: bytes, recv_ns: int, now_ns: int, out: list[TickRow]
) -> int:
    d = _trade(payload).data
    out.append((
        d.T * NS_PER_MS, recv_ns, _TRADE, _SELL if d.m else _BUY,
        d.p, d.q, d.t, 1,
    ))
    return d.E


def _book_rows(
    payload: bytes, recv_ns: int, now_ns: int, out: list[TickRow]
) -> int:
    d = _book(payload).data
    update = d.u
    out.append(
        (now_ns, recv_ns, _BID, 0, d.b, d.B, update, 0)
    )
    out.append(
        (now_ns, recv_ns, _ASK, 0, d.a, d.A, update, 0)
    )
    return 0


# The part of a stream's name after '@' → its decoder.
_KINDS: dict[bytes, Rows] = {
    b'aggTrade': _agg_trade_rows,
    b'trade': _trade_rows,
    b'bookTicker': _book_rows,
    b'depth@100ms': depth_rows,
}


class Router:
    """
    Which sink each stream goes to, and the pass over a batch of payloads.

    Times of quotes, which carry none, are the venue clock's.
    """

    def __init__(self, clock: VenueClock) -> None:
        self._clock = clock
        self._routes: dict[bytes, tuple[Rows, int]] = {}
        self._sinks: dict[int, Sink | DepthSink] = {}
        self.messages = 0
        self.unknown = 0

    def add(self, streams: list[str], sink: Sink | DepthSink) -> None:
        """Deliver ``streams`` (``symbol@kind``) to ``sink``."""
        key = id(sink)
        self._sinks[key] = sink
        for name in streams:
            raw = name.encode()
            self._routes[raw] = _KINDS[raw.partition(b'@')[2]], key

    def remove(self, streams: list[str], sink: Sink | DepthSink) -> None:
        self._sinks.pop(id(sink), None)
        for name in streams:
            self._routes.pop(name.encode(), None)

    def route(self, payloads: list[bytes], recv_ns: int) -> list[bytes]:
        """
        Decode and deliver; returns the messages that are no stream's.

        A message that does not fit its type is refused and counted at its
        sink; it stops nothing else.
        """
        now_ns = self._clock.now_ns()
        batches: dict[int, list[Any]] = {}
        rest: list[bytes] = []
        newest_ms = 0
        routes = self._routes
        for payload in payloads:
            name = stream_name(payload)
            route = routes.get(name)
            if route is None:
                if name:
                    self.unknown += 1
                else:
                    rest.append(payload)
                continue
            rows, key = route
            batch = batches.get(key)
            if batch is None:
                batch = batches[key] = []
            try:
                event_ms = rows(payload, recv_ns, now_ns, batch)
            except (msgspec.MsgspecError, ValueError):
                self._sinks[key].refused(1)
                continue
            newest_ms = max(event_ms, newest_ms)
        self.messages += len(payloads)
        if newest_ms:
            self._clock.observe(newest_ms * NS_PER_MS)
        for key, batch in batches.items():
            if batch:
                self._sinks[key].rows(batch)
        return rest

    def status(self) -> dict[str, Any]:
        return {
            'streams': len(self._routes),
            'messages': self.messages,
            'unknown_messages': self.unknown,
        }
