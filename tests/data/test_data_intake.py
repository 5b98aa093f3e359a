"""Taking ticks in by columns, held equal to taking them in by rows."""
from __future__ import annotations

import math
import os
import uuid

import pytest
from fake_venue import T0, columns, instrument, quote, trade
from hypothesis import event, given, settings
from hypothesis import strategies as st

from piker.clock import NS_PER_MS, NS_PER_S, ManualClock
from piker.data.backfill import History
from piker.data.bars import Bars, BarWriter
from piker.data.intake import Intake
from piker.data.sampling import BarBuilder
from piker.data.ticks import TickWriter
from piker.data.ticktypes import is_trade

DAY_NS = 86400 * NS_PER_S
EVENING = T0 // DAY_NS * DAY_NS + DAY_NS - 4 * NS_PER_S
PERIODS_S = (1, 60)
# the instrument's grid: 0.01 and 0.001
TIME, PRICE, SIZE, ID, COUNT = 0, 4, 5, 6, 7


class Side:
    """An intake with memory of its own."""

    def __init__(self, start=T0, capacity=64, next_id=0):
        stem = f'pt{os.getpid()}-{uuid.uuid4().hex[:8]}-'
        self.ring = TickWriter(f'{stem}ticks', 'x.fake', capacity=capacity)
        self.clock = ManualClock(start + NS_PER_S)
        self.holes = []
        self.intake = Intake(
            instrument('x'), self.ring, self.clock,
            lambda *hole: self.holes.append(hole),
        )
        for period_s in PERIODS_S:
            writer = BarWriter(
                f'{stem}{period_s}s', 'x.fake', period_s,
                start // (period_s * NS_PER_S), capacity=1 << 9, back=1 << 4,
            )
            builder = BarBuilder(writer, 3, 100.0)
            builder.advance(start)
            self.intake.builders[period_s] = builder
        top = (99.0, 1.0, 101.0, 1.0)
        self.intake.begin(History(start, start, last=100.0, top=top), start)
        self.intake.next_id = next_id

    def unlink(self):
        self.ring.unlink()
        for builder in self.intake.builders.values():
            builder.writer.unlink()

    def state(self):
        """Everything that a reader or a later tick can see."""
        bars = [
            Bars.attach(b.writer.segment_name)
            for b in self.intake.builders.values()
        ]
        kept = {
            k: v for part in (self.intake, self.intake._numbering)
            for k, v in vars(part).items()
            if k not in {
                'ring', 'builders', '_clock', '_on_hole', '_numbering',
            }
        }
        return [
            *(c.tolist() for c in self.ring.segment.columns.values()),
            self.ring.segment.words.tolist(),
            *(buffer.read().tolist() for buffer in bars),
            *(buffer.changes for buffer in bars),
            *(b.amended for b in self.intake.builders.values()),
            self.holes, kept,
        ]


def changed(row, at, value):
    return (*row[:at], value, *row[at + 1:])


def fault(field, *values):
    return st.sampled_from(values).map(
        lambda value: lambda row: changed(row, field, value)
    )


QUOTE_FAULTS = st.one_of(
    fault(PRICE, math.nan, math.inf, -1.0, -0.0, 0.0, 100.005, 1e300),
    fault(SIZE, math.nan, math.inf, -1.0, 0.0, 1e300, 1e12),
    fault(ID, -1, 0, 1 << 40, 1 << 58, 1 << 63),
)
TRADE_FAULTS = QUOTE_FAULTS | st.one_of(
    fault(COUNT, 0, -3, 1 << 32, (1 << 32) - 1),
    fault(TIME, 0, T0 - 1, EVENING, EVENING + DAY_NS, 1 << 62),
)


@st.composite
def batches(draw, start):
    """What reads bring: mostly in order, with faults here and there."""
    found = []
    id_, update, t_ms = 0, 0, 0
    for _ in range(draw(st.integers(1, 6))):
        rows = []
        for _ in range(draw(st.integers(1, 30))):
            t_ms += draw(st.sampled_from([0, 0, 1, 7, 400, 1100]))
            t_ns = start + t_ms * NS_PER_MS
            if draw(st.booleans()):
                price = draw(st.integers(9900, 10100)) / 100
                size = draw(st.integers(1, 5000)) / 1000
                count = draw(st.integers(1, 3))
                rows.append(trade(id_, t_ns, price, size, count))
                id_ += 1
            else:
                update += draw(st.integers(0, 3))
                both = quote(update, 99.0 + update % 7, 101.0, t_ns)
                rows += both[:draw(st.sampled_from([2, 2, 1]))]
        for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
            at = draw(st.integers(0, len(rows) - 1))
            match draw(st.sampled_from(['fault', 'drop', 'twice', 'swap'])):
                case 'fault':
                    rows[at] = draw(
                        TRADE_FAULTS if is_trade(rows[at]) else QUOTE_FAULTS
                    )(rows[at])
                case 'drop' if len(rows) > 1:
                    del rows[at]
                case 'twice':
                    rows.insert(at, rows[at])
                case 'swap':
                    rows[at - 1], rows[at] = rows[at], rows[at - 1]
        found.append(rows)
    return found


def taken(side, rows):
    """Take rows by columns where that can be; returns what is left over."""
    try:
        many = columns(rows)
    except OverflowError:
        event('does not fit into columns')
        return side.intake.take(rows)
    before = side.state()
    if side.intake.take_columns(many):
        event('by columns')
        return []
    event('by rows')
    assert repr(side.state()) == repr(before)
    return side.intake.take(rows)


@settings(deadline=None, max_examples=150)
@given(st.data(), st.sampled_from([T0, EVENING]), st.booleans())
def test_columns_do_what_rows_do(data, start, first):
    want, got = (Side(start, next_id=None if first else 0) for _ in range(2))
    try:
        for rows in data.draw(batches(start)):
            for side in (want, got):
                side.clock.set_ns(max(side.clock.now_ns(), rows[0][0]))
            left = want.intake.take(rows)
            assert repr(taken(got, rows)) == repr(left)
            for side in (want, got):
                side.intake.take(left, final=True)
            # NaN equals NaN in print
            assert repr(got.state()) == repr(want.state())
    finally:
        want.unlink()
        got.unlink()


def plain(many=40):
    """A read without anything odd about it, as long as the ring or longer."""
    rows = []
    for k in range(many):
        t_ns = T0 + k * 50 * NS_PER_MS
        rows += quote(k, 99.0, 101.0, t_ns)
        rows.append(trade(k, t_ns, 100.0 + k % 3, 0.1 * (k + 1)))
    return rows


def test_a_plain_read_goes_by_columns():
    want, got = Side(), Side()
    try:
        for rows in (plain()[:7], plain()[7:]):
            assert got.intake.take_columns(columns(rows))
            assert not want.intake.take(rows)
            assert got.state() == want.state()
        assert got.ring.reader().counters['trades'] == 40
        bars = Bars.attach(got.intake.builders[1].writer.segment_name).read()
        assert bars['trades'].tolist() == [20, 20]
    finally:
        want.unlink()
        got.unlink()


@pytest.mark.parametrize('odd', [
    trade(41, T0), trade(39, T0), trade(40, T0 - 1), trade(40, T0, 100.005),
    trade(40, T0, 0.0), trade(40, T0, 100.0, 0.0), trade(40, T0, count=0),
    trade(40, T0, size=1e300), trade(40, T0, size=1e12),
    trade(40, T0 + DAY_NS), trade(40, T0 + 2 * 3600 * NS_PER_S),
    quote(38, 99.0, 101.0)[0], quote(41, math.nan, 101.0)[0],
    quote(41, -1.0, 101.0)[0], quote(-1, 99.0, 101.0)[0],
])
def test_what_is_odd_is_left_to_the_rows(odd):
    side = Side()
    try:
        rows = [changed(row, 0, T0) for row in plain()]
        assert side.intake.take_columns(columns(rows))
        before = side.state()
        assert not side.intake.take_columns(columns([odd]))
        assert not side.intake.take_columns(columns([
            *quote(40, 98.0, 102.0), odd
        ]))
        assert repr(side.state()) == repr(before)
    finally:
        side.unlink()
