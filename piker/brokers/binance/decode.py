"""
From payloads to ticks: the hot path's one pass of typed decoding.

A combined-stream message reads ``{"stream":"<name>","data":{…}}``; the name
picks the type to decode and the subscription to deliver to.  Messages come
one by one, or as a JSON list that is decoded in one call.  Pure: no I/O.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar, Union

import msgspec

from ...clock import NS_PER_MS, NS_PER_S, VenueClock
from ...data.backend import DepthSink, Sink
from ...data.ticks import Kind, Side, TickColumns, TickRow
from .columns import tick_columns
from .depth import HotDepth, depth_rows
from .frames import JsonList
from .schemas import HotAggTrade, HotBookTicker, HotTrade

__all__ = ['Router', 'stream_name']

T = TypeVar('T')

_BUY, _SELL = int(Side.BUY), int(Side.SELL)
_TRADE, _BID, _ASK = int(Kind.TRADE), int(Kind.BID), int(Kind.ASK)
_HEAD = b'{"stream":"'
_NAME_AT = len(_HEAD)
# From this many messages for one sink on, columns are quicker than rows.
_MANY = 128
# What an event's time may be ahead of the clock without further proof.
_LEAP_NS = 60 * NS_PER_S


class _Combined(msgspec.Struct, Generic[T], gc=False):
    data: T


class _Named(msgspec.Struct):
    stream: str


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


# A message's data, when it was read, the venue's time, where its rows go;
# returns the time of the event in ms, 0 for none.
Rows = Callable[[Any, int, int, list[Any]], int]


def _agg_trade_rows(
    d: HotAggTrade, recv_ns: int, now_ns: int, out: list[TickRow]
) -> int:
    out.append((
        d.T * NS_PER_MS, recv_ns, _TRADE, _SELL if d.m else _BUY,
        d.p, d.q, d.id, d.l - d.f + 1,
    ))
    return d.E


def _trade_rows(
    d: HotTrade, recv_ns: int, now_ns: int, out: list[TickRow]
) -> int:
    out.append((
        d.T * NS_PER_MS, recv_ns, _TRADE, _SELL if d.m else _BUY,
        d.p, d.q, d.id, 1,
    ))
    return d.E


def _book_rows(
    d: HotBookTicker, recv_ns: int, now_ns: int, out: list[TickRow]
) -> int:
    update = d.u
    out.append(
        (now_ns, recv_ns, _BID, 0, d.b, d.B, update, 0)
    )
    out.append(
        (now_ns, recv_ns, _ASK, 0, d.a, d.A, update, 0)
    )
    return 0


# The part of a stream's name after '@' → the type of its data.
_KINDS: dict[bytes, type[msgspec.Struct]] = {
    b'aggTrade': HotAggTrade,
    b'trade': HotTrade,
    b'bookTicker': HotBookTicker,
    b'depth@100ms': HotDepth,
}
_ROWS: dict[type[msgspec.Struct], Rows] = {
    HotAggTrade: _agg_trade_rows,
    HotTrade: _trade_rows,
    HotBookTicker: _book_rows,
    HotDepth: depth_rows,
}
# Numbers come as text; lax decoding makes floats of them at once.
_DECODE: dict[type[msgspec.Struct], Callable[[bytes], _Combined[Any]]] = {
    kind: msgspec.json.Decoder(
        _Combined[kind], strict=False  # type: ignore[valid-type]
    ).decode
    for kind in _ROWS
}


def _list_decoder(
    types: Iterable[type[msgspec.Struct]],
) -> Callable[[JsonList], list[Any]]:
    """Decodes lists of any of these types."""
    some: Any = Union[tuple(types) or (_NoMessage,)]  # noqa: UP007
    decode: Any = msgspec.json.Decoder(list[some], strict=False).decode
    return decode  # type: ignore[no-any-return]


class _NoMessage(msgspec.Struct, tag_field='stream', tag=''):
    """What is in a list while nothing is subscribed."""


class Router:
    """
    Which sink each stream goes to, and the pass over a batch of payloads.

    Times of quotes, which carry none, are the venue clock's.
    """

    def __init__(self, clock: VenueClock) -> None:
        self._clock = clock
        # by what a message of the stream begins with
        self._routes: dict[
            bytes, tuple[Callable[[bytes], _Combined[Any]], Rows, int]
        ] = {}
        self._sinks: dict[int, Sink | DepthSink] = {}
        # Each stream's messages are a type of their own in a list, told by
        # the name: so the decoder sorts them out.
        self._types: dict[str, type[msgspec.Struct]] = {}
        self._keys: dict[type[msgspec.Struct], int] = {}
        self._decode_list: Callable[[JsonList], list[Any]] | None = None
        self.messages = 0
        self.unknown = 0

    def add(self, streams: list[str], sink: Sink | DepthSink) -> None:
        """Deliver ``streams`` (``symbol@kind``) to ``sink``."""
        key = id(sink)
        self._sinks[key] = sink
        for name in streams:
            kind = _KINDS[name.encode().partition(b'@')[2]]
            self._routes[_HEAD + name.encode()] = (
                _DECODE[kind], _ROWS[kind], key
            )
            if name not in self._types:
                self._types[name] = msgspec.defstruct(
                    'Message', [('data', kind)], tag_field='stream',
                    tag=name, gc=False,
                )
            self._keys[self._types[name]] = key
        self._decode_list = None

    def remove(self, streams: list[str], sink: Sink | DepthSink) -> None:
        self._sinks.pop(id(sink), None)
        for name in streams:
            self._routes.pop(_HEAD + name.encode(), None)
            of_stream = self._types.pop(name, None)
            if of_stream:
                del self._keys[of_stream]
        self._decode_list = None

    def route(self, payloads: list[bytes], recv_ns: int) -> list[bytes]:
        """
        Decode and deliver; returns the messages that are no stream's.

        A message that does not fit its type is refused and counted at its
        sink; it stops nothing else.
        """
        now_ns = self._clock.now_ns()
        batches: dict[int, list[Any]] = {}
        rest: list[bytes] = []
        newest = 0
        routes = self._routes
        for payload in payloads:
            route = routes.get(payload[:payload.find(b'"', _NAME_AT)])
            if route is None:
                name = stream_name(payload)
                route = routes.get(_HEAD + name)
            if route is None:
                if name:
                    self.unknown += 1
                else:
                    rest.append(payload)
                continue
            decode, rows, key = route
            batch = batches.get(key)
            if batch is None:
                batch = batches[key] = []
            try:
                event_ms = rows(decode(payload).data, recv_ns, now_ns, batch)
            except (msgspec.MsgspecError, ValueError):
                self._sinks[key].refused(1)
                continue
            newest = max(newest, event_ms)
        self.messages += len(payloads)
        event_ns = newest * NS_PER_MS
        if newest and (
            event_ns - now_ns < _LEAP_NS
            or _proven(event_ns, batches.values())
        ):
            self._clock.observe(event_ns)
        for key, batch in batches.items():
            if batch:
                self._sinks[key].rows(batch)
        return rest

    def route_list(
        self, messages: JsonList, many: int, recv_ns: int
    ) -> bool:
        """
        `route` for a JSON list of ``many`` messages, all of known streams.

        Returns `False` for any other list and has done nothing then: what is
        wrong with it shows when its messages are routed one by one.
        """
        try:
            decoded = self.list_decoder()(messages)
        except msgspec.MsgspecError:
            return False
        if len(decoded) != many:
            return False
        now_ns = self._clock.now_ns()
        newest = 0
        batches: list[tuple[Callable[[Any], None], Any]] = []
        for key, data in self._by_sink(decoded).items():
            sink: Any = self._sinks[key]
            columns = None
            if len(data) >= _MANY:
                columns = tick_columns(data, recv_ns, now_ns)
            if columns:
                batches.append((sink.columns, columns[0]))
                newest = max(newest, columns[1])
                continue
            batch: list[Any] = []
            for d in data:
                try:
                    event_ms = _ROWS[type(d)](d, recv_ns, now_ns, batch)
                except ValueError:
                    sink.refused(1)
                    continue
                newest = max(newest, event_ms)
            if batch:
                batches.append((sink.rows, batch))
        self.messages += many
        event_ns = newest * NS_PER_MS
        if newest and (
            event_ns - now_ns < _LEAP_NS
            or _proven(event_ns, (ticks for _, ticks in batches))
        ):
            self._clock.observe(event_ns)
        for deliver, ticks in batches:
            deliver(ticks)
        return True

    def list_decoder(self) -> Callable[[JsonList], list[Any]]:
        """
        What decodes lists of messages of the streams there are now.

        Made anew after a change of them, which takes some 10 µs a stream:
        ask for it before a burst does.
        """
        if self._decode_list is None:
            self._decode_list = _list_decoder(self._keys)
        return self._decode_list

    def _by_sink(self, decoded: list[Any]) -> dict[int, list[Any]]:
        """The data of messages of a list, by the keys of their sinks."""
        keys = self._keys
        found: dict[int, list[Any]] = {
            keys[kind]: [] for kind in set(map(type, decoded))
        }
        if len(found) == 1:
            return {key: [m.data for m in decoded] for key in found}
        for message in decoded:
            found[keys[type(message)]].append(message.data)
        return found

    def status(self) -> dict[str, Any]:
        return {
            'streams': len(self._routes),
            'messages': self.messages,
            'unknown_messages': self.unknown,
        }


def _proven(event_ns: int, batches: Iterable[Any]) -> bool:
    """
    Whether a trade among them is about as new as this event's time.

    A recording that is played fast leaps ahead, and its trades with it; one
    time that is wrong would have the bars of all feeds run ahead.
    """
    return any(
        event_ns - _newest_trade_ns(batch) < _LEAP_NS for batch in batches
    )


def _newest_trade_ns(batch: list[Any] | TickColumns) -> int:
    if isinstance(batch, TickColumns):
        return int(batch.time[batch.kind == _TRADE].max(initial=0))
    return max(
        (row[0] for row in batch if type(row) is tuple and row[2] == _TRADE),
        default=0,
    )
