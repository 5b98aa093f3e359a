"""
Hours of the soak of a week: midnight, leaps of clocks, rollover.
"""
from __future__ import annotations

import pytest

from bench.soak_week import Week, live_through


@pytest.mark.parametrize('seed', [1, 2])
def test_two_hours_across_midnight(seed: int) -> None:
    week = Week(7200, seed)
    found = live_through(week)
    assert week.failed == []
    assert found['1 s bars with trades'] > 1000
    assert found['1 s buffer moved, times'] >= 4
    assert found['ring turned, times'] > 4
    assert found['counter reconnects'] == 4
    assert found['counter amended'] > 0
    assert found['day volumes compared'] >= 2


def test_it_would_see_bars_run_ahead() -> None:
    """As they would if the venue's clock followed leaps of the machine's."""
    week = Week(900, 1, base='wall')
    found = live_through(week)
    assert found['newest bar ahead s, most'] > 3600
    assert week.failed == ['the newest bar was not that of the time']
    assert found['1 s bars wrong'] == 0
