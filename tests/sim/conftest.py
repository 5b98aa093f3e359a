"""A clock that stands still."""
from __future__ import annotations

import pytest
from sim_clients import START_MS

from piker.clock import NS_PER_MS, ManualClock


@pytest.fixture
def clock():
    return ManualClock(START_MS * NS_PER_MS)
