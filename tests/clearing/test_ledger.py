"""The ledger: rows, profit by day against polars, exact tables."""
from __future__ import annotations

import io
import random
from decimal import Decimal
from fractions import Fraction

import polars as pl
import pytest
from clearing_runs import BTC
from ledger_tools import (
    ETH,
    MONDAY,
    filled,
    known,
    ledger_of,
    make_fill,
    numbered,
    reached,
    write_journal,
)

from piker.clearing import records as rec
from piker.clearing.journal import JournalReader
from piker.clearing.ledger import KINDS, Ledger, frame, pnl
from piker.clearing.positions import DAY_NS, Positions
from piker.errors import DataError
from piker.gateway import OrderReport, VenueStatus
from piker.orders import OrderSide, OrderType

BUY, SELL = OrderSide.BUY, OrderSide.SELL
D = Decimal
FINE = 10**18


def _recorded(seed, many=1_500):
    """Trades over four days, in two instruments and accounts."""
    rng = random.Random(seed)
    prices = {BTC.id: D('60000'), ETH.id: D('0.05')}
    at, found = MONDAY, []
    for _ in range(many):
        at += int(rng.expovariate(1 / 230e9))
        symbol = rng.choice([BTC.id, BTC.id, ETH.id])
        grid = BTC if symbol == BTC.id else ETH
        prices[symbol] += rng.randint(-40, 40) * grid.tick_size
        found.append(make_fill(
            rng.choice([BUY, SELL]),
            str(rng.randint(1, 30_000) * grid.lot_size),
            str(prices[symbol]), str(rng.randint(0, 10**6) * D('1E-9')),
            rng.choice(['usdt', 'btc', 'eth', 'bnb']), time_ns=at,
            account=rng.choice(['paper', 'paper', 'swing']), symbol=symbol,
        ))
    return numbered(found)


def _sheet(fills):
    """
    One line a fill, in whole units of 1E-18 of the quote currency.

    Worked out with fractions, apart from the one rounding that is stated:
    the share of the cost that leaves with a part of a position.
    """
    held, lines = {}, []
    for f in fills:
        key = f.account, f.symbol
        size, cost = held.get(key, (Fraction(0), Fraction(0)))
        change, price = f.side.sign * Fraction(f.size), Fraction(f.price)
        gain = Fraction(0)
        if size * change < 0:
            part = min(abs(change), abs(size)) / abs(size)
            share = Fraction(round(cost * part * FINE), FINE)
            gain = size * part * price - share
            change += size * part
            size, cost = size * (1 - part), cost - share
        held[key] = size + change, cost + change * price
        base, quote = {
            BTC.id: ('btc', 'usdt'), ETH.id: ('eth', 'btc')
        }[f.symbol]
        fee = Fraction(f.fee) * {base: price, quote: 1}.get(f.fee_asset, 0)
        lines.append({
            'day': f.time_ns // DAY_NS * DAY_NS, 'account': f.account,
            'symbol': f.symbol, 'quote': quote,
            'realised': int(gain * FINE), 'fees': int(fee * FINE),
            'turnover': int(Fraction(f.size) * price * FINE),
            'bought': int(Fraction(f.size) * FINE) if f.side is BUY else 0,
        })
    sums = ['realised', 'fees', 'turnover', 'bought']
    return pl.DataFrame(
        lines, schema_overrides=dict.fromkeys(sums, pl.Int128),
        infer_schema_length=None,
    )


def _fine(value):
    return int(Fraction(value) * FINE)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('by', ['both', 'day', 'symbol'])
def test_profit_by_day_and_instrument(seed, by):
    """As polars works it out from fractions: equal to the last digit."""
    fills = _recorded(seed)
    found = ledger_of(known(BTC, ETH) + [filled(f) for f in fills])
    keys = ['account', 'quote']
    keys += [] if by == 'symbol' else ['day']
    keys += [] if by == 'day' else ['symbol']
    want = {
        tuple(row[k] for k in keys): row
        for row in _sheet(fills).group_by(keys).agg(
            pl.col('realised', 'fees', 'turnover', 'bought').sum(),
            pl.len().alias('fills'),
        ).iter_rows(named=True)
    }
    got = pnl(found.rows(), by)
    assert len(got) == len(want) > 3
    for row in got:
        values = {
            'account': row.account, 'quote': row.quote, 'day': row.day_ns,
            'symbol': row.symbol,
        }
        line = want[tuple(values[k] for k in keys)]
        assert row.fills == line['fills']
        assert _fine(row.realised) == line['realised']
        assert _fine(row.fees) == line['fees']
        assert _fine(row.turnover) == line['turnover']
        assert _fine(row.net) == line['realised'] - line['fees']
        if by == 'day':
            assert row.bought is row.sold is None
            assert not row.symbol
        else:
            assert _fine(row.bought) == line['bought']


def test_days_are_those_of_positions():
    fills = _recorded(9, 400)
    positions = Positions()
    positions.add_instrument(BTC)
    positions.add_instrument(ETH)
    for f in fills:
        positions.apply(f)
    found = ledger_of(known(BTC, ETH) + [filled(f) for f in fills])
    for account, symbol in positions:
        rows = pnl(found.rows(account, symbol))
        days = positions.days(account, symbol)
        assert [
            (r.day_ns, r.fills, r.bought, r.sold, r.turnover, r.realised,
             r.fees) for r in rows
        ] == [
            (d.day_start_ns, d.fills, d.bought, d.sold, d.turnover,
             d.realised, d.fees_quote) for d in days
        ]


def test_rows_count_what_came_before():
    fills = numbered([
        make_fill(BUY, '2', '100', '0.001', 'btc'),
        make_fill(SELL, '1', '110', '0.5', time_ns=MONDAY + DAY_NS),
        make_fill(SELL, '3', '120', '0.1', 'bnb', time_ns=MONDAY + DAY_NS),
        make_fill(BUY, '1', '90', time_ns=MONDAY + 2 * DAY_NS),
    ])
    found = ledger_of(known(BTC) + [filled(f) for f in fills])
    rows = list(found.rows(
        since_ns=MONDAY + DAY_NS, until_ns=MONDAY + 2 * DAY_NS
    ))
    assert [r.fill.trade_id for r in rows] == ['2', '3']
    assert [(r.position, r.average, r.realised, r.total) for r in rows] == [
        (1, 100, 10, 10), (-2, 120, 20, 30)
    ]
    assert [r.fee_quote for r in rows] == [D('0.5'), 0]
    (row,) = pnl(rows)
    assert row.other_fees == {'bnb': D('0.1')}
    assert (row.realised, row.net) == (30, D('29.5'))
    assert not list(found.rows('swing'))
    assert not list(found.rows(symbol='ethbtc.sim'))
    assert not list(found.rows(until_ns=MONDAY))


def test_days_begin_at_midnight_utc():
    fills = numbered([
        make_fill(BUY, '1', '100', time_ns=MONDAY + DAY_NS - 1),
        make_fill(SELL, '1', '101', time_ns=MONDAY + DAY_NS),
    ])
    rows = pnl(ledger_of([*known(BTC), *map(filled, fills)]).rows())
    assert [(r.day_ns, r.realised) for r in rows] == [
        (MONDAY, 0), (MONDAY + DAY_NS, 1)
    ]


def test_an_instrument_that_is_not_known():
    (row,) = pnl(ledger_of([filled(
        make_fill(BUY, '1', '100', '0.1')
    )]).rows())
    assert (row.quote, row.fees, row.other_fees) == (
        '', 0, {'usdt': D('0.1')}
    )


def _report(venue_id):
    return OrderReport(
        cid='', venue_id=venue_id, symbol=BTC.id, side=BUY, size=D(1),
        filled=D(1), type=OrderType.LIMIT, status=VenueStatus.FILLED,
    )


def test_fills_get_their_orders_once_those_are_known(tmp_path):
    strays = [
        make_fill(BUY, '1', '100', trade=at, oid='') for at in (1, 2, 3)
    ]
    records = [
        *known(BTC), *reached(balances={'usdt': '7'}),
        filled(strays[0], '10'), filled(strays[1], '11'),
        filled(strays[2], '12'),
        rec.Adopted(
            time_ns=MONDAY, account='paper', oid='venue-10',
            report=_report('10'),
        ),
        rec.Claimed(
            time_ns=MONDAY, account='paper', oid='mine', cid='pk1',
            venue_id='11', symbol=BTC.id,
        ),
        rec.Halted(time_ns=MONDAY, reason='of no interest here'),
    ]
    path = tmp_path / 'ems.sqlite'
    write_journal(path, records)
    with JournalReader(path) as reader:
        found = Ledger(reader.entries(kinds=KINDS))
    assert [f.oid for f in found.fills] == ['venue-10', 'mine', '']
    assert found.accounts == ['paper']
    assert list(found.symbols['paper']) == [BTC.id]
    assert found.since_ns == {'paper': MONDAY}
    assert found.balances['paper']['usdt'].free == 7


def test_tables_are_exact():
    """Through CSV and parquet and back, digit for digit."""
    fills = _recorded(4, 300)
    rows = list(ledger_of(
        known(BTC, ETH) + [filled(f) for f in fills]
    ).rows())
    table = frame(rows)
    data = io.BytesIO()
    table.write_parquet(data)
    data.seek(0)
    back = pl.read_parquet(data)
    assert back.equals(table)
    text = pl.read_csv(io.StringIO(table.write_csv()), infer_schema=False)
    for name in ('position', 'average', 'realised', 'total', 'fee_quote'):
        want = [getattr(row, name) for row in rows]
        assert back[name].to_list() == want
        assert [D(x) for x in text[name]] == want
    for name in ('size', 'price', 'fee'):
        assert back[name].to_list() == [getattr(f, name) for f in fills]
    assert back['time'].cast(pl.Int64).to_list() == [
        f.time_ns for f in fills
    ]
    assert text['side'].to_list() == [f.side for f in fills]
    assert frame([]).columns == table.columns


def test_a_table_says_what_it_cannot_hold():
    rows = ledger_of([
        *known(BTC),
        filled(make_fill(BUY, '1', '9' * 25)),
        filled(make_fill(SELL, '1', '0.' + '0' * 14 + '1')),
    ]).rows()
    with pytest.raises(DataError, match=r'price: 9{25}.*--symbol'):
        frame(rows)
