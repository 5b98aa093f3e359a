"""Users trade, the tape leaves its plan, and history goes along."""
from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sim_clients import START_MS
from sim_tools import Floor, open_floor

from piker.brokers.sim.edited import EditedTape
from piker.brokers.sim.edits import Edit, Edits, Print
from piker.brokers.sim.engine import Side, Tif
from piker.brokers.sim.flow import GUESTS
from piker.brokers.sim.listings import GENESIS_MS, pick_listings
from piker.brokers.sim.periods import open_of
from piker.brokers.sim.plan import DAY_MS
from piker.brokers.sim.tape import Tape
from piker.clock import NS_PER_MS, ManualClock

MINUTE = 60_000


def actions():
    """What users do: kind, who, side, size in lots, price off the touch."""
    return st.lists(st.tuples(
        st.sampled_from(['limit', 'limit', 'market', 'ioc', 'stop', 'iceberg',
                         'pair', 'cancel', 'wait', 'wait']),
        st.sampled_from(['ann', 'bob']),
        st.sampled_from(['BUY', 'SELL']),
        st.integers(1, 30_000),
        st.integers(-4, 6),
    ), min_size=5, max_size=25)


async def act(floor, action):
    kind, who, side, size, off = action
    bid, ask = (level[0] for level in floor.market().touch)
    buys = side == 'BUY'
    price = bid + off if buys else ask - off
    if kind == 'wait':
        await floor.pass_time(size // 10)
    elif kind == 'limit':
        await floor.place(who, side, size, price)
    elif kind == 'ioc':
        await floor.place(who, side, size, price, tif=Tif.IOC)
    elif kind == 'iceberg':
        await floor.place(who, side, size, price, display=max(1, size // 5))
    elif kind == 'market':
        await floor.place(who, side, size)
    elif kind == 'stop':
        stop = ask + 2 if buys else bid - 2
        await floor.place(who, side, size, stop + off, stop=stop,
                          type='STOP_LOSS_LIMIT')
    elif kind == 'pair':
        stop = ask + 3 if buys else bid - 3
        limit = bid - 1 if buys else ask + 1
        await floor.place_pair(who, side, size, limit, stop, stop)
    else:
        for order in floor.books.open_orders(who)[:1]:
            await floor.cancel(order)


@settings(max_examples=25, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=actions())
def test_books_balance_and_history_is_what_was_published(
    tmp_path_factory, script
):
    path = tmp_path_factory.mktemp('venue') / 'state'

    async def scenario():
        clock = ManualClock(START_MS * NS_PER_MS)
        async with open_floor(clock, path) as floor:
            floor.open_account('ann', USDT=200_000, LTC=500)
            floor.open_account('bob', fee=0, USDT=100_000, LTC=90)
            deposited = floor.totals()
            for action in script:
                await act(floor, action)
                floor.audit()
                assert_bars(floor, bars_by_hand(floor))
            await floor.pass_time(3000)
            floor.audit()
            assert {k: v for k, v in floor.totals().items() if v} == deposited
            floor.assert_tape_is_history()
            floor.assert_fills_are_on_the_tape()
            before = snapshot(floor)
            bars = bars_by_hand(floor)
            assert_bars(floor, bars)
        # as saved: a market that begins anew may fill what rests
        saved = Floor(clock, path)
        assert snapshot(saved) == before
        assert_bars(saved, bars)
        saved.state.close()
        async with open_floor(clock, path) as again:
            again.audit()
            rows = zip(history_of(again), before['history'], strict=True)
            assert all(now[: len(then)] == then for now, then in rows)

    trio.run(scenario)


def history_of(floor):
    market = floor.market()
    aggs = market.history.aggs_between(
        START_MS - 60_000, None, 10**6, market.position_ms
    )
    fills = market.history.fills_from(
        int(aggs.first[0]), 10**6, market.position_ms
    )
    return [column.tolist() for column in (*aggs, *fills)]


def snapshot(floor):
    """All there is."""
    return {
        'history': history_of(floor),
        'orders': dict(floor.books.orders),
        'executions': list(floor.books.executions),
        'accounts': {
            name: (+account.free, +account.locked, account.holds)
            for name, account in floor.accounts.by_name.items()
        },
    }


def bars_by_hand(floor):
    """(open, high, low, close, volume, trades, first, last) by minute."""
    market = floor.market()
    aggs = market.history.aggs_between(
        START_MS - 600_000, None, 10**6, market.position_ms
    )
    found = {}
    for t, price, size, first, last in zip(
        *(c.tolist() for c in (aggs.time, aggs.price, aggs.size, aggs.first,
                               aggs.last)), strict=True
    ):
        found.setdefault(open_of('1m', t), []).append(
            (price, size, first, last)
        )
    return {
        opened: (
            rows[0][0], max(rows)[0], min(rows)[0], rows[-1][0],
            sum(r[1] for r in rows), sum(r[3] - r[2] + 1 for r in rows),
            rows[0][2], rows[-1][3],
        )
        for opened, rows in found.items()
    }


def assert_bars(floor, wanted):
    market = floor.market()
    bars = market.history.klines('1m', START_MS - 600_000, None, 1000,
                                 market.position_ms)
    got = {
        row[0]: (*row[1:6], row[7], *row[10:])
        for row in zip(*(column.tolist() for column in bars), strict=True)
        if row[7]
    }
    assert got == wanted


@pytest.fixture
async def floor(clock):
    async with open_floor(clock) as floor:
        floor.open_account('ann', USDT=10**6, LTC=1000)
        yield floor


async def test_without_users_nothing_is_edited(floor):
    await floor.pass_time(60_000)
    assert floor.assert_tape_is_history() > 10
    assert floor.market().history.edits.count == 0
    assert not floor.state.edits()


async def test_ids_stay_consecutive_across_a_users_trades(floor):
    await floor.pass_time(20_000)
    await floor.place('ann', 'BUY', 50_000)
    await floor.pass_time(20_000)
    aggs = floor.published['ltcusdt@aggTrade']
    assert np.diff([a['a'] for a in aggs]).tolist() == [1] * (len(aggs) - 1)
    assert all(b['f'] == a['l'] + 1 for a, b in pairwise(aggs))
    plan = Tape(1, floor.market().spec)
    assert floor.market().history.count_until(START_MS + 40_000) > (
        plan.count_until(START_MS + 40_000)
    )


async def test_a_queue_is_served_in_order_of_arrival(floor):
    """Not before those who were there earlier are gone."""
    book = floor.market().book
    (bid, _), _ = floor.market().touch
    ahead = [order_id for order_id, _ in book.queue(Side.BUY, bid)]
    order = await floor.place('ann', 'BUY', 100, bid)
    assert [lots for _, lots in book.queue(order.side, bid)][-1] == 100
    while not order.filled:
        assert order.is_open
        await floor.pass_time(5)
    assert ahead
    assert not any(map(book.is_open, ahead))
    assert [e.maker for e in floor.books.executions] == [True]


async def test_agents_do_not_step_behind_a_guest(clock, monkeypatch):
    """They leave a price that they no longer want, and only then."""
    async with open_floor(clock, quote_rate=0) as floor:
        floor.open_account('ann', USDT=10**6)
        market, left = floor.market(), []
        book, flow = market.book, market.flow
        cancel = book.cancel

        def watch(order_id):
            best = book.best(Side.BUY)
            queue = [i for i, _ in book.queue(Side.BUY, best[0])]
            wanted = int(flow._plan.bid[flow._epoch])
            if order_id in queue and best[0] == wanted:
                left.append((order_id, queue))
            return cancel(order_id)

        monkeypatch.setattr(book, 'cancel', watch)
        for _ in range(60):
            order = await floor.place('ann', 'BUY', 50, market.touch[0][0])
            await floor.pass_time(1000)
            if order.is_open:
                await floor.cancel(order)
        steps = [queue for i, queue in left if i < GUESTS
                 and any(j >= GUESTS for j in queue)]
        assert steps == []
        assert floor.books.executions


async def test_what_a_user_takes_is_offered_anew_at_once(floor):
    """So that everything goes on as planned."""
    for _ in range(20):
        _, (ask, _) = floor.market().touch
        near = floor.market().book.depth(Side.SELL, 4)
        await floor.place('ann', 'BUY', sum(lots for _, lots in near))
        assert floor.market().touch[1][0] > ask + 2
        await floor.pass_time(75)
        assert floor.market().touch[1][0] <= ask + 2
        await floor.pass_time(1500)
    edits = floor.market().history.edits
    assert edits.count == 20
    assert all(edits[i].edit.first == edits[i].edit.last for i in range(20))
    floor.assert_tape_is_history()


async def test_quotes_take_the_order_that_is_in_their_way(floor):
    """A bid left above the market does not stay there."""
    _, (ask, _) = floor.market().touch
    order = await floor.place('ann', 'BUY', 200_000, ask + 3)
    assert order.filled < order.size
    await floor.pass_time(3000)
    assert order.status == 'FILLED'
    makers = [e for e in floor.books.executions if e.maker]
    assert {e.price for e in makers} == {ask + 3}
    floor.assert_tape_is_history()
    floor.assert_fills_are_on_the_tape()
    bid, ask = floor.market().touch
    assert bid[0] < ask[0]


async def test_open_orders_are_back_in_the_book_after_a_restart(
    clock, tmp_path
):
    async with open_floor(clock, tmp_path / 'state') as floor:
        floor.open_account('ann', USDT=10**6, LTC=1000)
        (bid, _), _ = floor.market().touch
        order = await floor.place('ann', 'BUY', 700, bid - 4, display=100)
        stop = await floor.place('ann', 'SELL', 700, bid - 900,
                                 stop=bid - 800, type='STOP_LOSS_LIMIT')
    async with open_floor(clock, tmp_path / 'state') as floor:
        there = floor.market().book.queue(order.side, order.price)
        assert there[0][1] == 100  # first in line: the agents came later
        again = floor.books.orders[order.id]
        assert (again.left, again.status) == (700, 'NEW')
        assert stop.id in floor.books.waiting['LTCUSDT']
        ended = await floor.cancel(again)
        assert [o.status for o in ended] == ['CANCELED']
        floor.audit()


async def test_what_the_market_passed_during_a_stop_fills_at_the_start(
    clock, tmp_path
):
    async with open_floor(clock, tmp_path / 'state') as floor:
        floor.open_account('ann', USDT=10**6, LTC=1000)
        (bid, _), _ = floor.market().touch
        buy = await floor.place('ann', 'BUY', 500, bid - 3)
        sell = await floor.place('ann', 'SELL', 500, bid + 6)
        trigger = min(bid, floor.market().last) - 3
        stop = await floor.place('ann', 'SELL', 300, type='STOP_LOSS',
                                 stop=trigger)
    clock.advance_ns(8 * 3_600_000 * NS_PER_MS)
    async with open_floor(clock, tmp_path / 'state') as floor:
        await floor.pass_time(2000)
        (now, _), _ = floor.market().touch
        orders = floor.books.orders
        moved = orders[buy.id if now < bid else sell.id]
        assert abs(now - bid) > 10
        assert moved.status == 'FILLED'
        assert floor.books.fills_of(moved)[0].price == moved.price
        assert (orders[stop.id].status == 'FILLED') is (now < trigger)
        floor.audit()
        floor.assert_tape_is_history()


async def test_bars_know_every_edit_of_their_minute(floor):
    for pause in (5000, 7000, 60_000, 1000):
        await floor.place('ann', 'BUY', 900)
        assert_bars(floor, bars_by_hand(floor))
        await floor.pass_time(pause)
        assert_bars(floor, bars_by_hand(floor))


@pytest.mark.expects_errors('the clock jumped')
async def test_orders_outlive_a_jump_of_the_clock(floor):
    """The market begins anew, with the orders that were open."""
    (bid, _), (ask, _) = floor.market().touch
    orders = [
        await floor.place('ann', 'BUY', 500, bid - 2),
        await floor.place('ann', 'SELL', 500, ask + 2),
        await floor.place('ann', 'BUY', 500, bid - 5000),
    ]
    book = floor.market().book
    await floor.pass_time(3_600_000)
    await floor.pass_time(1000)
    assert floor.market().book is not book
    (bid, _), (ask, _) = floor.market().touch
    for order in orders:
        gone = order.price >= ask if order.side is Side.BUY else (
            order.price <= bid
        )
        assert order.is_open or gone
    queue = floor.market().book.queue(Side.BUY, orders[2].price)
    assert queue[0][1] == 500
    floor.audit()
    floor.assert_fills_are_on_the_tape()


async def test_a_market_that_never_traded_begins_with_a_user(clock):
    async with open_floor(clock, symbols=('NEWUSDT',)) as floor:
        floor.open_account('ann', USDT=10**6)
        history = floor.market('NEWUSDT').history
        assert history.klines('1m', None, None, 5, START_MS).rows == 0
        for _ in range(3):
            await floor.place('ann', 'BUY', 5000, symbol='NEWUSDT')
            await floor.pass_time(90_000, 'NEWUSDT')
        floor.assert_tape_is_history('NEWUSDT')
        assert floor.published['newusdt@trade'][0]['t'] == 0
        now = floor.market('NEWUSDT').position_ms
        bars = history.klines('1m', 0, None, 1000, now)
        assert bars.rows == 5
        assert bars.volume.tolist() == [5000, 5000, 0, 5000, 0]
        assert history.fills_until(now) == len(floor.books.executions)


async def test_a_clock_that_is_put_back_does_not_undo_trades(clock, tmp_path):
    async with open_floor(clock, tmp_path / 'state') as floor:
        floor.open_account('ann', USDT=10**6)
        await floor.pass_time(5000)
        await floor.place('ann', 'BUY', 500)
        until = floor.market().position_ms
    clock.set_ns((START_MS - 60_000) * NS_PER_MS)
    async with open_floor(clock, tmp_path / 'state') as floor:
        assert floor.market().position_ms == until
        await floor.place('ann', 'BUY', 500)
        assert floor.books.executions[-1].time_ms == until


def test_edits_must_follow_each_other():
    edits = Edits()
    edits.add(Edit(10, 5, 7, 50, 3, (Print(1, True, (2, 3)),)))
    with pytest.raises(ValueError, match='before'):
        edits.add(Edit(9, 8, 8, 60, 0, ()))
    with pytest.raises(ValueError, match='before'):
        edits.add(Edit(11, 6, 8, 60, 0, ()))
    assert (edits.agg_shift(1), edits.fill_shift(1)) == (-1, -1)


@pytest.mark.parametrize('seed', range(25))
def test_an_edited_tape_is_the_list_with_the_edits_made(seed):
    """Against a plain list: random edits over two days of a slow symbol."""
    rng = Random(seed)
    listing = pick_listings(('ARDRBTC',))[0]
    tape = EditedTape(3, listing)
    end = GENESIS_MS + 2 * DAY_MS - 1
    planned = tape.aggs_from(0, 10**6, end)
    sizes = tape.fills_from(0, 10**6, end).size
    naive, at = [], 0

    def rows(low, high):
        for i in range(low, high):
            fills = sizes[planned.first[i] : planned.last[i] + 1]
            yield (int(planned.time[i]), int(planned.price[i]),
                   tuple(fills.tolist()), bool(planned.sell[i]))

    total = len(planned.id)
    for _ in range(rng.randint(0, 12)):
        first = at + rng.randint(0, 40)
        last = first + rng.randint(0, 1)
        if last >= total:
            break
        time = int(planned.time[first])
        naive += list(rows(at, first))
        prints = tuple(
            Print(rng.randint(1, 99), rng.random() < 0.5,
                  tuple(rng.choices(range(1, 9), k=rng.randint(1, 3))))
            for _ in range(rng.randint(0, 3))
        )
        tape.depart(time, first, last, prints)
        naive += [(time, p.price, p.sizes, p.sell) for p in prints]
        at = last
    naive += list(rows(at, total))

    fills = [(t, price, size, sell) for t, price, sizes, sell in naive
             for size in sizes]
    firsts = np.cumsum([0, *(len(row[2]) for row in naive)]).tolist()
    aggs = [
        (i, row[0], row[1], sum(row[2]), row[3], firsts[i], firsts[i + 1] - 1)
        for i, row in enumerate(naive)
    ]
    assert table(tape.aggs_from(0, 10**6, end)) == aggs
    assert table(tape.fills_from(None, 10**6, end)) == [
        (i, *fill) for i, fill in enumerate(fills)
    ]
    for _ in range(20):
        low, limit = rng.randrange(len(aggs)), rng.randint(1, 50)
        assert table(tape.aggs_from(low, limit, end)) == (
            aggs[low : low + limit]
        )
        low = rng.randrange(len(fills))
        assert table(tape.fills_from(low, limit, end)) == [
            (i, *fill) for i, fill in enumerate(fills)
        ][low : low + limit]
        start = GENESIS_MS + rng.randrange(2 * DAY_MS)
        stop = min(end, start + rng.randrange(DAY_MS))
        assert table(tape.aggs_between(start, stop, 10**6, end)) == [
            agg for agg in aggs if start <= agg[1] <= stop
        ]
        assert table(tape.aggs_between(None, stop, limit, end)) == [
            agg for agg in aggs if agg[1] <= stop
        ][-limit:]
    for interval in ('1s', '1m', '1h'):
        found = [
            (opened, volume, trades, first, last)
            for opened, *_, volume, _q, trades, _bv, _bq, first, last in table(
                tape.klines(interval, GENESIS_MS, None, 10**6, end)
            ) if trades
        ]
        wanted = {}
        for _, t, _price, size, _sell, first, last in aggs:
            row = wanted.setdefault(open_of(interval, t), [0, 0, first, last])
            row[0] += size
            row[1] += last - first + 1
            row[3] = last
        assert found == [(t, *row) for t, row in wanted.items()]


def table(columns):
    return list(zip(*(column.tolist() for column in columns), strict=True))
