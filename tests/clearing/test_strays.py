"""What others do on an account, in instruments it was never seen in."""
from __future__ import annotations

import random
from decimal import Decimal

import pytest
from clearing_runs import BTC, ETH
from clearing_venue import S, World
from clearing_venue import limit_request as limit

from piker.clearing import records as rec
from piker.config import AccountSettings, RiskSettings
from piker.errors import RiskRefused
from piker.gateway import AccountReport, Answer, Outcome, PlaceOrder, Snapshot
from piker.orders import Balance, Notice, OrderSide, OrderType

BUY, SELL = OrderSide.BUY, OrderSide.SELL
RNG = random.Random(0)


@pytest.fixture
def world():
    return ready()


def ready(**given):
    world = World(**given)
    world.settle()
    return world


def by_hand(world, symbol=ETH.id, side=BUY, size=2, price=None):
    """An order that is not ours; a market order without a price."""
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    world.venue.clock(world.now_ns)
    return world.venue.place(PlaceOrder(
        ref=0, cid=f'hand{len(world.venue.orders)}', symbol=symbol, side=side,
        size=Decimal(size), type=kind, price=price,
    ))


def tell(world, *orders):
    """What the stream of the venue has of orders."""
    messages = []
    for order in orders:
        messages += [*world.venue.fills_of(order), world.venue.report(order)]
    messages.append(world.venue.balances())
    world.do(world.core.on_messages('sim', messages, world.now_ns))


def views(world):
    return {v.request.symbol: v for v in world.core.dialogs()}


def known(world):
    return set(world.core.dump()['instruments'])


def asked(world):
    """Symbols whose fills were asked for beside those that are ours."""
    return [c.symbols for c in world.sent if isinstance(c, Snapshot)]


# as it happens

def test_a_trade_in_an_instrument_never_traded_here_is_adopted(world):
    tell(world, by_hand(world))
    world.settle()
    world.check()
    view = views(world)[ETH.id]
    assert (view.foreign, view.status, view.filled) == (True, 'closed', 2)
    position, = world.core.positions()
    assert (position.symbol, position.size) == (ETH.id, 2)


def test_an_instrument_is_learnt_from_its_feed_and_kept(world):
    tell(world, by_hand(world))
    assert ETH.id in world.core.symbols_wanted
    assert ETH.id not in known(world)
    world.core.add_instrument(ETH)
    world.do(world.core.on_market(ETH.id, True, world.now_ns))
    assert ETH.id in known(world)
    world.restart()
    world.settle()
    world.check()
    assert ETH.id in known(world)


def test_it_is_learnt_though_nothing_is_left_of_the_position(world):
    tell(world, by_hand(world), by_hand(world, side=SELL))
    assert world.core.symbols_wanted == {ETH.id}
    world.core.add_instrument(ETH)
    world.do(world.core.on_market(ETH.id, True, world.now_ns))
    assert world.core.symbols_wanted == set()


def test_an_instrument_that_nothing_is_done_in_is_not_kept(world):
    world.core.add_instrument(ETH)
    world.do(world.core.on_market(ETH.id, True, world.now_ns))
    assert ETH.id not in known(world)


def test_what_was_done_in_it_before_is_asked_for_then(world):
    """Bought and sold while nobody listened: the balances do not tell."""
    world.lose_gateway()
    first = by_hand(world), by_hand(world, side=SELL)
    world.venue.trades = [
        type(t)(**{n: getattr(t, n) for n in t.__struct_fields__}
                | {'fee': Decimal(0)})
        for t in world.venue.trades
    ]
    world.settle()
    assert world.core.fills() == []
    tell(world, by_hand(world))
    world.settle()
    world.check()
    oids = {v.request.oid for v in world.core.dialogs()}
    assert {f'venue-{order.venue_id}' for order in first} < oids


def test_its_losses_count():
    world = ready(accounts={'sim': AccountSettings(
        provider='sim', risk=RiskSettings(max_daily_loss=Decimal(50)),
    )})
    day_ns = 86_400 * S
    world.now_ns = world.now_ns // day_ns * day_ns + S
    bought = by_hand(world, size=10)
    sold = by_hand(world, side=SELL, size=10)
    trade = world.venue.fills_of(sold)[0]
    lost = type(trade)(**{
        name: getattr(trade, name) for name in trade.__struct_fields__
    } | {'price': Decimal(94)})
    world.venue.trades[-1] = lost
    tell(world, bought, sold)
    world.core.add_instrument(ETH)
    world.do(world.core.on_market(ETH.id, True, world.now_ns))
    with pytest.raises(RiskRefused, match='max_daily_loss'):
        world.core.submit('x', [limit()], world.now_ns)


# while nobody listened

def test_open_orders_of_any_instrument_are_found(world):
    world.lose_gateway()
    by_hand(world, price=Decimal(90))
    world.settle()
    world.check()
    view = views(world)[ETH.id]
    assert (view.foreign, view.status) == (True, 'open')


@pytest.mark.parametrize('side', [BUY, SELL])
@pytest.mark.parametrize('begin', ['restart', 'lose_gateway', 'cut'])
def test_trades_are_found_by_the_balances_that_they_moved(
    world, begin, side
):
    world.submit(limit(symbol=BTC.id))
    world.settle()
    if begin != 'cut':
        getattr(world, begin)()
    by_hand(world, side=side)
    by_hand(world, symbol=BTC.id, size=1)
    if begin == 'cut':
        world.cut()
    world.settle()
    world.check()
    view = views(world)[ETH.id]
    assert (view.foreign, view.filled) == (True, 2)


def test_each_name_is_asked_for_once_and_after_all_else(world):
    world.lose_gateway()
    by_hand(world)
    world.gateway()
    assert asked(world) == [[]]
    found = []
    while world.sent or world.answers:
        world.carry()
        world.hear(RNG)
        found += [s for s in asked(world) if s and s not in found]
    assert found == [['ethusdt.sim'], ['usdteth.sim']]
    world.cut()
    world.calm(RNG)
    assert asked(world) == []
    world.settle()
    world.check()


def test_an_instrument_that_is_known_goes_by_its_name(world):
    world.core.add_instrument(ETH)
    world.lose_gateway()
    by_hand(world)
    world.settle()
    suspected = [r for r in world.records if isinstance(r, rec.Suspected)]
    assert [r.symbols for r in suspected] == [[ETH.id]]
    world.check()


def test_a_suspicion_survives(world):
    """Until the venue has been heard, whatever dies meanwhile."""
    world.lose_gateway()
    by_hand(world)
    world.gateway()
    world.carry()  # the snapshot
    while world.answers:
        world.hear(random.Random(1))
    assert asked(world) == [['ethusdt.sim']]
    world.carry('doubt')
    while world.answers:
        world.hear(random.Random(1))
    assert ['ethusdt.sim'] not in asked(world)  # not at once
    world.restart()
    world.settle()
    world.check()
    assert views(world)[ETH.id].filled == 2


def test_a_venue_that_does_not_answer_is_asked_again(world):
    world.lose_gateway()
    by_hand(world)
    world.gateway()
    world.carry()
    while world.answers:
        world.hear(random.Random(1))
    world.sent.clear()  # it gets lost
    world.settle()
    world.check()
    assert views(world)[ETH.id].filled == 2


def test_no_trade_is_suspected_where_one_asset_came_or_went(world):
    world.lose_gateway()
    report = world.venue.balances()
    world.gateway()
    more = AccountReport(
        balances=report.balances | {'usdt': Balance(Decimal(5))}, whole=True,
        time_ns=report.time_ns,
    )
    world.do(world.core.on_messages('sim', [more], world.now_ns))
    assert not any(isinstance(r, rec.Suspected) for r in world.records)


def test_too_much_has_changed_to_guess(world):
    world.lose_gateway()
    world.gateway()
    report = world.venue.balances()
    more = {f'a{n}': Balance(Decimal(1)) for n in range(9)}
    effects = world.core.on_messages('sim', [AccountReport(
        balances=report.balances | more, whole=True, time_ns=report.time_ns,
    )], world.now_ns)
    assert not any(isinstance(r, rec.Suspected) for r in effects.records)
    notices = [n.text for n in effects.news if isinstance(n, Notice)]
    assert any('9 assets have changed' in text for text in notices)


def test_an_account_that_is_new_suspects_nothing():
    world = World()
    by_hand(world)
    world.settle()
    assert not any(isinstance(r, rec.Suspected) for r in world.records)


# what is told beside a snapshot

def test_what_a_probe_was_told_does_not_hide_an_end(world):
    """It was open when the probe was answered, and gone before the break."""
    world.submit(limit())
    world.calm(RNG)
    order, = world.venue.orders.values()
    before = world.venue.report(order)
    world.venue.cancel(order)
    world.cut()
    world.do(world.core.on_messages(
        'sim', [before, Answer(ref=-1, outcome=Outcome.DONE)], world.now_ns
    ))
    world.settle()
    world.check()
    assert world.core.dialog('sim', 'a').status == 'cancelled'


def test_nor_does_a_late_answer(world):
    world.submit(limit())
    command = world.sent.pop()
    order = world.venue.place(command)
    before = world.venue.report(order)
    world.venue.cancel(order)
    world.cut()
    world.do(world.core.on_messages(
        'sim', [before, Answer(ref=command.ref, outcome=Outcome.DONE)],
        world.now_ns,
    ))
    world.settle()
    world.check()
    assert world.core.dialog('sim', 'a').status == 'cancelled'
