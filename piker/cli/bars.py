"""
``piker bars``: the newest bars of a symbol.
"""
from __future__ import annotations

from functools import partial

import click
import trio

from ..clock import format_ns
from ..data import Flume, open_feed
from ..data.bars import iter_rows
from ..data.resample import base_period
from ..service import Tree
from .common import check_symbols, emit, guarded, own_pikerd, print_table, run
from .options import CONTEXT, client_options

__all__ = ['bars']

_BACKFILL_TIMEOUT_S = 30.0


@click.command(context_settings=CONTEXT)
@click.argument('symbol')
@client_options
@click.option(
    '--period', type=int, default=60, show_default=True, metavar='S',
    help='Bar period in seconds: any that divides a day, or a week.',
)
@click.option(
    '--count', type=click.IntRange(min=1), default=20, show_default=True,
    metavar='N', help='How many, the newest ones.',
)
@guarded
def bars(
    symbol: str,
    registry: str,
    as_json: bool,
    period: int,
    count: int,
) -> None:
    """
    Print the newest bars of SYMBOL, the running one last.
    """
    check_symbols([symbol])
    base_period(period)
    run(partial(
        _print_bars, symbol, str(Tree.parse(registry)), as_json, period,
        count,
    ))


async def _print_bars(
    symbol: str, registry: str, as_json: bool, period_s: int, count: int
) -> None:
    async with open_feed(
        [symbol],
        registry=registry,
        client='bars',
        start=own_pikerd(registry, [], [symbol]),
    ) as feed:
        flume = feed[symbol]
        with trio.move_on_after(_BACKFILL_TIMEOUT_S):
            while len(flume.bars[period_s]) < count:
                missing = count - len(flume.bars[period_s])
                if not await flume.load_more(period_s, missing):
                    break
        buffer = flume.bars[period_s]
        rows = buffer.read(buffer.next - count)
        if as_json:
            for row in iter_rows(rows):
                emit(row)
            return
        _print(flume, [list(row.values()) for row in iter_rows(rows)])


def _print(flume: Flume, rows: list[list[float]]) -> None:
    i = flume.instrument
    price, size = i.format_price, i.format_size
    print_table('', [
        ('time (UTC)', 'left'), ('open', 'right'), ('high', 'right'),
        ('low', 'right'), ('close', 'right'), ('volume', 'right'),
        ('vwap', 'right'), ('trades', 'right'),
    ], [
        [
            format_ns(int(t))[:19], price(o), price(h), price(lo), price(c),
            size(volume), price(vwap), str(int(trades)),
        ]
        for t, o, h, lo, c, volume, vwap, trades in rows
    ])
