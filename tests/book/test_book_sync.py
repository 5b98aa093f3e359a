"""
Whatever comes in whatever order, a book that says it is whole is the venue's.
"""
from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings
from plain_book import PlainBook, Venue, assert_same

from piker.data.depth import BookSide, DepthEvent, DepthSnapshot, DepthSync

price = st.integers(1, 12).map(float)
size = st.sampled_from([0.0, 0.0, 1.0, 2.5, 7.0])
levels = st.lists(st.tuples(price, size), max_size=4)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_order(data: Any) -> None:
    """
    Events are lost, doubled and late, snapshots are old and cut, the
    connection breaks: whenever the book is whole, it is exact; and once
    everything arrives again, it is whole after one snapshot.
    """
    venue, sync = Venue(), DepthSync()
    limit = data.draw(st.sampled_from([0, 2, 5]))
    on_way: list[DepthEvent] = []
    answers: list[DepthSnapshot] = []
    for _ in range(data.draw(st.integers(1, 25))):
        action = data.draw(st.sampled_from([
            'change', 'change', 'deliver', 'deliver', 'deliver', 'lose',
            'double', 'late', 'ask', 'snapshot', 'answer', 'restart',
        ]))
        if action == 'change':
            on_way.append(venue.change(
                data.draw(levels), data.draw(levels),
                data.draw(st.integers(1, 3)),
            ))
        elif action == 'deliver' and on_way:
            sync.put([on_way.pop(0)])
        elif action == 'lose' and on_way:
            on_way.pop(0)
        elif action == 'double' and on_way:
            sync.put([on_way[0], on_way[0]])
        elif action == 'late' and len(on_way) > 1:
            sync.put([on_way.pop(1)])
        elif action == 'ask':
            sync.asked()
        elif action == 'snapshot':
            answers.append(venue.snapshot(limit))
        elif action == 'answer' and answers:
            sync.load(answers.pop(0))
        elif action == 'restart':
            sync.restart()
            assert not sync.synced
            # the numbers may begin anywhere, also lower
            on_way.clear()
            answers.clear()
            venue.states.clear()
            venue.update_id = data.draw(st.integers(1, 200))
        if sync.synced and sync.update_id in venue.states:
            assert_same(sync, venue.states[sync.update_id])
    sync.put(on_way)
    sync.asked()
    if sync.load(venue.snapshot()):
        sync.put([venue.change([(3.0, 9.0)], [(4.0, 9.0)], 1)])
    assert sync.synced
    assert sync.update_id == venue.update_id
    assert_same(sync, venue.book)


@given(st.lists(levels), st.integers(1, 6))
def test_cut_side(changes: list[list[tuple[float, float]]], n: int) -> None:
    """Of a side that was cut, what is known has no hole."""
    for sign in (1, -1):
        full = PlainBook()
        full.apply([], [(float(p), 1.0) for p in range(1, 13)])
        best = full.best_asks()[::sign]
        side = BookSide(sign)
        side.load(best[:n], n)
        for change in changes:
            full.apply([], change)
            side.put(change)
            have = side.levels()
            assert have == full.best_asks()[::sign][:len(have)]
            assert side.cut


def test_rules() -> None:
    """The venue's own procedure, step by step."""
    def event(first: int, last: int) -> DepthEvent:
        return DepthEvent(first, last, 0, 0, [(1.0, float(last))], [])

    def snapshot(update_id: int) -> DepthSnapshot:
        return DepthSnapshot(update_id, 0, 0, [(2.0, 2.0)], [])

    sync = DepthSync()
    sync.put([event(11, 15), event(16, 20)])
    assert not sync.synced
    assert not sync.load(snapshot(9)), 'older than the first event'
    assert sync.counters['old_snapshots'] == 1
    # what it contains is dropped, what goes beyond it is put on top
    assert sync.load(snapshot(17))
    assert sync.synced
    assert sync.update_id == 20
    assert sync.counters['covered'] == 1
    assert sync.bids.levels() == [(2.0, 2.0), (1.0, 20.0)]
    sync.put([event(16, 20)])
    assert sync.counters['duplicates'] == 1
    sync.put([event(24, 25)])
    assert not sync.synced
    assert sync.counters['gaps'] == 1
    sync.put([event(26, 27)])
    assert sync.counters['gaps'] == 1, 'the same one'
    assert sync.update_id == 20, 'nothing is put on top of a hole'
    assert not sync.load(snapshot(22)), 'the hole goes on to 23'
    sync.put([event(21, 23)])
    assert sync.synced, 'what was missing came late'
    assert sync.update_id == 27
    assert sync.counters['healed'] == 1
    sync.put([event(30, 31)])
    assert sync.load(snapshot(29))
    assert sync.update_id == 31
    assert sync.counters['gaps'] == 2
    assert sync.counters['resyncs'] == 1


def test_quiet_market() -> None:
    """A snapshot alone is the book; the first event says if it was late."""
    sync = DepthSync()
    sync.asked()
    assert sync.load(DepthSnapshot(5, 0, 0, [(1.0, 1.0)], []))
    assert sync.synced
    sync.put([DepthEvent(8, 9, 0, 0, [], [])])
    assert not sync.synced


def test_renewed_by_an_older_snapshot() -> None:
    """A snapshot that took its time does not turn the book back."""
    venue, sync = Venue(), DepthSync()
    sync.put([venue.change([(float(n), 1.0)], [], 1) for n in (1, 2, 3)])
    sync.load(venue.snapshot())
    sync.asked()
    old = venue.snapshot()
    sync.put([venue.change([(4.0, 1.0)], [], 1)])
    assert sync.load(old)
    assert_same(sync, venue.book)
    assert not sync.load(old), 'that one cannot be brought up to date'
    assert_same(sync, venue.book)
