"""
The venue's order book messages: the difference stream and the snapshot.

As for ticks, the pydantic model is the reference for what a valid message
is, and a msgspec struct decodes the hot stream; a property test holds the two
equal.

Source: Binance Spot API documentation, "Diff. Depth Stream" and "Order book".
"""
from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import msgspec
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    model_validator,
)

from ...clock import NS_PER_MS
from ...data.depth import DepthEvent, DepthSnapshot, Level
from ...instruments import Instrument

__all__ = [
    'SNAPSHOT_LIMIT',
    'DepthAnswer',
    'DepthUpdate',
    'HotDepth',
    'depth_rows',
    'depth_stream',
]

# The most levels a side that the venue gives, at a weight of 250.
SNAPSHOT_LIMIT = 5000

_Id = Annotated[int, Field(ge=0)]
_Level = tuple[
    Annotated[FiniteFloat, Field(gt=0)], Annotated[FiniteFloat, Field(ge=0)]
]


def depth_stream(instrument: Instrument) -> str:
    """The stream of a book's changes, collected over 100 ms."""
    return f'{instrument.raw_symbol.lower()}@depth@100ms'


class _Message(BaseModel):
    model_config = ConfigDict(
        extra='ignore', frozen=True, populate_by_name=True
    )


class DepthUpdate(_Message):
    """What changed in the book from update ``U`` to ``u``."""

    e: Literal['depthUpdate'] = 'depthUpdate'
    event_ms: int = Field(0, alias='E')
    first: _Id = Field(alias='U')
    last: _Id = Field(alias='u')
    bids: list[_Level] = Field(alias='b')
    asks: list[_Level] = Field(alias='a')

    @model_validator(mode='after')
    def _forward(self) -> DepthUpdate:
        if self.first > self.last:
            raise ValueError(f'U {self.first} is after u {self.last}')
        return self

    def to_event(self, recv_ns: int) -> DepthEvent:
        return DepthEvent(
            self.first, self.last, self.event_ms * NS_PER_MS, recv_ns,
            self.bids, self.asks,
        )


class DepthAnswer(_Message):
    """What ``/api/v3/depth`` answers."""

    lastUpdateId: _Id  # noqa: N815
    bids: list[_Level]
    asks: list[_Level]

    def to_snapshot(self, time_ns: int, recv_ns: int) -> DepthSnapshot:
        return DepthSnapshot(
            self.lastUpdateId, time_ns, recv_ns, self.bids, self.asks,
            SNAPSHOT_LIMIT,
        )


class HotDepth(msgspec.Struct):
    """`DepthUpdate` of the stream, for speed; see `depth_rows`."""

    E: int
    U: int
    u: int
    b: list[Level]
    a: list[Level]


def depth_rows(
    d: HotDepth, recv_ns: int, now_ns: int, out: list[Any]
) -> int:
    """Append the `DepthEvent`; raises `ValueError` for one that is none."""
    if not 0 <= d.U <= d.u:
        raise ValueError(f'U {d.U}, u {d.u}')
    for side in (d.b, d.a):
        for price, size in side:
            if not (0 < price < math.inf and 0 <= size < math.inf):
                raise ValueError(f'not a level: {price}, {size}')
    out.append(DepthEvent(d.U, d.u, d.E * NS_PER_MS, recv_ns, d.b, d.a))
    return d.E
