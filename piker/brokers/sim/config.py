"""
What an embedded venue can be told.
"""
from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from ...errors import BadInput, did_you_mean

__all__ = ['ORDER_ANSWERS', 'ORDER_KINDS', 'FaultConfig', 'VenueConfig']

ORDER_ANSWERS = ('silence', 'timeout', 'error', 'unavailable', 'limit', 'ban')
ORDER_KINDS = ('place', 'cancel', 'replace')


@dataclass(frozen=True, slots=True)
class FaultConfig:
    """
    How the venue misbehaves; all zero is not at all.

    ``latency_ms`` delays every stream message; the ``*_rate`` fields are the
    shares of stream messages sent twice, dropped, or sent after their
    successor; the next ``rest_requests`` REST requests are answered with
    ``rest_status`` and ``Retry-After: retry_after_s``.  For ``stall_s``
    seconds nothing is sent on open sockets, for ``refuse_connections_s`` new
    connections are closed at once; ``drop_connections`` closes the open ones.

    The next ``order_requests`` requests that place or cancel orders (only
    those in ``order_kind``: ``place``, ``cancel`` or ``replace``) get
    ``order_answer`` instead of theirs: ``silence``, ``timeout`` (-1007),
    ``error`` (500), ``unavailable`` (503), ``limit`` (429) or ``ban`` (418);
    ``order_executed`` says whether they are carried out all the same.
    ``order_delay_ms`` holds up the answers to all of them.  Of the events of
    user data streams ``user_duplicate_rate`` are sent twice and
    ``user_reorder_rate`` up to 300 ms late; ``drop_user_streams`` closes the
    connections they go to.
    """

    latency_ms: float = 0.0
    duplicate_rate: float = 0.0
    gap_rate: float = 0.0
    reorder_rate: float = 0.0
    rest_status: int = 0
    rest_requests: int = 1
    retry_after_s: int = 1
    stall_s: float = 0.0
    refuse_connections_s: float = 0.0
    drop_connections: bool = False
    order_answer: str = ''
    order_executed: bool = False
    order_requests: int = 1
    order_kind: str = ''
    order_delay_ms: float = 0.0
    user_duplicate_rate: float = 0.0
    user_reorder_rate: float = 0.0
    drop_user_streams: bool = False

    def __post_init__(self) -> None:
        for name, words in (('order_answer', ORDER_ANSWERS),
                            ('order_kind', ORDER_KINDS)):
            if getattr(self, name) not in {'', *words}:
                raise BadInput(
                    f'{name} = {getattr(self, name)!r} is none of '
                    f'{", ".join(words)}'
                )
        for name in ('duplicate_rate', 'gap_rate', 'reorder_rate',
                     'user_duplicate_rate', 'user_reorder_rate'):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(
                    f'{name} = {getattr(self, name)!r} is not a share between '
                    '0 and 1'
                )

    @classmethod
    def parse(cls, given: object) -> FaultConfig:
        """From decoded JSON; raises `BadInput` naming what is wrong."""
        if not isinstance(given, dict):
            raise BadInput('faults must be a JSON object')
        known = {f.name: f.default for f in fields(cls)}
        values: dict[str, Any] = {}
        for name, value in given.items():
            if name not in known:
                raise BadInput(
                    f'there is no fault {name!r}.' + did_you_mean(name, known)
                )
            kind = type(known[name])
            if kind is float and type(value) is int:
                value = float(value)
            if type(value) is not kind:
                raise BadInput(
                    f'{name} = {value!r} must be of type {kind.__name__}'
                )
            values[name] = value
        return cls(**values)


@dataclass(frozen=True, slots=True)
class VenueConfig:
    """
    An embedded venue.

    ``port`` 0 takes any free one.  ``symbols`` limits the listings (empty:
    all).  ``quote_rate`` scales how often sizes at the touch change.

    ``replay`` names recordings to serve instead of generated flow, at
    ``speed`` times the pace they were made at (0: as fast as the slowest
    subscriber takes them), beginning right away, when a stream of trades of
    every file has a subscriber, or on ``POST /sim/v1/replay/start``.

    A client that has more than ``max_queue`` messages or ``max_queue_bytes``
    waiting for it is disconnected.  ``ping_interval_s`` is that of the
    server's websocket pings, ``weight_limit`` the REST weight per minute,
    ``order_limits`` the orders per account in ten seconds and in a day,
    ``log_requests`` how many requests ``/sim/v1/requests`` remembers.

    ``state`` is the file that keeps accounts, orders and what users changed
    of the tape; empty: memory only.  It belongs to one seed.
    """

    host: str = '127.0.0.1'
    port: int = 0
    seed: int = 1
    symbols: tuple[str, ...] = ()
    quote_rate: float = 1.0
    replay: tuple[str, ...] = ()
    speed: float = 1.0
    start: Literal['now', 'subscribed', 'manual'] = 'subscribed'
    max_queue: int = 20_000
    max_queue_bytes: int = 8 << 20
    ping_interval_s: float = 20.0
    weight_limit: int = 6000
    order_limits: tuple[int, int] = (100, 200_000)
    log_requests: int = 1000
    state: str = ''
    faults: FaultConfig = field(default_factory=FaultConfig)
