"""
The plan of one UTC day of one symbol, made in one go.

A `DayPlan` holds what the seeded agents intend: where the touch stands at any
moment and every taker order with the fills it is meant to have.  It depends on
nothing but (seed, listing, day), is continuous with its neighbours, and costs
tens of milliseconds for half a million fills.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .hashing import bits, key_of, normal, uniform
from .listings import GENESIS_MS, Listing

__all__ = [
    'DAY_MS',
    'MAX_SWEEP',
    'DayPlan',
    'fair_log_prices',
    'ladder_index',
    'make_day',
]

DAY_MS = 86_400_000
MAX_SWEEP = 6  # price levels that one taker order walks through at most
_MINUTES = 1440
_OCTAVES = 22  # lattice periods of 2**0 … 2**21 seconds: 1 s to 24 days
# With linear interpolation this share makes one day's move have daily_vol.
_SHARE = 0.62
_P_SWEEP = 0.12
_P_MOVE = 0.45

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class DayPlan:
    """
    One day's touch and trades; arrays are read-only by convention.

    ``touch_ms``/``bid``/``ask``: the touch (ticks) from that ms of the day on.
    Per aggregate trade: ``time`` (ms of the day, never decreasing), ``price``
    (ticks), ``size`` (lots), ``sell`` (the taker sold), ``head`` (first of its
    taker order), ``first`` (offset of its first fill; one longer than the
    rest).  ``fill_size``: lots of each single fill.
    """

    day: int
    start_ms: int
    touch_ms: NDArray[np.int32]
    bid: Ints
    ask: Ints
    time: NDArray[np.int32]
    price: Ints
    size: Ints
    sell: NDArray[np.bool_]
    head: NDArray[np.bool_]
    first: NDArray[np.int32]
    fill_size: Ints

    @property
    def first_agg_id(self) -> int:
        return self.day * len(self.time)

    @property
    def first_fill_id(self) -> int:
        return self.day * len(self.fill_size)


def fair_log_prices(
    seed: int, listing: Listing, day: int
) -> NDArray[np.float64]:
    """
    Log of the fair price at each second of ``day``, both midnights included.

    Value noise on log price: per octave a lattice of hashed normals, linearly
    interpolated, with an amplitude that grows with the square root of the
    period, as a random walk's would.
    """
    start = day * 86_400
    stop = start + 86_400
    unit = listing.daily_vol * _SHARE / np.sqrt(86_400)
    total = np.zeros(0)
    low = 0
    for octave in reversed(range(_OCTAVES)):
        first, last = start >> octave, (stop >> octave) + 1
        index = np.arange(first, last + 1, dtype=np.int64)
        lattice = normal(
            bits(key_of(seed, listing.symbol, 'fair', octave), index)
        ) * (unit * 2.0 ** (octave / 2))
        if len(total):
            fine = np.empty(2 * len(total) - 1)
            fine[::2] = total
            fine[1::2] = (total[1:] + total[:-1]) * 0.5
            offset = first - 2 * low
            lattice += fine[offset : offset + len(index)]
        total, low = lattice, first
    log_price: NDArray[np.float64] = np.log(listing.price) + total[:86_401]
    return log_price


def ladder_index(epoch: Ints, sell: NDArray[np.bool_], level: int) -> Ints:
    """Where the gap below ``level`` of one side's ladder is hashed."""
    return (epoch * 2 + sell) * 16 + level


def make_day(seed: int, listing: Listing, day: int) -> DayPlan:
    """Make the plan of ``day`` (days since genesis)."""

    def key(name: str) -> int:
        return key_of(seed, listing.symbol, name)

    log_fair = fair_log_prices(seed, listing, day)
    slots = DAY_MS // listing.slot_ms
    slot = np.arange(slots, dtype=np.int64)
    moves = uniform(bits(key('move'), slot + day * slots)) < _P_MOVE
    moves[::8] = True
    epochs = slot[moves]
    touch_ms = epochs * listing.slot_ms
    bid, ask = _touch(listing, log_fair, touch_ms, key('spread'),
                      epochs + day * slots)
    empty = np.zeros(0, np.int64)
    if not listing.aggs:
        return DayPlan(
            day, GENESIS_MS + day * DAY_MS, touch_ms.astype(np.int32), bid,
            ask, empty.astype(np.int32), empty, empty, empty.astype(bool),
            empty.astype(bool), np.zeros(1, np.int32), empty,
        )
    ids = np.arange(listing.aggs, dtype=np.int64)
    wide = ids + day * listing.aggs
    time, head = _times(seed, listing, day)
    leader = np.maximum.accumulate(np.where(head, ids, 0))
    time = time[leader]
    sell = _sides(key('side'), log_fair, time, wide[leader])
    epoch = (np.cumsum(moves) - 1)[time // listing.slot_ms]
    price = np.where(sell, bid[epoch], ask[epoch])
    away = np.where(sell, -1, 1)
    depth = ids - leader
    for level in range(1, MAX_SWEEP):
        deep = np.flatnonzero(depth >= level)
        at = ladder_index(epochs[epoch[deep]] + day * slots, sell[deep], level)
        gap = 1 + (bits(key('gap'), at) % np.uint64(listing.step)).astype(
            np.int64
        )
        price[deep] += away[deep] * gap
    first = _fill_offsets(key('fills'), listing, wide)
    fill_size = _fill_sizes(key('size'), listing, day)
    return DayPlan(
        day, GENESIS_MS + day * DAY_MS, touch_ms.astype(np.int32), bid, ask,
        time.astype(np.int32), price, np.add.reduceat(fill_size, first[:-1]),
        sell, head, first, fill_size,
    )


def _touch(
    listing: Listing,
    log_fair: NDArray[np.float64],
    touch_ms: Ints,
    key: int,
    index: Ints,
) -> tuple[Ints, Ints]:
    """Best bid and ask in ticks at each move of the touch."""
    second, rest = np.divmod(touch_ms, 1000)
    below = log_fair[second]
    log_price = below + (log_fair[second + 1] - below) * (rest * 1e-3)
    ticks = np.exp(log_price) / float(listing.tick)
    u = uniform(bits(key, index))
    spread = 1 + (listing.spread * u * u * u * 2).astype(np.int64)
    bid = np.floor(ticks - (spread - 1) * 0.5).astype(np.int64)
    bid = np.maximum(bid, 2 * MAX_SWEEP * listing.step)
    return bid, bid + spread


def _times(
    seed: int, listing: Listing, day: int
) -> tuple[Ints, NDArray[np.bool_]]:
    """
    Sorted ms of the day, and which trades begin a taker order.

    Trades fall into minutes by hashed, bursty weights on an intraday profile,
    and within a minute partly into clusters.
    """
    time_key, minute_key, sweep_key = (
        key_of(seed, listing.symbol, name)
        for name in ('time', 'minute', 'sweep')
    )
    ids = np.arange(listing.aggs, dtype=np.int64)
    wide = ids + day * listing.aggs
    minute = np.arange(_MINUTES, dtype=np.int64)
    at = minute + day * _MINUTES
    hour = minute / 60
    weight = 1 + 0.45 * np.sin((hour - 9) * np.pi / 12) + 0.5 * np.exp(
        -(((hour - 14.5) / 1.6) ** 2)
    )
    weight *= np.exp(0.7 * normal(bits(minute_key, at)))
    weight *= np.exp(0.5 * normal(bits(minute_key ^ 1, at // 15)))
    total = np.cumsum(weight)
    upto = np.floor(total * (listing.aggs / total[-1])).astype(np.int64)
    upto[-1] = listing.aggs
    count = np.diff(upto, prepend=0)
    of = np.repeat(minute, count)

    raw = bits(time_key, wide)
    spread = uniform(raw)
    centres = np.maximum(1, count // 8)[of]
    centre = (raw & np.uint64(0x3FF)).astype(np.int64) % centres
    start = uniform(bits(time_key ^ 1, (of + day * _MINUTES) * 1024 + centre))
    lag = spread * spread * 0.012
    inside = np.where(
        raw & np.uint64(0x400), spread, start + lag - np.floor(start + lag)
    )
    time = of * 60_000 + 1 + (inside * 59_998).astype(np.int64)
    time.sort()

    head = uniform(bits(sweep_key, wide)) >= _P_SWEEP
    head[ids % MAX_SWEEP == 0] = True
    head[1:] |= of[1:] != of[:-1]
    head[0] = True
    return time, head


def _sides(
    key: int, log_fair: NDArray[np.float64], time: Ints, index: Ints
) -> NDArray[np.bool_]:
    """Which takers sell: more likely while the fair price falls."""
    drift = np.diff(log_fair)
    lean = np.tanh(drift / (2 * drift.std() + 1e-18)) * 0.3
    sell: NDArray[np.bool_] = (
        uniform(bits(key, index)) >= 0.5 + lean[time // 1000]
    )
    return sell


def _fill_offsets(
    key: int, listing: Listing, index: Ints
) -> NDArray[np.int32]:
    """Offset of each aggregate's first fill, and of the day's end."""
    u = uniform(bits(key, index))
    u *= u
    u *= u
    total = np.cumsum(u)
    extra = listing.fills - listing.aggs
    more = np.floor(total * (extra / total[-1])).astype(np.int64)
    more[-1] = extra
    first = np.zeros(listing.aggs + 1, np.int32)
    first[1:] = more + np.arange(1, listing.aggs + 1)
    return first


def _fill_sizes(key: int, listing: Listing, day: int) -> Ints:
    """Log-normal sizes in lots, at least one."""
    index = np.arange(listing.fills, dtype=np.int64) + day * listing.fills
    median = np.log(listing.median_size / float(listing.lot))
    lots = np.exp(1.4 * normal(bits(key, index)) + median)
    sizes: Ints = np.maximum(1, lots.astype(np.int64))
    return sizes
