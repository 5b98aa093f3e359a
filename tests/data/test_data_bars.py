"""The buffer of bars against a plain list of them."""
from __future__ import annotations

import os
import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from piker.clock import NS_PER_S
from piker.data.bars import BAR_DTYPE, BAR_FIELDS, Bars, BarWriter, flat_fill
from piker.data.shm import Segment
from piker.errors import DataError, SegmentGone

START = 1000
PERIOD_S = 5
PERIOD_NS = PERIOD_S * NS_PER_S

values = st.tuples(
    *[st.floats(0, 1e9, allow_subnormal=False)] * 6, st.integers(0, 1 << 40)
)


def rows_of(index, many):
    """Consecutive bars from ``index`` on."""
    rows = np.zeros(len(many), BAR_DTYPE)
    for at, one in enumerate(many):
        rows[at] = ((index + at) * PERIOD_NS, *one)
    return rows


class BarsMachine(RuleBasedStateMachine):
    """
    Grow at both ends, with a reader from the start and fresh ones since.
    """

    def __init__(self):
        super().__init__()
        self.stem = f'pt{os.getpid()}-{uuid.uuid4().hex[:8]}'
        self.writer = BarWriter(
            self.stem, 'x.sim', PERIOD_S, START, capacity=4, back=2
        )
        self.reader = Bars.attach(self.writer.segment_name)
        self.first, self.model = START, []
        self.changes = 0

    def teardown(self):
        names = [p.name for p in Path('/dev/shm').glob(f'{self.stem}*')]
        self.writer.unlink()
        assert names == [self.writer.segment_name]

    @rule(one=values)
    def append(self, one):
        index = self.writer.append(*one)
        assert index == self.first + len(self.model)
        *_, close, _volume, vwap, _trades = one
        self.model.append((*one[:5], vwap or close, one[6]))
        self.changes += 1

    @precondition(lambda self: self.model)
    @rule(data=st.data(), one=values)
    def update(self, data, one):
        at = data.draw(st.integers(0, len(self.model) - 1))
        self.writer.update(self.first + at, *one)
        self.model[at] = one
        self.changes += 1

    @rule(many=st.lists(values, min_size=1, max_size=9))
    def prepend(self, many):
        self.writer.prepend(rows_of(self.first - len(many), many))
        self.model[:0] = many
        self.first -= len(many)
        self.changes += 1

    @rule(
        many=st.lists(values, min_size=1, max_size=4),
        off=st.integers(-3, 3).filter(bool),
    )
    def prepend_what_does_not_follow(self, many, off):
        rows = rows_of(self.first - len(many) + off, many)
        with pytest.raises(DataError, match=f'before index {self.first}$'):
            self.writer.prepend(rows)

    @rule()
    def prepend_nothing(self):
        self.writer.prepend(rows_of(0, []))

    @rule(outside=st.integers(1, 5))
    def update_outside(self, outside):
        for index in (self.first - outside,
                      self.first + len(self.model) - 1 + outside):
            with pytest.raises(IndexError):
                self.writer.update(index, 1, 1, 1, 1, 1, 1, 1)

    @invariant()
    def everybody_sees_the_model(self):
        want = rows_of(self.first, self.model)
        late = Bars.attach(self.writer.segment_name)
        for bars in (self.writer, self.reader, late):
            assert (bars.first, bars.next) == (
                self.first, self.first + len(self.model)
            )
            assert len(bars) == len(self.model)
            assert bars.changes == self.changes
            assert np.array_equal(bars.read(), want)
            for field in BAR_FIELDS:
                assert np.array_equal(bars[field], want[field])
        assert self.reader.segment_name == self.writer.segment_name


BarsMachine.TestCase.settings = settings(
    deadline=None, max_examples=40, stateful_step_count=25,
    suppress_health_check=list(HealthCheck),
)
TestBarsMachine = BarsMachine.TestCase


@pytest.fixture
def writer(prefix):
    writer = BarWriter(prefix, 'x.sim', PERIOD_S, START, capacity=8, back=4)
    yield writer
    writer.unlink()


def test_parts_of_the_buffer(writer):
    for at in range(4):
        writer.append(at, at, at, at, at, at, at)
    reader = Bars.attach(writer.segment_name)
    assert reader.view('close', START + 1, START + 3).tolist() == [1, 2]
    assert reader.view('close', 0, START + 2).tolist() == [0, 1]
    assert reader.view('close', START + 3, START + 99).tolist() == [3]
    assert not len(reader.view('close', START + 4, START + 9))
    assert not len(reader.view('close', 5, 2))
    assert reader.read(START + 1, START + 3)['trades'].tolist() == [1, 2]
    assert not len(reader.read(0, 10))
    assert reader.row(START + 2)['time'] == (START + 2) * PERIOD_NS
    assert reader.index_at((START + 3) * PERIOD_NS - 1) == START + 2
    with pytest.raises(IndexError, match=f'{START}..{START + 3}'):
        reader.row(START + 4)


def test_views_are_live_contiguous_and_read_only(writer):
    reader = Bars.attach(writer.segment_name)
    writer.append(1, 2, 3, 4, 5, 6, 7)
    for bars in (reader, writer):
        views = [bars['close'], bars.view('close', START, START + 1)]
        writer.update(START, 1, 2, 3, 44, 5, 6, 7)
        for view in views:
            assert view.dtype == np.float64
            assert view.flags.c_contiguous
            assert view.base is not None
            assert view.tolist() == [44]
            with pytest.raises(ValueError, match='read-only'):
                view[0] = 0
        writer.update(START, 1, 2, 3, 4, 5, 6, 7)
    with pytest.raises(ValueError, match='cannot set WRITEABLE'):
        reader['close'].flags.writeable = True


def test_a_view_outlives_growth_and_the_buffer(writer):
    reader = Bars.attach(writer.segment_name)
    writer.append(1, 1, 1, 1)
    view = reader['close']
    for _ in range(99):
        writer.append(2, 2, 2, 2)
    assert view.tolist() == [1]
    assert len(reader['close']) == 100
    writer.unlink()
    assert reader['close'].sum() == 199
    with pytest.raises(SegmentGone, match='is gone'):
        Bars.attach(writer.segment_name)


def test_a_reader_catches_up_over_many_growths(writer):
    reader = Bars.attach(writer.segment_name)
    for at in range(500):
        writer.append(at, at, at, at)
    writer.prepend(rows_of(START - 500, [(1.0,) * 6 + (1,)] * 500))
    assert len(reader) == 1000
    assert np.array_equal(reader.read(), writer.read())


@pytest.mark.parametrize('version', [1, 3, 0xFFFFFFFF])
def test_a_row_left_half_written_is_told_not_given(writer, version):
    for _ in range(3):
        writer.append(1, 2, 3, 4)
    there = Segment.attach(writer.segment_name, writable=True)
    there.columns['version'][1 + 4] = version
    reader = Bars.attach(writer.segment_name)
    with pytest.raises(DataError, match=f'bar {START + 1} is half written'):
        reader.read()
    assert len(reader.read(START + 2)) == 1
    # whoever writes the row again heals it
    writer.update(START + 1, 9, 9, 9, 9, 9, 9, 9)
    assert reader.read()['close'].tolist() == [4, 9, 4]


def test_two_writers_of_one_name(writer, prefix):
    with pytest.raises(DataError, match='cannot create segment'):
        BarWriter(prefix, 'x.sim', PERIOD_S, START, capacity=8, back=4)


def test_a_segment_that_cannot_be_made_leaves_nothing(prefix):
    with pytest.raises(DataError, match='cannot size segment'):
        Segment.create(prefix, BAR_DTYPE, 1 << 56)
    with pytest.raises(DataError, match='description'):
        Segment.create(prefix, BAR_DTYPE, 1, {'text': 'x' * 4000})
    with pytest.raises(SegmentGone):
        Segment.attach(prefix)


def test_a_segment_is_this_users_alone(prefix):
    segment = Segment.create(prefix, BAR_DTYPE, 10, {'a': 1})
    assert Path('/dev/shm', prefix).stat().st_mode & 0o777 == 0o600
    there = Segment.attach(prefix)
    assert there.meta['a'] == 1
    assert there.dtype == BAR_DTYPE
    assert list(there.columns) == list(BAR_FIELDS)
    segment.columns['close'][9] = 5.5
    segment.words[63] = -1
    assert there.columns['close'][9] == 5.5
    assert there.header[63] == -1
    with pytest.raises((TypeError, ValueError), match='read-only'):
        there.header[0] = 1
    with pytest.raises(ValueError, match='read-only'):
        there.columns['close'][0] = 1
    segment.unlink()
    segment.unlink()
    assert there.columns['close'][9] == 5.5


@settings(deadline=None, max_examples=200)
@given(
    have=st.sets(st.integers(-5, 30)), start=st.integers(-5, 20),
    length=st.integers(0, 20), seed=st.floats(1, 9),
)
def test_flat_bars_fill_every_hole(have, start, length, seed):
    indices = sorted(have)
    rows = np.zeros(len(indices), BAR_DTYPE)
    for at, index in enumerate(indices):
        rows[at] = (index * PERIOD_NS, 1, 4, 0.5, 10 + index, 7, 2, 3)
    before = rows.copy()
    out = flat_fill(rows, start, start + length, PERIOD_NS, seed)
    assert np.array_equal(rows, before)
    assert len(out) == length
    close = seed
    for at, row in enumerate(out):
        index = start + at
        assert row['time'] == index * PERIOD_NS
        if index in have:
            close = 10 + index
            assert row.tolist()[1:] == (1, 4, 0.5, close, 7, 2, 3)
        else:
            flat = (close, close, close, close, 0, close, 0)
            assert row.tolist()[1:] == flat


def test_a_segments_note(prefix):
    segment = Segment.create(prefix, BAR_DTYPE, 10)
    there = Segment.attach(prefix)
    assert there.note == ''
    for text in ('down: öäü', 'x' * 2000, '', 'up'):
        segment.set_note(text)
        assert there.note == text[:503]
    assert there.meta == segment.meta
    segment.header[0] = 1
    assert there.columns['time'][0] == 0
    # a writer that died in it
    segment._note_version[0] += 1
    with pytest.raises(DataError, match='half written'):
        _ = there.note
