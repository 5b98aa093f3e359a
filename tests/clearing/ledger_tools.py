"""Journals and ledgers made by hand."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

from clearing_runs import BTC
from msgspec.structs import replace

from piker.clearing import records as rec
from piker.clearing.journal import Entry, Journal
from piker.clearing.ledger import Ledger
from piker.clearing.positions import DAY_NS
from piker.gateway import Abilities
from piker.instruments import Instrument
from piker.orders import Balance, Fill, OrderSide, OrderType

ETH = Instrument(
    id='ethbtc.sim', raw_symbol='ETHBTC', base='ETH', quote='BTC',
    tick_size=Decimal('0.00001'), lot_size=Decimal('0.0001'),
)
MONDAY = 20_000 * DAY_NS
ABILITIES = Abilities(types=frozenset({OrderType.LIMIT}))


def make_fill(
    side: OrderSide, size: str, price: str, fee: str = '0',
    fee_asset: str = 'usdt', trade: int = 1, time_ns: int = MONDAY,
    account: str = 'paper', symbol: str = BTC.id, oid: str = 'mine',
) -> Fill:
    return Fill(
        account=account, oid=oid, symbol=symbol, side=side,
        trade_id=str(trade), price=Decimal(price), size=Decimal(size),
        fee=Decimal(fee), fee_asset=fee_asset, time_ns=time_ns,
    )


def numbered(fills: Iterable[Fill]) -> list[Fill]:
    """The same with trade ids 1, 2, …"""
    return [
        replace(fill, trade_id=str(at)) for at, fill in enumerate(fills, 1)
    ]


def filled(fill: Fill, venue_id: str = '') -> rec.Filled:
    return rec.Filled(
        time_ns=fill.time_ns, account=fill.account, oid=fill.oid, fill=fill,
        cid='pk1', venue_id=venue_id,
    )


def known(*instruments: Instrument) -> list[rec.Record]:
    return [
        rec.InstrumentKnown(time_ns=MONDAY, instrument=i)
        for i in instruments
    ]


def reached(
    account: str = 'paper', balances: dict[str, str] | None = None
) -> list[rec.Record]:
    """An account that was there on Monday, and what it had."""
    return [
        rec.GatewayKnown(
            time_ns=MONDAY, account=account, abilities=ABILITIES,
        ),
        rec.Balances(time_ns=MONDAY, account=account, balances={
            asset: Balance(Decimal(free))
            for asset, free in (balances or {}).items()
        }),
    ]


def ledger_of(records: Iterable[rec.Record]) -> Ledger:
    return Ledger(Entry(at, r) for at, r in enumerate(records, 1))


def write_journal(path: Path, records: Sequence[rec.Record]) -> None:
    journal = Journal(path, MONDAY)
    try:
        journal.append(records)
    finally:
        journal.close()
