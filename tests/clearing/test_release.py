"""Limits once more, when an order that has waited goes to the venue."""
from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction

import pytest
from clearing_runs import BTC, run_of
from clearing_venue import NATIVE, PLAIN, World
from clearing_venue import limit_request as limit
from hypothesis import given, settings
from hypothesis import strategies as st

from piker.clearing.exposure import OpenOrder
from piker.clearing.risk import Risk, RiskView, Tally
from piker.config import AccountSettings, RiskSettings
from piker.errors import RiskRefused
from piker.gateway import CancelOrder, PlaceOco, PlaceOrder
from piker.orders import Notice, OrderRequest, OrderSide, OrderType

D = Decimal
BUY, SELL = OrderSide.BUY, OrderSide.SELL
RNG = random.Random(0)


def stop(oid='a', side=BUY, level=105, **values):
    return limit(oid, **{
        'side': side, 'type': OrderType.STOP, 'stop': D(level),
        'price': None, 'dark': True,
    } | values)


def limited(abilities=NATIVE, own=None, **limits):
    account = AccountSettings(
        provider='sim', risk=RiskSettings(**limits),
        instruments={BTC.id: RiskSettings(**own)} if own else {},
    )
    world = World(abilities, accounts={'sim': account})
    world.settle()
    return world


def view(world, oid='a'):
    return world.core.dialog('sim', oid)


def trade_elsewhere(world, side, size):
    """Somebody trades on the account without us, at 100."""
    order = world.venue.place(PlaceOrder(
        ref=0, cid=f'hand{len(world.venue.orders)}', symbol=BTC.id, side=side,
        size=D(size), type=OrderType.MARKET,
    ))
    messages = [
        *world.venue.fills_of(order), world.venue.report(order),
        world.venue.balances(),
    ]
    world.do(world.core.on_messages('sim', messages, world.now_ns))


def sent(world):
    return [type(command) for command in world.sent]


def test_a_position_made_elsewhere_leaves_no_room():
    world = limited(max_position=D(10))
    world.submit(stop())
    trade_elsewhere(world, BUY, 1)
    effects = world.core.on_ticks(BTC.id, run_of([106]), world.now_ns)
    world.do(effects)
    assert sent(world) == []
    assert view(world).status == 'rejected'
    for name in (
        'beyond max_position = 10 of account sim', 'the position is 1',
        'could become 11', '[accounts.sim.risk]',
    ):
        assert name in view(world).reason
    notice, = (n for n in effects.news if isinstance(n, Notice))
    assert (notice.account, notice.oid) == ('sim', 'a')
    assert 'max_position' in notice.text
    world.settle()
    world.check()


def test_as_much_as_there_is_room_for_goes():
    """First come, first served: what waits still takes no room."""
    world = limited(max_position=D(10))
    world.submit(stop('a', size=D(5)), stop('b', size=D(5), level=110))
    trade_elsewhere(world, BUY, 5)
    world.tick(106)
    world.calm(RNG)
    assert view(world, 'a').status == 'closed'
    world.tick(111)
    assert view(world, 'b').status == 'rejected'
    world.settle()
    world.check()


@pytest.mark.parametrize('own', [True, False])
def test_a_loss_lets_nothing_grow_and_everything_shrink(own):
    loss = {'max_daily_loss': D(50)}
    world = limited(own=loss) if own else limited(**loss)
    world.submit(
        stop('more', level=92, type=OrderType.TAKE_PROFIT),
        stop('out', SELL, level=92),
    )
    trade_elsewhere(world, BUY, 10)
    world.tick(90)
    assert [(c.side, c.size) for c in world.sent] == [(SELL, 10)]
    assert view(world, 'more').status == 'rejected'
    assert 'beyond max_daily_loss = 50' in view(world, 'more').reason
    world.settle()
    world.check()
    assert view(world, 'out').status == 'closed'


def test_a_protective_stop_fires_after_the_loss_limit_is_hit():
    """Also with a take-profit at the venue that does not know of it."""
    world = limited(max_daily_loss=D(50))
    world.submit(limit('in'))
    world.calm(RNG)
    order, = world.venue.orders.values()
    world.stream.append(world.venue.fill(order, D(10)))
    world.submit(
        limit('profit', side=SELL, price=D(120)),
        stop('out', SELL, level=94), stop('flip', SELL, level=93),
    )
    world.settle()
    world.tick('94.5')
    world.tick('93.5')
    assert [c.side for c in world.sent] == [SELL]
    world.tick('92.5')  # the position is as good as sold already
    assert view(world, 'flip').status == 'rejected'
    assert 'max_daily_loss = 50' in view(world, 'flip').reason
    world.calm(RNG)
    assert view(world, 'out').status == 'closed'
    world.settle()
    world.check()


def test_held_orders_of_a_side_are_looked_at_once_their_parent_has_filled():
    """More of the same is refused, the way out is not."""
    world = limited(PLAIN, max_position=D(12), max_daily_loss=D(50))
    world.submit(
        limit('p', size=D(5)),
        limit('more', size=D(5), price=D(99), parent='p'),
        limit('t', side=SELL, size=D(5), price=D(110), parent='p', oco='g'),
        stop('s', SELL, level=90, size=D(5), parent='p', oco='g'),
    )
    world.calm(RNG)
    trade_elsewhere(world, BUY, 3)
    order = next(iter(world.venue.orders.values()))
    world.stream += [
        world.venue.fill(order, D(5)), world.venue.report(order)
    ]
    world.settle()
    assert view(world, 'more').status == 'rejected'
    assert view(world, 't').status == 'open'
    assert view(world, 's').status == 'dark'
    world.tick(89)
    world.settle()
    world.check()
    assert view(world, 's').status == 'closed'


def test_what_grows_with_its_parent_is_looked_at_as_it_grows():
    world = limited(max_position=D(12))
    world.submit(
        limit('p', size=D(5)),
        limit('more', size=D(5), price=D(99), parent='p'),
    )
    world.calm(RNG)
    order = next(iter(world.venue.orders.values()))
    for size in (1, 4):
        world.stream += [
            world.venue.fill(order, D(size)), world.venue.report(order)
        ]
        world.settle()
        assert view(world, 'more').request.size == 1
        trade_elsewhere(world, BUY, 3)
    assert 'max_position = 12' in view(world, 'more').reason
    world.settle()
    world.check()


def test_children_of_a_refused_order_end():
    world = limited(max_position=D(10))
    world.submit(
        stop('p'), limit('t', side=SELL, price=D(120), parent='p'),
    )
    trade_elsewhere(world, BUY, 1)
    world.tick(106)
    assert view(world, 'p').status == 'rejected'
    assert view(world, 't').status == 'cancelled'


def test_others_of_a_refused_orders_group_wait_on():
    """As after any rejection; each is looked at when its time has come."""
    world = limited(PLAIN, max_position=D(10))
    world.submit(stop('a', oco='g'), stop('b', level=107, oco='g'))
    trade_elsewhere(world, BUY, 1)
    world.tick(106)
    assert view(world, 'a').status == 'rejected'
    assert view(world, 'b').status == 'dark'
    trade_elsewhere(world, SELL, 1)
    world.tick(108)
    assert view(world, 'b').status == 'triggered'
    world.settle()
    world.check()
    assert view(world, 'b').status == 'closed'


def test_a_group_is_not_taken_off_the_venue_for_what_is_refused():
    world = limited(PLAIN, max_position=D(10))
    world.submit(limit('rests', oco='g'), stop('fires', oco='g'))
    world.calm(RNG)
    trade_elsewhere(world, BUY, 1)
    world.tick(106)
    assert view(world, 'fires').status == 'rejected'
    assert CancelOrder not in sent(world)
    assert view(world, 'rests').status == 'open'


def test_a_pair_that_waited_for_its_parent():
    world = limited(max_position=D(12), max_daily_loss=D(50))
    world.submit(
        limit('p'),
        limit('t', side=SELL, price=D(110), parent='p', oco='g'),
        stop('s', SELL, level=90, parent='p', oco='g', dark=False),
    )
    world.calm(RNG)
    order, = world.venue.orders.values()
    fill = world.venue.fill(order, D(10))
    world.do(world.core.on_messages(
        'sim', [fill, world.venue.report(order)], world.now_ns
    ))
    assert sent(world) == [PlaceOco]
    world.settle()


def test_what_waited_for_the_venue_is_looked_at_as_well():
    world = limited(max_position=D(10))
    world.lose_gateway()
    world.submit(limit())
    order = world.venue.place(PlaceOrder(
        ref=0, cid='hand', symbol=BTC.id, side=BUY, size=D(1),
        type=OrderType.LIMIT, price=D(100),
    ))
    world.gateway()
    fill = world.venue.fill(order, D(1))
    world.do(world.core.on_messages(
        'sim', [fill, world.venue.report(order)], world.now_ns
    ))
    world.settle()
    assert view(world).status == 'rejected'
    world.check()


def test_a_restart_looks_at_no_limit_that_was_passed():
    """What was sent was sent; replay takes the records' word."""
    world = limited(max_position=D(10))
    world.submit(stop())
    world.tick(106)
    assert sent(world) == [PlaceOrder]
    world.calm(RNG)
    trade_elsewhere(world, BUY, 1)
    world.restart()
    assert view(world).status == 'closed'
    world.settle()
    world.check()


# all there is to it, by another formulation

def small(low, high):
    return st.integers(low, high).map(D)


ORDERS = st.lists(st.builds(
    OpenOrder, oid=st.uuids().map(str), side=st.sampled_from(OrderSide),
    left=small(1, 4), oco=st.sampled_from(['', '', 'g']),
    at_once=st.booleans(),
), max_size=4)


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(OrderSide), small(1, 6), st.sampled_from(['', 'g']),
    small(-8, 8), ORDERS, st.none() | small(0, 8), st.none() | small(0, 8),
    small(-9, 9),
)
def test_refused_exactly_if_it_adds_to_what_is_too_much(
    side, size, oco, position, orders, most, loss, pnl
):
    def worst(orders):
        """The position, in the order's direction, once they have filled."""
        total = Fraction(position) * side.sign + Fraction(size)
        group = [o for o in orders if o.oco == oco] if oco else []
        others = [o for o in orders if o not in group]
        total += max(
            [Fraction(0), *(Fraction(o.left) - Fraction(size) for o in group)]
        )
        named = [Fraction(o.left) for o in others if o.oco]
        return total + max(named, default=0) + sum(
            Fraction(o.left) for o in others if not o.oco
        )

    same = [o for o in orders if o.side is side]
    grows = worst([o for o in same if o.at_once]) > 0
    want = grows and (
        (most is not None and worst(same) > most)
        or (loss is not None and -pnl > loss)
    )
    limits = Risk({'paper': AccountSettings(
        risk=RiskSettings(max_position=most, max_daily_loss=loss),
    )})
    request = OrderRequest(
        oid='mine', symbol=BTC.id, side=side, size=size, oco=oco,
        parent='whoever',
    )
    told = RiskView(
        position=position, orders=tuple(orders), account=Tally(day_pnl=pnl),
    )
    if want:
        with pytest.raises(RiskRefused, match=r'^beyond max_'):
            limits.check_release(request, told)
    else:
        limits.check_release(request, told)


def test_no_other_limit_is_looked_at_again():
    limits = Risk({'paper': AccountSettings(risk=RiskSettings(
        max_order=D(1), max_notional=D(1), max_open_orders=0,
        max_orders_a_second=1, collar=D('0.01'),
    ))})
    request = OrderRequest(oid='mine', symbol=BTC.id, side=BUY, size=D(9))
    limits.check_release(request, RiskView(
        account=Tally(open_orders=9, last_second=9),
    ))


def test_a_child_says_why_it_ended():
    world = limited()
    world.submit(limit('p'), limit('t', side=SELL, parent='p'))
    world.calm(RNG)
    world.cancel('p')
    world.settle()
    assert view(world, 't').reason == (
        'p ended and nothing of it is left for this one'
    )
