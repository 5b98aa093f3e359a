"""
emsd while its disk is slow: what waits for it, what does not, in which order.
"""
from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from clearing_runs import BTC, run_of
from clearing_venue import ACCOUNTS, NATIVE, limit_request

from piker.clearing.calls import Calls
from piker.clearing.core import Core
from piker.clearing.ems import Ems
from piker.clearing.journal import Journal
from piker.clock import SystemClock
from piker.errors import DataError
from piker.gateway import Answer, CancelOrder, LinkReport, Outcome, PlaceOrder
from piker.orders import OrderRequest, OrderType


class SlowJournal(Journal):
    """A journal whose disk answers once it is let."""

    def __init__(self, path: Path) -> None:
        self.let = threading.Semaphore(1000)
        self.flushing = threading.Event()
        self.broken = False
        super().__init__(path, 1)

    def hold(self) -> None:
        while self.let.acquire(blocking=False):
            pass

    def sync(self) -> None:
        self.flushing.set()
        assert self.let.acquire(timeout=20)
        if self.broken:
            raise DataError('the disk is gone')
        super().sync()


class FakeGateways:
    def __init__(self) -> None:
        self.papers: list[Any] = []
        self.sent: list[Any] = []

    def send(self, account: str, command: Any) -> None:
        self.sent.append(command)

    def check(self, account: str) -> Any:
        return ACCOUNTS[account]

    def is_open(self, account: str) -> bool:
        return True

    @property
    def placed(self) -> list[str]:
        return [
            str(c.size) for c in self.sent if isinstance(c, PlaceOrder)
        ]


class FakeMarket:
    def want(self, symbols: set[str]) -> None:
        pass

    def is_open(self, symbol: str) -> bool:
        return True


class Desk:
    """An `Ems` with a gateway that is ready, and a client of it."""

    def __init__(self, ems: Ems, journal: SlowJournal) -> None:
        self.ems = ems
        self.calls = Calls(ems, 'test')
        self.journal = journal
        self.gateways: Any = ems.gateways
        self.acknowledged: list[str] = []

    async def submit(self, request: OrderRequest) -> None:
        await self.calls.submit([request])
        self.acknowledged.append(request.oid)


@asynccontextmanager
async def open_desk(path: Path) -> AsyncGenerator[Desk, None]:
    with SlowJournal(path / 'ems.sqlite') as journal:
        core = Core(ACCOUNTS)
        for entry in journal.entries():
            core.apply(entry.record)
        ems = Ems(core, journal, SystemClock())
        fake: Any = FakeGateways()
        ems.gateways, ems.market = fake, FakeMarket()  # type: ignore[assignment]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ems.keep_written)
            nursery.start_soon(ems.raise_failure)
            ems.on_instrument(BTC)
            ems.on_gateway('sim', NATIVE)
            ems.on_messages('sim', [LinkReport(up=True)])
            while not ems.core.ready('sim'):
                await trio.testing.wait_all_tasks_blocked(0.01)
                ems.on_messages('sim', [
                    Answer(ref=command.ref, outcome=Outcome.DONE)
                    for command in fake.sent
                ])
            await ems._outbox.written()
            fake.sent.clear()
            ems.on_market(BTC.id, None)
            yield Desk(ems, journal)
            journal.let.release(1000)
            nursery.cancel_scope.cancel()


def dark(oid: str, stop: str, size: str) -> OrderRequest:
    return limit_request(
        oid=oid, type=OrderType.STOP, price=None, stop=Decimal(stop),
        size=Decimal(size), dark=True,
    )


async def flushing(journal: SlowJournal) -> None:
    """Until a flush is under way."""
    await trio.to_thread.run_sync(journal.flushing.wait, 20)


async def test_an_order_waits_for_the_disk(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk, trio.open_nursery() as nursery:
        desk.journal.hold()
        desk.journal.flushing.clear()
        nursery.start_soon(desk.submit, limit_request(oid='a'))
        await flushing(desk.journal)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert desk.gateways.sent == []
        assert desk.acknowledged == []
        desk.journal.let.release(1000)
    assert desk.acknowledged == ['a']
    assert len(desk.gateways.placed) == 1


async def test_a_trigger_waits_for_no_disk_and_overtakes_no_command(
    tmp_path: Path,
) -> None:
    async with open_desk(tmp_path) as desk, trio.open_nursery() as nursery:
        ems = desk.ems
        ems.on_ticks(BTC.id, run_of(['100']))
        await desk.submit(dark('waits', '105', '3'))
        desk.journal.hold()
        desk.journal.flushing.clear()
        nursery.start_soon(
            desk.submit, limit_request(oid='first', size=Decimal(1))
        )
        await flushing(desk.journal)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert desk.gateways.placed == []
        ems.on_ticks(BTC.id, run_of(['106']))
        # At once, and what had to go out before goes out before.
        assert desk.gateways.placed == ['1', '3']
        # Nobody is told of what the disk may lack, and none is acknowledged.
        assert desk.acknowledged == ['waits']
        desk.journal.let.release(1000)
    assert desk.acknowledged == ['waits', 'first']
    assert desk.gateways.placed == ['1', '3']


async def test_commands_keep_the_order_of_inputs(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk, trio.open_nursery() as nursery:
        desk.journal.hold()
        desk.journal.flushing.clear()
        for size in (3, 1, 2):
            nursery.start_soon(desk.submit, limit_request(
                oid=f'o{size}', size=Decimal(size)
            ))
            await trio.testing.wait_all_tasks_blocked(0.01)
        await flushing(desk.journal)
        assert desk.gateways.placed == []
        desk.journal.let.release(1000)
    assert sorted(desk.acknowledged) == ['o1', 'o2', 'o3']
    assert desk.gateways.placed == ['3', '1', '2']


async def test_a_cancel_follows_its_order(tmp_path: Path) -> None:
    """Even if it is asked for before the order's way to the disk is over."""
    async with open_desk(tmp_path) as desk, trio.open_nursery() as nursery:
        desk.journal.hold()
        nursery.start_soon(desk.submit, limit_request(oid='a'))
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.start_soon(desk.calls.cancel, 'sim', 'a')
        await trio.testing.wait_all_tasks_blocked(0.01)
        desk.journal.let.release(1000)
    kinds = [type(c) for c in desk.gateways.sent]
    assert kinds[0] is PlaceOrder
    assert all(kind is CancelOrder for kind in kinds[1:])


async def test_what_needs_no_disk_waits_for_what_came_before_only(
    tmp_path: Path,
) -> None:
    """A change that changes nothing, asked for while the disk is busy."""
    async with open_desk(tmp_path) as desk:
        await desk.submit(limit_request(oid='a'))
        await desk.calls.cancel('sim', 'a')
        desk.journal.hold()
        desk.journal.flushing.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(desk.submit, limit_request(oid='b'))
            await flushing(desk.journal)
            nursery.start_soon(desk.calls.cancel, 'sim', 'a')
            await trio.testing.wait_all_tasks_blocked(0.01)
            desk.journal.let.release(1000)
            with trio.fail_after(5):
                while desk.acknowledged != ['a', 'b']:
                    await trio.sleep(0.001)
        # The nursery is left: the second cancel was answered as well.


async def test_a_disk_that_fails_ends_it_unacknowledged(
    tmp_path: Path,
) -> None:
    desks: list[Desk] = []

    async def submit() -> None:
        async with open_desk(tmp_path) as desk:
            desks.append(desk)
            desk.journal.broken = True
            await desk.submit(limit_request(oid='a'))

    with pytest.raises(DataError, match='the disk is gone'):
        await submit()
    desk, = desks
    assert desk.acknowledged == []
    assert desk.gateways.placed == []
