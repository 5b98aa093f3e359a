"""Our books against a venue's, and how the venue's are asked for."""
from __future__ import annotations

from decimal import Decimal

import pytest
import trio
import trio.testing
from clearing_runs import BTC
from ledger_tools import (
    MONDAY,
    filled,
    known,
    ledger_of,
    make_fill,
    numbered,
    reached,
)
from msgspec.structs import replace

from piker.clearing.audit import SETTLE_NS, compare, fills_from_ns
from piker.clearing.probe import Probes, VenueBooks
from piker.errors import VenueDown, VenueRefused
from piker.gateway import (
    AccountReport,
    Answer,
    FillReport,
    LinkReport,
    Outcome,
    Snapshot,
)
from piker.orders import Balance, OrderSide

BUY, SELL = OrderSide.BUY, OrderSide.SELL
D = Decimal
NOW = MONDAY + 3600 * 10**9
FILLS = numbered([
    make_fill(BUY, '1.0', '100', '0.001', 'btc', time_ns=MONDAY + 1),
    make_fill(SELL, '0.5', '110', time_ns=MONDAY + 2),
])


def venue_fill(fill):
    return FillReport(
        cid='x', venue_id='1', **{
            name: getattr(fill, name) for name in (
                'symbol', 'side', 'trade_id', 'price', 'size', 'fee',
                'fee_asset', 'time_ns',
            )
        },
    )


def compared(ours, venue, mine=None, theirs=None):
    """Ours and the venue's fills, balances by asset as (free, locked)."""
    records = [
        *known(BTC), *reached(balances={'usdt': '50', **(mine or {})}),
        *map(filled, ours),
    ]
    balances = {'usdt': Balance(D(50)), **(theirs or {})}
    books = VenueBooks(
        account='paper', fills=list(map(venue_fill, venue)),
        balances=balances,
    )
    return compare(ledger_of(records), books, NOW)


def test_the_same():
    other = make_fill(BUY, '9', '9', account='swing', trade=99)
    got = compared(
        [*FILLS, other],
        [replace(FILLS[1], fee_asset='bnb'), replace(FILLS[0], size=D(1))],
        {'btc': '0.4990'},
        {'btc': Balance(D('0.099'), D('0.4')), 'eth': Balance(D(0))},
    )
    assert not got.differences
    assert (got.fills, got.balances, got.unsettled) == (2, 3, [])


@pytest.mark.parametrize('changes', [
    {'price': D('110.01')}, {'size': D('0.4')}, {'side': BUY},
    {'fee': D('0.1')}, {'fee_asset': 'eth', 'fee': D('0.1')},
])
def test_a_fill_that_differs(changes):
    (found,) = compared(
        FILLS, [FILLS[0], replace(FILLS[1], **changes)]
    ).differences
    assert (found.kind, found.of, found.trade_id) == ('fill', BTC.id, '2')
    assert found.ours == 'sell 0.5 at 110'
    assert found.venue
    assert found.venue != found.ours


def test_fills_that_only_one_has():
    more = make_fill(BUY, '2', '7', '0.1', trade=3, time_ns=MONDAY + 3)
    first, second = compared(FILLS, [FILLS[1], more]).differences
    assert first.ours == 'buy 1 at 100, fee 0.001 btc'
    assert not first.venue
    assert second.venue == 'buy 2 at 7, fee 0.1 usdt'
    assert not second.ours


def test_what_is_none_of_ours_or_too_new():
    before = make_fill(BUY, '2', '7', trade=3, time_ns=MONDAY - 1)
    new = make_fill(BUY, '2', '7', trade=4, time_ns=NOW - SETTLE_NS)
    got = compared(
        FILLS, [*FILLS, before, new], {}, {'btc': Balance(D(7))}
    )
    assert not got.differences
    assert (got.fills, got.unsettled) == (2, ['btc', 'usdt'])
    old = replace(new, time_ns=NOW - SETTLE_NS - 1)
    assert len(compared(FILLS, [*FILLS, old]).differences) == 1
    # a new one of ours that the venue does not have can't be on its way
    assert len(compared([*FILLS, new], FILLS).differences) == 1


def test_balances():
    mine = {'eth': '3', 'bnb': '1'}
    theirs = {'eth': Balance(D(2), D('0.5')), 'doge': Balance(D('1.50'))}
    found = compared([], [], mine, theirs).differences
    assert [(d.of, d.ours, d.venue) for d in found] == [
        ('bnb', '1', '0'), ('doge', '0', '1.5'), ('eth', '3', '2.5'),
    ]
    assert {d.kind for d in found} == {'balance'}


def test_from_when_on_to_ask():
    found = ledger_of([*reached(), *map(filled, FILLS)])
    assert fills_from_ns(found, 'paper') == MONDAY
    older = filled(make_fill(BUY, '1', '1', trade=9, time_ns=MONDAY - 5))
    found = ledger_of([*reached(), *map(filled, FILLS), older])
    assert fills_from_ns(found, 'paper') == MONDAY - 5


class Gateway:
    """Takes questions; the test answers them."""

    def __init__(self):
        self.probes = Probes()
        self.asked = []
        self.books = None
        self.error = None

    async def ask(self):
        try:
            self.books = await self.probes.ask(
                'paper', lambda *command: self.asked.append(command),
                [BTC.id], MONDAY,
            )
        except (VenueDown, VenueRefused) as err:
            self.error = err

    @property
    def question(self):
        (account, command), = self.asked
        assert account == 'paper'
        assert command == Snapshot(
            ref=command.ref, symbols=[BTC.id], since_ns=MONDAY
        )
        assert command.ref < 0
        return command


def whole(**balances):
    return AccountReport(whole=True, balances={
        asset: Balance(D(free)) for asset, free in balances.items()
    })


async def test_what_a_venue_says_up_to_its_answer():
    gateway = Gateway()
    fills = list(map(venue_fill, FILLS))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.ask)
        await trio.testing.wait_all_tasks_blocked()
        ref, hear = gateway.question.ref, gateway.probes.hear
        hear('swing', [whole(usdt=9), Answer(ref=ref, outcome=Outcome.DONE)])
        hear('paper', [LinkReport(up=True), fills[0], whole(usdt=5)])
        hear('paper', [fills[0], fills[1], AccountReport(balances={})])
        hear('paper', [Answer(ref=1, outcome=Outcome.REFUSED)])
        await trio.testing.wait_all_tasks_blocked()
        assert gateway.books is None
        hear('paper', [Answer(ref=ref, outcome=Outcome.DONE)])
    assert gateway.books == VenueBooks(
        account='paper', fills=fills, balances={'usdt': Balance(D(5))},
    )
    gateway.probes.hear('paper', fills)


async def test_two_questions_at_once():
    gateway = Gateway()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.ask)
        nursery.start_soon(gateway.ask)
        await trio.testing.wait_all_tasks_blocked()
        refs = {command.ref for _, command in gateway.asked}
        assert len(refs) == 2
        for ref in refs:
            gateway.probes.hear('paper', [
                Answer(ref=ref, outcome=Outcome.DONE)
            ])
    assert gateway.books is not None


async def test_a_venue_that_refuses():
    gateway = Gateway()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.ask)
        await trio.testing.wait_all_tasks_blocked()
        gateway.probes.hear('paper', [Answer(
            ref=gateway.question.ref, outcome=Outcome.DOUBT,
            reason='too many requests',
        )])
    assert isinstance(gateway.error, VenueRefused)
    assert 'too many requests' in str(gateway.error)


async def test_a_gateway_that_dies():
    gateway = Gateway()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.ask)
        await trio.testing.wait_all_tasks_blocked()
        gateway.probes.lose('swing')
        await trio.testing.wait_all_tasks_blocked()
        assert gateway.error is None
        gateway.probes.lose('paper')
    assert isinstance(gateway.error, VenueDown)


async def test_a_gateway_that_never_answers(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gateway = Gateway()
    await gateway.ask()
    assert 'within 60 s' in str(gateway.error)
