"""
The core against a venue that misbehaves, at random and for long.

Whatever is lost, delayed, doubled, reordered or killed: in the end orders,
fills, positions and balances are the venue's, nothing was placed twice,
nothing is in limbo, and the records replayed are the core that was running.
"""
from __future__ import annotations

import random
from decimal import Decimal

import pytest
from clearing_venue import (
    ACCOUNTS,
    LISTED,
    MS,
    NATIVE,
    PLAIN,
    World,
    random_request,
)
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from piker.config import AccountSettings, RiskSettings
from piker.gateway import PlaceOrder
from piker.orders import OrderSide, OrderType

HOW = ('', '', '', '', 'unsent', 'lost', 'doubt')
CRASH = ('',) * 12 + ('before', 'after')


class Trader:
    """Does one random thing after the other in a `World`."""

    def __init__(self, abilities, accounts=ACCOUNTS):
        self.world = World(abilities, accounts)
        self.count = 0
        # Fills count from when the account was first there, and in symbols
        # in which an order of it was seen.
        self.world.settle()
        self.submit(random.Random(0))

    def oids(self):
        return [
            v.request.oid for v in self.world.core.dialogs(open_only=True)
        ]

    def name(self):
        self.count += 1
        return f'o{self.count}'

    def submit(self, rng):
        request = random_request(rng, self.name())
        crash = rng.choice(CRASH)
        self.world.submit(request, crash=crash)
        if crash or rng.random() < 0.1:
            self.world.submit(request)  # asked again, since no answer came

    def pair(self, rng):
        """Two orders of a group, perhaps below a parent."""
        parent = ''
        requests = []
        side = rng.choice(list(OrderSide))
        if rng.random() < 0.5:
            parent = self.name()
            requests.append(random_request(rng, parent, side=side.other))
        group = self.name()
        size = random_request(rng, 'x').size
        requests += [
            random_request(
                rng, self.name(), side=side, oco=group, parent=parent,
                size=size,
            )
            for _ in range(2)
        ]
        self.world.submit(*requests, crash=rng.choice(CRASH))

    def cancel(self, rng):
        if oids := self.oids():
            self.world.cancel(rng.choice(oids), crash=rng.choice(CRASH))

    def change(self, rng):
        views = self.world.core.dialogs(open_only=True)
        at_venue = [v for v in views if v.status == 'open']
        if not views:
            return
        view = rng.choice(rng.choice([at_venue, views]) or views)
        size = view.filled + rng.randint(1, 5)
        price = view.request.price and Decimal(rng.randint(90, 110))
        self.world.change(
            view.request.oid, crash=rng.choice(CRASH),
            **rng.choice([{'size': size}, {'price': price}]),
        )

    def calm(self, rng):
        self.world.calm(rng)

    def tick(self, rng):
        self.world.tick(rng.randint(90, 110), crash=rng.choice(CRASH))

    def carry(self, rng):
        self.world.venue.refuses = rng.random() < 0.1
        self.world.carry(rng.choice(HOW), rng.randint(0, 9))

    def hear(self, rng):
        self.world.hear(rng, twice=rng.random() < 0.2)

    def trade(self, rng):
        self.world.trade(rng)

    def by_hand(self, rng):
        self.world.by_hand(rng)

    def cut(self, rng):
        self.world.cut()

    def wait(self, rng):
        self.world.wait(rng.choice([MS, 100 * MS, 1500 * MS, 6000 * MS]))

    def lose(self, rng):
        if self.world.up:
            self.world.lose_gateway(rng)

    def restart(self, rng):
        self.world.restart()

    def gateway(self, rng):
        self.world.gateway()

    def end(self):
        self.world.settle()
        # What was done elsewhere, and leaves no trace in the balances.
        for symbol in LISTED:
            self.world.venue.place(PlaceOrder(
                ref=0, cid=f'last-{symbol}', symbol=symbol,
                side=OrderSide.BUY, size=Decimal(1), type=OrderType.LIMIT,
                price=Decimal(1),
            ))
        self.world.cut()
        self.world.settle()
        self.world.check()


OFTEN = (
    ['submit'] * 6 + ['pair'] * 2 + ['cancel'] * 3 + ['change'] * 6
    + ['tick'] * 4 + ['carry'] * 14 + ['hear'] * 14 + ['trade'] * 4
    + ['gateway'] * 5 + ['wait'] * 3 + ['calm'] * 3
    + ['by_hand', 'cut', 'lose', 'restart']
)


@pytest.mark.parametrize('abilities', [NATIVE, PLAIN], ids=['pairs', 'plain'])
@pytest.mark.parametrize('seed', range(12))
def test_a_long_random_day_ends_as_at_the_venue(seed, abilities):
    rng = random.Random(seed)
    trader = Trader(abilities)
    for _ in range(600):
        getattr(trader, rng.choice(OFTEN))(rng)
    trader.end()


@pytest.mark.parametrize('abilities', [NATIVE, PLAIN], ids=['pairs', 'plain'])
@pytest.mark.parametrize('seed', range(6))
def test_a_day_with_limits_ends_so_too(seed, abilities):
    rng = random.Random(seed)
    trader = Trader(abilities, {'sim': AccountSettings(
        provider='sim', risk=RiskSettings(
            max_position=Decimal(rng.randint(4, 12)),
            max_daily_loss=Decimal(rng.randint(5, 60)),
        ),
    )})
    for _ in range(500):
        getattr(trader, rng.choice(OFTEN))(rng)
    trader.end()


seeds = st.integers(0, 2 ** 32 - 1).map(random.Random)


class CoreMachine(RuleBasedStateMachine):
    @initialize(abilities=st.sampled_from([NATIVE, PLAIN]))
    def begin(self, abilities):
        self.trader = Trader(abilities)

    @rule(what=st.sampled_from(sorted(set(OFTEN))), rng=seeds)
    def act(self, what, rng):
        getattr(self.trader, what)(rng)

    @invariant()
    def nothing_is_placed_twice(self):
        if hasattr(self, 'trader'):
            placed = self.trader.world.venue.placed
            assert all(count == 1 for count in placed.values())

    def teardown(self):
        if hasattr(self, 'trader'):
            self.trader.end()


TestCoreMachine = CoreMachine.TestCase
TestCoreMachine.settings = settings(
    max_examples=40, stateful_step_count=60, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
