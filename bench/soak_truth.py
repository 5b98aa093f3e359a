"""
What the embedded venue knows to be true, and comparing with it.
"""
from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import trio

from .common import BenchError

PATIENCE_S = 90.0
_HANGS_UP_S = 10.0


def get(base: str, path: str, **params: Any) -> Any:
    query = urllib.parse.urlencode(params)
    return json.loads(_patiently(f'{base}{path}?{query}'))


def post(base: str, path: str, body: Any) -> None:
    _patiently(urllib.request.Request(
        f'{base}{path}', json.dumps(body).encode(),
        {'Content-Type': 'application/json'}, method='POST',
    ))


def _patiently(request: urllib.request.Request | str) -> bytes:
    """The answer, also from a venue that hangs up on newcomers for now."""
    end = time.monotonic() + _HANGS_UP_S
    while True:
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                body: bytes = answer.read()
                return body
        except urllib.error.HTTPError:
            raise
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


class Truth:
    """The venue's own trades of a symbol from a time on."""

    def __init__(self, base: str, symbol: str, start_s: int) -> None:
        path, raw = '/api/v3/aggTrades', symbol.partition('.')[0].upper()
        page = get(
            base, path, symbol=raw, startTime=1000 * start_s, limit=1000
        )
        rows = list(page)
        while len(page) == 1000:
            page = get(
                base, path, symbol=raw, fromId=rows[-1]['a'] + 1, limit=1000
            )
            rows += page
        self.frame = pl.DataFrame({
            'id': [r['a'] for r in rows], 'ms': [r['T'] for r in rows],
            'price': [float(r['p']) for r in rows],
            # eight decimals at most: exact as integers
            'units': [round(float(r['q']) * 10**8) for r in rows],
            'fills': [r['l'] - r['f'] + 1 for r in rows],
        })

    def bars(self, period_s: int) -> dict[int, tuple[Any, ...]]:
        out = (
            self.frame
            .group_by(pl.col('ms') // (1000 * period_s), maintain_order=True)
            .agg(
                o=pl.col('price').first(), h=pl.col('price').max(),
                l=pl.col('price').min(), c=pl.col('price').last(),
                v=pl.col('units').sum(), n=pl.col('fills').sum(),
            )
        )
        return {at: (o, h, low, c, v / 10**8, n)
                for at, o, h, low, c, v, n in out.iter_rows()}

    def wrong_bars(
        self, rows: Any, period_s: int, start: int, stop: int
    ) -> list[str]:
        """What differs in the bars of ``start <= index < stop``."""
        want, close = self.bars(period_s), None
        wrong = []
        index = (rows['time'] // (period_s * 10**9)).tolist()
        if index != list(range(start, stop)):
            missing = len(set(range(start, stop)) - set(index))
            wrong.append(
                f'{missing} missing, {len(index) - len(set(index))} doubled'
            )
        for at, row in zip(index, rows.tolist(), strict=True):
            _, o, h, low, c, volume, _, count = row
            have = (o, h, low, c, volume, count)
            flat = (close,) * 4 if close is not None else have[:4]
            if have != want.get(at, (*flat, 0, 0)):
                wrong.append(f'bar {at}: {have}, not {want.get(at, flat)}')
            close = c
        return wrong

    def wrong_ticks(self, ticks: list[Any]) -> tuple[int, list[str]]:
        """How many trades are missing, and what else is wrong."""
        ids, times, prices, sizes = (
            np.concatenate([t[k] for t in ticks]) for k in range(4)
        )
        steps = np.diff(ids)
        wrong = []
        if (steps <= 0).any():
            wrong.append(f'{np.count_nonzero(steps <= 0)} doubled or swapped')
        missing = int((steps[steps > 1] - 1).sum())
        have = pl.DataFrame({
            'id': ids, 'ms_': times // 10**6, 'price_': prices,
            'units_': np.round(sizes * 10**8).astype('i8'),
        })
        both = self.frame.join(have, on='id')
        alike = both.filter(
            (pl.col('ms') == pl.col('ms_'))
            & (pl.col('price') == pl.col('price_'))
            & (pl.col('units') == pl.col('units_'))
        )
        if len(alike) != len(have):
            wrong.append(f'{len(have) - len(alike)} unlike the venue’s')
        return missing, wrong


class Follower:
    """Every trade of a flume."""

    def __init__(self) -> None:
        self.ticks: list[Any] = []
        self.count = self.lapped = 0

    async def follow(self, flume: Any) -> None:
        async for run in flume.ticks():
            self.lapped += run.missed
            trades = run.trades
            if len(trades):
                self.ticks.append(
                    (trades.id, trades.time, trades.price, trades.size)
                )
                self.count += len(trades)


async def wait_until(
    condition: Callable[[], Any], what: str, within_s: float = PATIENCE_S
) -> None:
    with trio.move_on_after(within_s):
        while not condition():
            await trio.sleep(0.01)
        return
    raise BenchError(f'not within {within_s:.0f} s: {what}')


async def daemon_status() -> dict[str, Any]:
    from piker.service import Tree, open_tree

    async with open_tree(Tree.parse(None), 'soak') as client:
        return {d.name: d for d in (await client.status()).daemons}


async def venue_url() -> str:
    details = (await daemon_status())['simd'].details
    return f'http://{details["host"]}:{details["port"]}'


def progress(text: str) -> None:
    print(f'bench: {text}', file=sys.stderr, flush=True)


async def compare(
    base: str,
    feed: Any,
    followers: dict[str, Follower],
    began_s: int,
    failed: list[str],
) -> dict[str, Any]:
    """Ticks and bars of each symbol with the venue's; waits until settled."""
    found: dict[str, Any] = {}
    await trio.sleep(3)
    stop = int(time.time()) - 2
    first = min(began_s, stop - 600) // 60 * 60 - 60
    for name, flume in feed.items():
        truth = await trio.to_thread.run_sync(Truth, base, name, first)
        missed = flume.counters['missed']
        each: dict[str, Any] = {'missed': missed}
        if name in followers:
            mine = followers[name]
            missing, wrong = truth.wrong_ticks(list(mine.ticks))
            each |= {'ticks': mine.count, 'missing': missing}
            if mine.lapped:
                wrong.append(f'{mine.lapped} lapped')
            if missing > missed:
                wrong.append(f'{missing} missing, {missed} counted as missed')
            failed += [f'{name}: ticks: {text}' for text in wrong[:3]]
        for period_s in (1, 60):
            low, high = -(-(first + 1) // period_s), stop // period_s
            rows = flume.bars[period_s].read(low, high)
            wrong = truth.wrong_bars(rows, period_s, low, high)
            each[f'bars_{period_s}s'] = len(rows)
            each[f'wrong_{period_s}s'] = len(wrong)
            if wrong and not missed:
                failed += [f'{name} {period_s}s: {w}' for w in wrong[:3]]
        found[name] = each
    return found
