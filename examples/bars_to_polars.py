"""
Wait until the history is there, then resample it to hours with polars.
"""
# ruff: noqa: T201
from __future__ import annotations

import polars as pl
import trio

from piker.data import open_feed

SYMBOL = 'btcusdt.sim'


async def main() -> None:
    async with open_feed([SYMBOL]) as feed:
        flume = feed[SYMBOL]
        with trio.move_on_after(30):
            while flume.backfilling:
                await trio.sleep(0.05)
        rows = flume.bars[60].read()
    minutes = pl.DataFrame({name: rows[name] for name in rows.dtype.names})
    hours = (
        minutes
        .with_columns(pl.col('time').cast(pl.Datetime('ns', 'UTC')))
        .group_by_dynamic('time', every='1h')
        .agg(
            pl.col('open').first(),
            pl.col('high').max(),
            pl.col('low').min(),
            pl.col('close').last(),
            pl.col('volume').sum(),
        )
    )
    print(hours.tail(5))


if __name__ == '__main__':
    trio.run(main)
