"""
The bar periods on offer, their names, and from bars to moments and back.

No Qt.  Bars are counted from the epoch, weekly ones from the Monday before
(`resample.open_time`), so a bar's moment is never just index times period.
"""
from __future__ import annotations

from ..clock import NS_PER_S
from ..data.resample import DAY_S, WEEK_S, base_period, open_time

__all__ = [
    'PERIODS', 'bar_index', 'bar_time', 'load_share', 'period_key',
    'period_label', 'period_words',
]

# In the order of their keys, 1 to 9 and 0.
PERIODS = (1, 5, 15, 60, 300, 900, 3600, 14_400, DAY_S, WEEK_S)
_UNITS = (
    (WEEK_S, 'W', 'week'), (DAY_S, 'D', 'day'), (3600, 'h', 'hour'),
    (60, 'm', 'minute'), (1, 's', 'second'),
)


def _parts(period_s: int) -> tuple[int, str, str]:
    for unit, short, name in _UNITS:
        if period_s % unit == 0:
            return period_s // unit, short, name
    raise AssertionError(period_s)


def period_label(period_s: int) -> str:
    """``5m``, ``1D``: as on the buttons."""
    count, short, _ = _parts(period_s)
    return f'{count}{short}'


def period_words(period_s: int) -> str:
    """``1 minute``, ``15 seconds``."""
    count, _, name = _parts(period_s)
    return f'{count} {name}{"s" if count > 1 else ""}'


def period_key(period_s: int) -> str:
    """The key of one of `PERIODS`."""
    return str((PERIODS.index(period_s) + 1) % 10)


def bar_time(index: float, period_s: int) -> float:
    """When bar ``index`` opens, in seconds since the epoch."""
    return index * period_s + open_time(0, period_s) / NS_PER_S


def bar_index(time_s: float, period_s: int) -> float:
    """Where a moment lies: ``i`` to ``i + 1`` during bar ``i``."""
    return (time_s - open_time(0, period_s) / NS_PER_S) / period_s


def load_share(period_s: int) -> int:
    """How many of the bars that are kept make one of this period."""
    return period_s // base_period(period_s)
