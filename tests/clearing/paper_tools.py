"""
A tape for paper orders, and an account to trade it with.
"""
from __future__ import annotations

from decimal import Decimal

import numpy as np

from piker.clearing.paper import Depth, PaperEngine, no_depth
from piker.clearing.paperbooks import PaperBooks
from piker.config import PaperSettings
from piker.data.ticks import Kind, Ticks
from piker.gateway import CancelOrder, FillReport, OrderReport, PlaceOrder
from piker.instruments import Instrument
from piker.orders import OrderSide, OrderType, Tif

MS = 1_000_000
SYMBOL = 'btcusdt.sim'
INSTRUMENT = Instrument(
    id=SYMBOL, raw_symbol='BTCUSDT', base='BTC', quote='USDT',
    tick_size=Decimal('0.5'), lot_size=Decimal('0.01'),
    min_notional=Decimal(5),
)
BUY, SELL = OrderSide.BUY, OrderSide.SELL
# (kind, side, price, size) after so many ms
Row = tuple[int, Kind, int, float, float]


def ticks(rows: list[Row]) -> Ticks:
    """A run of ticks; times in ms."""
    columns = list(zip(*rows, strict=True))
    time = np.array(columns[0], 'i8') * MS
    count = len(rows)
    return Ticks(
        seq=np.arange(count, dtype='u8'), time=time, recv=time,
        kind=np.array(columns[1], 'u1'), side=np.array(columns[2], 'i1'),
        price=np.array(columns[3], 'f8'), size=np.array(columns[4], 'f8'),
        id=np.arange(count, dtype='i8'), count=np.ones(count, 'u4'),
    )


def bid(ms: int, price: float, size: float) -> Row:
    return ms, Kind.BID, 0, price, size


def ask(ms: int, price: float, size: float) -> Row:
    return ms, Kind.ASK, 0, price, size


def trade(ms: int, price: float, size: float, side: OrderSide) -> Row:
    return ms, Kind.TRADE, side.sign, price, size


def engine(
    latency_ms: int = 0, books: PaperBooks | None = None,
    depth: Depth = no_depth, **settings: object,
) -> PaperEngine:
    """A market that stands at 100.0 × 5 / 100.5 × 3, and an account."""
    values: dict[str, object] = {
        'balances': {'usdt': Decimal(100_000), 'btc': Decimal(100)},
        **settings,
    }
    books = books or PaperBooks(PaperSettings.model_validate(values))
    books.add_instrument(INSTRUMENT)
    made = PaperEngine(books, latency_ms * MS, depth)
    made.on_market(SYMBOL, True)
    made.show_touch(SYMBOL, (100.0, 5.0), (100.5, 3.0))
    return made


def place(
    cid: str, side: OrderSide, size: str, price: str | None = None,
    **more: object,
) -> PlaceOrder:
    return PlaceOrder(
        ref=1, cid=cid, symbol=SYMBOL, side=side, size=Decimal(size),
        type=OrderType.LIMIT if price else OrderType.MARKET,
        price=Decimal(price) if price else None, **more,  # type: ignore[arg-type]
    )


def cancel(cid: str) -> CancelOrder:
    return CancelOrder(ref=2, cid=cid, symbol=SYMBOL)


def fills(made: PaperEngine, cid: str = '') -> list[tuple[str, str]]:
    """(price, size) of what has filled so far, taken out of the reports."""
    return [
        (f'{m.price.normalize():f}', f'{m.size.normalize():f}')
        for m in made.books.out
        if isinstance(m, FillReport) and cid in {'', m.cid}
    ]


def last_report(made: PaperEngine, cid: str) -> OrderReport:
    return next(
        m for m in reversed(made.books.out)
        if isinstance(m, OrderReport) and m.cid == cid
    )


IOC, FOK = Tif.IOC, Tif.FOK
