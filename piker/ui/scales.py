"""
Where the lines and labels of both axes go.

Pure functions, no Qt: a price axis whose steps lie on the instrument's tick
grid and whose labels have its precision, and a time axis that knows the
calendar.  All times are UTC seconds since the epoch.
"""
from __future__ import annotations

import calendar
import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

__all__ = [
    'TimeTick',
    'format_count',
    'format_left',
    'format_moment',
    'price_step',
    'price_ticks',
    'thousands',
    'time_ticks',
]

_MANTISSAS = (Decimal(1), Decimal(2), Decimal('2.5'), Decimal(5))
_DAY = 86_400
_WEEK = 7 * _DAY
# Steps that divide a day, so that every day starts on a tick.
_STEPS_S = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800,
    3600, 7200, 10_800, 14_400, 21_600, 43_200,
)
_STEPS_DAYS = (1, 2, 4, 7, 14)
# Months per step and the fewest days that many months can have.
_STEPS_MONTHS = ((1, 28), (2, 59), (3, 89), (6, 181))
_YEARS = (1, 2, 5, 10, 20, 50, 100)


def thousands(value: float, digits: int) -> str:
    """``61,685.90``: fixed digits, grouped, never in scientific notation."""
    text = f'{value:,.{digits}f}'
    return text[1:] if text.startswith('-') and not text.strip('-0.,') else (
        text
    )


def format_count(value: float) -> str:
    """A volume in five characters or so: ``12.35``, ``1,235``, ``1.24M``."""
    size = abs(value)
    for limit, suffix in ((1e9, 'B'), (1e6, 'M'), (1e5, 'K')):
        if size >= limit:
            scale = 1e3 if suffix == 'K' else limit
            return f'{value / scale:.2f}{suffix}'
    if size >= 1000:
        return f'{value:,.0f}'
    return f'{value:.2f}' if size >= 0.1 or not size else f'{value:.4f}'


def price_step(least: float, tick: Decimal) -> Decimal:
    """
    The smallest pleasant step of at least ``least`` on the ``tick`` grid.

    1, 2, 2.5 or 5 times a power of ten where the grid allows one of about
    the size wanted; multiples of the tick by powers of two where it does not
    (bonds in 32nds).
    """
    if least <= tick:
        return tick
    exponent = math.floor(math.log10(least))
    for power in (exponent, exponent + 1):
        for mantissa in _MANTISSAS:
            step = mantissa.scaleb(power)
            near = least <= step <= 4 * least
            if near and not step % tick:
                return step
    doublings = max(0, math.ceil(math.log2(least / float(tick)) - 1e-9))
    return tick * (1 << doublings)


def price_ticks(
    low: float, high: float, tick: Decimal, height: float, gap: float = 56
) -> list[float]:
    """
    Prices to label between ``low`` and ``high``, rising.

    Neighbours are at least ``gap`` of the ``height`` pixels apart.
    """
    if not high > low or height <= 0:
        return []
    step = price_step((high - low) * gap / height, tick)
    first = math.ceil(Decimal(low) / step)
    last = math.floor(Decimal(high) / step)
    return [float(step * n) for n in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class TimeTick:
    """A labelled moment; ``major`` where a day, month or year begins."""

    time_s: int
    label: str
    major: bool


def _stamp(day: date) -> int:
    return calendar.timegm(day.timetuple())


def _day_label(day: date) -> str:
    if day.day == 1:
        return f'{day.year}' if day.month == 1 else f'{day:%b}'
    return f'{day.day} {day:%b}'


def _days(start: date, stop: date, step: int) -> Iterator[date]:
    # Counted from the first of each month; the last ones go when the next
    # month would begin too close after them.
    day = start.replace(day=1)
    while day <= stop:
        length = calendar.monthrange(day.year, day.month)[1]
        for n in range(1, length + 1, step):
            if n == 1 or n + step <= length + 1:
                yield day.replace(day=n)
        if (day.year, day.month) == (date.max.year, 12):
            return
        day = day.replace(day=length) + timedelta(days=1)


def _months(start: date, stop: date, step: int) -> Iterator[date]:
    year = start.year
    while year <= min(stop.year, date.max.year):
        for month in range(1, 13, step):
            yield date(year, month, 1)
        year += 1


def _calendar_ticks(start: float, stop: float, least: float) -> list[date]:
    # A margin of a day keeps what rounding would drop; the caller cuts.
    a = datetime.fromtimestamp(start, UTC).date()
    b = datetime.fromtimestamp(stop, UTC).date()
    for days in _STEPS_DAYS:
        if days * _DAY >= least:
            return list(_days(a, b, days))
    for months, fewest in _STEPS_MONTHS:
        if fewest * _DAY >= least:
            return list(_months(a, b, months))
    for years in _YEARS:
        if years * 365 * _DAY >= least or years == _YEARS[-1]:
            break
    return [
        date(y, 1, 1) for y in range(a.year, b.year + 1) if y % years == 0
    ]


def _mondays(start: date, stop: date, step: int) -> Iterator[date]:
    # Every `step` weeks from the first Monday of each month, as `_days`.
    month = start.replace(day=1)
    while month <= stop:
        length = calendar.monthrange(month.year, month.month)[1]
        after = month + timedelta(days=length)
        day, end = _monday(month), _monday(after)
        while day < end:
            if day.day <= 7 or day + timedelta(weeks=step) <= end:
                yield day
            day += timedelta(weeks=step)
        month = after


def _monday(day: date) -> date:
    """The first Monday from ``day`` on."""
    return day + timedelta(days=-day.weekday() % 7)


def _week_ticks(start: float, stop: float, least: float) -> list[TimeTick]:
    for weeks in (1, 2):
        if weeks * _WEEK >= least:
            a = datetime.fromtimestamp(start, UTC).date()
            b = datetime.fromtimestamp(stop, UTC).date()
            days = list(_mondays(a, b, weeks))
            break
    else:
        early = start - _WEEK
        least = max(least, 15 * _DAY)
        days = [_monday(day) for day in _calendar_ticks(early, stop, least)]
    return [
        TimeTick(
            _stamp(day),
            _day_label(day.replace(day=1) if day.day <= 7 else day),
            day.day <= 7,
        )
        for day in days if start <= _stamp(day) <= stop
    ]


def time_ticks(
    start: float,
    stop: float,
    width: float,
    gap: float = 92,
    *,
    period_s: int = 1,
) -> list[TimeTick]:
    """
    Moments to label from ``start`` to ``stop``, both included, rising.

    ``width`` is the pixels between the two, ``gap`` the least distance of
    two labels.  Midnight is labelled with its date, the first of a month
    with its month, the first of January with its year.  Only moments that a
    bar of ``period_s`` opens at are labelled; for weekly ones, the first
    Monday stands for its month and year.
    """
    if stop <= start or width <= 0:
        return []
    least = (stop - start) * gap / width
    if period_s == _WEEK:
        return _week_ticks(start, stop, least)
    steps = [step for step in _STEPS_S if step % period_s == 0]
    at = bisect_left(steps, least)
    if at == len(steps):
        return [
            TimeTick(_stamp(day), _day_label(day), day.day == 1)
            for day in _calendar_ticks(start, stop, least)
            if start <= _stamp(day) <= stop
        ]
    step = steps[at]
    found = []
    for n in range(math.ceil(start / step), math.floor(stop / step) + 1):
        when = datetime.fromtimestamp(n * step, UTC)
        major = n * step % _DAY == 0
        if major:
            label = _day_label(when.date())
        else:
            label = f'{when:%H:%M:%S}' if step < 60 else f'{when:%H:%M}'
        found.append(TimeTick(n * step, label, major))
    return found


def format_moment(time_s: int, period_s: int) -> str:
    """``Fri 9 Aug 2024  14:03`` as the label under the crosshair."""
    when = datetime.fromtimestamp(time_s, UTC)
    day = f'{when:%a} {when.day} {when:%b %Y}'
    if period_s >= _DAY:  # weeks by their Monday
        return day
    clock = f'{when:%H:%M:%S}' if period_s < 60 else f'{when:%H:%M}'
    return f'{day}  {clock}'


def format_left(seconds: float) -> str:
    """A countdown: ``00:42``, ``03:07:00``, ``2d 03:07``."""
    left = max(0, math.ceil(seconds))
    hours, rest = divmod(left, 3600)
    if hours >= 24:
        return f'{hours // 24}d {hours % 24:02d}:{rest // 60:02d}'
    clock = f'{rest // 60:02d}:{rest % 60:02d}'
    return f'{hours:02d}:{clock}' if hours else clock
