"""
What decides which gaps are asked for, and how; without a tree.
"""
from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from storage.conftest import SYMBOL, S, bars

from piker.data.gapfill import GapFiller
from piker.data.storage import Store, TableId
from piker.data.storage.absent import absent_ranges, note_absent
from piker.data.storage.ranges import Gap, merged, pages, without
from piker.errors import StorageError, VenueDown, VenueRefused

FIRST = 10_000  # oldest second in memory
ranges = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)))


def covered(found: Any) -> set[int]:
    return {at for a, b in found for at in range(a, b)}


@given(ranges, ranges)
def test_ranges_are_sets(some: Any, others: Any) -> None:
    union = merged(some)
    assert covered(union) == covered(some)
    assert all(a.end_ns < b.start_ns for a, b in pairwise(union))
    left = without([Gap(*one) for one in some], others)
    assert covered(left) == covered(some) - covered(others)
    assert left == merged(left)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 20))
def test_pages_cover_a_gap(start: int, length: int, step: int) -> None:
    found = pages(Gap(start, start + length), step)
    assert covered(found) == set(range(start, start + length))
    assert found == sorted(found, reverse=True)
    assert all(0 < b - a <= step for a, b in found)


def test_what_the_venue_lacks_is_remembered(store: Store) -> None:
    mine = TableId.of(SYMBOL, 'bars_1s')
    other = TableId.of(SYMBOL, 'bars_60s')
    assert absent_ranges(store.root, store.options, mine) == []
    for at in range(70 if store.options == {} else 3):
        note_absent(
            store.root, store.options, mine, [(at * 10, at * 10 + 5)]
        )
    note_absent(store.root, store.options, mine, [(3, 12)])
    note_absent(store.root, store.options, other, [(1000, 2000)])
    found = absent_ranges(store.root, store.options, mine)
    assert found[0] == (0, 15)
    assert (1000, 2000) not in found
    assert absent_ranges(store.root, store.options, other) == [(1000, 2000)]
    assert store.ls() == []


class Venue:
    """Has every bar but those it is told not to have."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.at: list[float] = []
        self.fails: dict[int, Exception] = {}
        self.empty: list[int] = []

    async def bars(
        self, instrument: Any, period_s: int, start_ns: int, end_ns: int, *,
        background: bool = False,
    ) -> Any:
        assert background
        start, end = start_ns // S, end_ns // S
        self.asked.append((start, end))
        self.at.append(trio.current_time())
        await trio.sleep(0.01)
        if end in self.fails:
            raise self.fails.pop(end)
        return bars([] if end in self.empty else range(start, end))


class Tables:
    """Stands in for `StoreClient`, with a store in memory."""

    def __init__(self, *gaps: tuple[int, int]) -> None:
        self.gaps = [Gap(a * S, b * S) for a, b in gaps]
        self.absent: list[Gap] = []
        self.commits = 0
        self.fail = False

    async def missing(
        self, symbol: str, period_s: int, end_ns: int
    ) -> list[Gap]:
        return without(self.gaps, [*self.absent, (end_ns, 1 << 62)])

    async def add_bars(self, symbol: str, period_s: int, rows: Any) -> None:
        if self.fail:
            raise StorageError('no space')
        self.commits += 1
        times = rows['time'].tolist()
        assert times == sorted(set(times))
        self.gaps = without(self.gaps, [(t, t + S) for t in times])

    async def note_absent(
        self, symbol: str, period_s: int, ranges: Any
    ) -> None:
        self.absent += ranges


@pytest.fixture
def venue() -> Venue:
    return Venue()


@pytest.fixture
def filling(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Fill the tables' gaps while the body runs."""
    memory = SimpleNamespace(first=FIRST, period_ns=S)
    monkeypatch.setattr(
        'piker.data.gapfill.Bars', SimpleNamespace(attach=lambda _: memory)
    )

    @asynccontextmanager
    async def make(tables: Tables) -> AsyncIterator[Any]:
        ready = trio.Event()
        ready.set()
        reader = SimpleNamespace(backfilling=False)
        feed = SimpleNamespace(
            instrument=SimpleNamespace(id=SYMBOL), ready=ready,
            info=lambda: SimpleNamespace(bars={1: 'name'}),
            ring=SimpleNamespace(reader=lambda: reader),
        )
        filler: Any = GapFiller(
            SimpleNamespace(backend=venue), tables  # type: ignore[arg-type]
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(filler.fill, feed)
            yield SimpleNamespace(
                filler=filler, reader=reader, memory=memory, feed=feed
            )
            nursery.cancel_scope.cancel()
        assert filler.left(SYMBOL) == (0, 0)

    return make


async def test_newest_first_at_a_gentle_pace(
    autojump_clock: Any, filling: Any, venue: Venue
) -> None:
    tables = Tables((10, 3010), (5000, 5001), (9000, 9100), (9990, 10020))
    async with filling(tables) as at:
        await trio.sleep(0.2)
        # the newest is being asked for, up to what is in memory
        assert venue.asked == [(9990, FIRST)]
        assert at.filler.left(SYMBOL) == (4, 3111)
        await trio.sleep(20)
        assert at.filler.left(SYMBOL) == (0, 0)
    assert venue.asked == [
        (9990, FIRST), (9000, 9100), (5000, 5001),
        (2010, 3010), (1010, 2010), (10, 1010),
    ]
    assert tables.gaps == [(FIRST * S, 10020 * S)]
    steps = [b - a for a, b in pairwise(venue.at)]
    assert min(steps) >= 0.25


async def test_pages_are_stored_together_and_progress_is_seen(
    autojump_clock: Any, filling: Any, venue: Venue
) -> None:
    tables = Tables((0, 9500))
    seen = set()
    async with filling(tables) as at:
        for _ in range(100):
            await trio.sleep(0.1)
            seen.add(at.filler.left(SYMBOL).bars)
    assert tables.commits == 2
    assert seen == {9500, 1500, 0}


async def test_it_waits_for_history_that_is_being_loaded(
    autojump_clock: Any, filling: Any, venue: Venue
) -> None:
    tables = Tables((100, 200), (9000, 9900))
    async with filling(tables) as at:
        at.reader.backfilling = True
        await trio.sleep(5)
        asked = len(venue.asked)
        # somebody scrolls back meanwhile
        at.memory.first = 150
        at.reader.backfilling = False
        await trio.sleep(5)
    assert asked <= 1
    assert venue.asked[asked:] == [(100, 150)]


async def test_an_empty_answer_is_not_asked_for_again(
    autojump_clock: Any, filling: Any, venue: Venue
) -> None:
    venue.empty = [3000]
    tables = Tables((10, 20), (1500, 3000))
    async with filling(tables):
        await trio.sleep(10)
        first = list(venue.asked)
        await trio.sleep(2 * 3600)
    assert first == [(2000, 3000), (1500, 2000), (10, 20)]
    assert venue.asked == first
    assert tables.absent == [(2000 * S, 3000 * S)]


async def test_a_venue_that_fails_is_asked_again_later(
    autojump_clock: Any, filling: Any, venue: Venue
) -> None:
    venue.fails = {
        900: VenueRefused('not that one'), 500: VenueDown('out')
    }
    tables = Tables((10, 20), (400, 500), (800, 900), (1000, 3000))
    async with filling(tables):
        await trio.sleep(3)
        # what came before the fault is stored all the same
        assert venue.asked[-1] == (400, 500)
        assert tables.gaps[-1] == (800 * S, 900 * S)
        await trio.sleep(20)
    assert tables.gaps == []
    assert sum(b - a for a, b in venue.asked) == 2210 + 100 + 100


async def test_a_store_that_fails_is_tried_again(
    autojump_clock: Any, filling: Any, venue: Venue
) -> None:
    tables = Tables((10, 20))
    tables.fail = True
    async with filling(tables) as at:
        await trio.sleep(30)
        assert at.filler.left(SYMBOL) == (1, 10)
        assert len(venue.asked) <= 4
        tables.fail = False
        await trio.sleep(600)
        assert tables.gaps == []
        assert at.filler.left(SYMBOL) == (0, 0)


async def test_feeds_take_turns(
    autojump_clock: Any, filling: Any, venue: Venue
) -> None:
    tables = Tables((0, 9000))
    async with filling(tables) as at:
        await trio.sleep(0.1)
        other = SimpleNamespace(**vars(at.feed))
        other.instrument = SimpleNamespace(id='ethusdt.sim')
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.filler.fill, other)
            await trio.sleep(2)
            nursery.cancel_scope.cancel()
    ends = [end for _, end in venue.asked]
    # page for page, the first one but one request ahead
    assert ends[1:7] == [9000, 8000, 8000, 7000, 7000, 6000]
    steps = [b - a for a, b in pairwise(venue.at)]
    assert min(steps) >= 0.25


async def test_a_restart_goes_on(
    autojump_clock: Any, filling: Any, venue: Venue
) -> None:
    tables = Tables((0, 9500))
    async with filling(tables):
        # eight pages are stored, the ninth is being asked for
        await trio.sleep(8 * 0.26 + 0.005)
    assert len(venue.asked) == 9
    assert tables.gaps == [(0, 1500 * S)]
    async with filling(tables):
        await trio.sleep(5)
    assert venue.asked[9:] == [(500, 1500), (0, 500)]
    assert tables.gaps == []
