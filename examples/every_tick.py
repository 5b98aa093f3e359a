"""
Take every tick, in order, and keep the average price of the trades.

Nothing is polled: the loop sleeps until the writer has more.
"""
# ruff: noqa: T201
from __future__ import annotations

import trio

from piker.data import open_feed

SYMBOL = 'btcusdt.sim'
TRADES = 10


async def main() -> None:
    seen, volume, turnover = 0, 0.0, 0.0
    async with open_feed([SYMBOL]) as feed:
        flume = feed[SYMBOL]
        async for run in flume.ticks():
            if run.missed:
                print(f'{run.missed} ticks were overwritten unread')
            trades = run.trades
            if not len(trades):
                continue
            seen += len(trades)
            volume += float(trades.size.sum())
            turnover += float((trades.price * trades.size).sum())
            print(f'{seen:4} trades, average {turnover / volume:.2f}')
            if seen >= TRADES:
                break


if __name__ == '__main__':
    trio.run(main)
