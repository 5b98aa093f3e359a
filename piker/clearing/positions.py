"""
Positions: what fills add up to, exactly.
"""
from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from ..instruments import Instrument
from ..orders import Fill, PositionView

__all__ = ['DAY_NS', 'DayPnl', 'Positions', 'day_of']

DAY_NS = 86_400_000_000_000


def day_of(time_ns: int) -> int:
    """The midnight UTC at or before ``time_ns``."""
    return time_ns - time_ns % DAY_NS


class DayPnl(msgspec.Struct, frozen=True, kw_only=True):
    """
    A day's profit in the quote currency; a loss is below 0.

    ``realised`` and ``unrealised`` are before fees; ``fees_quote`` is what
    `PositionView` says of it, of that day.
    """

    realised: Decimal
    unrealised: Decimal
    fees_quote: Decimal

    @property
    def net(self) -> Decimal:
        """After fees: what a daily loss is measured by."""
        return self.realised + self.unrealised - self.fees_quote


class Positions:
    """Every position of every account."""

    def add_instrument(self, instrument: Instrument) -> None:
        """Say what base and quote of an instrument are, to value fees."""
        raise NotImplementedError

    def apply(self, fill: Fill) -> None:
        """Add a fill, which must not have been applied before."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Account and symbol of every position ever held, in first order."""
        raise NotImplementedError

    def size(self, account: str, symbol: str) -> Decimal:
        """Signed; 0 where nothing was ever traded."""
        raise NotImplementedError

    def view(
        self,
        account: str,
        symbol: str,
        mark: Decimal | None = None,
        stale: bool = False,
    ) -> PositionView:
        """With ``mark`` (``None``: none is known) as the market's price."""
        raise NotImplementedError

    def day_pnl(
        self,
        account: str,
        symbol: str,
        day_start_ns: int,
        mark: Decimal | None = None,
        opening: Decimal | None = None,
    ) -> DayPnl:
        """
        Profit of the UTC day that began at ``day_start_ns``.

        ``opening`` is the price when the day began.  Without it, what the
        position had gained or lost before counts as of today.
        """
        raise NotImplementedError
