"""
Beancount's text, read back by a small reader of its own.

The reader books lots as strictly as Beancount does: what is taken must match
one lot by cost, date and label, and every transaction sums to exactly zero at
its weights.
"""
from __future__ import annotations

import datetime
import random
import re
from collections import defaultdict
from decimal import Decimal

import pytest
from clearing_runs import BTC
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_tools import ETH, MONDAY, make_fill, numbered

from piker.clearing.beancount import commodity, to_beancount
from piker.clearing.positions import DAY_NS, Positions
from piker.errors import DataError
from piker.orders import OrderSide

BUY, SELL = OrderSide.BUY, OrderSide.SELL
D = Decimal
CURRENCIES = {BTC.id: ('btc', 'usdt'), ETH.id: ('eth', 'btc')}

_NAME = r"[A-Z][A-Z0-9'._-]{0,22}[A-Z0-9]"
_ACCOUNT = (
    r'(?:Assets|Income|Expenses|Equity)(?::[A-Z0-9][A-Za-z0-9-]*)+'
)
_DAY = r'\d{4}-\d\d-\d\d'
_STRING = r'"(?:[^"\\]|\\["\\])*"'
_POSTING = re.compile(
    rf'  ({_ACCOUNT})  (-?[\d.]+) ({_NAME})'
    rf'(?: \{{([\d.]+) ({_NAME}), ({_DAY}), ({_STRING})\}})?'
    rf'(?: @ ([\d.]+) ({_NAME}))?\Z'
)
_OPEN = re.compile(rf'({_DAY}) open ({_ACCOUNT})\Z')
_COMMODITY = re.compile(rf'({_DAY}) commodity ({_NAME})\Z')
_HEAD = re.compile(rf'({_DAY}) \* ({_STRING}) ({_STRING})\Z')
_NOTE = re.compile(rf'  ([a-z][a-z0-9-]*): ({_STRING})\Z')


class Book:
    """What a file says, booked line by line; refuses what is not right."""

    def __init__(self, text: str) -> None:
        self.opened: dict[str, str] = {}
        self.commodities: dict[str, str] = {}
        self.plain: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self.lots: dict[str, dict[tuple, Decimal]] = defaultdict(dict)
        self.transactions = 0
        self.notes: list[tuple[str, str]] = []
        self._day = ''
        self._weights: dict[str, Decimal] | None = None
        for line in text.splitlines():
            self._read(line)
        self._end()

    def _read(self, line: str) -> None:
        if not line or line.startswith(';'):
            self._end()
        elif match := _OPEN.match(line):
            assert match[2] not in self.opened
            self.opened[match[2]] = match[1]
        elif match := _COMMODITY.match(line):
            assert match[2] not in self.commodities
            self.commodities[match[2]] = match[1]
        elif match := _HEAD.match(line):
            self._end()
            datetime.date.fromisoformat(match[1])
            assert match[1] >= self._day, 'not in order'
            self._day, self._weights = match[1], defaultdict(Decimal)
            self.transactions += 1
        elif match := _NOTE.match(line):
            self.notes.append((match[1], match[2]))
        else:
            match = _POSTING.match(line)
            assert match, line
            self._post(*match.groups())

    def _post(
        self, account, amount, asset, cost, cost_asset, day, label, price,
        price_asset,
    ) -> None:
        assert self.opened[account] <= self._day
        assert self.commodities[asset] <= self._day
        assert self._weights is not None
        size = D(amount)
        assert size
        if cost is None:
            self.plain[account, asset] += size
            self._weights[asset] += size
            return
        assert price_asset in {None, cost_asset}
        lots = self.lots[account]
        key = asset, D(cost), cost_asset, day, label
        if any(k[0] == asset and v * size < 0 for k, v in lots.items()):
            assert abs(size) <= abs(lots[key]), 'more than the lot has'
            assert price is not None
        else:
            assert key not in lots
            assert price is None
            lots[key] = D(0)
        lots[key] += size
        if not lots[key]:
            del lots[key]
        self._weights[cost_asset] += size * D(cost)

    def _end(self) -> None:
        if self._weights is not None:
            assert not any(self._weights.values()), self._weights
            self._weights = None

    def total(self, prefix: str, asset: str) -> Decimal:
        """Of what is held without a cost."""
        return sum((
            size for (account, held), size in self.plain.items()
            if account.startswith(prefix) and held == asset
        ), D(0))

    def held(self, account: str) -> Decimal:
        return sum(self.lots[account].values(), D(0))


PAPER = 'Assets:Piker:Paper'


def test_a_purchase_and_a_sale():
    """The text itself, as the documentation shows it."""
    text = to_beancount([
        make_fill(BUY, '0.01', '60000', '0.00001', 'btc', 7, oid='a "b"'),
        make_fill(
            SELL, '0.0050', '61000', '0.305', trade=8,
            time_ns=MONDAY + 1_500_000_001,
        ),
    ], CURRENCIES)
    assert text == '''\
; Written by piker.  Deposits and what an account began with are
; not in it: cash begins at 0.

2024-10-04 commodity BTC
  name: "btc"
2024-10-04 commodity USDT
  name: "usdt"

2024-10-04 open Assets:Piker:Paper:BTCUSDT-SIM
2024-10-04 open Assets:Piker:Paper:Cash
2024-10-04 open Expenses:Piker:Paper:Fees
2024-10-04 open Income:Piker:Paper:BTCUSDT-SIM

2024-10-04 * "paper" "buy 0.01 btcusdt.sim at 60000"
  time: "2024-10-04T00:00:00.000000000Z"
  trade: "7"
  order: "a \\"b\\""
  Assets:Piker:Paper:BTCUSDT-SIM  0.01 BTC {60000 USDT, 2024-10-04, "7"}
  Assets:Piker:Paper:Cash  -600 USDT
  Expenses:Piker:Paper:Fees  0.00001 BTC
  Assets:Piker:Paper:Cash  -0.00001 BTC

2024-10-04 * "paper" "sell 0.005 btcusdt.sim at 61000"
  time: "2024-10-04T00:00:01.500000001Z"
  trade: "8"
  order: "mine"
  Assets:Piker:Paper:BTCUSDT-SIM  -0.005 BTC '''+'''\
{60000 USDT, 2024-10-04, "7"} @ 61000 USDT
  Assets:Piker:Paper:Cash  305 USDT
  Income:Piker:Paper:BTCUSDT-SIM  -5 USDT
  Expenses:Piker:Paper:Fees  0.305 USDT
  Assets:Piker:Paper:Cash  -0.305 USDT
'''
    Book(text)


def test_through_zero_is_two_transactions():
    book = Book(to_beancount(numbered([
        make_fill(SELL, '1', '100'), make_fill(SELL, '1', '110'),
        make_fill(BUY, '3', '90', '1'), make_fill(SELL, '1', '95'),
    ]), CURRENCIES))
    assert book.transactions == 5
    assert not book.lots[f'{PAPER}:BTCUSDT-SIM']
    assert book.total('Income', 'USDT') == -35
    assert book.total(PAPER, 'USDT') == 34
    assert book.total('Expenses', 'USDT') == 1


_FILLS = st.lists(
    st.tuples(
        st.sampled_from([BUY, SELL]), st.integers(1, 40),
        st.integers(1, 10_000), st.integers(0, 50),
        st.sampled_from(['usdt', 'btc', 'eth', 'bnb', '1inch']),
        st.sampled_from([BTC.id, BTC.id, ETH.id]),
        st.sampled_from(['paper', 'my_own']), st.integers(0, 4 * 24),
    ),
    max_size=40,
)


def _made(drawn):
    return numbered(
        make_fill(
            side, str(lots * D('0.05')), str(ticks * D('0.01')),
            str(fee * D('0.001')), asset, time_ns=MONDAY + hour * DAY_NS // 24,
            account=account, symbol=symbol,
        )
        for side, lots, ticks, fee, asset, symbol, account, hour in drawn
    )


@settings(max_examples=150, deadline=None)
@given(_FILLS, st.integers(0, 5 * 24))
def test_books_balance_and_agree_with_positions(drawn, hours):
    """
    From any point on: sizes are those of positions, cash what was paid, and
    profit and what lots cost add up to the cash that fills have moved.
    """
    fills = _made(drawn)
    since = MONDAY + hours * DAY_NS // 24
    book = Book(to_beancount(fills, CURRENCIES, since))
    positions = Positions()
    for f in fills:
        positions.apply(f)
    for account, symbol in positions:
        name = account.replace('_', '-').capitalize()
        held = f'Assets:Piker:{name}:{symbol.replace(".", "-").upper()}'
        assert book.held(held) == positions.size(account, symbol)
    later = [f for f in fills if f.time_ns >= since]
    for asset in ('usdt', 'btc', 'eth', 'bnb', '1inch'):
        paid = -sum((f.fee for f in later if f.fee_asset == asset), D(0))
        for f in later:
            if CURRENCIES[f.symbol][1] == asset:
                paid -= f.side.sign * f.size * f.price
        assert book.total('Assets', commodity(asset)) == paid


def test_profit_is_that_of_positions_once_they_are_closed():
    rng, fills, size = random.Random(1), [], 0
    for at in range(200):
        lots = rng.randint(-50, 50) or 1
        size += lots
        side = BUY if lots > 0 else SELL
        fills.append(make_fill(
            side, str(abs(lots)), str(rng.randint(90, 110)),
            time_ns=MONDAY + at * DAY_NS // 50,
        ))
    fills.append(make_fill(
        SELL if size > 0 else BUY, str(abs(size)), '100',
        time_ns=MONDAY + 5 * DAY_NS,
    ))
    fills = numbered(fills)
    positions = Positions()
    for f in fills:
        positions.apply(f)
    want = positions.view('paper', BTC.id)
    assert want.size == 0
    assert want.realised
    book = Book(to_beancount(fills, CURRENCIES))
    assert book.total('Income', 'USDT') == -want.realised


def test_late_fills_are_put_where_they_belong():
    late = numbered([
        make_fill(BUY, '1', '100', time_ns=MONDAY + DAY_NS),
        make_fill(BUY, '1', '90', time_ns=MONDAY),
        make_fill(SELL, '1', '120', time_ns=MONDAY + DAY_NS),
    ])
    book = Book(to_beancount(late, CURRENCIES))
    assert book.total('Income', 'USDT') == -30


def test_an_instrument_that_is_not_known():
    with pytest.raises(DataError, match=r'xy\.sim.*--symbol'):
        to_beancount([make_fill(BUY, '1', '1', symbol='xy.sim')], CURRENCIES)


def test_nothing_at_all():
    assert Book(to_beancount([], CURRENCIES)).transactions == 0


@pytest.mark.parametrize('asset', [
    'btc', '1inch', 't', 'null', 'a' * 40, '币安人生', 'x.y', 'a-', 'TRUE',
])
def test_names_of_commodities(asset):
    name = commodity(asset)
    assert re.fullmatch(_NAME, name)
    assert name not in {'TRUE', 'FALSE', 'NULL'}
