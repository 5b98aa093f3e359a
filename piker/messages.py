"""
The messages that cross actors, grouped by sender → receiver.

All are plain `msgspec` structs.  The actor layer carries builtins, so a
message is sent as ``pack(message)`` and read as ``unpack(Type, data)``;
unknown fields are ignored, missing or mistyped ones raise `BadMessage`.
"""
from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from .errors import BadMessage
from .instruments import Instrument

__all__ = [
    'BookInfo',
    'BookStatus',
    'ClientInfo',
    'DaemonInfo',
    'DaemonStatus',
    'FeedStatus',
    'FlumeInfo',
    'RecordStatus',
    'Steps',
    'StoreStatus',
    'TreeStatus',
    'pack',
    'unpack',
]

T = TypeVar('T')


def pack(message: Any) -> Any:
    """The message as builtins, ready for the actor layer."""
    return msgspec.to_builtins(message, builtin_types=(bytes,))


def unpack(kind: type[T], data: Any) -> T:
    """Read a message; raises `BadMessage` if it does not fit ``kind``."""
    try:
        return msgspec.convert(data, kind, strict=False)
    except msgspec.ValidationError as err:
        raise BadMessage(f'not a {kind.__name__}: {err}') from err


# pikerd → clients and daemons

class DaemonInfo(msgspec.Struct, frozen=True):
    """
    Where a daemon lives.

    ``started`` is the process's start time in clock ticks since boot, which
    together with ``pid`` names a process for good.
    """

    name: str
    pid: int
    started: int
    details: dict[str, Any] = {}


class DaemonStatus(msgspec.Struct, frozen=True):
    """A daemon as ``piker services`` shows it; times in s, memory in bytes."""

    name: str
    state: str
    pid: int = 0
    uptime_s: float = 0.0
    restarts: int = 0
    cpu_percent: float = 0.0
    memory: int = 0
    error: str = ''
    details: dict[str, Any] = {}


class ClientInfo(msgspec.Struct, frozen=True):
    """A client that holds a lease on the tree."""

    name: str
    pid: int


class TreeStatus(msgspec.Struct, frozen=True):
    """The whole tree, the root first."""

    address: str
    daemons: list[DaemonStatus]
    clients: list[ClientInfo]


# brokerd → clients

class FlumeInfo(msgspec.Struct, frozen=True):
    """Names of the shared memory of one instrument, ready to be mapped."""

    instrument: Instrument
    ticks: str
    bars: dict[int, str]
    waker: str


class FeedStatus(msgspec.Struct, frozen=True):
    """
    A feed as ``piker services`` shows it; rates per second, age in s.

    ``gaps_left`` and ``bars_left`` are those of stored history that are
    being filled; ``reason`` says why it is not live, empty where it is.
    """

    symbol: str
    state: str
    subscribers: int
    ticks: int
    rate: float
    age_s: float
    bars: dict[str, int]
    backfilling: bool
    counters: dict[str, int]
    gaps_left: int = 0
    bars_left: int = 0
    reason: str = ''


class BookInfo(msgspec.Struct, frozen=True):
    """Name of the shared memory of one order book, ready to be mapped."""

    instrument: Instrument
    book: str
    waker: str


class BookStatus(msgspec.Struct, frozen=True):
    """
    An order book and how many levels of it are known; age in s.

    ``reason`` says why it is not live, empty where it is.
    """

    symbol: str
    state: str
    subscribers: int
    bids: int
    asks: int
    age_s: float
    counters: dict[str, int]
    reason: str = ''


class Steps(msgspec.Struct, frozen=True):
    """
    The sampler moved on: the newest bar's index for each period in s.
    """

    index: dict[str, int]


# stored → clients

class RecordStatus(msgspec.Struct, frozen=True):
    """
    How far the recording of one instrument is.

    ``bars`` (by period in s) and ``ticks`` are the rows written since it
    began, ``waiting`` those that are ready and not written.  ``lost`` were
    overwritten before they could be read, ``torn`` could not be read whole,
    ``refused`` cannot be true; ``errors`` counts failed writes, of which
    ``error`` is the last unless the store works again.
    """

    bars: dict[str, int]
    ticks: int
    waiting: int
    flushes: int
    since_flush_s: float
    lost: int
    torn: int
    refused: int
    errors: int
    error: str
    ending: bool


class StoreStatus(msgspec.Struct, frozen=True):
    """
    The store: where it is, what it records, by symbol, and its upkeep.

    ``compacted`` counts ranges whose small files became one, ``error`` is
    why that last failed.
    """

    root: str
    recording: dict[str, RecordStatus]
    compacted: int
    error: str
