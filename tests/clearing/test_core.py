"""What must never happen to an order, one race after the other."""
from __future__ import annotations

import random
from decimal import Decimal

import pytest
from clearing_runs import BTC, run_of
from clearing_venue import NATIVE, PLAIN, S, World
from clearing_venue import limit_request as limit
from msgspec.structs import replace

from piker.clearing.turn import make_cid
from piker.config import AccountSettings, RiskSettings
from piker.errors import BadInput, RiskRefused
from piker.gateway import (
    Answer,
    CancelOrder,
    Outcome,
    PlaceOco,
    PlaceOrder,
    QueryOrder,
    ReplaceOrder,
    Snapshot,
    VenueStatus,
)
from piker.orders import (
    OrderChange,
    OrderSide,
    OrderStatus,
    OrderType,
    PositionView,
    Tif,
)

RNG = random.Random(0)


def stop(oid='a', **values):
    return limit(oid, **{
        'type': OrderType.STOP, 'stop': Decimal(105), 'price': None,
    } | values)


@pytest.fixture
def world():
    return ready_world()


def ready_world(abilities=NATIVE, **given):
    world = World(abilities, **given)
    world.settle()
    assert world.core.ready('sim')
    return world


def view(world, oid='a'):
    return world.core.dialog('sim', oid)


def tell(world, *messages):
    messages = [*messages, world.venue.balances()]
    world.do(world.core.on_messages('sim', messages, world.now_ns))


def opened(world, oid='a', **values):
    """An order that is open at the venue."""
    world.submit(limit(oid, **values))
    world.calm(RNG)
    assert view(world, oid).status == 'open'
    return next(
        o for o in world.venue.orders.values()
        if o.venue_id == view(world, oid).venue_id
    )


def ended(world, status, filled=0, oid='a'):
    """Let it come to rest; it ended so, and all is as at the venue."""
    world.settle()
    world.check()
    assert view(world, oid).status == status
    assert view(world, oid).filled == filled


def kinds(commands):
    return [type(command) for command in commands]


# the races

def test_a_cancel_before_the_ack(world):
    world.submit(limit())
    world.cancel('a')
    assert kinds(world.sent) == [PlaceOrder]
    assert view(world).cancelling
    world.carry()
    world.hear(RNG)
    world.calm(RNG)
    ended(world, 'cancelled')


@pytest.mark.parametrize('taken', ['doubt', 'lost'])
def test_a_cancel_before_an_ack_that_never_comes(world, taken):
    world.submit(limit())
    world.cancel('a')
    world.carry(taken)
    ended(world, 'cancelled')
    assert len(world.venue.orders) == (taken == 'doubt')


@pytest.mark.parametrize('fill_first', [True, False])
def test_a_fill_racing_a_cancel(world, fill_first):
    order = opened(world)
    world.cancel('a')
    fill = world.venue.fill(order, Decimal(4))
    filled = world.venue.report(order)
    world.carry()
    cancelled = [*world.stream]
    world.stream = []
    answer = world.answers.pop()
    if fill_first:
        tell(world, fill, filled)
        tell(world, *answer)
    else:
        tell(world, *answer)
        assert view(world).status == 'open'  # four are counted, not seen
        tell(world, *cancelled)
        tell(world, fill, filled)
    assert view(world).status == 'cancelled'
    ended(world, 'cancelled', 4)


def test_a_fill_of_all_racing_a_cancel(world):
    order = opened(world)
    world.cancel('a')
    fill = world.venue.fill(order, Decimal(10))
    world.carry()
    tell(world, *world.answers.pop())  # unknown: it is not open any more
    assert view(world).in_doubt
    tell(world, fill)
    ended(world, 'closed', 10)


def test_a_fill_after_the_cancel_was_told_still_counts(world):
    order = opened(world)
    before = world.venue.report(order)
    world.cancel('a')
    fill = world.venue.fill(order, Decimal(4))
    world.carry()
    world.answers.clear()
    world.stream.clear()
    told = {'status': VenueStatus.CANCELLED}
    tell(
        world, type(before)(**{
            name: getattr(before, name) for name in before.__struct_fields__
        } | told),
        Answer(ref=world.core._runtime.ref, outcome=Outcome.DONE),
    )
    assert view(world).status == 'cancelled'
    assert view(world).filled == 0
    tell(world, fill)
    assert view(world).filled == 4
    ended(world, 'cancelled', 4)


@pytest.mark.parametrize('told_first', [True, False])
def test_a_modify_racing_a_fill(world, told_first):
    order = opened(world)
    world.change('a', price=Decimal(99))
    assert kinds(world.sent) == [ReplaceOrder]
    fill = world.venue.fill(order, Decimal(4))
    world.carry()  # refused: it has begun to fill
    if told_first:
        tell(world, fill, world.venue.report(order))
    tell(world, *world.answers.pop())
    if not told_first:
        tell(world, fill, world.venue.report(order))
    now = view(world)
    assert (now.status, now.filled, now.changing) == ('open', 4, False)
    assert now.request.price == 100
    ended(world, 'open', 4)


def test_a_modify_racing_a_fill_of_all(world):
    order = opened(world)
    world.change('a', size=Decimal(12))
    fill = world.venue.fill(order, Decimal(10))
    world.carry()
    tell(world, *world.answers.pop())
    tell(world, world.venue.report(order), fill)
    ended(world, 'closed', 10)
    assert view(world).request.size == 10


def test_a_modify_of_what_has_begun_to_fill_orders_nothing_twice(world):
    order = opened(world)
    tell(world, world.venue.fill(order, Decimal(4)))
    world.change('a', size=Decimal(8))
    assert kinds(world.sent) == [CancelOrder]
    late = world.venue.fill(order, Decimal(3))
    world.carry()
    tell(world, *world.answers.pop())
    assert kinds(world.sent) == []  # three are missing still
    tell(world, late)
    assert [c.size for c in world.sent] == [1]
    world.calm(RNG)
    assert view(world).request.size == 8
    ended(world, 'open', 7)


def test_a_fill_reported_twice(world):
    order = opened(world)
    fill = world.venue.fill(order, Decimal(4))
    tell(world, fill, fill)
    tell(world, fill)
    assert view(world).filled == 4
    assert len(world.core.fills()) == 1
    ended(world, 'open', 4)


def test_a_fill_before_the_ack(world):
    world.submit(limit())
    command = world.sent.pop()
    order = world.venue.place(command)
    tell(world, world.venue.fill(order, Decimal(10)))
    assert view(world).filled == 10
    assert not view(world).status.final
    tell(world, world.venue.report(order))
    tell(world, Answer(ref=command.ref, outcome=Outcome.DONE))
    ended(world, 'closed', 10)


def test_filled_is_reported_before_the_fills(world):
    order = opened(world)
    world.venue.fill(order, Decimal(6))
    world.venue.fill(order, Decimal(4))
    tell(world, world.venue.report(order))
    assert view(world).status == 'open'
    assert world.sent == []  # they mostly come right behind
    world.wait(S)
    assert kinds(world.sent) == [QueryOrder]
    ended(world, 'closed', 10)


def test_the_ack_comes_after_the_cancel(world):
    order = opened(world)
    ack = world.venue.report(order)
    world.cancel('a')
    world.calm(RNG)
    assert view(world).status == 'cancelled'
    tell(world, ack)
    ended(world, 'cancelled')


# time-outs and deaths

@pytest.mark.parametrize('taken', [True, False])
def test_a_time_out_is_answered_by_a_question(world, taken):
    world.submit(limit())
    world.carry('doubt' if taken else 'lost')
    tell(world, *world.answers.pop())
    assert view(world).in_doubt
    assert kinds(world.sent) == [QueryOrder]
    ended(world, 'open' if taken else 'rejected')
    assert len(world.venue.orders) == taken
    if not taken:
        assert view(world).reason == 'never reached the venue'


def test_unknown_is_believed_the_second_time_and_after_a_second(world):
    world.submit(limit())
    world.carry('lost')
    began = world.now_ns
    asked = 0
    while not view(world).status.final:
        while world.answers:
            tell(world, *world.answers.pop())
        asked += kinds(world.sent).count(QueryOrder)
        world.carry()
        if not world.answers and not view(world).status.final:
            world.wait(world.core.deadline_ns() - world.now_ns)
    assert asked >= 2
    assert world.now_ns - began >= S


def test_an_order_that_arrives_after_it_was_given_up_is_cancelled(world):
    world.submit(limit())
    command = world.sent[0]
    world.carry('lost')
    ended(world, 'rejected')
    order = world.venue.place(command)
    tell(world, world.venue.report(order))
    assert kinds(world.sent) == [CancelOrder]
    ended(world, 'cancelled')


def test_an_answer_that_does_not_come_in_time_is_asked_for(world):
    world.submit(limit())
    command = world.sent.pop()
    world.venue.place(command)
    world.wait(6 * S)
    assert view(world).in_doubt
    ended(world, 'open')
    tell(world, Answer(ref=command.ref, outcome=Outcome.DOUBT))
    assert not view(world).in_doubt


def test_what_was_refused_or_never_sent_is_rejected(world):
    world.submit(limit('a'), limit('b'))
    world.venue.refuses = True
    world.carry()
    world.carry('unsent')
    ended(world, 'rejected')
    ended(world, 'rejected', oid='b')


@pytest.mark.parametrize('seed', range(8))
def test_the_gateway_dies_with_commands_in_flight(world, seed):
    opened(world, 'b')
    opened(world, 'c')
    world.submit(limit('a'))
    world.cancel('b')
    world.change('c', price=Decimal(99))
    world.lose_gateway(random.Random(seed))  # some of them arrive
    assert all(view(world, oid).in_doubt for oid in 'abc')
    world.submit(limit('d'))
    world.gateway()
    assert PlaceOrder not in kinds(world.sent)  # not before all is known
    world.settle()
    world.check()
    assert view(world, 'a').status in {'open', 'rejected'}
    assert view(world, 'b').status == 'cancelled'
    assert view(world, 'd').status == 'open'


def to_pending(world):
    world.submit(limit())


def to_open(world):
    opened(world)


def to_cancelling(world):
    opened(world)
    world.cancel('a')


def to_changing(world):
    opened(world)
    world.change('a', price=Decimal(99))


def to_dark(world):
    world.submit(stop(dark=True))


def to_triggered(world):
    world.submit(stop(dark=True))
    world.tick(106)


def to_held(world):
    world.submit(limit('p'), stop(parent='p', side=OrderSide.SELL))


def to_doubt(world):
    world.submit(limit())
    world.carry('doubt')
    world.hear(random.Random(3))


@pytest.mark.parametrize('end', [
    (to_pending, {'open', 'rejected'}), (to_open, {'open'}),
    (to_cancelling, {'cancelled'}), (to_changing, {'open'}),
    (to_dark, {'dark'}), (to_triggered, {'closed', 'rejected'}),
    (to_held, {'held', 'cancelled'}), (to_doubt, {'open'}),
], ids=lambda end: end[0].__name__)
@pytest.mark.parametrize('sent', [True, False])
def test_restart_in_each_status(world, end, sent):
    begin, wanted = end
    begin(world)
    before = view(world)
    world.sent = world.sent if sent else []
    world.restart()
    again = view(world)
    assert again == before
    world.settle()
    world.check()
    assert view(world).status in wanted


def test_a_restart_before_the_commit_forgets_what_was_not_acknowledged(world):
    world.submit(limit(), crash='before')
    assert world.core.dialogs() == []
    world.settle()
    world.submit(limit('a'), crash='after')
    ended(world, 'rejected')


# the rest of the promises

def test_the_same_order_again_is_the_same_dialog(world):
    world.submit(limit())
    effects = world.core.submit('other', [limit()], world.now_ns)
    assert effects.records == effects.commands == []
    assert effects.news == [view(world)]
    with pytest.raises(BadInput, match='name of another order'):
        world.core.submit('x', [limit(size=Decimal(2))], world.now_ns)


def test_all_or_none(world):
    before = world.core.dump()
    with pytest.raises(BadInput, match='lot size'):
        world.core.submit(
            'x', [limit(), limit('b', size=Decimal('0.000001'))],
            world.now_ns,
        )
    assert world.core.dump() == before


@pytest.mark.parametrize(('values', 'says'), [
    ({'oid': ''}, 'oid'),
    ({'oid': 'venue-1'}, 'found at the venue'),
    ({'size': Decimal(0)}, 'above 0'),
    ({'size': Decimal('nan')}, 'above 0'),
    ({'price': None}, 'needs a price'),
    ({'price': Decimal('1.001')}, 'nearest is 1.00'),
    ({'stop': Decimal(1)}, 'has no stop'),
    ({'type': OrderType.MARKET}, 'has no price'),
    ({'type': OrderType.STOP}, 'needs a stop'),
    ({'display': Decimal(11)}, 'more than the size'),
    ({'display': Decimal(1)}, 'show a part'),
    ({'tif': Tif.GTD, 'good_till_ns': 1}, 'not in the future'),
    ({'good_till_ns': 1}, 'tif gtd'),
    ({'tif': Tif.IOC, 'post_only': True}, 'post_only'),
    ({'parent': 'nobody'}, 'no open order'),
    ({'parent': 'a'}, 'own parent'),
    ({'symbol': 'ethusdt.sim'}, 'no instrument'),
    ({'account': 'sym'}, "Did you mean 'sim'"),
])
def test_what_cannot_be_meant_is_refused(world, values, says):
    with pytest.raises(BadInput, match=says):
        world.core.submit('x', [limit(**values)], world.now_ns)
    assert world.core.dialogs() == []


def test_a_dark_order_fires_once_and_with_nobody_there(world):
    world.submit(stop(dark=True))
    world.restart()
    world.settle()
    world.tick(104)
    assert world.sent == []
    effects = world.core.on_ticks(
        BTC.id, run_of(['105', '106']), world.now_ns
    )
    assert effects.urgent
    world.do(effects)
    world.tick(107)
    assert [c.type for c in world.sent] == [OrderType.MARKET]
    ended(world, 'closed', 10)


def test_a_trailing_stop_goes_on_from_its_peak_after_a_restart(world):
    world.submit(limit(
        type=OrderType.TRAILING_STOP, price=None, trail=Decimal(5),
        side=OrderSide.SELL,
    ))
    world.tick(100)
    world.now_ns += 2 * S
    world.tick(120)
    world.now_ns += 2 * S
    world.tick(119)
    world.restart()
    world.settle()
    world.tick(115)
    assert view(world).status == 'triggered'
    ended(world, 'closed', 10)


def test_good_till_time(world):
    till = world.now_ns + 10 * S
    opened(world, tif=Tif.GTD, good_till_ns=till)
    world.submit(stop('b', dark=True, tif=Tif.GTD, good_till_ns=till))
    world.wait(10 * S - 1)
    assert view(world).status == 'open'
    world.wait(1)
    ended(world, 'expired', oid='b')
    ended(world, 'expired')


def test_a_pair_goes_to_a_venue_that_knows_pairs(world):
    world.submit(
        limit('t', side=OrderSide.SELL, price=Decimal(110), oco='g'),
        stop('s', side=OrderSide.SELL, stop=Decimal(90), oco='g'),
    )
    [command] = world.sent
    assert isinstance(command, PlaceOco)
    assert command.above.price == 110
    assert command.below.stop == 90
    world.calm(RNG)
    world.cancel('t')
    ended(world, 'cancelled', oid='t')
    ended(world, 'cancelled', oid='s')


def test_a_pair_elsewhere_never_has_both_at_the_venue():
    world = ready_world(PLAIN)
    world.submit(
        limit('t', side=OrderSide.SELL, price=Decimal(110), oco='g'),
        stop('s', side=OrderSide.SELL, stop=Decimal(90), oco='g'),
    )
    world.calm(RNG)
    assert view(world, 't').status == 'open'
    assert view(world, 's').status == 'dark'
    [order] = world.venue.orders.values()
    tell(world, world.venue.fill(order, Decimal(4)))
    assert view(world, 's').request.size == 6
    world.tick(89)
    assert kinds(world.sent) == [CancelOrder]  # first the other, then this
    tell(world, world.venue.fill(order, Decimal(1)))
    world.calm(RNG)
    assert sum(t.size for t in world.venue.trades) == 10
    ended(world, 'cancelled', 5, 't')
    ended(world, 'closed', 5, 's')


def test_a_bracket_protects_what_is_filled(world):
    world.abilities = PLAIN
    world.restart()
    world.settle()
    world.submit(
        limit('p'),
        limit('t', side=OrderSide.SELL, price=Decimal(110), oco='g',
              parent='p'),
        stop('s', side=OrderSide.SELL, stop=Decimal(90), oco='g',
             parent='p'),
    )
    world.calm(RNG)
    assert view(world, 't').status == view(world, 's').status == 'held'
    [order] = world.venue.orders.values()
    tell(world, world.venue.fill(order, Decimal(4)))
    world.calm(RNG)
    assert view(world, 's').status == 'dark'
    assert view(world, 's').request.size == 4
    tell(world, world.venue.fill(order, Decimal(6)))
    world.calm(RNG)
    assert view(world, 's').request.size == 10
    assert view(world, 't').request.size == 10
    world.tick(89)
    ended(world, 'closed', 10, 's')
    ended(world, 'cancelled', 0, 't')


def test_what_the_fee_has_taken_is_not_sold(world):
    """A venue takes the fee out of what was bought."""
    world.submit(
        limit('p'),
        limit('t', side=OrderSide.SELL, price=Decimal(110), parent='p'),
    )
    world.calm(RNG)
    [order] = world.venue.orders.values()
    fill = world.venue.fill(order, Decimal(10))
    world.venue.trades[-1] = fill = replace(
        fill, fee=Decimal('0.01'), fee_asset=BTC.base.lower()
    )
    tell(world, fill)
    world.calm(RNG)
    left = Decimal(10) - Decimal('0.01')
    assert view(world, 't').request.size == left - left % BTC.lot_size < 10
    assert view(world, 't').status == 'open'


def test_children_end_with_a_parent_that_filled_nothing(world):
    to_held(world)
    world.calm(RNG)
    world.cancel('p')
    ended(world, 'cancelled')


def test_an_order_placed_by_hand_is_adopted(world):
    order = world.venue.place(PlaceOrder(
        ref=0, cid='by-hand', symbol=BTC.id, side=OrderSide.SELL,
        size=Decimal(3), type=OrderType.LIMIT, price=Decimal(120),
    ))
    fill = world.venue.fill(order, Decimal(1))
    tell(world, fill)  # whose it is, nobody knows yet
    world.settle()
    [adopted] = world.core.dialogs()
    assert adopted.foreign
    assert adopted.request.oid == f'venue-{order.venue_id}'
    assert adopted.filled == 1
    world.cancel(adopted.request.oid)
    ended(world, 'cancelled', 1, adopted.request.oid)


def test_a_fill_that_names_no_cid_finds_its_order(world):
    world.submit(limit())
    command = world.sent.pop()
    order = world.venue.place(command)
    fill = world.venue.fill(order, Decimal(4))
    tell(world, type(fill)(**{
        n: getattr(fill, n) for n in fill.__struct_fields__
    } | {'cid': ''}))
    assert world.core.fills()[0].oid == ''
    assert world.core.positions()[0].size == 4
    tell(world, world.venue.report(order),
         Answer(ref=command.ref, outcome=Outcome.DONE))
    assert view(world).filled == 4
    ended(world, 'open', 4)


def test_halt_cancels_blocks_and_survives_a_restart(world):
    opened(world)
    world.submit(stop('b', dark=True))
    world.do(world.core.halt('me', '', 'enough', now_ns=world.now_ns))
    world.restart()
    world.settle()
    ended(world, 'cancelled')
    ended(world, 'cancelled', oid='b')
    with pytest.raises(RiskRefused, match='enough'):
        world.core.submit('x', [limit('c')], world.now_ns)
    assert world.submit(limit())  # known already: nothing new
    world.do(world.core.resume('me', now_ns=world.now_ns))
    assert world.submit(limit('c'))


def limited(**limits):
    """A world whose account has these limits."""
    settings = AccountSettings(provider='sim', risk=RiskSettings(**limits))
    return ready_world(accounts={'sim': settings})


def refused(world, *requests):
    with pytest.raises(RiskRefused):
        world.core.submit('x', requests, world.now_ns)
    return True


def test_orders_that_come_at_once_are_counted_together():
    world = limited(max_open_orders=2)
    assert refused(world, limit('a'), limit('b'), limit('c'))
    assert world.core.dialogs() == []
    assert world.submit(limit('a'), limit('b'))
    assert refused(world, limit('c'))
    world.cancel('a')
    world.settle()
    assert world.submit(limit('c'))
    world.change('c', price=Decimal(99))  # it does not count against itself
    assert view(world, 'c').changing


def test_orders_of_a_second_are_counted_for_a_second():
    world = limited(max_orders_a_second=2)
    assert world.submit(limit('a'), limit('b'))
    assert refused(world, limit('c'))
    world.now_ns += S - 1
    assert refused(world, limit('c'))
    world.now_ns += 1
    assert world.submit(limit('c'))


def test_a_change_is_held_to_the_limits_by_what_is_left():
    world = limited(max_order=Decimal(12), max_position=Decimal(15))
    order = opened(world)
    tell(world, world.venue.fill(order, Decimal(4)))
    with pytest.raises(RiskRefused, match='max_position'):
        world.core.change(
            'x', OrderChange(oid='a', account='sim', size=Decimal(16)),
            world.now_ns,
        )
    world.change('a', size=Decimal(14))
    ended(world, 'open', 4)
    assert view(world).request.size == 14


def test_a_day_of_losses_ends_in_refusals():
    world = limited(max_daily_loss=Decimal(50))
    opened(world)
    world.venue.fill(next(iter(world.venue.orders.values())), Decimal(10))
    world.cut()
    world.settle()
    world.tick(96)
    assert world.submit(limit('b'))
    world.tick(94)
    assert refused(world, limit('c'))
    assert world.submit(limit('d', side=OrderSide.SELL))  # it only reduces


def test_a_position_is_told_once_its_price_is_known(world):
    world.submit(limit(type=OrderType.MARKET, price=None))
    world.settle()
    world.restart()
    effects = [
        world.core.on_market(BTC.id, True, world.now_ns),
        world.core.on_ticks(BTC.id, run_of([101]), world.now_ns),
        world.core.on_ticks(BTC.id, run_of([102]), world.now_ns),
    ]
    told = [
        [n.mark for n in e.news if isinstance(n, PositionView)]
        for e in effects
    ]
    assert told == [[0], [101], []]


@pytest.mark.parametrize('restart', [True, False])
def test_a_loss_is_of_its_day_in_every_life(restart):
    world = limited(max_daily_loss=Decimal(50))
    order = opened(world, price=Decimal(50))
    world.venue.fill(order, Decimal(10))
    world.cut()
    world.settle()
    world.tick(100)
    world.now_ns += 86_400 * S
    world.tick(99)
    if restart:
        world.restart()
        world.settle()
    world.tick(94)  # 60 less than yesterday, much more than was paid
    assert refused(world, limit('b'))
    world.now_ns += 86_400 * S
    world.tick(93)
    assert world.submit(limit('c'))
    world.settle()
    world.check()


def test_a_market_order_does_not_wait_for_a_venue_that_is_gone(world):
    world.lose_gateway()
    world.submit(limit('m', type=OrderType.MARKET, price=None), limit('l'))
    world.wait(6 * S)
    assert view(world, 'm').status == 'rejected'
    ended(world, 'open', oid='l')


def test_a_new_size_must_leave_something(world):
    order = opened(world)
    tell(world, world.venue.fill(order, Decimal(4)))
    with pytest.raises(BadInput, match='what is filled'):
        world.core.change(
            'x', OrderChange(oid='a', account='sim', size=Decimal(4)),
            world.now_ns,
        )


def test_nothing_is_asked_of_a_venue_when_nothing_is_open(world):
    assert world.sent == []
    assert world.core.deadline_ns() is None


def test_the_newest_of_the_past(world):
    for n in range(6):
        world.now_ns += S
        world.submit(limit(f'o{n}', type=OrderType.MARKET, price=None))
        world.submit(limit(f'r{n}'))
        world.settle()
    world.submit(stop('d', dark=True))
    world.cancel('r1')
    world.settle()
    core = world.core
    every = core.dialogs()
    over = [v for v in every if v.status.final]
    assert len(over) == 7
    for most in (0, 1, 3, 7, 99):
        old = {v.request.oid for v in over[:max(0, 7 - most)]}
        assert core.recent_dialogs(most) == [
            v for v in every if v.request.oid not in old
        ]
        assert core.recent_fills(most) == core.fills()[
            max(0, len(core.fills()) - most):
        ]
    assert core.count_open() == 6
    assert core.count_open(OrderStatus.DARK) == 1


def test_the_link_comes_back_and_all_is_asked_for(world):
    order = opened(world)
    world.venue.fill(order, Decimal(10))  # while the stream is down
    world.cut()
    assert kinds(world.sent) == [Snapshot]
    ended(world, 'closed', 10)


def test_cids_are_of_the_journal_the_order_and_the_revision():
    cid = make_cid('tag', 'sim', 'a', 0)
    assert cid == make_cid('tag', 'sim', 'a', 0)
    others = {
        make_cid('gat', 'sim', 'a', 0), make_cid('tag', 'sim', 'a', 1),
        make_cid('tag', 'sim2', 'a', 0), make_cid('tag', 'sim', 'b', 0),
    }
    assert len(others - {cid}) == 4
    assert cid.startswith('pk')
    assert len(cid) <= 36
    assert cid.isalnum()


# what a venue leaves open

def test_one_unknown_is_not_believed_however_late(world):
    world.submit(limit())
    world.sent.clear()  # it takes its time
    world.wait(6 * S)
    assert kinds(world.sent) == [QueryOrder]
    world.carry()
    tell(world, *world.answers.pop())
    assert not view(world).status.final
    ended(world, 'rejected')


def test_what_is_not_among_the_open_orders_is_asked_for(world):
    order = opened(world)
    world.venue.cancel(order)  # while the stream is down
    world.cut()
    ended(world, 'cancelled')


def test_an_order_that_made_room_is_asked_for_if_nothing_is_said(world):
    opened(world)
    world.change('a', price=Decimal(99))
    world.carry()
    world.stream.clear()
    gone, came, answer = world.answers.pop()
    assert gone.status is VenueStatus.CANCELLED
    tell(world, came, answer)
    assert view(world).in_doubt
    ended(world, 'open')
    assert view(world).request.price == 99


def test_a_venue_that_replaces_what_has_begun_to_fill(world):
    """Then the new order is too large, and made smaller."""
    order = opened(world)
    world.change('a', price=Decimal(99))
    fill = world.venue.fill(order, Decimal(4))
    command = world.sent.pop()
    said = [
        *world.venue.cancel(order),
        world.venue.report(world.venue.place(command.order)),
    ]
    tell(world, *said, fill, Answer(ref=command.ref, outcome=Outcome.DONE))
    world.calm(RNG)
    assert view(world).request.price == 99
    assert view(world).left == 6
    ended(world, 'open', 4)


def test_one_cancel_is_under_way_at_a_time(world):
    order = opened(world)
    world.cancel('a')
    world.wait(S)
    tell(world, world.venue.fill(order, Decimal(1)))
    assert kinds(world.sent) == [CancelOrder]
    ended(world, 'cancelled', 1)


def test_a_cancel_that_is_refused_is_tried_again(world):
    opened(world)
    world.cancel('a')
    command = world.sent.pop()
    tell(world, Answer(ref=command.ref, outcome=Outcome.REFUSED))
    assert world.sent == []  # not at once
    world.wait(S)
    assert kinds(world.sent) == [CancelOrder]
    ended(world, 'cancelled')


def test_a_snapshot_that_is_out_of_date_is_asked_for_again(world):
    world.cut()
    world.cut()
    assert kinds(world.sent) == [Snapshot]
    world.carry()
    tell(world, *world.answers.pop())
    assert kinds(world.sent) == [Snapshot]


def test_a_fill_that_was_lost_before_a_later_one_is_found(world):
    opened(world)
    world.by_hand(random.Random(1))
    world.stream.clear()
    late = world.venue.place(PlaceOrder(
        ref=0, cid='late', symbol=BTC.id, side=OrderSide.BUY,
        size=Decimal(1), type=OrderType.MARKET,
    ))
    tell(world, *world.venue.fills_of(late), world.venue.report(late))
    world.lose_gateway()
    ended(world, 'open')


def test_fills_are_asked_for_from_a_minute_before_the_last(world):
    order = opened(world)
    for _ in range(3):
        world.now_ns += 70 * S
        world.venue.clock(world.now_ns)
        tell(world, world.venue.fill(order, Decimal(1)))
    world.cut()
    [snapshot] = world.sent
    first, second, _ = world.venue.trades
    assert first.trade_id < snapshot.since[BTC.id] <= second.trade_id
    ended(world, 'open', 3)
