"""
Dark orders and alerts: nobody has to be there, and stale data moves nothing.
"""
from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import trio
from e2e_tools import order
from ems_tools import (
    PATIENCE_S,
    SYMBOL,
    ems_status,
    in_thread,
    price_near,
    status,
    wait_for,
)
from suite import Daemon, wait_until

from piker.clearing import EmsClient, open_ems
from piker.data import FeedState, open_feed
from piker.orders import DialogView, OrderStatus, OrderType

DARK, CLOSED = OrderStatus.DARK, OrderStatus.CLOSED


async def place_dark(ems: EmsClient, oid: str, ticks: int) -> DialogView:
    """A dark stop to buy, so many ticks above the last price."""
    async with open_feed([SYMBOL]) as feed:
        stop = price_near(feed[SYMBOL], ticks)
    view = await ems.buy(SYMBOL, '0.001', stop=stop, dark=True, oid=oid)
    assert view.status is DARK
    return view


async def test_fires_with_nobody_there(
    start_daemon: Callable[..., Daemon]
) -> None:
    """
    All clients gone, pikerd killed and started again: it fires, once.

    Somebody else at the venue moves the price, now up and now down.
    """
    daemon = start_daemon()
    async with open_ems() as ems:
        with trio.fail_after(PATIENCE_S):
            await place_dark(ems, 'far', 2_000_000)
            near = [
                await place_dark(ems, f'near-{ticks}', ticks)
                for ticks in (10, 40, 150)
            ]
            down = [
                await place_below(ems, f'down-{ticks}', ticks)
                for ticks in (10, 40, 150)
            ]
    family = [daemon.process.pid, daemon.pid_of('emsd')]
    assert family[1]
    daemon.process.kill()
    daemon.process.wait()
    wait_until(lambda: not daemon.tree.read_record().alive)  # type: ignore[union-attr]
    again = start_daemon()
    # No client: only the tree's own counters are looked at.
    await in_thread(wait_until, lambda: again.pid_of('emsd'))
    base = await in_thread(again.venue)
    sides = itertools.cycle(('BUY', 'SELL'))

    def push() -> Any:
        order(base, symbol='BTCUSDT', side=next(sides), type='MARKET',
              quantity='3')
        found = ems_status(again)
        return found and found['triggers']

    await in_thread(wait_until, push, PATIENCE_S)
    assert again.services()['tree']['clients'][1:] == []
    async with open_ems() as ems:
        fired = [
            view for view in near + down
            if status(ems, view.request.oid) is not DARK
        ]
        assert fired
        with trio.fail_after(PATIENCE_S):
            for view in fired:
                await check_fired_once(ems, view)
        assert status(ems, 'far') is DARK


async def place_below(ems: EmsClient, oid: str, ticks: int) -> DialogView:
    """A dark order to buy, so many ticks below the last price."""
    async with open_feed([SYMBOL]) as feed:
        stop = price_near(feed[SYMBOL], -ticks)
    return await ems.buy(
        SYMBOL, '0.001', stop=stop, dark=True, oid=oid,
        type=OrderType.TAKE_PROFIT,
    )


async def check_fired_once(ems: EmsClient, view: DialogView) -> None:
    ended = await ems.closed(view.request.oid)
    assert ended.status is CLOSED
    fills = [f for f in ems.fills if f.oid == view.request.oid]
    assert sum(f.size for f in fills) == ended.filled == Decimal('0.001')


async def test_nothing_triggers_while_stale(
    start_daemon: Callable[..., Daemon]
) -> None:
    """
    The venue stands still: no dark order fires and paper fills nothing.

    Once it goes on, what the price is through by then fires.
    """
    daemon = start_daemon('--set=feed.stale_after_s=0.8')
    async with open_ems() as ems, open_feed([SYMBOL]) as feed:
        with trio.fail_after(PATIENCE_S):
            await place_dark(ems, 'far', 2_000_000)
            frozen = daemon.pid_of('simd')
            os.kill(frozen, signal.SIGSTOP)
            try:
                await wait_for(
                    lambda: feed[SYMBOL].state is FeedState.STALE
                )
                await wait_for_dead(daemon)
                # At the very price where it stands: through by any measure.
                stop = price_near(feed[SYMBOL], 0)
                view = await ems.buy(
                    SYMBOL, '0.001', stop=stop, dark=True, oid='here'
                )
                assert view.status is DARK
                refused = await ems.buy(SYMBOL, '0.001')
                ended = await ems.closed(refused.request.oid)
                assert ended.status is OrderStatus.REJECTED
                assert 'not live' in ended.reason
                assert status(ems, 'here') is DARK
            finally:
                os.kill(frozen, signal.SIGCONT)
            await wait_for(lambda: feed[SYMBOL].state is FeedState.LIVE)
            await ems.buy(SYMBOL, '0.001', oid='live-again')
            await wait_for(lambda: status(ems, 'far') is DARK)


async def wait_for_dead(daemon: Daemon) -> None:
    """Until emsd takes the feed for dead as well."""
    while True:
        found = await in_thread(ems_status, daemon)
        if found and found['symbols'] == {SYMBOL: False}:
            return


async def test_alerts(daemon: Daemon) -> None:
    """Told to everyone, once; those that wait outlive emsd."""
    async with (
        open_ems(client='one') as one, open_ems(client='two') as two,
        open_feed([SYMBOL]) as feed,
    ):
        with trio.fail_after(60):
            far = await one.alert(SYMBOL, '1', note='never')
            for ticks in (-60, -20, 20, 60):
                await one.alert(SYMBOL, price_near(feed[SYMBOL], ticks))
            fired = await wait_for(
                lambda: [a for a in two.alerts.values() if a.fired_ns], 60
            )
        assert fired[0].fired_price is not None
        assert not two.alerts[far.aid].fired_ns
        await two.drop_alert(far.aid)


async def test_second_client_sees_it_soon(daemon: Daemon) -> None:
    """
    An action of one client reaches another one; the time is printed.

    The order is what is asserted: news comes before the actor's own reply.
    """
    took: list[float] = []
    async with (
        open_ems(client='one') as one, open_ems(client='two') as two
    ):
        with trio.fail_after(PATIENCE_S):
            await one.buy(SYMBOL, '0.01', price='1000', oid='warm')
            for n in range(20):
                await act_and_see(one, two, f'o{n}', took)
    took.sort()
    print(  # noqa: T201
        f'seen by the other after {took[len(took) // 2] * 1e3:.1f} ms '
        f'(median), {took[-1] * 1e3:.1f} ms at most'
    )


async def act_and_see(
    one: EmsClient, two: EmsClient, oid: str, took: list[float]
) -> None:
    seen: list[Any] = []
    with two.events() as events:
        began = time.perf_counter()

        async def look() -> None:
            async for event in events:
                if isinstance(event, DialogView) and event.request.oid == oid:
                    seen.append(event)
                    took.append(time.perf_counter() - began)
                    return

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            view = await one.buy(SYMBOL, '0.01', price='1000', oid=oid)
    assert seen[0].version <= view.version
    assert seen[0].request == view.request


@pytest.mark.expects_errors('emsd')
async def test_not_started_without_need(
    start_daemon: Callable[..., Daemon]
) -> None:
    """emsd starts with the tree only if something waits for it."""
    daemon = start_daemon()
    async with open_ems() as ems:
        with trio.fail_after(PATIENCE_S):
            view = await ems.buy(SYMBOL, '0.01', price='1000')
            await ems.cancel(view.request.oid)
            await ems.closed(view.request.oid)
    await in_thread(daemon.stop)
    again = start_daemon()
    names = [d['name'] for d in again.services()['tree']['daemons']]
    assert names == ['pikerd']
