"""
Print which tables there are, and the stored hours of one symbol.

Reads the tables themselves: no daemon is needed, and one that runs is not
disturbed.
"""
# ruff: noqa: T201
from __future__ import annotations

import polars as pl

from piker.clock import format_ns
from piker.data.storage import Store
from piker.errors import StorageError

SYMBOL = 'btcusdt.sim'


def main() -> None:
    store = Store()  # or a root: Store('s3://bucket/prefix', {…})
    for table in store.ls():
        info = store.info(table.instrument_id, table.kind)
        print(f'{table}: {info.rows:,} rows in {info.files} files')
    for gap in store.gaps(SYMBOL, 60):
        print(f'{gap.bars(60)} bars are missing from '
              f'{format_ns(gap.start_ns)[:19]}')
    hours = (
        store.scan(SYMBOL, 'bars_60s')
        .with_columns(pl.from_epoch('time', 'ns'))
        .group_by_dynamic('time', every='1h')
        .agg(
            pl.col('open').first(),
            pl.col('high').max(),
            pl.col('low').min(),
            pl.col('close').last(),
            pl.col('volume').sum(),
        )
        .collect()
    )
    print(hours.tail(5))


if __name__ == '__main__':
    try:
        main()
    except StorageError as err:
        raise SystemExit(str(err)) from None
