"""The ring of ticks against a plain list of all that was written."""
from __future__ import annotations

import os
import uuid

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
)

from piker.data.shm import Segment
from piker.data.ticks import (
    COUNTERS,
    TICK_DTYPE,
    FeedState,
    Kind,
    Side,
    TickColumns,
    TickReader,
    TickWriter,
)
from piker.errors import DataError, SegmentGone

CAPACITY = 8
int64 = st.integers(-(2 ** 63), 2 ** 63 - 1)
rows = st.tuples(
    int64, int64, st.sampled_from([int(k) for k in Kind]),
    st.sampled_from([int(s) for s in Side]), st.floats(), st.floats(), int64,
    st.integers(0, 2 ** 32 - 1),
)


def same(run, at, want):
    """Whether a run is ``want``, numbered from ``at`` on."""
    assert run.seq.dtype == np.uint64
    assert run.seq.tolist() == list(range(at, at + len(want)))
    for field, column in zip(
        TICK_DTYPE.names, zip(*want, strict=True), strict=True
    ):
        got = getattr(run, field)
        assert got.dtype == TICK_DTYPE[field]
        assert np.array_equal(
            got, np.array(column, TICK_DTYPE[field]),
            equal_nan=got.dtype.kind == 'f',
        )


class RingMachine(RuleBasedStateMachine):
    """One writer; readers that come at any time and read any amount."""

    readers = Bundle('readers')

    def __init__(self):
        super().__init__()
        name = f'pt{os.getpid()}-{uuid.uuid4().hex[:8]}'
        self.writer = TickWriter(name, 'x.sim', capacity=CAPACITY)
        self.written = []
        self.places = {}

    def teardown(self):
        self.writer.unlink()

    @rule(many=st.lists(rows, max_size=3 * CAPACITY))
    def write(self, many):
        assert self.writer.write(iter(many)) == len(many)
        self.written += many

    @rule(many=st.lists(rows, min_size=1, max_size=3 * CAPACITY))
    def write_columns(self, many):
        arrays = [
            np.array(column, 'i8' if name == 'count' else TICK_DTYPE[name])
            for name, column in zip(
                TICK_DTYPE.names, zip(*many, strict=True), strict=True
            )
        ]
        columns = TickColumns(*arrays)
        assert repr(columns.rows()) == repr(many)
        assert repr(columns.row(-1)) == repr(many[-1])
        self.writer.write_columns(columns)
        self.written += many

    @rule(target=readers, from_start=st.booleans(), attach=st.booleans())
    def come(self, from_start, attach):
        if attach:
            reader = TickReader.attach(
                self.writer.segment.name, from_start=from_start
            )
        else:
            reader = self.writer.reader(from_start=from_start)
        total = len(self.written)
        place = max(0, total - CAPACITY) if from_start else total
        assert reader.position == place
        self.places[id(reader)] = [place, 0]
        return reader

    @rule(reader=readers, limit=st.none() | st.integers(1, 2 * CAPACITY))
    def read(self, reader, limit):
        place, missed = self.places[id(reader)]
        total = len(self.written)
        assert reader.pending == total - place
        run = reader.read() if limit is None else reader.read(limit)
        if place == total:
            assert run is None
            return
        lost = max(0, total - CAPACITY - place)
        stop = total
        if limit is not None:
            stop = min(total, place + lost + limit)
        assert run.missed == lost
        same(run, place + lost, self.written[place + lost:stop])
        assert reader.missed == missed + lost
        self.places[id(reader)] = [stop, missed + lost]

    @invariant()
    def all_is_counted(self):
        assert self.writer.reader().written == len(self.written)


RingMachine.TestCase.settings = settings(
    deadline=None, max_examples=40, stateful_step_count=25,
    suppress_health_check=list(HealthCheck),
)
TestRingMachine = RingMachine.TestCase


@pytest.fixture
def writer(prefix):
    writer = TickWriter(f'{prefix}ticks', 'x.sim', capacity=CAPACITY)
    yield writer
    writer.unlink()


def ticks(start, stop):
    return [(k, k, 1, 1, float(k), 1.0, k, 1) for k in range(start, stop)]


class Interrupted:
    """Header words; the writer goes on right after the nth look at one."""

    def __init__(self, words, at, then):
        self._words, self._at, self._then = words, at, then
        self.looks = 0

    def __getitem__(self, at):
        value = self._words[at]
        self.looks += 1
        if self.looks == self._at:
            self._then()
        return value


@pytest.mark.parametrize('look', range(1, 7))
@pytest.mark.parametrize('limit', [1, 3, 100])
@pytest.mark.parametrize('many', [1, 5, 7, 8, 9, 20, 50])
def test_a_writer_that_goes_on_in_the_middle_of_a_read(
    writer, look, limit, many
):
    writer.write(ticks(0, 6))
    reader = writer.reader(from_start=True)
    # whatever the reader was looking at: `many` more are written then
    words = reader._words
    reader._words = Interrupted(
        words, look, lambda: writer.write(ticks(6, 6 + many))
    )
    position = 0
    while (run := reader.read(limit)) is not None:
        assert len(run)
        position += run.missed
        same(run, position, ticks(position, position + len(run)))
        position += len(run)
    reader._words = words
    while (run := reader.read(limit)) is not None:
        position += run.missed
        same(run, position, ticks(position, position + len(run)))
        position += len(run)
    assert position == reader.position == writer.reader().written


def test_what_was_lapped_while_nothing_could_be_read_is_told_later(writer):
    reader = writer.reader()
    writer.write(ticks(0, 3))
    # announced, and not committed yet: all that could be read is gone
    writer.segment.header[0] = 3 + CAPACITY
    assert reader.read() is None
    assert reader.missed == 3
    writer.segment.header[0] = 3
    writer.write(ticks(3, 5))
    run = reader.read()
    assert run.missed == 3
    same(run, 3, ticks(3, 5))
    writer.write(ticks(5, 6))
    assert reader.read().missed == 0
    assert reader.missed == 3


def test_runs_are_copies(writer):
    reader = writer.reader()
    writer.write(ticks(0, 4))
    run = reader.read()
    writer.write(ticks(4, 30))
    same(run, 0, ticks(0, 4))


def test_what_a_run_offers(writer):
    reader = writer.reader()
    writer.write([
        (1, 2, Kind.TRADE, Side.BUY, 3.0, 4.0, 5, 6),
        (1, 2, Kind.BID, 0, 2.5, 4.0, 9, 0),
        (1, 2, Kind.ASK, 0, 3.5, 4.0, 9, 0),
        (7, 8, Kind.TRADE, Side.SELL, 3.0, 4.0, 6, 1),
    ])
    run = reader.read()
    assert run.trades.seq.tolist() == [0, 3]
    assert run.trades.side.tolist() == [1, -1]
    assert list(run.trades.rows())[1] == {
        'seq': 3, 'time': 7, 'recv': 8, 'kind': 1, 'side': -1, 'price': 3.0,
        'size': 4.0, 'id': 6, 'count': 1,
    }


def test_the_quote_changes_as_one(writer):
    reader = TickReader.attach(writer.segment.name)
    writer.set_quote(last=5.0, bid=4.0, bid_size=1.0, time=7)
    quote = reader.quote()
    assert (quote.last, quote.bid, quote.bid_size, quote.time) == (5, 4, 1, 7)
    assert quote.ask == 0
    writer.set_quote(ask=6, quote_time=2 ** 62 + 1)
    quote = reader.quote()
    assert (quote.last, quote.ask, quote.quote_time) == (5, 6, 2 ** 62 + 1)
    assert quote.as_dict()['quote_time'] == 2 ** 62 + 1
    assert set(quote.as_dict()) == set(quote.__slots__)


def test_a_quote_left_half_written(writer):
    there = Segment.attach(writer.segment.name, writable=True)
    there.header[4] += 1
    with pytest.raises(DataError, match=r'x\.sim: the latest quote is half'):
        writer.reader().quote()


def test_what_the_writer_says_of_itself(writer):
    reader = TickReader.attach(writer.segment.name)
    assert reader.state is FeedState.STARTING
    assert reader.counters == dict.fromkeys(COUNTERS, 0)
    assert not reader.backfilling
    for at, name in enumerate(COUNTERS):
        writer.count(name, at + 1)
    writer.count('trades')
    assert reader.counters == {
        name: at + 1 + (name == 'trades') for at, name in enumerate(COUNTERS)
    }
    writer.set_state(FeedState.STALE)
    writer.set_backfilling(True)
    writer.beat(5)
    writer.heard(6)
    assert reader.state is FeedState.STALE
    assert reader.state.label == 'stale'
    assert reader.backfilling is True
    assert (reader.beat_ns, reader.heard_ns) == (5, 6)
    # none of it reaches into the quote beside it
    assert set(reader.quote().as_dict().values()) == {0}
    assert reader.instrument == 'x.sim'


def test_a_ring_that_is_gone(writer):
    reader = TickReader.attach(writer.segment.name, from_start=True)
    writer.write(ticks(0, 2))
    writer.unlink()
    assert len(reader.read()) == 2
    with pytest.raises(SegmentGone, match='is gone'):
        TickReader.attach(writer.segment.name)
