"""Hold feeds open: ``python -m bench.hold SYMBOL...`` until killed."""
from __future__ import annotations

import json
import sys

import trio

from piker.data import open_feed


async def hold(symbols: list[str]) -> None:
    async with open_feed(symbols, client='bench') as feed:
        while any(feed[name].backfilling for name in symbols):
            await trio.sleep(0.05)
        print(json.dumps({'ready': True}), flush=True)
        await trio.sleep_forever()


if __name__ == '__main__':
    trio.run(hold, sys.argv[1:])
