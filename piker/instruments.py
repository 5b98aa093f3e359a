"""
Instruments and their names.

An instrument id reads ``<symbol>[.<venue>[.<expiry>]].<provider>`` in lower
case, e.g. ``btcusdt.binance``, ``tsla.nasdaq.ib``, ``mnq.cme.20261218.ib``.
`InstrumentId.parse` and ``str()`` are the only places where that text is taken
apart or put together.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from .errors import BadInput

__all__ = ['Instrument', 'InstrumentId']

_PART = re.compile(r'[a-z0-9][a-z0-9_\-]*\Z')
_EXPIRY = re.compile(r'\d{8}\Z')


@dataclass(frozen=True, slots=True, order=True)
class InstrumentId:
    """The parsed name of an instrument; ordered and hashable."""

    symbol: str
    provider: str
    venue: str = ''
    expiry: str = ''

    @classmethod
    def parse(cls, text: str) -> InstrumentId:
        """Parse ``text`` in any case; `BadInput` names what is wrong."""
        parts = text.strip().lower().split('.')
        if len(parts) < 2 or len(parts) > 4:
            raise BadInput(
                f'{text!r} is not an instrument id: write SYMBOL.PROVIDER, '
                'for example btcusdt.sim'
            )
        for part in parts:
            if not _PART.match(part):
                raise BadInput(
                    f'{text!r} is not an instrument id: {part!r} is not a '
                    'name of letters and digits'
                )
        symbol, provider, rest = parts[0], parts[-1], parts[1:-1]
        venue = rest[0] if rest else ''
        expiry = rest[1] if len(rest) > 1 else ''
        if expiry and not _EXPIRY.match(expiry):
            raise BadInput(
                f'{text!r} is not an instrument id: the expiry {expiry!r} '
                'must be a date like 20261218'
            )
        return cls(symbol, provider, venue, expiry)

    @property
    def local(self) -> str:
        """The id without its provider, as the provider itself keys it."""
        return '.'.join(p for p in (self.symbol, self.venue, self.expiry) if p)

    def __str__(self) -> str:
        return f'{self.local}.{self.provider}'


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is traded, and the grid it is traded on.

    ``tick_size`` and ``lot_size`` are the price and size increments,
    ``min_notional`` the least price × size of an order, all as `Decimal`;
    ``trading_hours`` is the venue's own text where it gives one.
    """

    id: str
    raw_symbol: str
    base: str
    quote: str
    tick_size: Decimal
    lot_size: Decimal
    min_notional: Decimal = Decimal(0)
    asset_class: str = 'spot'
    status: str = 'trading'
    trading_hours: str = ''
    description: str = ''

    @property
    def price_digits(self) -> int:
        """Digits after the point that a price of this instrument has."""
        return _digits(self.tick_size)

    @property
    def size_digits(self) -> int:
        """Digits after the point that a size of this instrument has."""
        return _digits(self.lot_size)

    def on_tick(self, price: Decimal) -> bool:
        """Whether ``price`` lies on the tick grid."""
        return price % self.tick_size == 0

    def round_price(self, price: Decimal) -> Decimal:
        """The grid price nearest to ``price``; halves go to the even tick."""
        ticks = (price / self.tick_size).quantize(Decimal(1), ROUND_HALF_EVEN)
        return ticks * self.tick_size

    def format_price(self, price: float | Decimal) -> str:
        return f'{price:.{self.price_digits}f}'

    def format_size(self, size: float | Decimal) -> str:
        return f'{size:.{self.size_digits}f}'


def _digits(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    assert isinstance(exponent, int), f'{step} is not a finite step'
    return max(0, -exponent)
