"""
What the data layer asks of a provider: the whole contract, in one file.

A provider is an object that satisfies `Backend`; its module is loaded by the
``brokerd`` that runs it and by nothing else.  Everything is in the units of
this layer: ns UTC, floats, `TickRow` tuples, `BAR_DTYPE` rows.  Errors are
`VenueError` and `BadMessage`; whatever a venue's client library raises is
translated before it leaves the provider.
"""
from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import numpy.typing as npt

from ..clock import VenueClock
from ..instruments import Instrument
from .depth import DepthEvent, DepthSnapshot
from .ticks import TickColumns, TickRow

__all__ = [
    'Backend',
    'DepthSink',
    'DepthSubscription',
    'LinkEvents',
    'Sink',
    'Subscription',
]


class Sink(Protocol):
    """
    Where a subscription delivers, called from the provider's receive loop.

    No method waits; all are called in the order of arrival.
    """

    def rows(self, rows: list[TickRow]) -> None:
        """Ticks of one instrument, as many as one read brought, in order."""

    def columns(self, ticks: TickColumns) -> None:
        """The same, where one read brought many."""

    def refused(self, count: int) -> None:
        """Messages that could not be used were dropped."""


class DepthSink(Protocol):
    """What `Sink` is for ticks, for the changes of an order book."""

    def rows(self, rows: list[DepthEvent], /) -> None:
        """Changes of one book, as many as one read brought, in order."""

    def refused(self, count: int) -> None:
        """Messages that could not be used were dropped."""


class LinkEvents(Protocol):
    """What a provider says of the connection behind a subscription."""

    def link_up(self) -> None:
        """The stream is subscribed; ticks flow from here on."""

    def link_down(self, reason: str) -> None:
        """The connection is lost; the provider is reconnecting."""

    def link_refused(self, reason: str) -> None:
        """
        The venue will not send this stream; the connection stands.

        The provider asks again from time to time; `link_up` tells if it was
        of use.
        """

    def link_alive(self) -> None:
        """Something arrived on the connection, for whichever instrument."""


class Subscription(Sink, LinkEvents, Protocol):
    """A subscriber: takes ticks and news of the connection."""


class DepthSubscription(DepthSink, LinkEvents, Protocol):
    """A subscriber: takes a book's changes and news of the connection."""


class Backend(Protocol):
    """A provider of market data."""

    name: str
    clock: VenueClock

    async def instruments(self) -> dict[str, Instrument]:
        """Every instrument, by `InstrumentId.local`; cached."""

    async def bars(
        self,
        instrument: Instrument,
        period_s: int,
        start_ns: int,
        end_ns: int,
        *,
        background: bool = False,
    ) -> npt.NDArray[Any]:
        """
        Bars that open within ``start_ns <= time < end_ns``, oldest first.

        At most one page, the newest of the range, as the venue has them:
        periods it leaves out are filled by the caller.  Empty means that the
        venue has nothing in the range.  ``period_s`` is 1 or 60.
        """

    async def trades_since(
        self,
        instrument: Instrument,
        *,
        time_ns: int | None = None,
        after_id: int | None = None,
    ) -> list[TickRow]:
        """
        Trades from a time on, or after an id; one page, oldest first.

        Ids are those of the live stream and rise by one, which is how holes
        are seen.  An empty page means that there are none yet.
        """

    async def top(self, instrument: Instrument) -> tuple[float, ...]:
        """Best ``bid, bid_size, ask, ask_size`` now; zeros where empty."""

    def subscribe(
        self, instrument: Instrument, subscription: Subscription
    ) -> AbstractAsyncContextManager[None]:
        """
        Live trades and best bid and ask, until the context is left.

        Entering returns once the request is on its way; `link_up` tells when
        ticks flow.  Reconnects by itself for as long as it is open.
        """

    async def depth_snapshot(
        self, instrument: Instrument, *, background: bool = False
    ) -> DepthSnapshot:
        """The order book now, as deep as the venue gives it."""

    def subscribe_depth(
        self, instrument: Instrument, subscription: DepthSubscription
    ) -> AbstractAsyncContextManager[None]:
        """
        Every change of the order book, until the context is left.

        Otherwise as `subscribe`.
        """

    def status(self) -> dict[str, Any]:
        """Counters of the provider for ``piker services``."""


# How a provider's module offers itself: an async context manager that takes
# the provider's name, its settings and what its helper daemon said of itself.
BackendFactory = Callable[
    [str, dict[str, Any], dict[str, Any]],
    AbstractAsyncContextManager[Backend],
]
