"""Positions against a spreadsheet, fractions and sums of cash."""
from __future__ import annotations

import gzip
import json
import random
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import polars as pl
import pytest
from clearing_runs import BTC
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from piker.clearing.positions import DAY_NS, DayPnl, Positions, day_of
from piker.orders import Fill, OrderSide

BUY, SELL = OrderSide.BUY, OrderSide.SELL
D = Decimal
MONDAY = 20_000 * DAY_NS


def fill(side, size, price, fee=0, asset='usdt', time_ns=MONDAY, **rest):
    values = {'account': 'paper', 'oid': 'o', 'trade_id': '1'} | rest
    return Fill(
        symbol=BTC.id, side=side, size=D(size), price=D(price),
        fee=D(fee), fee_asset=asset, time_ns=time_ns, **values,
    )


def held(*fills):
    positions = Positions()
    positions.add_instrument(BTC)
    for each in fills:
        positions.apply(each)
    return positions


def view(positions, mark=None, **rest):
    return positions.view('paper', BTC.id, mark and D(mark), **rest)


# the spreadsheet: whole ticks and lots, all integers

TICK, LOT, CENT = D('0.01'), D('0.00001'), D('1E-7')  # CENT: tick × lot
FINE = 10**18


def _recorded(seed, many=3_000):
    """Trades as a tape has them: bursts at a price, round and odd sizes."""
    rng = random.Random(seed)
    price, at, rows = 6_000_000, MONDAY, []
    for _ in range(many):
        if rng.random() < 0.4:
            price += rng.randint(-300, 300)
        at += int(rng.expovariate(1 / 90e9))
        lots = rng.choice([1, 100, rng.randint(1, 50_000), 12_345])
        asset = rng.choice(['usdt', 'btc', 'bnb'])
        rows.append({
            'time': at, 'sign': rng.choice([1, -1]), 'ticks': price,
            'lots': lots, 'asset': asset, 'fee': rng.randint(0, 10**9),
        })
    return rows


def _even(a, b):
    """The whole number nearest to a / b, halves to the even one."""
    whole, rest = divmod(a, b)
    return whole + (2 * rest > b or (2 * rest == b and whole % 2))


def _spreadsheet(rows):
    """One line a fill; money in units of tick × lot, or as its name says."""
    signed = pl.col('sign') * pl.col('lots')
    sheet = pl.DataFrame(rows).with_columns(
        day=pl.col('time') // DAY_NS * DAY_NS,
        cash=-signed * pl.col('ticks'),
        size=signed.cum_sum(),
        before=signed.cum_sum() - signed,
    ).with_columns(
        closed=pl.when(pl.col('before') * pl.col('sign') < 0)
        .then(pl.min_horizontal('lots', pl.col('before').abs()))
        .otherwise(0),
        # worth of the position at each fill's price, plus all cash so far
        total=pl.col('cash').cum_sum() + pl.col('size') * pl.col('ticks'),
        base_fee_worth=pl.when(pl.col('asset') == 'btc')
        .then(pl.col('fee') * pl.col('ticks')).otherwise(0),
        usdt_fee=pl.when(pl.col('asset') == 'usdt')
        .then(pl.col('fee')).otherwise(0),
    )
    # The one column that refers to the line above: what the position cost,
    # in 1E-18 of the quote currency.
    fine, cost, costs, shares = FINE // 10**7, 0, [], []
    for row in sheet.iter_rows(named=True):
        share, opened = 0, row['lots'] - row['closed']
        if row['closed']:
            share = _even(abs(cost) * row['closed'], abs(row['before']))
            share = share if cost > 0 else -share
        cost += row['sign'] * opened * row['ticks'] * fine - share
        costs.append(cost)
        shares.append(share)
    sheet = sheet.with_columns(
        pl.Series('cost', costs, pl.Int128),
        pl.Series('share', shares, pl.Int128),
    )
    out = -pl.col('sign') * pl.col('closed') * pl.col('ticks')
    return sheet.with_columns(
        gain=out.cast(pl.Int128) * fine - pl.col('share'),
    ).with_columns(realised=pl.col('gain').cum_sum())


def _of_the_venue(path, many=5_000, slower=1_000):
    """
    The trades of a recording as if their takers' orders had been ours.

    Five minutes are made three days, so that there are days to tell apart.
    """
    rows, first = [], None
    with gzip.open(path, 'rt') as lines:
        for line in lines:
            if '@trade"' not in line:
                continue
            trade = json.loads(line.partition(' ')[2])['data']
            first = first or trade['T']
            size, price = D(trade['q']), D(trade['p'])
            # 0.1 % of what is traded, in what is bought or sold for
            fee = size * price / 1000
            rows.append({
                'time': MONDAY + (trade['T'] - first) * 1_000_000 * slower,
                'sign': -1 if trade['m'] else 1, 'ticks': int(price / TICK),
                'lots': int(size / LOT), 'asset': 'usdt',
                'fee': int(fee * 10**10),
            })
            if len(rows) == many:
                break
    return rows


@pytest.mark.parametrize('seed', range(4))
def test_positions_are_what_a_spreadsheet_says_to_the_last_digit(seed):
    _compare(_recorded(seed))


def test_positions_of_recorded_trades_are_what_a_spreadsheet_says(recordings):
    rows = _of_the_venue(recordings / 'btcusdt_20240809.gz', many=20_000)
    assert len(rows) > 1_000
    _compare(rows)


def _compare(rows):
    sheet = _spreadsheet(rows)
    positions = held()
    paid = dict.fromkeys(['usdt', 'btc', 'bnb'], 0)
    worth = 0
    assert sheet['day'].n_unique() > 2
    assert sheet.filter(pl.col('lots') > pl.col('closed'), closed=0).height
    for row in sheet.iter_rows(named=True):
        price = row['ticks'] * TICK
        positions.apply(fill(
            BUY if row['sign'] > 0 else SELL, row['lots'] * LOT, price,
            row['fee'] * D('1E-10'), row['asset'], row['time'],
        ))
        paid[row['asset']] += row['fee']
        worth += row['base_fee_worth'] + row['usdt_fee'] * 100
        got = view(positions, price)
        assert got.size == row['size'] * LOT
        assert got.realised * FINE == row['realised']
        assert got.realised + got.unrealised == row['total'] * CENT
        assert (got.size * price - got.unrealised) * FINE == row['cost']
        if row['size']:
            average = _even(abs(row['cost']) * 10**5, abs(row['size']))
            assert got.average * FINE == average
        assert got.fees == {
            asset: fee * D('1E-10') for asset, fee in paid.items() if fee
        }
        assert got.fees_quote == worth * D('1E-12')
    days = sheet.group_by('day', maintain_order=True).agg(
        pl.col('gain').sum(),
        pl.len(),
        bought=pl.col('lots').filter(pl.col('sign') > 0).sum(),
        sold=pl.col('lots').filter(pl.col('sign') < 0).sum(),
        turnover=pl.col('cash').abs().sum(),
        fees=pl.col('base_fee_worth').sum() + 100 * pl.col('usdt_fee').sum(),
        bnb=pl.col('fee').filter(pl.col('asset') == 'bnb').sum(),
    )
    found = positions.days('paper', BTC.id)
    for got, row in zip(found, days.iter_rows(named=True), strict=True):
        assert got.day_start_ns == row['day']
        assert got.realised * FINE == row['gain']
        assert (got.fills, got.bought, got.sold) == (
            row['len'], row['bought'] * LOT, row['sold'] * LOT
        )
        assert got.turnover == row['turnover'] * CENT
        assert got.fees_quote == row['fees'] * D('1E-12')
        assert got.fees.get('bnb', 0) == row['bnb'] * D('1E-10')
    last = positions.day_pnl('paper', BTC.id, found[-1].day_start_ns)
    assert last.realised == found[-1].realised
    assert last.fees_quote == found[-1].fees_quote


def _decimals(low, high, digits):
    return st.integers(low * 10**digits, high * 10**digits).map(
        lambda n: D(n).scaleb(-digits)
    )


fills = st.lists(
    st.builds(
        fill, st.sampled_from(OrderSide),
        (_decimals(0, 9, 3) | _decimals(0, 9, 12)).filter(bool),
        _decimals(1, 10**6, 11),
        _decimals(-1, 1, 8), st.sampled_from(['usdt', 'BTC', 'bnb']),
        st.integers(0, 3 * DAY_NS).map(lambda ns: MONDAY + ns),
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(fills, _decimals(1, 10**6, 11))
def test_no_digit_is_lost(fills, mark):
    got = view(held(*fills), mark)
    cash = sum(-f.side.sign * Fraction(f.size) * Fraction(f.price)
               for f in fills)
    size = sum(f.side.sign * Fraction(f.size) for f in fills)
    assert Fraction(got.size) == size
    total = Fraction(got.realised) + Fraction(got.unrealised)
    assert total == cash + size * Fraction(mark)
    if not size:
        assert got.average == got.unrealised == 0
    again = view(held(*reversed(fills)), mark)
    assert Fraction(again.realised) + Fraction(again.unrealised) == total
    days = held(*fills).days('paper', BTC.id)
    assert sum(Fraction(d.realised) for d in days) == got.realised
    assert sum(Fraction(d.fees_quote) for d in days) == got.fees_quote


@settings(max_examples=200, deadline=None)
@given(fills)
def test_the_average_is_off_by_no_more_than_its_rounding(fills):
    size = cost = realised = Fraction(0)
    for f in fills:
        change, price = f.side.sign * Fraction(f.size), Fraction(f.price)
        if size * change < 0:
            out = min(abs(change), abs(size)) * (1 if size > 0 else -1)
            share = cost * out / size
            realised += out * price - share
            size, cost, change = size - out, cost - share, change + out
        size, cost = size + change, cost + change * price
    got = view(held(*fills))
    bound = Fraction(len(fills), 10**18)
    assert abs(Fraction(got.realised) - realised) <= bound
    if size:
        assert abs(Fraction(got.average) - cost / size) <= (
            bound / abs(size) + Fraction(1, 10**18)
        )


@settings(max_examples=200, deadline=None)
@given(fills, _decimals(1, 10**6, 2), _decimals(1, 10**6, 2))
def test_a_day_gains_what_its_cash_and_worth_do(fills, opening, mark):
    fills = sorted(fills, key=lambda f: f.time_ns)
    today = MONDAY + 2 * DAY_NS
    got = held(*fills).day_pnl('paper', BTC.id, today, mark, opening)

    def sums(which):
        return (
            sum(-f.side.sign * Fraction(f.size) * Fraction(f.price)
                for f in which),
            sum(f.side.sign * Fraction(f.size) for f in which),
        )

    _, before = sums([f for f in fills if f.time_ns < today])
    cash, _ = sums([f for f in fills if f.time_ns >= today])
    _, size = sums(fills)
    want = cash + size * Fraction(mark) - before * Fraction(opening)
    assert Fraction(got.realised) + Fraction(got.unrealised) == want
    assert Fraction(got.net) == want - Fraction(got.fees_quote)


def test_a_position_is_built_reduced_turned_and_closed():
    positions = held(fill(BUY, 1, 100), fill(BUY, 3, 104))
    got = view(positions, 110, stale=True)
    assert (got.size, got.average, got.realised) == (4, 103, 0)
    assert (got.unrealised, got.mark, got.stale) == (28, 110, True)
    positions.apply(fill(SELL, 1, 113))
    got = view(positions, 110)
    assert (got.size, got.average, got.realised) == (3, 103, 10)
    positions.apply(fill(SELL, 5, 93))
    got = view(positions, 90)
    assert (got.size, got.average, got.realised) == (-2, 93, -20)
    assert got.unrealised == 6
    positions.apply(fill(BUY, 2, 90))
    got = view(positions, 1)
    assert (got.size, got.average, got.realised) == (0, 0, -14)
    assert got.unrealised == 0


def test_thirds_leave_nothing_behind():
    positions = held(fill(BUY, 1, 1), fill(BUY, 2, 2))
    assert str(view(positions).average) == '1.666666666666666667'
    for _ in range(3):
        positions.apply(fill(SELL, 1, 3))
    got = view(positions)
    assert (got.size, got.realised) == (0, 4)


def test_fees_stand_beside_what_is_realised():
    positions = held(
        fill(BUY, 1, 100, '0.001', 'BTC'), fill(SELL, '0.5', 110, '0.05'),
        fill(BUY, 1, 100, '0.002', 'bnb'), fill(BUY, 1, 100, '-0.01'),
    )
    got = view(positions)
    # A fee in base is taken off the balance, not off the position.
    assert got.size == D('2.5')
    assert got.realised == 5
    assert got.fees == {
        'btc': D('0.001'), 'usdt': D('0.04'), 'bnb': D('0.002')
    }
    assert got.fees_quote == D('0.14')


def test_fees_are_valued_whenever_the_instrument_becomes_known():
    positions = Positions()
    positions.apply(fill(BUY, 1, 100, '0.001', 'btc'))
    assert view(positions).fees_quote == 0
    positions.add_instrument(BTC)
    assert view(positions).fees_quote == D('0.1')


def test_without_a_price_nothing_is_said_of_what_is_unrealised():
    got = view(held(fill(BUY, 1, 100)))
    assert (got.unrealised, got.mark, got.stale) == (0, 0, True)
    assert view(held()).size == 0


def test_accounts_and_symbols_are_apart():
    other = fill(SELL, 2, 50, account='sim')
    positions = held(fill(BUY, 1, 100), other, replace(other, symbol='x.sim'))
    assert list(positions) == [
        ('paper', BTC.id), ('sim', BTC.id), ('sim', 'x.sim')
    ]
    assert positions.size('paper', BTC.id) == 1
    assert positions.size('sim', BTC.id) == -2
    assert positions.size('paper', 'x.sim') == 0


def test_days_are_those_of_utc():
    midnight = MONDAY + DAY_NS
    times = [MONDAY, midnight - 1, midnight, midnight + DAY_NS - 1]
    assert [day_of(ns) for ns in times] == [MONDAY] * 2 + [midnight] * 2
    positions = held(
        fill(BUY, 1, 100, 1, time_ns=times[1]),
        fill(SELL, 1, 90, 2, time_ns=times[2]),
    )
    assert positions.day_pnl('paper', BTC.id, midnight) == DayPnl(
        realised=D(-10), unrealised=D(0), fees_quote=D(2)
    )
    got = positions.day_pnl('paper', BTC.id, midnight, D(90), D(95))
    assert (got.realised + got.unrealised, got.net) == (-5, -7)
    days = [d.day_start_ns for d in positions.days('paper', BTC.id)]
    assert [b - a for a, b in pairwise(days)] == [DAY_NS]
