"""piker's chart with so many bars: ``python -m bench.paint BARS TURNS``."""
from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from decimal import Decimal

import numpy as np

from piker.data.bars import BAR_DTYPE, BarWriter
from piker.data.ticks import FeedState, Quote, TickWriter
from piker.instruments import Instrument
from piker.ui.display import open_application

_TICK = 0.01


def walk(many: int, stop: int, period_s: int) -> np.ndarray:
    """Bars of a random walk that end before index ``stop``."""
    dice = np.random.default_rng(1)
    close = 61_685 * np.exp((dice.standard_t(4, many) * 3e-4).cumsum() / 10)
    close = np.round(close / _TICK) * _TICK
    rows = np.zeros(many, BAR_DTYPE)
    rows['time'] = np.arange(stop - many, stop) * period_s * 1_000_000_000
    rows['close'] = close
    rows['open'] = np.concatenate((close[:1], close[:-1]))
    reach = np.abs(dice.normal(0, 2e-4, (2, many))) * close
    rows['high'] = np.maximum(rows['open'], close) + reach[0]
    rows['low'] = np.minimum(rows['open'], close) - reach[1]
    rows['volume'] = dice.gamma(2, 6, many)
    rows['vwap'] = close
    rows['trades'] = 10
    return rows


class Flume:
    """What the window asks of a flume, out of memory of our own."""

    backfilling = False
    age_s = 0.0

    def __init__(self, many: int) -> None:
        self.instrument = Instrument(
            id='btcusdt.sim', raw_symbol='BTCUSDT', base='BTC',
            quote='USDT', tick_size=Decimal('0.01'),
            lot_size=Decimal('0.00001'), description='Bitcoin / Tether',
        )
        stem = f'pkbench.{os.getpid()}'
        self.bars = {}
        for period, size in ((60, many), (1, 3600)):
            index = int(time.time()) // period
            writer = BarWriter(
                f'{stem}.{period}s', 'btcusdt.sim', period, index
            )
            writer.prepend(walk(size, index, period))
            last = float(writer['close'][-1])
            writer.append(last, last, last, last)
            self.bars[period] = writer
        self.last = float(self.bars[60]['close'][-1])
        self.ring = TickWriter(f'{stem}.ticks', 'btcusdt.sim')
        self.ring.set_state(FeedState.LIVE)
        self._reader = self.ring.reader()
        self.trade(0)
        self.first_quote = self.quote()

    def quote(self) -> Quote:
        return self._reader.quote()

    @property
    def state(self) -> FeedState:
        return self._reader.state

    @property
    def counters(self) -> dict[str, int]:
        return self._reader.counters

    def trade(self, turn: int) -> None:
        """A trade a little off the last one, in every newest bar."""
        price = self.last + (turn % 7 - 3) * _TICK
        for writer in self.bars.values():
            index = writer.next - 1
            _, o, h, low, _, volume, _, n = writer.values(index)
            writer.update(
                index, o, max(h, price), min(low, price), price,
                volume + 0.01, price, n + 1,
            )
        self.ring.set_quote(
            last=price, bid=price - _TICK, ask=price + _TICK, bid_size=1.0,
            ask_size=2.0, volume=1000.0 + turn,
        )

    def unlink(self) -> None:
        self.ring.unlink()
        for writer in self.bars.values():
            writer.unlink()


def timed(turns: int, function: Callable[[int], None]) -> dict[str, float]:
    """Milliseconds a call: median, least, most; the first is left out."""
    function(0)
    taken = []
    for turn in range(1, turns + 1):
        began = time.perf_counter()
        function(turn)
        taken.append((time.perf_counter() - began) * 1e3)
    return {
        'median': statistics.median(taken), 'min': min(taken),
        'max': max(taken),
    }


def main(bars: int, turns: int) -> None:
    os.environ['QT_QPA_PLATFORM'] = 'offscreen'
    app = open_application(offscreen=True)
    from piker.ui.window import ChartWindow

    flume = Flume(bars)
    try:
        window = ChartWindow()
        window._timer.stop()
        window.resize(1600, 900)
        window.show()
        window.show_loading('btcusdt.sim')
        began = time.perf_counter()
        window.show_flume(flume)
        window.paint_now()
        first = (time.perf_counter() - began) * 1e3
        app.processEvents()
        canvas = window.canvas

        def tick(turn: int) -> None:
            flume.trade(turn)
            window.paint_now()

        def pan(turn: int) -> None:
            canvas.pan_share(-0.1 if turn % 2 else 0.1)
            canvas.viewport().repaint()

        def zoom(turn: int) -> None:
            canvas.zoom(1.25 if turn % 2 else 0.8)
            canvas.viewport().repaint()

        def anew(turn: int) -> None:
            canvas.picture.forget()
            canvas.redraw()
            canvas.viewport().repaint()

        found = {
            'first paint of a feed': {
                'median': first, 'min': first, 'max': first
            },
            'tick': timed(turns, tick),
            'pan': timed(turns, pan),
            'zoom': timed(turns, zoom),
            'view drawn anew': timed(turns, anew),
        }
        canvas.zoom(2.0 * bars / canvas.view.span)
        canvas.viewport().repaint()
        found['bars_in_full_view'] = canvas.view.span
        found['full view drawn anew'] = timed(turns, anew)
        found['full view, tick'] = timed(turns, tick)
        found['full view, pan'] = timed(turns, pan)
        found['full view, zoom'] = timed(turns, zoom)
        window.close()
    finally:
        flume.unlink()
    # Last: whoever hears it ends this process at once.
    print(json.dumps(found), flush=True)


if __name__ == '__main__':
    main(int(sys.argv[1]), int(sys.argv[2]))
