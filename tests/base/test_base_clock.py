"""Clocks, and times as text."""
from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piker.clock import (
    NS_PER_MS,
    NS_PER_S,
    ManualClock,
    SteadyClock,
    SystemClock,
    VenueClock,
    format_ns,
    parse_time,
)

HOUR = 3600 * NS_PER_S
deltas = st.integers(-2 * HOUR, 2 * HOUR)
T0 = 1_700_000_000 * NS_PER_S


def test_a_manual_clock_stands_still_until_told():
    clock = ManualClock(5)
    assert clock.now_ns() == clock.now_ns() == 5
    clock.advance_ns(3)
    assert clock.now_ns() == 8
    clock.set_ns(1)
    assert clock.now_ns() == 1


def test_the_system_clock_reads_utc():
    now = datetime.now(UTC).timestamp() * NS_PER_S
    assert abs(SystemClock().now_ns() - now) < 10 * NS_PER_S


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.sampled_from('abso'), deltas), max_size=30))
def test_a_venue_clock_never_runs_backwards_once_synced(moves):
    base = ManualClock(T0)
    clock = VenueClock(base)
    clock.sync(T0, T0, T0)
    newest = clock.now_ns()
    for kind, delta in moves:
        if kind == 'a':
            base.advance_ns(abs(delta))
        elif kind == 'b':
            base.advance_ns(delta)
        elif kind == 's':
            clock.sync(T0 + delta, base.now_ns(), base.now_ns() + 50)
        else:
            before = clock.now_ns()
            clock.observe(before + delta)
        now = clock.now_ns()
        assert now >= newest
        newest = now


def test_the_first_reading_may_turn_a_venue_clock_back():
    base = ManualClock(T0)
    clock = VenueClock(base)
    assert clock.now_ns() == T0
    # asked at 0, answered at 100: the venue read its clock at 50
    clock.sync(T0 - HOUR, T0, T0 + 100)
    assert clock.now_ns() == T0 - HOUR - 50
    # a later one only slows it down …
    clock.sync(T0 - 2 * HOUR, T0, T0)
    assert clock.now_ns() == T0 - HOUR - 50
    base.advance_ns(HOUR + 10)
    assert clock.now_ns() == T0 - HOUR + 10
    # … or pushes it forward
    clock.sync(T0, base.now_ns(), base.now_ns())
    assert clock.now_ns() == T0


def test_a_steady_clock_goes_on_whatever_the_wall_clock_does(monkeypatch):
    wall, boot = T0, 5 * HOUR
    monkeypatch.setattr('time.time_ns', lambda: wall)
    monkeypatch.setattr('time.clock_gettime_ns', lambda which: {
        time.CLOCK_BOOTTIME: boot,
    }[which])
    clock = SteadyClock()
    assert clock.now_ns() == T0
    wall += HOUR
    assert clock.now_ns() == T0
    wall -= 3 * HOUR
    boot += 7
    assert clock.now_ns() == T0 + 7


def test_messages_pull_a_venue_clock_forward_but_not_back():
    base = ManualClock(T0)
    clock = VenueClock(base)
    clock.observe(T0 + 7)
    assert clock.now_ns() == T0 + 7
    clock.observe(T0 + 3)
    assert clock.now_ns() == T0 + 7
    base.advance_ns(10)
    assert clock.now_ns() == T0 + 17


def test_a_message_more_than_an_hour_ahead_is_a_fault():
    clock = VenueClock(ManualClock(T0))
    clock.observe(T0 + HOUR)
    assert clock.now_ns() == T0
    clock.observe(T0 + HOUR - 1)
    assert clock.now_ns() == T0 + HOUR - 1


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 4_000_000_000 * NS_PER_S))
def test_times_read_back_to_the_millisecond(t_ns):
    text = format_ns(t_ns)
    assert parse_time(text) == t_ns // NS_PER_MS * NS_PER_MS


def test_times_as_text():
    assert format_ns(1_723_161_601_437_999_999) == '2024-08-09 00:00:01.437'
    assert parse_time('2024-08-09') == 1_723_161_600 * NS_PER_S
    assert parse_time('2024-08-09T02:00:00+02:00') == parse_time('2024-08-09')
    assert parse_time('2024-08-09T00:00:00.000001Z') % NS_PER_S == 1000
    for text in ('', 'yesterday', '2024-13-01'):
        with pytest.raises(ValueError, match=r'[iI]nvalid|must be|month'):
            parse_time(text)
