"""
What the venue lists: instruments of different price, grid and activity.

Filters follow the shape of Binance Spot's exchange information
(https://developers.binance.com/docs/binance-spot-api-docs/filters).
"""
from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ...errors import NoSuchSymbol, did_you_mean

__all__ = ['GENESIS_MS', 'Listing', 'all_listings', 'pick_listings']

GENESIS_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


@dataclass(frozen=True, slots=True)
class Listing:
    """
    One instrument and how lively it is.

    ``tick`` and ``lot`` are the price and size increments; inside the venue a
    price is a whole number of ticks and a size one of lots.  ``aggs`` and
    ``fills`` are the aggregate and single trades of each UTC day, a constant
    so that every id is known in closed form; ``daily_vol`` is the standard
    deviation of a day's log return, ``median_size`` the median fill in base
    units, ``spread`` the usual spread in ticks, ``slot_ms`` the shortest time
    between two moves of the touch (it divides a minute), ``step`` the widest
    gap in ticks between levels near the touch.
    """

    symbol: str
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    price: float
    median_size: float
    aggs: int
    fills: int
    min_notional: str = '5.00000000'
    daily_vol: float = 0.03
    spread: float = 1.0
    step: int = 1
    slot_ms: int = 200

    @property
    def price_digits(self) -> int:
        return _digits(self.tick)

    @property
    def size_digits(self) -> int:
        return _digits(self.lot)


def _digits(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


# symbol base quote tick lot price median-size aggs fills vol spread step slot
_TABLE = """
BTCUSDT  BTC  USDT 0.01       0.00001 91000    0.004   432000 561600 .025 1 9 200
ETHUSDT  ETH  USDT 0.01       0.0001  3050     0.08    345600 449280 .035 1 4 200
SOLUSDT  SOL  USDT 0.01       0.001   136      1.2     172800 224640 .045 1 1 200
BNBUSDT  BNB  USDT 0.01       0.001   895      0.15     86400 112320 .030 1 3 250
XRPUSDT  XRP  USDT 0.0001     0.1     2.18     260     103680 134784 .040 1 1 250
DOGEUSDT DOGE USDT 0.00001    1       0.149    1500     69120  89856 .050 1 2 250
ADAUSDT  ADA  USDT 0.0001     0.1     0.432    420      51840  67392 .045 1 1 250
LTCUSDT  LTC  USDT 0.01       0.001   84.5     2.1      25920  33696 .040 1 1 500
ETHBTC   ETH  BTC  0.00001    0.0001  0.0335   0.09     17280  22464 .020 1 1 500
SHIBUSDT SHIB USDT 0.00000001 1       0.0000085 900000  25920  33696 .050 1 1 500
PAXGUSDT PAXG USDT 0.01       0.0001  4150     0.02      8640  11232 .012 4 6 1000
IOTABTC  IOTA BTC  0.00000001 1       0.00000115 400     1440   1728 .045 1 1 2000
ARDRBTC  ARDR BTC  0.00000001 1       0.00000072 350       96    115 .050 2 1 5000
NEWUSDT  NEW  USDT 0.0001     0.1     1.0      50           0      0 .020 6 2 2000
"""  # noqa: E501


def all_listings() -> tuple[Listing, ...]:
    """Everything the venue can list, busiest first."""
    return tuple(_listing(row.split()) for row in _TABLE.strip().splitlines())


def _listing(row: list[str]) -> Listing:
    symbol, base, quote, tick, lot, price, size, aggs, fills = row[:9]
    vol, spread, step, slot_ms = row[9:]
    return Listing(
        symbol, base, quote, Decimal(tick), Decimal(lot), float(price),
        float(size), int(aggs), int(fills),
        min_notional='0.00010000' if quote == 'BTC' else '5.00000000',
        daily_vol=float(vol), spread=float(spread), step=int(step),
        slot_ms=int(slot_ms),
    )


def pick_listings(symbols: tuple[str, ...] = ()) -> tuple[Listing, ...]:
    """
    The listings named in ``symbols`` (any case), or all of them.

    Raises `NoSuchSymbol` for a name that isn't listed.
    """
    known = {listing.symbol: listing for listing in all_listings()}
    if not symbols:
        return tuple(known.values())
    for symbol in symbols:
        if symbol.upper() not in known:
            raise NoSuchSymbol(
                f'the venue does not list {symbol!r}.'
                + did_you_mean(symbol.upper(), known)
            )
    return tuple(known[symbol.upper()] for symbol in symbols)
