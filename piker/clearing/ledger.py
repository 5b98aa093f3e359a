"""
The ledger: what the journal says was traded, and what came of it.

Pure: entries of a journal in, rows out.  Fills stand in the order in which
``emsd`` learnt of them, which is the order that its positions are worked out
in; times are the venue's, so one that was learnt of late stands behind later
ones.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec.structs import replace

from ..errors import DataError
from ..instruments import Instrument
from ..orders import Balance, Fill, OrderSide, PositionView
from . import records as rec
from .journal import Entry
from .money import EXACT, plain
from .positions import Positions, day_of

if TYPE_CHECKING:
    import polars as pl

__all__ = ['KINDS', 'By', 'Ledger', 'LedgerRow', 'PnlRow', 'frame', 'pnl']

# The kinds of records that the ledger is made from.
KINDS = tuple(
    str(kind.__struct_config__.tag) for kind in (
        rec.InstrumentKnown, rec.GatewayKnown, rec.Accepted, rec.Adopted,
        rec.Filled, rec.Claimed, rec.Balances,
    )
)

By = Literal['both', 'day', 'symbol']

_ZERO = Decimal(0)
# What a column of exact numbers can hold (Arrow's decimal128), and the digits
# after the point that it has at least, so that columns of one export and of
# the next mostly are of one type.
_DIGITS = 38
_LEAST_SCALE = 8


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True):
    """
    A fill and how things stood after it.

    ``position`` is signed; ``realised`` is what this fill has realised and
    ``total`` that of all fills so far in its account and symbol, both in the
    quote currency and before fees; ``fee_quote`` is the fee in the quote
    currency, 0 for one in a third currency.  ``base`` and ``quote`` are empty
    if the instrument is not known.
    """

    fill: Fill
    base: str
    quote: str
    position: Decimal
    average: Decimal
    realised: Decimal
    total: Decimal
    fee_quote: Decimal


class PnlRow(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the fills of a day, an instrument, or both add up to.

    ``day_ns`` is a midnight UTC, ``None`` over all days; ``symbol`` is empty
    and ``bought`` and ``sold`` are ``None`` over all instruments of one quote
    currency.  Money is in ``quote``, ``net`` is after ``fees``;
    ``other_fees`` are those in third currencies, by asset, which it leaves
    out.
    """

    day_ns: int | None
    account: str
    symbol: str
    quote: str
    fills: int
    bought: Decimal | None
    sold: Decimal | None
    turnover: Decimal
    realised: Decimal
    fees: Decimal
    net: Decimal
    other_fees: dict[str, Decimal]


class Ledger:
    """
    What a journal has of fills, and of what they are to be compared with.

    ``fills`` in the order of the journal; ``balances`` the newest by account
    and asset; ``symbols`` those that an account had orders in; ``since_ns``
    when an account was first reached, from which on fills are told.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.fills: list[Fill] = []
        self.instruments: dict[str, Instrument] = {}
        self.balances: dict[str, dict[str, Balance]] = {}
        self.symbols: dict[str, dict[str, None]] = {}
        self.since_ns: dict[str, int] = {}
        # places of fills whose order is not known yet
        self._unclaimed: dict[tuple[str, str, str], list[int]] = {}
        for entry in entries:
            self._add(entry.record)

    def _add(self, record: rec.Record) -> None:
        account = record.account
        match record:
            case rec.InstrumentKnown():
                self.instruments[record.instrument.id] = record.instrument
            case rec.GatewayKnown():
                self.since_ns.setdefault(account, record.time_ns)
            case rec.Accepted():
                self._note(account, record.request.symbol)
            case rec.Adopted():
                report = record.report
                self._note(account, report.symbol)
                self._claim(record, report.symbol, report.venue_id)
            case rec.Claimed():
                self._claim(record, record.symbol, record.venue_id)
            case rec.Balances():
                known = self.balances.setdefault(account, {})
                known.update(record.balances)
            case rec.Filled():
                self._add_fill(record)

    def _note(self, account: str, symbol: str) -> None:
        self.symbols.setdefault(account, {})[symbol] = None

    def _add_fill(self, record: rec.Filled) -> None:
        fill = record.fill
        self._note(fill.account, fill.symbol)
        if not record.oid:
            key = fill.account, fill.symbol, record.venue_id
            self._unclaimed.setdefault(key, []).append(len(self.fills))
        self.fills.append(fill)

    def _claim(self, record: Any, symbol: str, venue_id: str) -> None:
        key = record.account, symbol, venue_id
        for at in self._unclaimed.pop(key, ()):
            self.fills[at] = replace(self.fills[at], oid=record.oid)

    @property
    def accounts(self) -> list[str]:
        """Every account that the journal has something of."""
        return sorted({*self.symbols, *self.since_ns, *self.balances})

    def currencies(self, symbol: str) -> tuple[str, str]:
        """Base and quote in lower case, empty if they are not known."""
        known = self.instruments.get(symbol)
        if known is None:
            return '', ''
        return known.base.lower(), known.quote.lower()

    def rows(
        self,
        account: str = '',
        symbol: str = '',
        since_ns: int = 0,
        until_ns: int | None = None,
    ) -> Iterator[LedgerRow]:
        """
        The fills that fit all that is given, ``until_ns`` exclusive.

        Positions count those before ``since_ns`` too.
        """
        positions = Positions()
        for instrument in self.instruments.values():
            positions.add_instrument(instrument)
        before: dict[tuple[str, str], PositionView] = {}
        for fill in self.fills:
            if account not in {'', fill.account} or (
                symbol not in {'', fill.symbol}
            ):
                continue
            key = fill.account, fill.symbol
            was = before.get(key) or positions.view(*key)
            positions.apply(fill)
            now = before[key] = positions.view(*key)
            if fill.time_ns < since_ns or (
                until_ns is not None and fill.time_ns >= until_ns
            ):
                continue
            base, quote = self.currencies(fill.symbol)
            with localcontext(EXACT):
                realised = now.realised - was.realised
                fee_quote = now.fees_quote - was.fees_quote
            yield LedgerRow(
                fill=fill, base=base, quote=quote, position=now.size,
                average=now.average, realised=plain(realised),
                total=now.realised, fee_quote=plain(fee_quote),
            )


class _Sum:
    def __init__(self) -> None:
        self.fills = 0
        self.size = {OrderSide.BUY: _ZERO, OrderSide.SELL: _ZERO}
        self.turnover = self.realised = self.fees = _ZERO
        self.other: dict[str, Decimal] = {}

    def add(self, row: LedgerRow) -> None:
        fill = row.fill
        self.fills += 1
        self.size[fill.side] += fill.size
        self.turnover += fill.price * fill.size
        self.realised += row.realised
        self.fees += row.fee_quote
        asset = fill.fee_asset.lower()
        if fill.fee and asset not in {row.base, row.quote}:
            self.other[asset] = self.other.get(asset, _ZERO) + fill.fee


def pnl(rows: Iterable[LedgerRow], by: By = 'both') -> list[PnlRow]:
    """
    Add up rows, in order of day, account and symbol.

    ``by`` day adds up all instruments of an account that have one quote
    currency, ``by`` symbol all days.
    """
    sums: dict[tuple[int, str, str, str], _Sum] = {}
    with localcontext(EXACT):
        for row in rows:
            fill = row.fill
            key = (
                0 if by == 'symbol' else day_of(fill.time_ns),
                fill.account,
                '' if by == 'day' else fill.symbol,
                row.quote,
            )
            sums.setdefault(key, _Sum()).add(row)
        return [
            PnlRow(
                day_ns=None if by == 'symbol' else day,
                account=account, symbol=symbol, quote=quote,
                fills=found.fills,
                bought=plain(found.size[OrderSide.BUY]) if symbol else None,
                sold=plain(found.size[OrderSide.SELL]) if symbol else None,
                turnover=plain(found.turnover),
                realised=plain(found.realised), fees=plain(found.fees),
                net=plain(found.realised - found.fees),
                other_fees={a: plain(f) for a, f in found.other.items()},
            )
            for (day, account, symbol, quote), found in sorted(sums.items())
        ]


def frame(rows: Iterable[LedgerRow]) -> pl.DataFrame:
    """
    Rows as a table, every number exact.

    ``time`` is in UTC to the nanosecond.  Raises `DataError` for a number of
    more than 38 digits.
    """
    import polars as pl

    found = list(rows)
    columns = [
        pl.Series(
            'time', [row.fill.time_ns for row in found],
            pl.Datetime('ns', 'UTC'),
        ),
        *(
            pl.Series(name, [str(get(row)) for row in found], pl.String)
            for name, get in _TEXTS.items()
        ),
        *(
            _exact(name, [get(row) for row in found])
            for name, get in _NUMBERS.items()
        ),
        pl.Series('maker', [row.fill.maker for row in found], pl.Boolean),
    ]
    return pl.DataFrame(columns).select(_ORDER)


_TEXTS: dict[str, Callable[[LedgerRow], str]] = {
    'account': lambda row: row.fill.account,
    'symbol': lambda row: row.fill.symbol,
    'side': lambda row: row.fill.side,
    'fee_asset': lambda row: row.fill.fee_asset,
    'trade_id': lambda row: row.fill.trade_id,
    'oid': lambda row: row.fill.oid,
    'base': lambda row: row.base,
    'quote': lambda row: row.quote,
}
_NUMBERS: dict[str, Callable[[LedgerRow], Decimal]] = {
    'size': lambda row: row.fill.size,
    'price': lambda row: row.fill.price,
    'fee': lambda row: row.fill.fee,
    'fee_quote': lambda row: row.fee_quote,
    'position': lambda row: row.position,
    'average': lambda row: row.average,
    'realised': lambda row: row.realised,
    'total': lambda row: row.total,
}
_ORDER = [
    'time', 'account', 'symbol', 'side', 'size', 'price', 'fee', 'fee_asset',
    'maker', 'fee_quote', 'position', 'average', 'realised', 'total', 'base',
    'quote', 'oid', 'trade_id',
]


def _exact(name: str, values: list[Decimal]) -> pl.Series:
    """A column with as many digits after the point as its values need."""
    import polars as pl

    scale, whole = _LEAST_SCALE, 0
    for value in values:
        _, digits, exponent = plain(value).as_tuple()
        assert isinstance(exponent, int), f'{value} is no number'
        scale = max(scale, -exponent)
        whole = max(whole, len(digits) + exponent)
    if whole + scale > _DIGITS:
        raise DataError(
            f'{name}: {max(map(abs, values))} and others need more than the '
            f'{_DIGITS} digits that such a column has; export as beancount, '
            'or fewer of them with --symbol'
        )
    return pl.Series(name, values, pl.Decimal(_DIGITS, scale))
