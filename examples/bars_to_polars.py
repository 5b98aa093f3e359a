"""
Have two days of history loaded and print the newest hours as a polars frame.
"""
# ruff: noqa: T201
from __future__ import annotations

import trio

from piker.data import open_feed

SYMBOL = 'btcusdt.sim'
HOURS = 48


async def main() -> None:
    async with open_feed([SYMBOL]) as feed:
        flume = feed[SYMBOL]
        missing = HOURS - len(flume.bars[3600])
        if missing > 0:
            await flume.load_more(3600, missing)
        hours = flume.bars[3600].to_polars()
    print(hours.select('time', 'open', 'close', 'volume').tail(5))


if __name__ == '__main__':
    trio.run(main)
