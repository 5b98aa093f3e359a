"""
One way to load bars: ``python -m bench.loads WAY FILE...``, its own process.

Told ``{"load": [start_ns, end_ns]}`` it answers how long it took to have the
bars, to have read each column once as well, and what they add up to.  ``FILE``
are those that the table consists of, in order of time.
"""
from __future__ import annotations

import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import trio

SYMBOL = 'btcusdt.sim'
FIELDS = (
    'time', 'open', 'high', 'low', 'close', 'volume', 'vwap', 'trades'
)

Load = Callable[[int, int], Any]


def answer(load: Load, start_ns: int, end_ns: int) -> dict[str, Any]:
    """Time one load; what it has loaded is dropped."""
    began = time.perf_counter()
    found = load(start_ns, end_ns)
    loaded_s = time.perf_counter() - began
    return summed(found, began, loaded_s)


def summed(
    found: Mapping[str, Any], began: float, loaded_s: float
) -> dict[str, Any]:
    sums = [float(found[name].sum()) for name in FIELDS]
    return {
        'loaded_s': loaded_s,
        'read_s': time.perf_counter() - began,
        'rows': len(found['time']),
        'sums': sums,
    }


def _polars(files: list[str]) -> Load:
    import polars as pl

    def load(start_ns: int, end_ns: int) -> dict[str, Any]:
        time_ = pl.col('time')
        frame = (
            pl.scan_parquet(files).select(FIELDS)
            .filter((time_ >= start_ns) & (time_ < end_ns)).collect()
        )
        return {name: frame[name].to_numpy() for name in FIELDS}

    def whole(start_ns: int, end_ns: int) -> dict[str, Any]:
        if end_ns < 1 << 62:
            return load(start_ns, end_ns)
        frame = pl.read_parquet(files, columns=list(FIELDS))
        return {name: frame[name].to_numpy() for name in FIELDS}

    return whole


def _polars_delta(files: list[str]) -> Load:
    import polars as pl

    table = str(Path(files[0]).parent)

    def load(start_ns: int, end_ns: int) -> dict[str, Any]:
        lazy = pl.scan_delta(table).select(FIELDS)
        if end_ns < 1 << 62:
            time_ = pl.col('time')
            lazy = lazy.filter((time_ >= start_ns) & (time_ < end_ns))
        frame = lazy.sort('time').collect()
        return {name: frame[name].to_numpy() for name in FIELDS}

    return load


def _library(way: str) -> Load:
    from piker.data.storage import Store

    store = Store()
    if way == 'Store.read_bars':
        return partial(store.read_bars, SYMBOL, 1)
    if way == 'Store.read_bar_columns':
        return partial(store.read_bar_columns, SYMBOL, 1)

    def frame(start_ns: int, end_ns: int) -> dict[str, Any]:
        found = store.bars_frame(SYMBOL, 1, start_ns, end_ns)
        return {name: found[name].to_numpy() for name in FIELDS}

    return frame


async def _asking(way: str) -> None:
    """Ask a running ``stored``, as ``brokerd`` does."""
    from piker.data.storage import open_store_client
    from piker.service import open_tree
    from piker.service.tree import Tree

    async with (
        open_tree(Tree.parse(), 'bench') as client,
        open_store_client(client) as store,
    ):
        load: Callable[..., Awaitable[Any]] = getattr(
            store, way.partition('.')[2]
        )
        print(json.dumps({'ready': True}), flush=True)
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            start_ns, end_ns = json.loads(line)['load']
            began = time.perf_counter()
            found = await load(SYMBOL, 1, start_ns, end_ns)
            taken = summed(found, began, time.perf_counter() - began)
            del found
            print(json.dumps(taken), flush=True)


def main(way: str, *files: str) -> None:
    if way.startswith('StoreClient.'):
        trio.run(_asking, way)
        return
    if way == 'polars read_parquet':
        load = _polars(list(files))
    elif way == 'polars scan_delta':
        load = _polars_delta(list(files))
    else:
        load = _library(way)
    print(json.dumps({'ready': True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(load, *json.loads(line)['load'])), flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
