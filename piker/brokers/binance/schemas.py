"""
What the venue sends, as types.

The pydantic models are the reference for what a valid message is and check
everything of low rate.  The hot stream decodes with the msgspec structs
below, which a property test holds equal to them.  Fields we do not know are
ignored.
"""
from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from ...clock import NS_PER_MS
from ...data.bars import BAR_DTYPE
from ...data.ticks import Kind, Side, TickRow
from ...errors import BadMessage
from ...instruments import Instrument

__all__ = [
    'AggTrade',
    'BookTicker',
    'ExchangeInfo',
    'HotAggTrade',
    'HotBookTicker',
    'HotTrade',
    'Kline',
    'SymbolInfo',
    'Trade',
    'pack_klines',
]

_BUY, _SELL = int(Side.BUY), int(Side.SELL)
_TRADE, _BID, _ASK = int(Kind.TRADE), int(Kind.BID), int(Kind.ASK)

_Price = Annotated[FiniteFloat, Field(ge=0)]
_Size = Annotated[FiniteFloat, Field(ge=0)]
_Id = Annotated[int, Field(ge=0)]


class _Message(BaseModel):
    model_config = ConfigDict(
        extra='ignore', frozen=True, populate_by_name=True
    )


class AggTrade(_Message):
    """Fills of one taker order at one price; ids rise by one."""

    e: Literal['aggTrade'] = 'aggTrade'
    event_ms: int = Field(0, alias='E')
    id: _Id = Field(alias='a')
    price: _Price = Field(alias='p')
    size: _Size = Field(alias='q')
    first_trade: int = Field(alias='f')
    last_trade: int = Field(alias='l')
    time_ms: _Id = Field(alias='T')
    buyer_is_maker: bool = Field(alias='m')

    def to_row(self, recv_ns: int) -> TickRow:
        """Our tick, whether it came by stream or by REST."""
        return (
            self.time_ms * NS_PER_MS,
            recv_ns,
            _TRADE,
            _SELL if self.buyer_is_maker else _BUY,
            self.price,
            self.size,
            self.id,
            self.last_trade - self.first_trade + 1,
        )


class Trade(_Message):
    """One fill; ids rise by one."""

    e: Literal['trade'] = 'trade'
    event_ms: int = Field(0, alias='E')
    id: _Id = Field(alias='t')
    price: _Price = Field(alias='p')
    size: _Size = Field(alias='q')
    time_ms: _Id = Field(alias='T')
    buyer_is_maker: bool = Field(alias='m')

    def to_row(self, recv_ns: int) -> TickRow:
        return (
            self.time_ms * NS_PER_MS,
            recv_ns,
            _TRADE,
            _SELL if self.buyer_is_maker else _BUY,
            self.price,
            self.size,
            self.id,
            1,
        )


class RestTrade(_Message):
    """One fill as ``trades`` and ``historicalTrades`` list it."""

    id: _Id
    price: _Price
    qty: _Size
    time: _Id
    isBuyerMaker: bool  # noqa: N815

    def to_row(self, recv_ns: int) -> TickRow:
        return (
            self.time * NS_PER_MS,
            recv_ns,
            _TRADE,
            _SELL if self.isBuyerMaker else _BUY,
            self.price,
            self.qty,
            self.id,
            1,
        )


class BookTicker(_Message):
    """Best bid and ask; the stream gives no time of its own."""

    update: _Id = Field(0, alias='u')
    bid: _Price = Field(alias='b')
    bid_size: _Size = Field(alias='B')
    ask: _Price = Field(alias='a')
    ask_size: _Size = Field(alias='A')

    def to_rows(self, recv_ns: int, time_ns: int) -> list[TickRow]:
        """A bid tick, then an ask tick."""
        return [
            (time_ns, recv_ns, _BID, 0, self.bid, self.bid_size,
             self.update, 0),
            (time_ns, recv_ns, _ASK, 0, self.ask, self.ask_size,
             self.update, 0),
        ]


class RestBookTicker(_Message):
    """Best bid and ask as ``ticker/bookTicker`` gives them."""

    bidPrice: _Price  # noqa: N815
    bidQty: _Size  # noqa: N815
    askPrice: _Price  # noqa: N815
    askQty: _Size  # noqa: N815


class SymbolInfo(_Message):
    """A market of ``exchangeInfo``; filters stay loose, few are read."""

    symbol: str
    status: str
    baseAsset: str  # noqa: N815
    quoteAsset: str  # noqa: N815
    filters: list[dict[str, Any]]

    def to_instrument(self, provider: str) -> Instrument:
        """
        Raises `BadMessage` where the grid cannot be told.
        """
        filters = {f.get('filterType'): f for f in self.filters}
        try:
            tick = Decimal(filters['PRICE_FILTER']['tickSize'])
            lot = Decimal(filters['LOT_SIZE']['stepSize'])
            notional = (
                filters.get('NOTIONAL') or filters.get('MIN_NOTIONAL') or {}
            )
            least = Decimal(notional.get('minNotional', '0'))
        except (KeyError, ArithmeticError, TypeError, ValueError) as err:
            raise BadMessage(
                f'{self.symbol}: no usable PRICE_FILTER and LOT_SIZE'
            ) from err
        if not (tick.is_finite() and lot.is_finite() and least.is_finite()):
            raise BadMessage(f'{self.symbol}: tick {tick}, lot {lot}')
        if tick <= 0 or lot <= 0:
            raise BadMessage(f'{self.symbol}: tick {tick}, lot {lot}')
        return Instrument(
            id=f'{self.symbol.lower()}.{provider}',
            raw_symbol=self.symbol,
            base=self.baseAsset,
            quote=self.quoteAsset,
            tick_size=tick.normalize(),
            lot_size=lot.normalize(),
            min_notional=least,
            status=self.status.lower(),
            description=f'{self.baseAsset} / {self.quoteAsset}',
        )


class ExchangeInfo(_Message):
    """The venue's markets; each is a `SymbolInfo`, checked one by one."""

    symbols: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Kline:
    """
    One bar of ``klines``, in the order of the venue's array.

    Times in ms; ``quote_volume`` is price × size summed.
    """

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    close_ms: int
    quote_volume: float
    trades: int

    @classmethod
    def parse(cls, row: list[Any]) -> Kline:
        """Raises `BadMessage` for anything but a kline array."""
        try:
            open_ms, *prices, close_ms, quote_volume, trades = row[:9]
            values = [float(text) for text in (*prices, quote_volume)]
            if not np.isfinite(values).all() or min(values) < 0:
                raise BadMessage(f'not a kline: {row!r}')
            *prices, quote_volume = values
            open_, high, low, close, volume = prices
            return cls(
                int(open_ms), open_, high, low, close, volume,
                int(close_ms), quote_volume, int(trades),
            )
        except (TypeError, ValueError, LookupError, ArithmeticError) as err:
            raise BadMessage(f'not a kline: {row!r}') from err


def pack_klines(klines: list[Kline]) -> npt.NDArray[Any]:
    """`BAR_DTYPE` rows, one a kline."""
    out = np.zeros(len(klines), BAR_DTYPE)
    for at, k in enumerate(klines):
        out[at] = (
            k.open_ms * NS_PER_MS, k.open, k.high, k.low, k.close, k.volume,
            k.quote_volume / k.volume if k.volume else k.close, k.trades,
        )
    return out


class HotAggTrade(msgspec.Struct, gc=False):
    """`AggTrade` of the stream, for speed."""

    E: int
    id: int = msgspec.field(name='a')
    p: float
    q: float
    f: int
    l: int  # noqa: E741
    T: int
    m: bool


class HotTrade(msgspec.Struct, gc=False):
    """`Trade` of the stream, for speed."""

    E: int
    id: int = msgspec.field(name='t')
    p: float
    q: float
    T: int
    m: bool


class HotBookTicker(msgspec.Struct, gc=False):
    """`BookTicker` of the stream, for speed."""

    u: int
    b: float
    B: float
    a: float
    A: float
