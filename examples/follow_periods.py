"""
Print each one-second bar once it has been closed by the clock.
"""
# ruff: noqa: T201
from __future__ import annotations

import trio

from piker.clock import format_ns
from piker.data import iter_ohlc_periods, open_feed

SYMBOL = 'btcusdt.sim'
PERIOD_S = 1
BARS = 3


async def main() -> None:
    async with open_feed([SYMBOL]) as feed:
        left = BARS
        async for index in iter_ohlc_periods(feed, SYMBOL, PERIOD_S):
            # Bar ``index`` has just begun: the one before it is done.
            bar = feed[SYMBOL].bars[PERIOD_S].row(index - 1)
            print(
                format_ns(int(bar['time'])),
                f'close {bar["close"]:.2f} in {bar["trades"]} trades',
            )
            left -= 1
            if not left:
                break


if __name__ == '__main__':
    trio.run(main)
