"""A feed of our own: a random walk written to real shared memory."""
from __future__ import annotations

import os
import time
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import count

import numpy as np
import trio

from piker.data.bars import BAR_DTYPE, BarWriter
from piker.data.resample import ResampledBars, base_period
from piker.data.ticks import FeedState, TickWriter
from piker.errors import NoSuchSymbol
from piker.instruments import Instrument

_SERIAL = count()


def walk(
    size, *, price, tick, volatility, seed=1, end_index=0, period_s=60
):
    """``size`` believable bars that end before ``end_index``."""
    rng = np.random.default_rng(seed)
    # Volatility comes in waves, as it does.
    waves = np.arange(size)[:, None] / np.array([37, 211, 1330, 9100])
    burst = np.exp(0.35 * np.sin(waves + rng.random(4) * 6).sum(axis=1))
    moves = rng.standard_t(4, size) * volatility * burst
    close = price * np.exp(moves.cumsum() - moves.sum())
    close = np.round(close / tick) * tick
    open_ = np.concatenate(([close[0]], close[:-1]))
    reach = np.abs(rng.normal(0, volatility * 0.7, (2, size))) * close * burst
    high = np.maximum(open_, close) + reach[0]
    low = np.minimum(open_, close) - reach[1]
    rows = np.zeros(size, BAR_DTYPE)
    rows['time'] = (
        np.arange(end_index - size, end_index) * period_s * 1_000_000_000
    )
    rows['open'], rows['close'] = open_, close
    rows['high'] = np.round(high / tick) * tick
    rows['low'] = np.maximum(np.round(low / tick), 1) * tick
    rows['volume'] = np.abs(moves) / volatility * rng.gamma(2, 6, size)
    rows['vwap'] = close
    rows['trades'] = rng.integers(1, 400, size)
    return rows


class Periods(dict):
    """Resamples what is asked for and not there."""

    def __missing__(self, period):
        self[period] = ResampledBars(self[base_period(period)], period)
        return self[period]


class FakeFlume:
    """
    Has the shape of the data layer's flume; writes its own segments.

    ``older`` says how many older bars of each kept period there are to be
    loaded; ``asked`` what was asked for.  ``gate`` holds `load_more` back
    until it is set, ``error`` makes it fail.
    """

    def __init__(
        self,
        *,
        symbol='btcusdt',
        price=61_685.99,
        tick='0.01',
        sizes=(4000, 4000),
        volatility=3e-4,
        flat=False,
        seed=1,
        now_s=None,
        description='Bitcoin / Tether',
        older=0,
    ):
        self.older = {60: older, 1: older}
        self.asked = []
        self.gate = None
        self.error = None
        self.loading = 0
        self.instrument = Instrument(
            id=f'{symbol}.sim', raw_symbol=symbol.upper(),
            base=symbol[:-4], quote=symbol[-4:],
            tick_size=Decimal(tick), lot_size=Decimal('0.00001'),
            description=description,
        )
        self.tick = float(tick)
        stem = f'piker-uitest-{os.getpid()}-{next(_SERIAL)}'
        self.now_s = time.time() if now_s is None else now_s
        self.writers = {}
        self.bars = Periods()
        for period, size in zip((60, 1), sizes, strict=True):
            index = int(self.now_s) // period
            writer = BarWriter(
                f'{stem}-{period}', self.instrument.id, period, index,
                capacity=1 << max(12, (size * 2 + older).bit_length()),
                back=size + older + 16,
            )
            self.writers[period] = self.bars[period] = writer
            if not size:
                continue
            rows = walk(
                size, price=price, tick=self.tick,
                volatility=volatility * (period / 60) ** 0.5,
                seed=seed, end_index=index, period_s=period,
            )
            if flat:
                for name in ('open', 'high', 'low', 'close', 'vwap'):
                    rows[name] = price
                rows['volume'] = 0
            elif period == 1:
                quiet = np.random.default_rng(seed).random(size) < 0.35
                quiet[0] = False
                before = np.concatenate(([price], rows['close'][:-1]))
                for name in ('open', 'high', 'low', 'close'):
                    rows[name][quiet] = before[quiet]
                rows['open'][1:] = rows['close'][:-1]
                rows['volume'][quiet] = 0
                rows['high'] = np.maximum(rows['high'], rows['open'])
                rows['low'] = np.minimum(rows['low'], rows['open'])
            writer.prepend(rows)
            last = float(rows['close'][-1])
            writer.append(last, last, last, last)
        self._made = list(self.writers.values())
        self.last = price
        self.ring = TickWriter(f'{stem}-t', self.instrument.id, capacity=1024)
        self.ring.set_quote(
            last=price, bid=price - self.tick, ask=price + self.tick,
            bid_size=1, ask_size=2, last_size=0.1, volume=18_233.4,
        )
        self.ring.set_state(FeedState.LIVE)
        self.reader = self.ring.reader()
        self.first_quote = self.quote()
        self.backfilling = False
        self.age_s = 0.0

    def quote(self):
        return self.reader.quote()

    @property
    def state(self):
        return self.reader.state

    @property
    def reason(self):
        return self.reader.reason

    @property
    def counters(self):
        return self.reader.counters

    async def load_more(self, period_s, count):
        self.asked.append((period_s, count))
        bars, base = self.bars[period_s], base_period(period_s)
        before = len(bars)
        self.loading += 1
        try:
            if self.gate is not None:
                await self.gate.wait()
            await trio.lowlevel.checkpoint()
            if self.error is not None:
                raise self.error
        finally:
            self.loading -= 1
        size = min(count * (period_s // base), self.older[base])
        self.older[base] -= size
        self.prepend(base, size)
        return len(bars) - before

    def prepend(self, period, size):
        """Older bars that end at the price that the oldest begins with."""
        writer = self.writers[period]
        if size:
            writer.prepend(walk(
                size, price=float(writer['open'][0]), tick=self.tick,
                volatility=3e-4 * (period / 60) ** 0.5, seed=size,
                end_index=writer.first, period_s=period,
            ))

    def trade(self, price, size=0.5):
        """A trade in the newest bar of every period."""
        price = round(price / self.tick) * self.tick
        self.last = price
        for writer in self.writers.values():
            index = writer.next - 1
            _, o, h, low, _, volume, _, n = writer.values(index)
            writer.update(
                index, o, max(h, price), min(low, price), price,
                volume + size, price, n + 1,
            )
        self.ring.set_quote(
            last=price, bid=price - self.tick, ask=price + self.tick
        )
        self.ring.count('trades')

    def roll(self, period, bars=1):
        """New flat bars."""
        for _ in range(bars):
            self.writers[period].append(*[self.last] * 4)

    def roll_to(self, now_s):
        """As many bars as the time asks for."""
        for period, writer in self.writers.items():
            while writer.next <= now_s // period:
                self.roll(period)

    def unlink(self):
        # Its own, whoever's writers a test has put in their place.
        for writer in self._made:
            writer.unlink()
        self.ring.unlink()


class FakeFeed:
    """
    Opens feeds of the flumes it was given, by symbol.

    ``log`` tells what was opened and closed; ``drive``, if given, is run as
    a task beside each open feed with its flume.
    """

    def __init__(self, flumes, *, drive=None, error=None, hold=()):
        self.flumes = flumes
        self.drive = drive
        self.error = error
        self.hold = hold
        self.log = []

    @asynccontextmanager
    async def open(self, symbols):
        symbol, = symbols
        self.log.append(f'open {symbol}')
        try:
            if symbol in self.hold:
                await trio.sleep_forever()
            if self.error is not None:
                raise self.error
            flume = self.flumes.get(symbol)
            if flume is None:
                raise NoSuchSymbol(
                    f'sim has no instrument {symbol!r}. '
                    f"Did you mean 'btcusdt.sim'?"
                )
            async with trio.open_nursery() as nursery:
                if self.drive:
                    nursery.start_soon(self.drive, flume)
                yield {symbol: flume}
                nursery.cancel_scope.cancel()
        finally:
            self.log.append(f'close {symbol}')


async def live_market(flume, *, rate=20):
    """Trades for ever, at the wall clock."""
    rng = np.random.default_rng(5)
    while True:
        await trio.sleep(1 / rate)
        flume.roll_to(time.time())
        step = rng.standard_t(4) * 2e-5 * flume.last
        flume.trade(flume.last + step, float(rng.gamma(1, 0.4)))
        flume.ring.count('quotes', 3)
