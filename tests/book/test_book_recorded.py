"""
Recorded messages of the venue: typed decoding, and the book they make.
"""
from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from plain_book import PlainBook, assert_same, segment_name
from pydantic import ValidationError

from piker.brokers.binance.decode import Router, stream_name
from piker.brokers.binance.depth import DepthAnswer, DepthUpdate
from piker.clock import ManualClock, VenueClock
from piker.data.book import BookState, BookWriter
from piker.data.depth import DepthEvent, DepthSnapshot, DepthSync


def depth_messages(path: Path, symbol: str) -> Iterator[bytes]:
    """The messages of a recording's depth stream."""
    head = b'{"stream":"%s@depth@100ms"' % symbol.encode()
    with gzip.open(path) as lines:
        for line in lines:
            message = line.partition(b' ')[2].strip()
            if message.startswith(head):
                yield message


class Changes:
    """A sink of one book's changes, which takes no refusal."""

    def __init__(self) -> None:
        self.got: list[DepthEvent] = []

    def rows(self, rows: list[DepthEvent]) -> None:
        self.got += rows

    def refused(self, count: int) -> None:
        raise ValueError('refused')


def decode(message: bytes) -> DepthEvent:
    sink, router = Changes(), Router(VenueClock(ManualClock()))
    router.add([stream_name(message).decode()], sink)
    router.route([message], 7)
    return sink.got[0]


def changes(message: bytes) -> tuple[Any, Any]:
    data = json.loads(message)['data']
    return tuple(
        [(float(p), float(s)) for p, s in data[side]] for side in 'ba'
    )


def test_decoding_equals_the_model(recordings: Path) -> None:
    path = recordings / 'btcusdt_20240809.gz'
    for message in depth_messages(path, 'btcusdt'):
        data = json.loads(message)['data']
        assert decode(message) == (
            DepthUpdate.model_validate(data).to_event(7)
        )


number = st.one_of(
    st.floats().map(str), st.text(max_size=3), st.none(),
    st.sampled_from(['1.5', '0', '-1', 'NaN', 'inf', '1e400', '']),
)


@given(st.fixed_dictionaries({
    'e': st.just('depthUpdate'), 'E': st.integers(0, 2**41),
    'U': st.integers(-1, 9), 'u': st.integers(-1, 9),
    'b': st.lists(st.tuples(number, number), max_size=2),
    'a': st.lists(st.lists(number, max_size=3), max_size=1),
    'new': st.integers(),
}))
@settings(max_examples=300)
def test_refusals_equal_the_model(data: dict[str, Any]) -> None:
    """What one takes the other takes, and nothing else."""
    message = json.dumps({'stream': 'x@depth@100ms', 'data': data}).encode()
    try:
        want = DepthUpdate.model_validate(data).to_event(7)
    except ValidationError:
        with pytest.raises(ValueError, match='refused'):
            decode(message)
    else:
        assert decode(message) == want


def test_book_of_a_busy_day(recordings: Path) -> None:
    """
    After every event the same as the plainest book, also in shared memory.

    The recording has no snapshot: one is made of its first minute.
    """
    want, sync = PlainBook(), DepthSync()
    messages = list(depth_messages(
        recordings / 'btcusdt_20240809.gz', 'btcusdt'
    ))
    first, rest = messages[:600], messages[600:]
    for message in first:
        want.apply(*changes(message))
    snapshot = DepthSnapshot(
        decode(first[-1]).last, 0, 0, want.best_bids(), want.best_asks()
    )
    sync.put([decode(message) for message in first[-20:]])
    assert sync.load(snapshot)
    assert sync.counters['covered'] == 20
    writer = BookWriter(segment_name(), 'btcusdt.sim', 100)
    try:
        reader = writer.reader()
        for message in rest:
            want.apply(*changes(message))
            sync.put([decode(message)])
            writer.write(sync, BookState.LIVE)
            assert sync.synced
            book = reader.read()
            assert book.bids.rows() == want.best_bids()[:100]
            assert book.asks.rows() == want.best_asks()[:100]
    finally:
        writer.unlink()
    assert_same(sync, want)
    assert sync.counters['gaps'] == 0
    assert np.all(np.diff(book.bids.price) < 0)
    assert np.all(np.diff(book.asks.price) > 0)


def test_books_with_the_venue_s_snapshot(recordings: Path) -> None:
    """Streams and REST snapshots recorded together join without a gap."""
    snapshots = {}
    with gzip.open(recordings / 'depth_20211012.gz', 'rt') as lines:
        for line in lines:
            head, found, body = line.partition(': {')
            if found:
                symbol = head.partition('symbol=')[2].partition('&')[0]
                snapshots[symbol.lower()] = json.loads('{' + body)
    joined = 0
    for symbol, answer in snapshots.items():
        snapshot = DepthAnswer.model_validate(answer).to_snapshot(0, 0)
        snapshot = snapshot._replace(limit=1000)
        sync = DepthSync()
        want = PlainBook()
        want.apply(snapshot.bids, snapshot.asks)
        messages = depth_messages(recordings / 'ws_20211012.gz', symbol)
        for at, message in enumerate(messages):
            event = decode(message)
            sync.put([event])
            if at == 0:
                assert sync.load(snapshot)
            if event.last > snapshot.update_id:
                want.apply(event.bids, event.asks)
                joined += 1
            assert sync.synced
            assert_same(sync, want)
    assert len(snapshots) == 4
    assert joined > 100
