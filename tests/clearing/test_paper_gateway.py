"""
The paper gateway: latency, answers, and books that survive its death.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio
import trio.testing
from paper_tools import (
    BUY,
    INSTRUMENT,
    MS,
    SELL,
    SYMBOL,
    bid,
    cancel,
    place,
    ticks,
    trade,
)

from piker.clearing.paper import Depth, PaperGateway, no_depth, paper_file
from piker.clearing.paperstore import PaperStore
from piker.config import PaperSettings
from piker.errors import StorageError
from piker.gateway import (
    AccountReport,
    Answer,
    FillReport,
    OrderReport,
    Outcome,
    QueryOrder,
    Snapshot,
    VenueStatus,
)
from piker.orders import Balance, Tif

BASE_NS = 1_000 * MS


class TrioClock:
    """The time of day runs with trio's."""

    def now_ns(self) -> int:
        return BASE_NS + round(trio.current_time() * 1e9)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PaperStore]:
    with PaperStore(tmp_path / 'paper.sqlite') as made:
        yield made


def gateway(
    store: PaperStore, depth: Depth = no_depth, **settings: Any
) -> PaperGateway:
    made = PaperGateway(
        'paper', PaperSettings.model_validate(settings), store, TrioClock(),
        depth,
    )
    made.add_instrument(INSTRUMENT)
    made.on_market(SYMBOL, True, (100.0, 5.0), (100.5, 3.0))
    return made


def now_ms(after: int = 0) -> int:
    return TrioClock().now_ns() // MS + after


async def answers(made: PaperGateway, ref: int = 1) -> list[Any]:
    """What is received up to the answer of ``ref``."""
    found: list[Any] = []
    while not any(isinstance(m, Answer) and m.ref == ref for m in found):
        found += await made.receive()
    return found


async def test_it_takes_the_stated_time(
    store: PaperStore, autojump_clock: trio.testing.MockClock
) -> None:
    made = gateway(store, latency_ms=70)
    began = trio.current_time()
    made.send(place('a', BUY, '1', '99'))
    await answers(made)
    assert trio.current_time() - began == pytest.approx(0.07, abs=1e-3)


@pytest.mark.parametrize(('there_s', 'has', 'filled'), [
    (0.0, 0.02, 5), (1.0, 1.0, 5), (9.0, 4.02, 3),
])
async def test_it_waits_for_a_book_that_is_on_its_way(
    store: PaperStore, autojump_clock: trio.testing.MockClock,
    there_s: float, has: float, filled: int,
) -> None:
    """But not longer than a venue may take to answer."""
    began = trio.current_time()
    asks = [(Decimal('100.5'), Decimal(3)), (Decimal(101), Decimal(3))]

    def depth(_: str) -> tuple[list[Any], list[Any]]:
        return [], asks if trio.current_time() >= began + there_s else []

    made = gateway(store, depth, latency_ms=20)
    made.send(place('a', BUY, '5'))
    found = await answers(made)
    assert trio.current_time() - began == pytest.approx(has, abs=0.03)
    report = next(m for m in found if isinstance(m, OrderReport))
    assert report.filled == filled
    made.send(QueryOrder(ref=7, cid='a', symbol=SYMBOL))
    kept = (await answers(made, 7))[0]
    assert kept.reason == report.reason
    assert bool(kept.reason) == (filled < 5)


async def test_a_later_tick_brings_it_there_too(store: PaperStore) -> None:
    """On the venue's clock, however fast a recording is played."""
    made = gateway(store, latency_ms=10_000, balances={'btc': '10'})
    recv = np.array([TrioClock().now_ns()])
    first = ticks([bid(5_000_000, 99.0, 1.0)])
    made.on_ticks(SYMBOL, dataclasses.replace(first, recv=recv))
    made.send(place('a', SELL, '1'))
    made.on_ticks(SYMBOL, ticks([bid(5_020_000, 98.0, 1.0)]))
    with trio.fail_after(5):
        found = await answers(made)
    (fill,) = (m for m in found if isinstance(m, FillReport))
    assert fill.price == 99
    assert 5_010_000 * MS <= fill.time_ns < 5_020_000 * MS


async def test_in_the_books_before_it_is_told(
    store: PaperStore, autojump_clock: trio.testing.MockClock
) -> None:
    made = gateway(store)
    made.send(place('a', BUY, '1'))
    for message in await answers(made):
        if isinstance(message, OrderReport):
            order = store.order('paper', message.cid)
            assert order is not None
            assert order.status is VenueStatus.FILLED
        if isinstance(message, FillReport):
            assert store.fills('paper', message.cid) == [message]


async def test_nothing_is_told_that_is_not_kept(
    store: PaperStore,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
) -> None:
    def fail(rows: object) -> None:
        raise StorageError('the disk is full')

    made = gateway(store)
    made.send(place('a', BUY, '1'))
    monkeypatch.setattr(store, 'commit', fail)
    with pytest.raises(StorageError):
        await made.receive()


async def test_its_books_survive(
    store: PaperStore, autojump_clock: trio.testing.MockClock
) -> None:
    """Killed right after a report: orders, balances, place in the queue."""
    made = gateway(store)
    made.send(place('a', BUY, '2', '100'))
    made.send(place('b', SELL, '1', '101'))
    await answers(made)
    made.on_ticks(SYMBOL, ticks([trade(now_ms(50), 100.0, 4.5, SELL)]))
    with trio.move_on_after(1.5):  # nothing to report: kept all the same
        await made.receive()

    again = gateway(store)
    assert again.symbols == {SYMBOL}
    again.on_ticks(SYMBOL, ticks([trade(now_ms(60), 100.0, 1.0, SELL)]))
    (fill, report, account) = await again.receive()
    assert (fill.price, fill.size) == (100, Decimal('0.5'))
    assert report.filled == Decimal('0.5')
    assert account.balances['usdt'].locked == 150
    again.send(cancel('a'))
    assert (await answers(again, 2))[-1].outcome is Outcome.DONE


async def test_what_is_shown_is_taken_once_in_all_lives(
    store: PaperStore, autojump_clock: trio.testing.MockClock
) -> None:
    """Three are offered; the first life has two, the second one."""
    made = gateway(store)
    made.send(place('a', BUY, '2', '100.5'))
    await answers(made)
    again = gateway(store)
    again.send(place('b', BUY, '2', '100.5', tif=Tif.IOC))
    found = await answers(again)
    assert [m.size for m in found if isinstance(m, FillReport)] == [1]
    again.on_market(SYMBOL, True, (100.0, 5.0), (101.0, 3.0))
    again.send(place('c', BUY, '1', '99'))
    await answers(again)
    assert store.taken('paper') == []


async def test_what_was_on_its_way_is_lost(
    store: PaperStore, autojump_clock: trio.testing.MockClock
) -> None:
    """As at a venue that never got it: a query says so."""
    made = gateway(store)
    made.send(place('a', BUY, '2', '100'))
    again = gateway(store)
    again.send(QueryOrder(ref=7, cid='a', symbol=SYMBOL))
    (answer,) = await answers(again, 7)
    assert answer.outcome is Outcome.UNKNOWN


async def test_queries(
    store: PaperStore, autojump_clock: trio.testing.MockClock
) -> None:
    """Of what is open, and of what was over in an earlier life."""
    made = gateway(store, balances={'usdt': 1000, 'btc': 1})
    made.send(place('a', BUY, '1'))
    made.send(place('b', SELL, '1', '105'))
    first = await answers(made)
    bought = next(m for m in first if isinstance(m, FillReport))
    for life in range(2):
        made = gateway(store) if life else made
        made.send(QueryOrder(ref=7, cid='a', symbol=SYMBOL))
        order, fill, answer = await answers(made, 7)
        assert order.status is VenueStatus.FILLED
        assert fill == bought
        assert answer.outcome is Outcome.DONE
        made.send(Snapshot(ref=8, symbols=[SYMBOL]))
        b, fill, account, answer = await answers(made, 8)
        assert (b.cid, b.status) == ('b', VenueStatus.OPEN)
        assert fill == bought
        assert account.whole
        assert account.balances['btc'] == Balance(
            1 - bought.fee, Decimal(1)
        )
        made.send(Snapshot(
            ref=9, symbols=[SYMBOL], since={SYMBOL: bought.trade_id}
        ))
        assert not any(
            isinstance(m, FillReport) for m in await answers(made, 9)
        )


async def test_a_new_account_has_what_the_settings_say(
    store: PaperStore,
) -> None:
    made = gateway(store, balances={'eur': 250})
    made.send(Snapshot(ref=1))
    account, _ = await made.receive()
    assert isinstance(account, AccountReport)
    assert account.balances == {'eur': Balance(Decimal(250))}


def test_beside_the_journal(tmp_path: Path) -> None:
    found = paper_file(tmp_path / 'ems.sqlite')
    assert found == tmp_path / 'ems-paper.sqlite'


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / 'x').write_bytes(b'no database' * 100)
    with pytest.raises(StorageError, match='x: '):
        PaperStore(tmp_path / 'x')
