"""
The provider: Binance's public market data as a `Backend`.
"""
from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import numpy.typing as npt
import trio
from pydantic import BaseModel, ValidationError

from ...clock import NS_PER_MS, SteadyClock, VenueClock
from ...data.backend import DepthSubscription, Subscription
from ...data.depth import DepthSnapshot
from ...data.ticks import TickRow
from ...errors import BadInput, BadMessage, VenueError
from ...instruments import Instrument, InstrumentId
from .decode import Router
from .depth import SNAPSHOT_LIMIT, DepthAnswer, depth_stream
from .link import Links
from .rest import Rest
from .schemas import (
    AggTrade,
    ExchangeInfo,
    Kline,
    RestBookTicker,
    RestTrade,
    SymbolInfo,
    pack_klines,
)

__all__ = ['Binance', 'open_backend']

log = logging.getLogger(__name__)

M = TypeVar('M', bound=BaseModel)

_PAGE = 1000
_INTERVALS = {1: '1s', 60: '1m'}
_CLOCK_EVERY_S = 600.0
_LIST_EVERY_S, _LIST_AGAIN_S = 3600.0, 60.0


class Binance:
    """
    Satisfies `piker.data.backend.Backend`; made by `open_backend`.

    ``limiter`` is that of all requests to the venue, orders included.
    """

    def __init__(
        self,
        name: str,
        rest: Rest,
        stream_url: str,
        trades: str,
        nursery: trio.Nursery,
    ) -> None:
        self.name = name
        self.rest_url = rest.base_url
        self.stream_url = stream_url
        self.limiter = rest.limiter
        self._base = SteadyClock()
        self.clock = VenueClock(self._base)
        self._rest = rest
        self._trades = trades
        self._router = Router(self.clock)
        self._links = Links(stream_url, self._router, nursery)
        self._instruments: dict[str, Instrument] = {}
        self._listing = trio.Lock()

    async def sync_clock(self) -> None:
        """Read the venue's clock once."""
        sent = self._base.now_ns()
        answer = await self._rest.get('/api/v3/time')
        received = self._base.now_ns()
        try:
            venue_ns = int(answer['serverTime']) * NS_PER_MS
        except (KeyError, TypeError, ValueError) as err:
            raise BadMessage(f'{self.name}: not a time: {answer!r}') from err
        self.clock.sync(venue_ns, sent, received)

    async def keep_clock(self) -> None:
        """Read it again from time to time."""
        while True:
            await trio.sleep(_CLOCK_EVERY_S)
            try:
                await self.sync_clock()
            except (VenueError, BadMessage) as err:
                log.warning('%s: %s', self.name, err)

    async def instruments(self) -> dict[str, Instrument]:
        # Who asks waits for the first listing only: later ones may take as
        # long as the venue wants to be left alone.
        async with self._listing:
            if not self._instruments:
                await self._list_instruments()
        return self._instruments

    async def _list_instruments(self, *, background: bool = False) -> None:
        answer = await self._rest.get(
            '/api/v3/exchangeInfo', background=background
        )
        info = _valid(ExchangeInfo, answer)
        self._instruments = self._usable(info.symbols)

    async def keep_listing(self) -> None:
        """List what there is anew from time to time, once it was asked for."""
        while True:
            await trio.sleep(_LIST_EVERY_S)
            while self._instruments:
                try:
                    await self._list_instruments(background=True)
                    break
                except (VenueError, BadMessage) as err:
                    log.warning('%s: the old listing stays: %s',
                                self.name, err)
                await trio.sleep(_LIST_AGAIN_S)

    def _usable(self, symbols: list[dict[str, Any]]) -> dict[str, Instrument]:
        """One market that we cannot read must not hide the others."""
        found = {}
        for raw in symbols:
            try:
                symbol = _valid(SymbolInfo, raw)
                instrument = symbol.to_instrument(self.name)
                key = InstrumentId.parse(instrument.id).local
            except (BadMessage, BadInput) as err:
                log.warning('%s: left out: %s', self.name, err)
                continue
            found[key] = instrument
        return found

    async def bars(
        self,
        instrument: Instrument,
        period_s: int,
        start_ns: int,
        end_ns: int,
        *,
        background: bool = False,
    ) -> npt.NDArray[Any]:
        period_ns = period_s * 1_000_000_000
        start_ns = max(start_ns, end_ns - _PAGE * period_ns, 0)
        answer = await self._rest.get(
            '/api/v3/klines',
            background=background,
            symbol=instrument.raw_symbol,
            interval=_INTERVALS[period_s],
            startTime=start_ns // NS_PER_MS,
            endTime=end_ns // NS_PER_MS - 1,
            limit=_PAGE,
        )
        if not isinstance(answer, list):
            raise BadMessage(f'{instrument.id}: not klines: {answer!r:.100}')
        return pack_klines([Kline.parse(row) for row in answer])

    async def trades_since(
        self,
        instrument: Instrument,
        *,
        time_ns: int | None = None,
        after_id: int | None = None,
    ) -> list[TickRow]:
        if self._trades == 'trade':
            return await self._fills_since(instrument, time_ns, after_id)
        return await self._agg_trades(instrument, time_ns, after_id)

    async def _agg_trades(
        self, instrument: Instrument, time_ns: int | None, after_id: int | None
    ) -> list[TickRow]:
        found = await self._list(
            AggTrade, '/api/v3/aggTrades', instrument, time_ns, after_id
        )
        recv = time.time_ns()
        return [trade.to_row(recv) for trade in found]

    async def _fills_since(
        self, instrument: Instrument, time_ns: int | None, after_id: int | None
    ) -> list[TickRow]:
        if after_id is None:
            # Single fills can be asked for by id only; an aggregate that
            # opens at the right time names its first.
            found = await self._list(
                AggTrade, '/api/v3/aggTrades', instrument, time_ns, None
            )
            if not found:
                return []
            after_id = found[0].first_trade - 1
        fills = await self._list(
            RestTrade, '/api/v3/historicalTrades', instrument, None, after_id
        )
        recv = time.time_ns()
        return [fill.to_row(recv) for fill in fills]

    async def _list(
        self,
        model: type[M],
        path: str,
        instrument: Instrument,
        time_ns: int | None,
        after_id: int | None,
    ) -> list[M]:
        answer = await self._rest.get(
            path,
            symbol=instrument.raw_symbol,
            startTime=None if time_ns is None else time_ns // NS_PER_MS,
            fromId=None if after_id is None else after_id + 1,
            limit=_PAGE,
        )
        if not isinstance(answer, list):
            raise BadMessage(f'{path}: not a list: {answer!r:.100}')
        return [_valid(model, item) for item in answer]

    async def top(self, instrument: Instrument) -> tuple[float, ...]:
        answer = await self._rest.get(
            '/api/v3/ticker/bookTicker', symbol=instrument.raw_symbol
        )
        top = _valid(RestBookTicker, answer)
        return top.bidPrice, top.bidQty, top.askPrice, top.askQty

    def subscribe(
        self, instrument: Instrument, subscription: Subscription
    ) -> AbstractAsyncContextManager[None]:
        symbol = instrument.raw_symbol.lower()
        streams = [f'{symbol}@{self._trades}', f'{symbol}@bookTicker']
        return self._links.subscribed(streams, subscription)

    async def depth_snapshot(
        self, instrument: Instrument, *, background: bool = False
    ) -> DepthSnapshot:
        answer = await self._rest.get(
            '/api/v3/depth',
            background=background,
            symbol=instrument.raw_symbol,
            limit=SNAPSHOT_LIMIT,
        )
        found = _valid(DepthAnswer, answer)
        return found.to_snapshot(self.clock.now_ns(), time.time_ns())

    def subscribe_depth(
        self, instrument: Instrument, subscription: DepthSubscription
    ) -> AbstractAsyncContextManager[None]:
        return self._links.subscribed(
            [depth_stream(instrument)], subscription
        )

    def status(self) -> dict[str, Any]:
        return {
            'rest_requests': self._rest.requests,
            'rest_failures': self._rest.failures,
            'rest_weight_1m': self._rest.limiter.used,
            'rest_waiting': self._rest.waiting,
            'rest_waits': self._rest.limiter.waits,
            'rest_back_offs': self._rest.limiter.back_offs,
            'clock_offset_ms': round(self.clock.offset_ns / NS_PER_MS, 3),
            'links': self._links.status(),
            **self._router.status(),
        }


def _valid(model: Callable[..., M], data: Any) -> M:
    validate: Any = getattr(model, 'model_validate')  # noqa: B009
    try:
        found: M = validate(data)
    except ValidationError as err:
        problem = err.errors()[0]
        where = '.'.join(str(part) for part in problem['loc'])
        raise BadMessage(
            f'not a valid {model.__name__}: {where}: {problem["msg"]}: '
            f'{problem["input"]!r:.100}'
        ) from err
    return found


@asynccontextmanager
async def open_backend(
    name: str, settings: dict[str, Any], upstream: dict[str, Any]
) -> AsyncGenerator[Binance, None]:
    """
    The provider ``name`` with these settings.

    For ``sim``, ``upstream`` says where the embedded venue listens, unless
    the settings name one by ``url``.  Raises `VenueDown` if the venue does
    not even tell the time.
    """
    address = settings.get('url') or ''
    if upstream:
        address = f'http://{upstream["host"]}:{upstream["port"]}'
    rest_url = address or settings['rest_url']
    stream_url = (
        address.replace('http', 'ws', 1) if address
        else settings['stream_url']
    )
    rest = Rest(rest_url, settings.get('share', 1.0))
    try:
        async with trio.open_nursery() as nursery:
            backend = Binance(
                name, rest, stream_url, settings['trades'], nursery
            )
            await backend.sync_clock()
            nursery.start_soon(backend.keep_clock)
            nursery.start_soon(backend.keep_listing)
            yield backend
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True), trio.move_on_after(1):
            await rest.aclose()
