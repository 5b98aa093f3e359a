"""
Print the latest quotes of two instruments, a few times a second.

Run it with ``.venv/bin/python examples/watch_quotes.py`` while ``pikerd``
runs; it ends by itself.
"""
# ruff: noqa: T201
from __future__ import annotations

import trio

from piker.data import open_feed

SYMBOLS = ['btcusdt.sim', 'ethusdt.sim']
ROUNDS = 8


async def main() -> None:
    async with open_feed(SYMBOLS) as feed:
        for _ in range(ROUNDS):
            for symbol, flume in feed.items():
                i, quote = flume.instrument, flume.quote()
                print(
                    f'{symbol:<12} {i.format_price(quote.last):>10} '
                    f'{i.format_price(quote.bid):>10} × '
                    f'{i.format_price(quote.ask):<10} {flume.state.label}'
                )
            await trio.sleep(0.25)


if __name__ == '__main__':
    trio.run(main)
