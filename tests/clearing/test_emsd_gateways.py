"""
How emsd reaches gateways: the live ones' pipe, deaths, what is allowed.
"""
from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from piker.clearing.gateways import Gateways, check_live
from piker.clearing.paperstore import PaperStore
from piker.clock import SystemClock
from piker.config import AccountSettings
from piker.errors import ActorDied, BadInput, ConfigError
from piker.gateway import Abilities, Answer, CancelOrder, LinkReport, Outcome
from piker.messages import pack
from piker.orders import OrderType
from piker.service import open_door
from piker.service import pipe as module

ABILITIES = Abilities(types=frozenset({OrderType.LIMIT}))
SIM = AccountSettings(provider='sim')
BINANCE = AccountSettings(provider='binance')


class FakeBroker:
    """The far end: what `piker.brokers.endpoints.open_gateway` would be."""

    def __init__(self) -> None:
        self.opened = 0
        self.refuse: Exception | None = None
        self.asked: list[Any] = []
        self.died = trio.Event()
        self.stuck = False

    async def find(self, name: str) -> str:
        return name

    @asynccontextmanager
    async def context(
        self, info: str, module: str, function: str, **kwargs: Any
    ) -> AsyncGenerator[tuple[Any, Any], None]:
        assert (info, module, function) == (
            'brokerd.sim', 'piker.brokers.endpoints', 'open_gateway'
        )
        assert kwargs['account'] == 'sim'
        assert AccountSettings(**kwargs['settings']) == SIM
        if self.refuse:
            raise self.refuse
        self.opened += 1
        self.died = trio.Event()
        died = False

        async def watch() -> None:
            nonlocal died
            await self.died.wait()
            died = True
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            with open_door() as door:
                nursery.start_soon(self._serve, door)
                yield FakeContext(), {
                    'abilities': pack(ABILITIES), 'pipe': door.address,
                }
            nursery.cancel_scope.cancel()
        if died:
            raise ActorDied('brokerd.sim died')

    async def _serve(self, door: Any) -> None:
        with await door.accept(os.getpid()) as pipe:
            self.say = lambda *messages: pipe.send(
                msgspec.msgpack.encode(list(messages))
            )
            if self.stuck:
                await trio.sleep_forever()
            while True:
                for data in await pipe.receive():
                    self.asked.append(msgspec.msgpack.decode(data))


class FakeContext:
    async def result(self) -> None:
        """Says why there is no gateway any more: nothing comes."""
        await trio.sleep_forever()


class Sink:
    """What emsd is told, as a list."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.stirred = trio.Event()

    def on_gateway(self, account: str, abilities: Abilities | None) -> None:
        self._tell(account, abilities)

    def on_messages(self, account: str, messages: Any) -> None:
        self._tell(account, messages)

    def on_trouble(self, account: str, text: str) -> None:
        self._tell(account, text)

    def _tell(self, account: str, what: Any) -> None:
        self.told.append((account, what))
        self.stirred.set()

    async def until(self, count: int) -> list[tuple[str, Any]]:
        with trio.fail_after(60):
            while len(self.told) < count:
                self.stirred = trio.Event()
                await self.stirred.wait()
        return self.told


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PaperStore]:
    with PaperStore(tmp_path / 'paper.sqlite') as made:
        yield made


@asynccontextmanager
async def running(
    store: PaperStore, broker: FakeBroker, sink: Sink
) -> AsyncGenerator[Gateways, None]:
    made = Gateways(
        {'paper': AccountSettings(), 'sim': SIM, 'real': BINANCE},
        sink, broker, store, SystemClock(),  # type: ignore[arg-type]
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(made.run)
        yield made
        nursery.cancel_scope.cancel()


def cancel(ref: int, cid: str = 'pk1') -> CancelOrder:
    return CancelOrder(ref=ref, cid=cid, symbol='btcusdt.sim')


async def test_commands_and_messages(
    store: PaperStore, autojump_clock: trio.testing.MockClock
) -> None:
    sink, broker = Sink(), FakeBroker()
    async with running(store, broker, sink) as gateways:
        assert not gateways.is_open('sim')
        await gateways.opened('sim')
        assert sink.told == [('sim', ABILITIES)]
        for ref in (1, 2):
            gateways.send('sim', cancel(ref))
        said = [Answer(ref=1, outcome=Outcome.DONE), LinkReport(up=True)]
        await trio.testing.wait_all_tasks_blocked()
        broker.say(*said)
        assert await sink.until(2) == [('sim', ABILITIES), ('sim', said)]
        assert [m['ref'] for m in broker.asked] == [1, 2]
        assert broker.asked[0]['is'] == 'cancel'


async def test_reopened_when_it_dies(
    store: PaperStore, autojump_clock: trio.testing.MockClock
) -> None:
    """What was not sent by then is not sent later: the core asks first."""
    sink, broker = Sink(), FakeBroker()
    async with running(store, broker, sink) as gateways:
        await gateways.opened('sim')
        broker.stuck = True
        gateways.send('sim', cancel(1))
        await trio.testing.wait_all_tasks_blocked()
        broker.died.set()
        await sink.until(2)
        assert not gateways.is_open('sim')
        gateways.send('sim', cancel(2))
        broker.stuck = False
        await sink.until(4)
        gateways.send('sim', cancel(3))
        await trio.testing.wait_all_tasks_blocked()
    assert [what for _, what in sink.told[:4]] == [
        ABILITIES, None, 'brokerd.sim died', ABILITIES,
    ]
    assert [m['ref'] for m in broker.asked] == [3]


async def test_keys_that_are_refused(
    store: PaperStore, autojump_clock: trio.testing.MockClock
) -> None:
    """Each asker is told, and the next one has it tried again."""
    sink, broker = Sink(), FakeBroker()
    broker.refuse = ConfigError('no key')
    async with running(store, broker, sink) as gateways:
        for _ in range(2):
            with pytest.raises(ConfigError, match='no key'):
                await gateways.opened('sim')
        assert sink.told == [('sim', 'no key')]
        broker.refuse = None
        await gateways.opened('sim')
        assert gateways.is_open('sim')


async def test_a_broker_that_is_away(
    store: PaperStore, autojump_clock: trio.testing.MockClock
) -> None:
    """It may come back: an order is taken on and waits."""
    sink, broker = Sink(), FakeBroker()
    broker.refuse = ActorDied('away')
    async with running(store, broker, sink) as gateways:
        await gateways.opened('sim')
        assert not gateways.is_open('sim')
        broker.refuse = None
        assert (await sink.until(2))[-1] == ('sim', ABILITIES)


async def test_one_that_takes_nothing(
    store: PaperStore,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Is taken for dead once too much waits for it."""
    monkeypatch.setattr(module, '_MOST_WAITING', 3 << 20)
    sink, broker = Sink(), FakeBroker()
    broker.stuck = True
    async with running(store, broker, sink) as gateways:
        await gateways.opened('sim')
        for _ in range(5):
            gateways.send('sim', cancel(1, cid='x' * (1 << 20)))
        told = await sink.until(3)
        assert told[1] == ('sim', None)
        assert '3 MB were not read' in told[2][1]


async def test_paper_needs_nobody(store: PaperStore) -> None:
    sink, broker = Sink(), FakeBroker()
    async with running(store, broker, sink) as gateways:
        await gateways.opened('paper')
        gateways.send('paper', cancel(1))
        told = await sink.until(2)
    assert told[1][1][-1].outcome is Outcome.UNKNOWN
    assert not broker.opened


async def test_accounts(store: PaperStore) -> None:
    async with running(store, FakeBroker(), Sink()) as gateways:
        with pytest.raises(BadInput, match=r"'papr'.*'paper'"):
            gateways.check('papr')
        with pytest.raises(ConfigError, match=r'accounts\.real\.live = true'):
            await gateways.opened('real')
        assert gateways.check('sim') == SIM


@pytest.mark.parametrize(('settings', 'sim_url', 'real'), [
    (AccountSettings(), '', False),
    (SIM, '', False),
    (SIM, 'http://127.0.0.1:8080', False),
    (SIM, 'http://[::1]:8080', False),
    (SIM, 'http://localhost:8080', False),
    (AccountSettings(provider='sim', live=True), 'http://10.0.0.1', True),
    (AccountSettings(provider='binance', live=True), '', True),
])
def test_who_may_trade(
    settings: AccountSettings, sim_url: str, real: bool
) -> None:
    assert check_live('x', settings, sim_url) is real


@pytest.mark.parametrize(('settings', 'sim_url'), [
    (BINANCE, ''),
    (BINANCE, 'http://127.0.0.1:8080'),
    (SIM, 'http://10.0.0.1:8080'),
    (SIM, 'https://venue.example'),
])
def test_who_may_not(settings: AccountSettings, sim_url: str) -> None:
    with pytest.raises(ConfigError, match=r'accounts\.x\.live = true'):
        check_live('x', settings, sim_url)
