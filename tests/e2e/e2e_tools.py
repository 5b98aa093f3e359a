"""
Helpers for tests that run the whole product.
"""
from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import polars as pl


def get(base: str, path: str, **params: Any) -> Any:
    """GET a JSON document from the tree's own venue."""
    query = urllib.parse.urlencode(params)
    with urllib.request.urlopen(f'{base}{path}?{query}', timeout=20) as got:
        return json.load(got)


def order(base: str, **params: str) -> None:
    """Place an order on the venue's own account, as somebody else."""
    query = urllib.parse.urlencode(
        params | {'timestamp': str(time.time_ns() // 10**6)}
    )
    made = hmac.new(b'sim-secret', query.encode(), hashlib.sha256)
    urllib.request.urlopen(urllib.request.Request(
        f'{base}/api/v3/order?{query}&signature={made.hexdigest()}',
        method='POST', headers={'X-MBX-APIKEY': 'sim-key'},
    ), timeout=20).close()


def agg_trades_since(base: str, symbol: str, start_ms: int) -> list[Any]:
    """The venue's own list of aggregate trades from a time on, all of it."""
    page = get(
        base, '/api/v3/aggTrades', symbol=symbol, startTime=start_ms,
        limit=1000,
    )
    found = list(page)
    while len(page) == 1000:
        page = get(
            base, '/api/v3/aggTrades', symbol=symbol,
            fromId=found[-1]['a'] + 1, limit=1000,
        )
        found += page
    return found


def recorded(path: Path) -> list[dict[str, Any]]:
    """The combined-stream messages of a recording, in order."""
    with gzip.open(path, 'rt') as lines:
        messages = [json.loads(line.split(' ', 1)[1]) for line in lines]
    return [m for m in messages if 'stream' in m]


def trades_frame(rows: list[tuple[int, str, str, int]]) -> pl.DataFrame:
    """``(time ms, price text, size text, fills)`` as exact integers."""
    return pl.DataFrame(
        {
            'ms': [r[0] for r in rows],
            'price': [float(r[1]) for r in rows],
            # sizes have eight decimals at most: exact as integers
            'units': [round(float(r[2]) * 10**8) for r in rows],
            'fills': [r[3] for r in rows],
        }
    )


def resample(
    trades: pl.DataFrame, period_s: int
) -> dict[int, tuple[Any, ...]]:
    """
    An independent resample: index → open, high, low, close, volume, count.
    """
    out = (
        trades.with_columns(index=pl.col('ms') // (1000 * period_s))
        .group_by('index', maintain_order=True)
        .agg(
            open=pl.col('price').first(),
            high=pl.col('price').max(),
            low=pl.col('price').min(),
            close=pl.col('price').last(),
            units=pl.col('units').sum(),
            count=pl.col('fills').sum(),
        )
    )
    return {
        row['index']: (
            row['open'], row['high'], row['low'], row['close'],
            row['units'] / 10**8, row['count'],
        )
        for row in out.iter_rows(named=True)
    }


def assert_bars_equal(
    rows: Any, period_s: int, want: dict[int, tuple[Any, ...]]
) -> int:
    """
    Each bar equals the resample exactly, or is flat where that has none.

    Returns how many bars with trades were compared.
    """
    period_ns = period_s * 1_000_000_000
    index = rows['time'] // period_ns
    steps = index[1:] - index[:-1]
    assert (steps == 1).all(), 'bars missing or doubled'
    compared = 0
    close = None
    for at, row in zip(index.tolist(), rows.tolist(), strict=True):
        _, o, h, low, c, volume, _, count = row
        if at in want:
            assert (o, h, low, c, volume, count) == want[at], f'bar {at}'
            compared += 1
        else:
            assert (volume, count) == (0, 0), f'bar {at} has no trades'
            if close is not None:
                assert (o, h, low, c) == (close,) * 4, f'bar {at} is flat'
        close = c
    return compared
