"""
Time as it is used everywhere: UTC nanoseconds since the epoch, as `int`.

Code that needs the time of day takes a `Clock`, so that tests and replays
decide what time it is; only the process entry points make a `SystemClock`.
"""
from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = [
    'NS_PER_MS',
    'NS_PER_S',
    'Clock',
    'ManualClock',
    'SteadyClock',
    'SystemClock',
    'VenueClock',
    'format_ns',
    'parse_time',
]

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
_MOST_AHEAD_NS = 3600 * NS_PER_S


class Clock(Protocol):
    """Anything that tells the time."""

    def now_ns(self) -> int:
        """UTC nanoseconds since the epoch."""


class SystemClock:
    """The machine's own wall clock."""

    def now_ns(self) -> int:
        return time.time_ns()


class SteadyClock:
    """
    The wall clock as it was at the start, going on without leaps.

    Setting the machine's clock does not move it; a machine that sleeps does
    not stop it (``CLOCK_BOOTTIME``, clock_gettime(2)).
    """

    def __init__(self) -> None:
        self._start_ns = time.time_ns() - _since_boot_ns()

    def now_ns(self) -> int:
        return self._start_ns + _since_boot_ns()


def _since_boot_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class ManualClock:
    """A clock that stands still until told otherwise; for tests."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def set_ns(self, now_ns: int) -> None:
        self._now_ns = now_ns

    def advance_ns(self, delta_ns: int) -> None:
        self._now_ns += delta_ns


class VenueClock:
    """
    Our best estimate of a venue's clock.

    A base clock plus an offset measured against the venue (`sync`), pulled
    forward by the event times of the messages that arrive (`observe`), so
    that a recording replayed faster than it was made still reads as *now*.
    It never runs backwards, so the base should not leap forward.
    """

    def __init__(self, base: Clock) -> None:
        self._base = base
        self.offset_ns = 0
        self._high_ns = 0
        self._synced = False

    def now_ns(self) -> int:
        now = self._base.now_ns() + self.offset_ns
        if now < self._high_ns:
            return self._high_ns
        self._high_ns = now
        return now

    def sync(self, venue_ns: int, sent_ns: int, received_ns: int) -> None:
        """
        Take a reading of the venue's clock.

        ``sent_ns`` and ``received_ns`` are base-clock times around the
        request; the reading is taken to be from the middle of them, as NTP
        does.  The first reading may move the clock either way, later ones
        only ever slow it down or push it forward.
        """
        self.offset_ns = venue_ns - (sent_ns + received_ns) // 2
        if not self._synced:
            self._synced = True
            self._high_ns = 0

    def observe(self, event_ns: int) -> None:
        """
        Note that the venue's clock read at least ``event_ns`` just now.

        A time more than an hour ahead is taken for a fault and ignored.
        """
        ahead = event_ns - (self._base.now_ns() + self.offset_ns)
        if 0 < ahead < _MOST_AHEAD_NS:
            self.offset_ns += ahead


def format_ns(t_ns: int) -> str:
    """``2024-08-09 00:00:01.437`` in UTC, to the millisecond."""
    seconds, rest = divmod(t_ns, NS_PER_S)
    stamp = datetime.fromtimestamp(seconds, UTC)
    return f'{stamp:%Y-%m-%d %H:%M:%S}.{rest // NS_PER_MS:03d}'


def parse_time(text: str) -> int:
    """
    ISO 8601 date or date and time, UTC unless it says otherwise, as ns.

    Raises `ValueError` for anything else.
    """
    stamp = datetime.fromisoformat(text)
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=UTC)
    whole = stamp.replace(microsecond=0)
    return int(whole.timestamp()) * NS_PER_S + stamp.microsecond * 1000
