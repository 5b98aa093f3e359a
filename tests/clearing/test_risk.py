"""Every limit refuses what it should and nothing else."""
from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from piker.clearing.exposure import OpenOrder
from piker.clearing.risk import Risk, RiskView, Tally
from piker.config import AccountSettings, RiskSettings
from piker.errors import BadInput, RiskRefused
from piker.orders import OrderRequest, OrderSide, OrderType

BUY, SELL = OrderSide.BUY, OrderSide.SELL
SYMBOL = 'btcusdt.sim'
D = Decimal


def order(side=BUY, size=1, **rest):
    return OrderRequest(
        oid='mine', symbol=SYMBOL, side=side, size=D(size), **rest
    )


def limit(side, size, price, **rest):
    return order(side, size, type=OrderType.LIMIT, price=D(price), **rest)


def standing(oid, side, left, **rest):
    return OpenOrder(oid=oid, side=side, left=D(left), **rest)


def risk(own=None, **limits):
    account = AccountSettings(
        risk=RiskSettings(**limits),
        instruments={SYMBOL: RiskSettings(**own)} if own else {},
    )
    return Risk({'paper': account})


def refused(risk, request, **view):
    """The message, or nothing."""
    try:
        risk.check(request, RiskView(**view))
    except RiskRefused as err:
        return str(err)
    return ''


# an independent formulation: what fills could happen, one by one, in fractions

def _futures(request, view):
    """
    Every position that fills could lead to, in the worst order for a limit:
    any of the open orders may fill whole or not at all.
    """
    orders = list(view.orders)
    if request:
        # What it has once its parent has filled is no more than that.
        left = {o.oid: o.left for o in orders}.get(
            request.parent, request.size
        )
        orders.append(OpenOrder(
            oid=request.oid, side=request.side, oco=request.oco,
            left=min(request.size, left) if _exit(request, view)
            else request.size,
            parent=request.parent, held=bool(request.parent),
        ))
    sides = {o.oid: o.side for o in orders}
    for which in product([False, True], repeat=len(orders)):
        filled = [o for o, yes in zip(orders, which, strict=True) if yes]
        groups = [o.oco for o in filled if o.oco]
        if len(groups) != len(set(groups)):
            continue  # one cancels the other
        names = {o.oid for o in filled}
        orphans = [
            o for o in filled
            if o.held and o.parent in sides and o.parent not in names
            and sides[o.parent] is not o.side
        ]
        if orphans:
            continue
        yield Fraction(view.position) + sum(
            Fraction(o.left) * o.side.sign for o in filled
        )


def _exit(request, view):
    return any(
        o.oid == request.parent and o.side is not request.side
        for o in view.orders
    )


def _meets_market(request, view):
    market = view.market and Fraction(view.market)
    if request.type in {OrderType.MARKET, OrderType.LIMIT}:
        return market
    if request.type is OrderType.TRAILING_STOP:
        return market and (
            market + Fraction(request.trail) * request.side.sign
        )
    stop = Fraction(request.stop)
    if market is None or request.type is OrderType.THROUGH:
        return stop
    waits_for_rise = (request.side is BUY) == (request.type is OrderType.STOP)
    if waits_for_rise:
        return stop if market < stop else market
    return stop if market > stop else market


_COUNTED = {'max_open_orders', 'max_orders_a_second', 'max_daily_loss'}
_BLIND = Fraction(10**9)  # beyond any limit


def _has(name, request, view, tally):
    """What an order has of what a limit is about."""
    buy = request.side is BUY
    at = _meets_market(request, view)
    price = request.price and Fraction(request.price)
    if name == 'max_orders_a_second':
        return Fraction(tally.last_second + 1)
    if name == 'max_open_orders':
        return Fraction(tally.open_orders + 1)
    if name == 'max_order':
        return Fraction(request.size)
    if name == 'max_notional':
        price = at if price is None else price
        if not buy and at is not None:
            price = max(price, at)
        return _BLIND if price is None else price * Fraction(request.size)
    if name == 'collar':
        if price is None:
            blind = request.type is OrderType.MARKET and view.market is None
            return _BLIND if blind else Fraction(0)
        if at is None:
            return _BLIND
        return (price / at - 1) * request.side.sign
    far = max if buy else min
    worst = far(_futures(request, view))
    undoes = _exit(request, view) and worst == far(_futures(None, view))
    worst *= request.side.sign
    if undoes or worst <= 0:
        return Fraction(0)
    return worst if name == 'max_position' else -Fraction(tally.day_pnl)


def _expected(own, account, request, view):
    """Names of all the limits that the order goes beyond."""
    found = set()
    for name in RiskSettings.model_fields:
        scopes = [(getattr(own, name), view.instrument),
                  (getattr(account, name), view.account)]
        scopes = [(most, tally) for most, tally in scopes if most is not None]
        if name not in _COUNTED:
            del scopes[1:]
        for most, tally in scopes:
            if _has(name, request, view, tally) > Fraction(most):
                found.add(name)
    return found


def small(low, high, digits=1):
    return st.integers(low * 10**digits, high * 10**digits).map(
        lambda n: D(n).scaleb(-digits)
    )


limits = st.builds(
    RiskSettings,
    max_order=st.none() | small(1, 6),
    max_position=st.none() | small(0, 12),
    max_notional=st.none() | small(50, 900),
    max_open_orders=st.none() | st.integers(0, 8),
    max_orders_a_second=st.none() | st.integers(1, 5),
    collar=st.none() | small(0, 1, 2).filter(bool),
    max_daily_loss=st.none() | small(0, 10),
)
tallies = st.builds(
    Tally, open_orders=st.integers(0, 8), last_second=st.integers(0, 5),
    day_pnl=small(-12, 12),
)
prices = small(80, 120)
sides = st.sampled_from(OrderSide)


def _exit_groups(parent):
    return st.sampled_from(['', f'out of {parent}'])


@st.composite
def views(draw):
    orders = [
        standing(
            f'o{i}', draw(sides), draw(small(1, 5)),
            oco=draw(st.sampled_from(['', '', 'x', 'y'])),
        )
        for i in range(draw(st.integers(0, 3)))
    ]
    for i in range(draw(st.integers(0, 2))):
        # exits of an entry, or of one that has filled since
        names = [o.oid for o in orders if not o.parent]
        parent = draw(st.sampled_from([*names, 'gone']))
        orders.append(standing(
            f'c{i}', draw(sides), draw(small(1, 5)), parent=parent,
            held=parent != 'gone', oco=draw(_exit_groups(parent)),
        ))
    # What a held exit has is what its parent fills, never more.
    left = {o.oid: o.left for o in orders}
    orders = [
        replace(o, left=min(o.left, left.get(o.parent, o.left)))
        for o in orders
    ]
    return RiskView(
        position=draw(small(-8, 8)), orders=tuple(orders),
        market=draw(st.none() | prices), account=draw(tallies),
        instrument=draw(tallies),
    )


@st.composite
def requests(draw):
    type_ = draw(st.sampled_from(OrderType))
    priced = type_ is OrderType.LIMIT or (
        type_ is not OrderType.MARKET and draw(st.booleans())
    )
    trailing = type_ is OrderType.TRAILING_STOP
    parent = draw(st.sampled_from(['', '', 'o0', 'gone']))
    groups = (
        _exit_groups(parent) if parent else st.sampled_from(['', 'x', 'y'])
    )
    return order(
        draw(sides), draw(small(1, 8)), type=type_,
        price=draw(prices) if priced else None,
        stop=draw(prices) if type_.waits and not trailing else None,
        trail=draw(small(1, 10)) if trailing else None,
        oco=draw(groups), parent=parent,
    )


def _named(message):
    return message.partition('beyond ')[2].partition(' ')[0]


@settings(max_examples=600, deadline=None)
@given(limits, limits, requests(), views())
@example(
    RiskSettings(), RiskSettings(max_position=D(1)),
    order(SELL, '5'), RiskView(position=D(5)),
)
def test_an_order_is_refused_exactly_if_it_goes_beyond_a_limit(
    own, account, request, view
):
    limits = Risk({'paper': AccountSettings(
        risk=account, instruments={SYMBOL: own},
    )})
    want = _expected(own, account, request, view)
    got = refused(limits, request, **{
        name: getattr(view, name) for name in view.__struct_fields__
    })
    assert _named(got) in (want or {''}), got


@pytest.mark.parametrize('name', sorted(RiskSettings.model_fields))
@settings(max_examples=150, deadline=None)
@given(requests(), views(), st.booleans())
def test_a_limit_refuses_what_is_a_hair_beyond_it(
    name, request, view, of_instrument
):
    tally = view.instrument if of_instrument else view.account
    has = _has(name, request, view, tally)
    whole = name in {'max_open_orders', 'max_orders_a_second'}
    hair = D(1) if whole else D('1e-9')
    # the least limit on the hair's grid that the order keeps, and one less
    fits = max(hair, math.ceil(has / Fraction(hair)) * hair)
    most = D(1) if name == 'collar' else D(10**8)

    def refusal(limit):
        only = {name: int(limit) if whole else limit}
        limits = risk(own=only) if of_instrument else risk(**only)
        return refused(limits, request, **{
            field: getattr(view, field) for field in view.__struct_fields__
        })

    if fits <= most:
        assert not refusal(fits)
    less = min(most, fits - hair)
    if has > Fraction(less) and less > 0:
        assert _named(refusal(less)) == name


LIVE = {'market': D(100)}


@pytest.mark.parametrize(
    ('limits', 'fits', 'beyond', 'view', 'said'),
    [
        ({'max_order': 2}, order(size=2), order(size='2.1'), {},
         ['max_order = 2 ', 'size is 2.1']),
        ({'max_position': 3}, order(size=2), order(size='2.1'),
         {'position': D(1)}, ['max_position = 3 ', 'could become 3.1']),
        ({'max_position': 3}, order(SELL, 4), order(SELL, 5),
         {'position': D(1)}, ['max_position = 3 ', 'could become -4']),
        ({'max_position': 3}, order(size=1), order(size='1.1'),
         {'position': D(1), 'orders': (
             standing('a', BUY, 1), standing('b', SELL, 3))},
         ['max_position = 3 ', 'could become 3.1']),
        ({'max_notional': 200}, limit(BUY, 2, 100), limit(BUY, 2, '100.01'),
         {}, ['max_notional = 200 ', 'worth 200.02: 2 at 100.01']),
        ({'max_notional': 200}, order(size=2), order(size='2.01'), LIVE,
         ['max_notional = 200 ', 'worth 201: 2.01 at 100']),
        ({'max_notional': 200}, limit(SELL, 2, 50), limit(SELL, 3, 50), LIVE,
         ['max_notional = 200 ', 'worth 300: 3 at 100']),
        ({'max_notional': 200}, limit(BUY, 2, 100), order(), {},
         ['max_notional = 200 ', 'no live price of btcusdt.sim']),
        ({'collar': '0.1'}, order(), limit(BUY, 1, '110.01'), LIVE,
         ['collar = 0.1 ', 'price 110.01 is above 110']),
        ({'collar': '0.1'}, limit(SELL, 1, 500), limit(SELL, 1, '89.99'),
         LIVE, ['collar = 0.1 ', 'price 89.99 is below 90']),
        ({'collar': '0.1'}, order(type=OrderType.STOP, stop=D(5)), order(),
         {}, ['collar = 0.1 ', 'no live price']),
        ({'max_daily_loss': 50}, order(SELL, 2), order(SELL, 3),
         {'position': D(2), 'account': Tally(day_pnl=D('-50.01'))},
         ['max_daily_loss = 50 ', '50.01 is lost today']),
    ],
)
def test_a_refusal_names_limit_value_and_what_the_order_has(
    limits, fits, beyond, view, said
):
    assert refused(risk(**limits), fits, **view) == ''
    message = refused(risk(**limits), beyond, **view)
    for text in [*said, 'account paper', '[accounts.paper.risk]']:
        assert text in message
    own = refused(risk(own=limits), beyond, **view)
    if 'max_daily_loss' not in limits:
        assert '[accounts.paper.instruments."btcusdt.sim"]' in own


@pytest.mark.parametrize(
    ('name', 'field'),
    [('max_open_orders', 'open_orders'),
     ('max_orders_a_second', 'last_second')],
)
def test_what_is_counted_holds_over_what_it_is_set_for(name, field):
    few, many = Tally(**{field: 2}), Tally(**{field: 3})
    assert not refused(risk(**{name: 3}), order(), account=few,
                       instrument=many)
    assert f'{name} = 3 of account paper: this' in refused(
        risk(**{name: 3}), order(), account=many, instrument=few
    )
    own = {'own': {name: 3}, name: 9}
    assert not refused(risk(**own), order(), account=many, instrument=few)
    assert f'{name} = 3 of btcusdt.sim' in refused(
        risk(**own), order(), account=few, instrument=many
    )


def test_an_instrument_may_be_allowed_more_than_the_account():
    limits = risk(max_order=1, own={'max_order': 5})
    assert not refused(limits, order(size=5))
    assert 'max_order = 5 of btcusdt.sim' in refused(limits, order(size=6))
    other = replace(order(size=2), symbol='ethusdt.sim')
    assert 'max_order = 1 of account paper' in refused(limits, other)


def test_a_bracket_is_no_bigger_than_its_entry():
    limits = risk(max_position=1)
    entry = standing('entry', BUY, 1)
    exits = (
        entry,
        standing('tp', SELL, 1, parent='entry', held=True, oco='out'),
    )
    sell = order(SELL, parent='entry', oco='out')
    # from a short position of 1 to none and back
    assert not refused(limits, sell, position=D(-1), orders=exits)
    # two exits that do not cancel each other are one too many
    alone = replace(sell, oco='')
    assert refused(limits, alone, position=D(-1), orders=exits)
    # once the entry has filled, they count as what they are
    filled = (standing('tp', SELL, 1, oco='out'),)
    assert not refused(limits, sell, position=D(1), orders=filled)
    assert refused(
        limits, order(SELL, 2, parent='entry'), position=D(1), orders=filled
    )


def test_a_loss_lets_close_what_is_open_but_once():
    limits = risk(max_daily_loss=10)
    lost = {'position': D(5), 'account': Tally(day_pnl=D(-11))}
    assert not refused(limits, order(SELL, 5), **lost)
    assert refused(limits, order(BUY, 1), **lost)
    closing = (standing('out', SELL, 3),)
    assert not refused(limits, order(SELL, 2), orders=closing, **lost)
    assert refused(limits, order(SELL, 3), orders=closing, **lost)


def test_an_account_that_there_is_not():
    with pytest.raises(BadInput, match=r"no account 'papr'\. Did you mean"):
        risk().check(order(account='papr'), RiskView())
