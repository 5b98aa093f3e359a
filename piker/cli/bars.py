"""
``piker bars``: the newest bars of a symbol.
"""
from __future__ import annotations

from functools import partial
from typing import Any

import click
import numpy.typing as npt
import trio

from ..clock import SystemClock, format_ns
from ..data import Flume, open_feed
from ..data.bars import iter_rows
from ..data.resample import base_period
from ..errors import BadInput
from ..service import Tree, open_tree
from .common import check_symbols, emit, guarded, own_pikerd, run
from .measured import MEASURE, Measure, load_measured
from .options import CONTEXT, client_options
from .table import print_table

__all__ = ['bars']

_BACKFILL_TIMEOUT_S = 30.0
# How much of `format_ns` is shown.
_TO_SECONDS, _TO_MILLIS = 19, 23


@click.command(context_settings=CONTEXT)
@click.argument('symbol')
@client_options
@click.option(
    '--period', type=int, default=60, show_default=True, metavar='S',
    help='Bar period in seconds: any that divides a day, or a week.',
)
@click.option(
    '--by', 'measure', type=MEASURE, metavar='MEASURE=SIZE',
    help='Bars of a size instead of a period: trades=500, volume=10 (base '
    'currency), turnover=1000000 (quote currency).',
)
@click.option(
    '--count', type=click.IntRange(min=1), default=20, show_default=True,
    metavar='N', help='How many, the newest ones.',
)
@click.pass_context
@guarded
def bars(
    ctx: click.Context,
    symbol: str,
    registry: str,
    as_json: bool,
    period: int,
    measure: Measure | None,
    count: int,
) -> None:
    """
    Print the newest bars of SYMBOL, the running one last.

    With --by, bars are made from trades: those that are stored, and those in
    memory.  A trade is never split, and each day (UTC) begins a new bar.
    """
    check_symbols([symbol])
    address = str(Tree.parse(registry))
    if measure is None:
        base_period(period)
        run(partial(_print_bars, symbol, address, as_json, period, count))
        return
    source = ctx.get_parameter_source('period')
    if source is click.core.ParameterSource.COMMANDLINE:
        raise BadInput('--by and --period: bars have one of them')
    run(partial(_print_measured, symbol, address, as_json, measure, count))


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
        _print(flume, buffer.read(buffer.next - count), as_json, _TO_SECONDS)


async def _print_measured(
    symbol: str, registry: str, as_json: bool, measure: Measure, count: int
) -> None:
    async with (
        open_tree(
            Tree.parse(registry), 'bars',
            start=own_pikerd(registry, [], [symbol]),
        ) as tree,
        open_feed([symbol], registry=registry, client='bars') as feed,
    ):
        flume = feed[symbol]
        now_ns = SystemClock().now_ns()
        found = await load_measured(tree, flume, measure, count, now_ns)
        if len(found.rows):
            _print(flume, found.rows, as_json, _TO_MILLIS)


def _print(
    flume: Flume, rows: npt.NDArray[Any], as_json: bool, time_width: int
) -> None:
    if as_json:
        for row in iter_rows(rows):
            emit(row)
        return
    i = flume.instrument
    price, size = i.format_price, i.format_size
    print_table('', [
        ('time (UTC)', 'left'), ('open', 'right'), ('high', 'right'),
        ('low', 'right'), ('close', 'right'), ('volume', 'right'),
        ('vwap', 'right', 2), ('trades', 'right', 1),
    ], [
        [
            format_ns(int(t))[:time_width], price(o), price(h), price(lo),
            price(c), size(volume), price(vwap), str(int(trades)),
        ]
        for t, o, h, lo, c, volume, vwap, trades in (
            row.values() for row in iter_rows(rows)
        )
    ])
