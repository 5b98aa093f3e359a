"""
Positions: what fills add up to, exactly.

A position is kept as its signed size and what that size cost.  A fill that
adds to it adds price × size to the cost.  One that takes from it takes the
same share of the cost; what it brought less that share is realised.  One that
goes through zero does the first with what is left over, at its own price.  So
the average price, cost / size, changes only with what adds to the position.

Every figure is exact but for one: the share of the cost that a part of the
position takes with it is rounded to `money.QUANTUM`.  What it rounds away
stays in the cost, so that realised + unrealised is always, to the last
digit, the cash that the fills moved plus what the position is worth, and a
position that is closed leaves nothing behind.

Size counts what was traded.  A fee in the base currency makes the balance
smaller than the position by that much: balances show it, positions do not.
Fees are not part of what is realised, they stand beside it by asset, and
those in quote or base also as one sum in the quote currency, base at the
price of the fill that they were paid for.
"""
from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, localcontext

import msgspec

from ..instruments import Instrument
from ..orders import Fill, OrderSide, PositionView
from .money import EXACT, plain, ratio

__all__ = ['DAY_NS', 'DayPnl', 'DaySum', 'Positions', 'day_of']

DAY_NS = 86_400_000_000_000
_ZERO = Decimal(0)


def day_of(time_ns: int) -> int:
    """The midnight UTC at or before ``time_ns``."""
    return time_ns - time_ns % DAY_NS


class DayPnl(msgspec.Struct, frozen=True, kw_only=True):
    """
    A day's profit in the quote currency; a loss is below 0.

    ``realised`` and ``unrealised`` are before fees, ``fees_quote`` is as in
    `PositionView`, but of that day.
    """

    realised: Decimal
    unrealised: Decimal
    fees_quote: Decimal

    @property
    def net(self) -> Decimal:
        """After fees: what a daily loss is measured by."""
        with localcontext(EXACT):
            return self.realised + self.unrealised - self.fees_quote


class DaySum(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the fills of a UTC day add up to.

    ``bought`` and ``sold`` are sizes, ``turnover`` is in the quote currency;
    ``fees`` and ``fees_quote`` are as in `PositionView`.
    """

    day_start_ns: int
    fills: int
    bought: Decimal
    sold: Decimal
    turnover: Decimal
    realised: Decimal
    fees: dict[str, Decimal]
    fees_quote: Decimal


class _Fees:
    """Fees by asset, and what they come to at the prices of their fills."""

    def __init__(self) -> None:
        self.paid: dict[str, Decimal] = {}
        self._worth: dict[str, Decimal] = {}

    def add(self, fill: Fill) -> None:
        asset = fill.fee_asset.lower()
        if not fill.fee:
            return
        self.paid[asset] = self.paid.get(asset, _ZERO) + fill.fee
        worth = self._worth.get(asset, _ZERO) + fill.fee * fill.price
        self._worth[asset] = worth

    def in_quote(self, base: str, quote: str) -> Decimal:
        return self.paid.get(quote, _ZERO) + self._worth.get(base, _ZERO)

    def plain(self) -> dict[str, Decimal]:
        return {asset: plain(fee) for asset, fee in self.paid.items()}


class _Day:
    def __init__(self) -> None:
        self.fills = 0
        self.bought = _ZERO
        self.sold = _ZERO
        self.spent = _ZERO  # for what was bought
        self.earned = _ZERO  # by what was sold
        self.realised = _ZERO
        self.fees = _Fees()

    def add(self, fill: Fill, realised: Decimal) -> None:
        self.fills += 1
        worth = fill.price * fill.size
        if fill.side is OrderSide.BUY:
            self.bought += fill.size
            self.spent += worth
        else:
            self.sold += fill.size
            self.earned += worth
        self.realised += realised
        self.fees.add(fill)


class _Position:
    def __init__(self) -> None:
        self.size = _ZERO
        self.cost = _ZERO  # has the sign of `size`
        self.realised = _ZERO
        self.fees = _Fees()
        self.days: dict[int, _Day] = {}
        self._newest_ns = 0

    def add(self, fill: Fill) -> None:
        change = fill.size * fill.side.sign
        before = self.realised
        if self.size * change < 0:
            closed = min(fill.size, abs(self.size))
            self._close(closed, fill.price)
            change -= closed * fill.side.sign
        self.size += change
        self.cost += change * fill.price
        self.fees.add(fill)
        start_ns = day_of(fill.time_ns)
        self._newest_ns = max(self._newest_ns, start_ns)
        day = self.days.setdefault(start_ns, _Day())
        day.add(fill, self.realised - before)

    def since(self, day_start_ns: int) -> list[_Day]:
        """The days with fills from then on; costs by day, not by history."""
        starts = range(day_start_ns, self._newest_ns + 1, DAY_NS)
        return [self.days[start] for start in starts if start in self.days]

    def _close(self, closed: Decimal, price: Decimal) -> None:
        whole = abs(self.size)
        share = self.cost
        if closed < whole:
            share = ratio(self.cost, closed, whole)
        out = closed if self.size > 0 else -closed
        self.realised += out * price - share
        self.cost -= share
        self.size -= out


class Positions:
    """
    Every position of every account.

    A position never held is one of size 0.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], _Position] = {}
        self._open: dict[tuple[str, str], None] = {}
        self._currencies: dict[str, tuple[str, str]] = {}

    def add_instrument(self, instrument: Instrument) -> None:
        """
        Say what base and quote of an instrument are, to value its fees.

        May come after its fills; before that, ``fees_quote`` is 0.
        """
        base, quote = instrument.base.lower(), instrument.quote.lower()
        self._currencies[instrument.id] = base, quote

    def apply(self, fill: Fill) -> None:
        """
        Add a fill, which must not have been applied before.

        What is realised depends on the order in which fills come, size and
        realised + unrealised do not.  `decimal.Inexact` for figures of more
        digits than `money.EXACT` keeps.
        """
        key = fill.account, fill.symbol
        with localcontext(EXACT):
            held = self._held.setdefault(key, _Position())
            held.add(fill)
        if held.size:
            self._open[key] = None
        else:
            self._open.pop(key, None)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Account and symbol of every position ever held, oldest first."""
        return iter(self._held)

    def __contains__(self, key: object) -> bool:
        """Whether there ever was a fill, by account and symbol."""
        return key in self._held

    @property
    def open(self) -> list[tuple[str, str]]:
        """Account and symbol of those that are not 0."""
        return list(self._open)

    def size(self, account: str, symbol: str) -> Decimal:
        """Signed."""
        held = self._held.get((account, symbol))
        return plain(held.size) if held else _ZERO

    def view(
        self,
        account: str,
        symbol: str,
        mark: Decimal | None = None,
        stale: bool = False,
    ) -> PositionView:
        """
        A position with ``mark`` as the market's price.

        Without one the unrealised part is 0 and it is shown as stale.
        """
        held = self._held.get((account, symbol)) or _Position()
        with localcontext(EXACT):
            average = unrealised = _ZERO
            if held.size:
                average = ratio(held.cost, Decimal(1), held.size)
            if mark is not None:
                unrealised = held.size * mark - held.cost
            fees_quote = held.fees.in_quote(*self._pair(symbol))
        return PositionView(
            account=account,
            symbol=symbol,
            size=plain(held.size),
            average=plain(average),
            realised=plain(held.realised),
            unrealised=plain(unrealised),
            fees=held.fees.plain(),
            fees_quote=plain(fees_quote),
            mark=_ZERO if mark is None else mark,
            stale=stale or mark is None,
        )

    def day_pnl(
        self,
        account: str,
        symbol: str,
        day_start_ns: int,
        mark: Decimal | None = None,
        opening: Decimal | None = None,
    ) -> DayPnl:
        """
        Profit since ``day_start_ns``, a midnight UTC, up to now.

        Days are told by the venue's time of fills.  ``mark`` is as in `view`.
        With ``opening``, the price when the day began, the unrealised part is
        what the position has gained since; without it, all that it has gained
        since it was opened.
        """
        held = self._held.get((account, symbol)) or _Position()
        pair = self._pair(symbol)
        with localcontext(EXACT):
            days = held.since(day_start_ns)
            realised = sum((d.realised for d in days), _ZERO)
            fees = sum((d.fees.in_quote(*pair) for d in days), _ZERO)
            unrealised = _ZERO
            if mark is not None:
                unrealised = held.size * mark - held.cost
                if opening is not None:
                    before = held.size - sum(
                        (d.bought - d.sold for d in days), _ZERO
                    )
                    cash = sum((d.earned - d.spent for d in days), _ZERO)
                    worth = held.size * mark - before * opening
                    unrealised = cash + worth - realised
        return DayPnl(
            realised=plain(realised),
            unrealised=plain(unrealised),
            fees_quote=plain(fees),
        )

    def days(self, account: str, symbol: str) -> list[DaySum]:
        """The days with fills, in order of time."""
        held = self._held.get((account, symbol)) or _Position()
        pair = self._pair(symbol)
        with localcontext(EXACT):
            return [
                DaySum(
                    day_start_ns=start,
                    fills=day.fills,
                    bought=plain(day.bought),
                    sold=plain(day.sold),
                    turnover=plain(day.spent + day.earned),
                    realised=plain(day.realised),
                    fees=day.fees.plain(),
                    fees_quote=plain(day.fees.in_quote(*pair)),
                )
                for start, day in sorted(held.days.items())
            ]

    def _pair(self, symbol: str) -> tuple[str, str]:
        # An asset without a name is not a currency that is not known.
        return self._currencies.get(symbol, ('?', '?'))
