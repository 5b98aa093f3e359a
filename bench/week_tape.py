"""
A made-up market for as many days as one likes: its tape, all at once.

Times, prices, sizes and ids of every trade as arrays, from a seed alone:
quiet and busy minutes, bursts, an hour without a trade, a week-end, trades
whose times go back a little, as those of a real tape do.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from piker.clock import NS_PER_MS, NS_PER_S
from piker.data.ticks import Kind, TickRow

TICK, LOT = 0.01, 0.001
_DAY_S = 86400
# Trades a second of a minute: its mood, and how likely that is.
_RATES, _CHANCES = (0.0, 0.05, 0.4, 3.0), (0.15, 0.4, 0.4, 0.05)
_BURST = 400  # trades within a second
_WEEKEND = 0.1  # of the usual rate
_JITTER_MS = 400


@dataclass(frozen=True)
class Tape:
    """``time`` in ns of the venue's clock, by id; sizes in lots."""

    time: Any
    price: Any
    size: Any
    lots: Any
    count: Any

    def __len__(self) -> int:
        return len(self.time)

    def row(self, id_: int, recv_ns: int) -> TickRow:
        return (
            int(self.time[id_]), recv_ns, int(Kind.TRADE), 1,
            float(self.price[id_]), float(self.size[id_]), id_,
            int(self.count[id_]),
        )

    def bars(self, period_ns: int, start_ns: int, stop_ns: int) -> Any:
        """
        Bars that have trades, by a group-by that knows nothing of ours.

        Columns index, open, high, low, close, lots, turnover, trades.
        """
        within = (self.time >= start_ns) & (self.time < stop_ns)
        frame = pl.DataFrame({
            'index': self.time[within] // period_ns,
            'price': self.price[within], 'lots': self.lots[within],
            'turnover': (self.price * self.size)[within],
            'count': self.count[within],
        })
        return frame.group_by('index', maintain_order=True).agg(
            open=pl.col('price').first(), high=pl.col('price').max(),
            low=pl.col('price').min(), close=pl.col('price').last(),
            lots=pl.col('lots').sum(), turnover=pl.col('turnover').sum(),
            trades=pl.col('count').sum(),
        ).sort('index')

    def day_lots(self, id_: int) -> int:
        """What has traded on the day of a trade, up to and with it."""
        day = self.time[:id_ + 1] // (_DAY_S * NS_PER_S)
        return int(self.lots[:id_ + 1][day == day.max()].sum())


def make_tape(seed: int, start_ns: int, seconds: int) -> Tape:
    """The trades of ``seconds`` from ``start_ns`` on, a whole second."""
    dice = np.random.default_rng(seed)
    minutes = -(-seconds // 60)
    rates = dice.choice(_RATES, minutes, p=_CHANCES)
    at = start_ns // NS_PER_S + 60 * np.arange(minutes)
    # 1970-01-01 was a Thursday
    rates[(at // _DAY_S + 3) % 7 >= 5] *= _WEEKEND
    silent = int(minutes * 0.45)
    rates[silent:silent + min(60, minutes // 10)] = 0
    per_second = dice.poisson(np.repeat(rates, 60)[:seconds])
    bursts = dice.integers(0, seconds, max(2, seconds // 7200))
    per_second[bursts[np.repeat(rates, 60)[bursts] > 0]] += _BURST
    count = int(per_second.sum())
    ms = (
        1000 * np.repeat(np.arange(seconds), per_second)
        + dice.integers(0, 1000, count)
    )
    # In order, but for a few that the tape has a little later.
    ms.sort()
    late = dice.random(count) < 0.02
    ms[late] -= dice.integers(0, _JITTER_MS, int(late.sum()))
    ms = np.maximum(ms, 0)
    cents = 5_000_000 + np.cumsum(dice.integers(-30, 31, count))
    lots = dice.integers(1, 5000, count)
    return Tape(
        time=start_ns + ms * NS_PER_MS,
        # the decimal's nearest float, as a venue's text is read
        price=np.maximum(cents, 1) / 100,
        size=lots / 1000,
        lots=lots,
        count=dice.integers(1, 4, count),
    )
