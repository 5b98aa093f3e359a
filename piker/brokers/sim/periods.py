"""
Kline intervals: where a bar opens and where the next one does.

Intervals of up to a day and ``3d`` are aligned to the epoch, weeks to Monday,
months to the first of the month, all in UTC.  Source:
https://developers.binance.com/docs/binance-spot-api-docs/enums
"""
from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

__all__ = ['INTERVALS', 'next_open', 'open_of', 'opens']

INTERVALS: dict[str, int] = {
    '1s': 1_000,
    '1m': 60_000,
    '3m': 180_000,
    '5m': 300_000,
    '15m': 900_000,
    '30m': 1_800_000,
    '1h': 3_600_000,
    '2h': 7_200_000,
    '4h': 14_400_000,
    '6h': 21_600_000,
    '8h': 28_800_000,
    '12h': 43_200_000,
    '1d': 86_400_000,
    '3d': 259_200_000,
    '1w': 604_800_000,
    '1M': 0,  # not a fixed length
}
_MONDAY_MS = 4 * 86_400_000  # 1970-01-05


def open_of(interval: str, t_ms: int) -> int:
    """Open time of the bar that ``t_ms`` falls into."""
    if interval == '1M':
        stamp = datetime.fromtimestamp(t_ms // 1000, UTC)
        return _month_ms(stamp.year, stamp.month)
    offset = _MONDAY_MS if interval == '1w' else 0
    step = INTERVALS[interval]
    return (t_ms - offset) // step * step + offset


def next_open(interval: str, open_ms: int) -> int:
    """Open time of the bar after the one that opens at ``open_ms``."""
    if interval == '1M':
        stamp = datetime.fromtimestamp(open_ms // 1000, UTC)
        year, month = divmod(stamp.year * 12 + stamp.month, 12)
        return _month_ms(year, month + 1)
    return open_ms + INTERVALS[interval]


def opens(
    interval: str, first_ms: int, last_ms: int, limit: int, newest: bool
) -> NDArray[np.int64]:
    """
    Bar opens within [``first_ms``, ``last_ms``], at most ``limit`` of them:
    the newest, or the oldest.
    """
    low = open_of(interval, first_ms)
    if low < first_ms:
        low = next_open(interval, low)
    high = open_of(interval, last_ms)
    if high < low:
        return np.zeros(0, np.int64)
    if interval == '1M':
        months = [low]
        while months[-1] < high:
            months.append(next_open(interval, months[-1]))
        found = np.array(months, np.int64)
        return found[-limit:] if newest else found[:limit]
    step = INTERVALS[interval]
    count = min((high - low) // step + 1, limit)
    start = high - (count - 1) * step if newest else low
    return np.arange(count, dtype=np.int64) * step + start


def _month_ms(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1000
