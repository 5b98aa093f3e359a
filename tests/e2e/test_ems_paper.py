"""
Orders on paper: several clients, restarts of emsd, the kill switch.
"""
from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import trio
from ems_tools import (
    PATIENCE_S,
    SYMBOL,
    dialog,
    ems_status,
    in_thread,
    kill_and_wait,
    last_price,
    status,
    wait_for,
)
from suite import Daemon

from piker.clearing import EmsClient, open_ems
from piker.errors import ActorDied, BadInput, RiskRefused
from piker.orders import DialogView, Fill, OrderStatus

CLOSED, OPEN = OrderStatus.CLOSED, OrderStatus.OPEN
DARK, CANCELLED = OrderStatus.DARK, OrderStatus.CANCELLED


async def test_two_clients(daemon: Daemon) -> None:
    """What one does the other sees, before the first is told it is done."""
    async with (
        open_ems(client='one') as one, open_ems(client='two') as two
    ):
        with trio.fail_after(PATIENCE_S):
            await buy_and_sell(one, two)
            await modify_and_cancel(one, two)
            await refusals(one)
            await a_third_sees_the_same(one)
    found = await in_thread(ems_status, daemon)
    assert found is not None
    assert found['gateways'] == {'paper': 'ready'}
    assert found['open'] == 0
    assert found['records'] > 10
    assert 'paper ready' in daemon.piker('services').stdout


async def buy_and_sell(one: EmsClient, two: EmsClient) -> None:
    with two.events() as events:
        bought = await one.buy(SYMBOL, '0.02', oid='first')
        assert bought.client == 'one'
        done = await two.closed('first')
        seen = []
        async for event in events:
            seen.append(event)
            if isinstance(event, DialogView) and event.status is CLOSED:
                break
    assert done.filled == Decimal('0.02')
    fills = [event for event in seen if isinstance(event, Fill)]
    assert sum(f.size for f in fills) == Decimal('0.02')
    versions = [e.version for e in seen if isinstance(e, DialogView)]
    assert versions == sorted(versions)
    again = await two.buy(SYMBOL, '0.02', oid='first')
    assert again.status is CLOSED
    with pytest.raises(BadInput):
        await two.buy(SYMBOL, '0.03', oid='first')
    sold = await two.sell(SYMBOL, '0.01')
    await one.closed(sold.request.oid)
    await wait_for(
        lambda: two.positions['paper', SYMBOL].size == Decimal('0.01')
    )
    fees = sum(f.fee for f in two.fills if f.fee_asset == 'btc')
    await wait_for(
        lambda: two.balances['paper']['btc'].total == Decimal('0.01') - fees
    )


async def modify_and_cancel(one: EmsClient, two: EmsClient) -> None:
    await one.buy(SYMBOL, '0.01', price='1000', oid='low')
    await wait_for(lambda: status(two, 'low') is OPEN)
    await two.change('low', price='1001.5', size='0.02')
    await wait_for(
        lambda: (view := dialog(one, 'low')) and not view.changing
        and view.request.price == Decimal('1001.5')
        and one.balances['paper']['usdt'].locked == Decimal('20.03')
    )
    await two.cancel('low')
    assert (await one.closed('low')).status is CANCELLED
    await wait_for(lambda: not one.balances['paper']['usdt'].locked)


async def refusals(one: EmsClient) -> None:
    with pytest.raises(BadInput, match='no account'):
        await one.buy(SYMBOL, '1', account='papr')
    with pytest.raises(BadInput, match='exact number'):
        await one.buy(SYMBOL, 0.1)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match='nosuch'):
        await one.buy('nosuch.sim', '1')
    with pytest.raises(BadInput, match='not traded at sim'):
        await one.buy('btcusdt.binance', '1', account='sim')
    with pytest.raises(BadInput, match='option'):
        await one.buy(SYMBOL, '1', prise='1')
    with pytest.raises(BadInput):
        await one.cancel('never-made')
    poor = await one.buy(SYMBOL, '90', price='2000')
    ended = await one.closed(poor.request.oid)
    assert ended.status is OrderStatus.REJECTED
    assert 'insufficient balance' in ended.reason


async def a_third_sees_the_same(one: EmsClient) -> None:
    async with open_ems(client='three') as three:
        assert three.dialogs == one.dialogs
        assert list(three.fills) == list(one.fills)
        assert three.balances == one.balances
        assert three.positions.keys() == one.positions.keys()


@pytest.mark.expects_errors('emsd')
async def test_emsd_killed(daemon: Daemon) -> None:
    """Again and again in the middle: nothing is lost and nothing doubled."""
    rounds, each = 4, 6
    async with open_ems() as ems:
        await ems.buy(SYMBOL, '0.01', price='1000', oid='rests')
        await wait_for(lambda: status(ems, 'rests') is OPEN)
        for at in range(rounds):
            # One that is filled before; the others are anywhere by then.
            await ems.buy(SYMBOL, '0.001', oid=f'{at}-sure')
            await ems.closed(f'{at}-sure')
            async with trio.open_nursery() as nursery:
                for n in range(each):
                    nursery.start_soon(trade, ems, f'{at}-{n}', n % 3)
                await trio.sleep(0.01 * at)
                await in_thread(kill_and_wait, daemon, 'emsd')
        with trio.fail_after(PATIENCE_S):
            orders = [await ems.closed(f'{at}-{n}')
                      for at in range(rounds) for n in (*range(each), 'sure')]
        assert status(ems, 'rests') is OPEN
        await check_books(ems, orders)
    found = await in_thread(ems_status, daemon)
    assert found is not None
    assert found['open'] == 1


async def trade(ems: EmsClient, oid: str, kind: int) -> None:
    """Buy at market, or somewhere out of reach and cancel."""
    if kind:
        await ems.buy(SYMBOL, '0.001', oid=oid)
    else:
        await ems.buy(SYMBOL, '0.01', price='1000', oid=oid)
        await ems.cancel(oid)


async def check_books(ems: EmsClient, orders: list[DialogView]) -> None:
    """Dialogs, fills, position and balances say the same."""
    for view in orders:
        assert view.filled in {0, view.request.size}, view
        assert (view.status is CLOSED) == bool(view.filled), view
        mine = [f for f in ems.fills if f.oid == view.request.oid]
        assert sum(f.size for f in mine) == view.filled, view
    bought = sum((view.filled for view in orders), Decimal(0))
    assert bought > 0
    numbers = [int(f.trade_id) for f in ems.fills]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    fees = sum(f.fee for f in ems.fills)
    paid = sum(f.size * f.price for f in ems.fills)
    await wait_for(
        lambda: ems.positions['paper', SYMBOL].size == bought
        and ems.balances['paper']['btc'].total == bought - fees
        and ems.balances['paper']['usdt'].total == 100_000 - paid
        and ems.balances['paper']['usdt'].locked == 10
    )


async def test_halt_stops_a_strategy(
    start_daemon: Callable[..., Daemon]
) -> None:
    """It holds across a restart of everything, until it is lifted."""
    daemon = start_daemon()
    refused: list[str] = []

    async def strategy(
        task_status: Any = trio.TASK_STATUS_IGNORED,
    ) -> None:
        async with open_ems(client='robot') as robot:
            task_status.started()
            while True:
                try:
                    await robot.buy(SYMBOL, '0.01', price='1000')
                except RiskRefused as err:
                    refused.append(str(err))
                    return

    async with open_ems(client='desk') as desk:
        with trio.fail_after(PATIENCE_S):
            last = await last_price()
            await desk.buy(
                SYMBOL, '0.001', stop=str(last * 2), dark=True, oid='dark'
            )
            async with trio.open_nursery() as nursery:
                await nursery.start(strategy)
                await wait_for(lambda: len(desk.dialogs) > 5)
                await desk.halt(reason='enough')
            await wait_for(
                lambda: all(v.status.final for v in desk.dialogs.values())
            )
        assert 'enough' in refused[0]
        assert desk.accounts['paper'].halted == 'enough'
        assert status(desk, 'dark') is CANCELLED
    await in_thread(daemon.stop)
    await in_thread(start_daemon)
    async with open_ems(client='desk') as desk:
        assert desk.accounts['paper'].halted == 'enough'
        with pytest.raises(RiskRefused, match='enough'):
            await desk.buy(SYMBOL, '0.001')
        await desk.resume()
        with trio.fail_after(PATIENCE_S):
            bought = await desk.buy(SYMBOL, '0.001')
            ended = await desk.closed(bought.request.oid)
        assert ended.status is CLOSED


async def test_root_killed(start_daemon: Callable[..., Daemon]) -> None:
    """A client hears of it rather than wait for ever."""
    daemon = start_daemon()

    async def wait_in_vain() -> None:
        async with open_ems() as ems:
            await ems.buy(SYMBOL, '0.01', price='1000', oid='a')
            await wait_for(lambda: status(ems, 'a') is OPEN)
            daemon.process.kill()
            daemon.process.wait()
            await ems.closed('a')

    with trio.fail_after(PATIENCE_S), pytest.raises(ActorDied, match='pikerd'):
        await wait_in_vain()
    await in_thread(start_daemon)
    async with open_ems() as ems:
        with trio.fail_after(PATIENCE_S):
            await wait_for(lambda: ems.accounts['paper'].ready)
            assert status(ems, 'a') is OPEN
            await ems.cancel('a')
            assert (await ems.closed('a')).status is CANCELLED
