"""
``piker book``: the order book as a ladder.
"""
from __future__ import annotations

from functools import partial
from typing import Any

import click
import trio
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..clock import format_ns
from ..data import Book, BookFlume, open_book
from ..data.book import ladder
from ..instruments import Instrument
from ..service import Tree
from .common import check_symbols, emit, guarded, own_pikerd, run, write_line
from .options import CONTEXT, client_options
from .pikerd import parse_overrides, set_option

__all__ = ['book']


@click.command(context_settings=CONTEXT)
@click.argument('symbol', metavar='SYMBOL')
@client_options
@set_option
@click.option(
    '--levels', type=click.IntRange(1, 5000), default=10, show_default=True,
    metavar='N', help='Levels a side.',
)
@click.option(
    '--count', type=click.IntRange(min=1), metavar='N',
    help='Stop after N books; 1 where the output is no terminal, without '
    'end with --json.',
)
@click.option(
    '--rate', type=click.FloatRange(0.1, 60), default=10.0,
    show_default=True, help='At most this many books a second.',
)
@guarded
def book(
    symbol: str,
    registry: str,
    as_json: bool,
    overrides: tuple[str, ...],
    levels: int,
    count: int | None,
    rate: float,
) -> None:
    """
    Follow the order book, highest price first.

    On a terminal the ladder stays in place and moves; otherwise it is printed
    once.  With --json, a line for each change, best level first.  Settings
    given by --set are for the daemon started here, if one is.
    """
    check_symbols([symbol])
    parse_overrides(overrides)
    options = [f'--set={item}' for item in overrides]
    run(partial(
        _book, symbol, str(Tree.parse(registry)), options, as_json, levels,
        count, rate,
    ))


async def _book(
    symbol: str,
    registry: str,
    options: list[str],
    as_json: bool,
    levels: int,
    count: int | None,
    rate: float,
) -> None:
    async with open_book(
        symbol,
        levels=levels,
        registry=registry,
        client='book',
        start=own_pikerd(registry, options),
    ) as flume:
        console = Console()
        if as_json:
            await _print_json(flume, count, rate)
        elif console.is_terminal:
            await _show_live(flume, console, count, rate)
        else:
            await _print_plain(flume, count or 1, rate)


async def _print_json(
    flume: BookFlume, count: int | None, rate: float
) -> None:
    left = count
    async for book_ in flume.changes():
        emit(_as_dict(flume.instrument, book_))
        if left is not None:
            left -= 1
            if not left:
                return
        await trio.sleep(1 / rate)


def _as_dict(instrument: Instrument, book_: Book) -> dict[str, Any]:
    return {
        'symbol': instrument.id,
        'state': book_.state.label,
        'update_id': book_.update_id,
        'time': book_.time,
        'recv': book_.recv,
        'bids': book_.bids.rows(),
        'asks': book_.asks.rows(),
    }


async def _show_live(
    flume: BookFlume, console: Console, count: int | None, rate: float
) -> None:
    with Live(
        _picture(flume), console=console, auto_refresh=False,
    ) as live:
        left = count
        async for _ in flume.changes():
            live.update(_picture(flume), refresh=True)
            if left is not None:
                left -= 1
                if not left:
                    return
            await trio.sleep(1 / rate)


async def _print_plain(flume: BookFlume, count: int, rate: float) -> None:
    wide = Console(width=100, no_color=True)
    async for _ in flume.changes():
        with wide.capture() as captured:
            wide.print(_picture(flume))
        for line in captured.get().splitlines():
            write_line(line.rstrip())
        count -= 1
        if not count:
            return
        await trio.sleep(1 / rate)


def _picture(flume: BookFlume) -> Group:
    i, now = flume.instrument, flume.read()
    table = Table(box=None, pad_edge=False)
    for name in ('price', 'size', 'sum'):
        table.add_column(name, justify='right', no_wrap=True, min_width=12)
    side = ''
    for row_side, price, size, total in ladder(now):
        if side == 'ask' and row_side == 'bid':
            table.add_row(Text('·' * 4, 'dim'))
        side = row_side
        table.add_row(
            Text(i.format_price(price), 'red' if side == 'ask' else 'green'),
            i.format_size(size),
            i.format_size(total),
        )
    spread = ''
    if now.best_bid and now.best_ask:
        spread = f'  spread {i.format_price(now.best_ask - now.best_bid)}'
    head = (
        f'{i.id}  {format_ns(now.recv)[11:]}  {now.state.label}  '
        f'update {now.update_id}{spread}'
    )
    return Group(Text(head, 'bold'), table)
