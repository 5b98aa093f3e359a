"""
Market data in shared memory: who writes it, who reads it, how it heals.

The writing half (`bus`, `live`, `sampling`, `backfill`, `endpoints`) runs in
``brokerd``, whichever the provider; the reading half (`open_feed`, `Flume`,
`Bars`, `TickReader`) in every client.  `backend` is what a provider must
offer.
"""
from .bars import BAR_DTYPE, Bars, BarWriter
from .book import Book, BookReader, BookState, BookWriter
from .bookfeed import BookFlume, open_book
from .feed import Feed, iter_ohlc_periods, open_feed
from .flume import Flume
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
    'Book',
    'BookFlume',
    'BookReader',
    'BookState',
    'BookWriter',
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
    'open_book',
    'open_feed',
]
