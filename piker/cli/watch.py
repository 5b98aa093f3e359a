"""
``piker watch``: quotes or ticks as lines.
"""
from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import click
import trio

from ..clock import format_ns
from ..data import Feed, FeedState, Kind, Quote, Ticks, open_feed
from ..instruments import Instrument
from ..service import Tree
from .common import check_symbols, emit, guarded, own_pikerd, run, write_line
from .options import CONTEXT, client_options
from .pikerd import parse_overrides, set_option
from .table import clean

__all__ = ['watch']


@click.command(context_settings=CONTEXT)
@click.argument('symbols', nargs=-1, required=True, metavar='SYMBOL...')
@client_options
@set_option
@click.option('--ticks', is_flag=True, help='Every tick instead of quotes.')
@click.option(
    '--count', type=click.IntRange(min=1), metavar='N',
    help='Stop after N lines.',
)
@click.option(
    '--rate', type=click.FloatRange(0.1, 60), default=4.0, show_default=True,
    help='At most this many quotes a second for each symbol.',
)
@guarded
def watch(
    symbols: tuple[str, ...],
    registry: str,
    as_json: bool,
    overrides: tuple[str, ...],
    ticks: bool,
    count: int | None,
    rate: float,
) -> None:
    """
    Follow live quotes, a line for each change.

    A line has the time it was received (UTC), the symbol, the last price,
    bid and ask with their sizes, and the state of the feed: why, where it is
    not live.  With --ticks, every trade and every update of bid and ask, in
    order.
    Settings given by --set are for the daemon started here, if one is.
    """
    check_symbols(symbols)
    parse_overrides(overrides)
    options = [f'--set={item}' for item in overrides]
    printer = _Printer(as_json, count)
    run(partial(
        _watch, list(symbols), str(Tree.parse(registry)), options, printer,
        ticks, rate,
    ))


class _Printer:
    """Lines on stdout, until there are enough."""

    def __init__(self, as_json: bool, count: int | None) -> None:
        self._as_json = as_json
        self._left = count
        self.enough = trio.Event()

    def line(self, data: dict[str, Any], text: str) -> None:
        if self._left is not None:
            if not self._left:
                return
            self._left -= 1
        if self._as_json:
            emit(data)
        else:
            write_line(text)
        if self._left == 0:
            self.enough.set()


async def _watch(
    symbols: list[str],
    registry: str,
    options: list[str],
    printer: _Printer,
    ticks: bool,
    rate: float,
) -> None:
    async with open_feed(
        symbols,
        registry=registry,
        client='watch',
        start=own_pikerd(registry, options, symbols),
    ) as feed, trio.open_nursery() as nursery:
        follow = _follow_ticks if ticks else _follow_quotes
        for symbol in feed:
            nursery.start_soon(follow, feed, symbol, printer, rate)
        await printer.enough.wait()
        nursery.cancel_scope.cancel()


async def _follow_quotes(
    feed: Feed, symbol: str, printer: _Printer, rate: float
) -> None:
    flume = feed[symbol]
    before = None
    while True:
        quote, state = flume.quote(), flume.state
        reason = '' if state == FeedState.LIVE else flume.reason
        # A quote that came again with the same numbers is no change.
        shown = (replace(quote, time=0, quote_time=0, recv=0), state, reason)
        if shown != before:
            before = shown
            printer.line(
                {
                    'symbol': flume.instrument.id,
                    'state': state.label,
                    'reason': reason,
                    **quote.as_dict(),
                },
                _quote_line(flume.instrument, quote, state, reason),
            )
        await trio.sleep(1 / rate)


def _quote_line(
    i: Instrument, quote: Quote, state: FeedState, reason: str
) -> str:
    # Whatever the venue says in it is not for the terminal to act on.
    said = f'{state.label}: {clean(reason)}' if reason else state.label
    return (
        f'{format_ns(quote.recv)[11:]}  {i.id:<12} '
        f'{i.format_price(quote.last):>10}  '
        f'{i.format_size(quote.bid_size):>9} '
        f'{i.format_price(quote.bid):>10} × '
        f'{i.format_price(quote.ask):<10} '
        f'{i.format_size(quote.ask_size):<9} {said}'
    )


async def _follow_ticks(
    feed: Feed, symbol: str, printer: _Printer, rate: float
) -> None:
    flume = feed[symbol]
    async for run_ in flume.ticks():
        if run_.missed:
            printer.line(
                {'symbol': symbol, 'missed': run_.missed},
                f'{symbol}: missed {run_.missed} ticks',
            )
        _print_ticks(flume.instrument, run_, printer)


def _print_ticks(i: Instrument, run_: Ticks, printer: _Printer) -> None:
    side = {1: 'buy', -1: 'sell', 0: ''}
    for row in run_.rows():
        kind = Kind(row['kind']).name.lower()
        data = {
            'symbol': i.id, **row, 'kind': kind, 'side': side[row['side']],
        }
        printer.line(
            data,
            f'{format_ns(row["time"])[11:]}  {i.id:<12} {kind:<5} '
            f'{side[row["side"]]:<4} {i.format_price(row["price"]):>11} '
            f'{i.format_size(row["size"]):>12}',
        )
