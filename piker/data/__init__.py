"""
Market data in shared memory: who writes it, who reads it, how it heals.

The writing half (`bus`, `live`, `sampling`, `backfill`, `endpoints`) runs in
``brokerd``, whichever the provider; the reading half (`open_feed`, `Flume`,
`Bars`, `TickReader`) in every client.  `backend` is what a provider must
offer.
"""
from .bars import BAR_DTYPE, Bars, BarWriter
from .feed import Feed, Flume, iter_ohlc_periods, open_feed
from .ticks import (
    TICK_DTYPE,
    FeedState,
    Kind,
    Quote,
    Side,
    TickReader,
    Ticks,
    TickWriter,
)

__all__ = [
    'BAR_DTYPE',
    'TICK_DTYPE',
    'BarWriter',
    'Bars',
    'Feed',
    'FeedState',
    'Flume',
    'Kind',
    'Quote',
    'Side',
    'TickReader',
    'TickWriter',
    'Ticks',
    'iter_ohlc_periods',
    'open_feed',
]
