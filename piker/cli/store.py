"""
``piker store``: what is kept on disk.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ..clock import NS_PER_S, SystemClock, format_ns
from ..config import load_settings
from ..data.storage.names import TICKS, TableId
from ..errors import BadInput
from ..service import Tree, open_tree
from .common import (
    CONTEXT,
    TimeParam,
    emit,
    guarded,
    json_option,
    level_option,
    own_pikerd,
    print_table,
    registry_option,
    run,
)

if TYPE_CHECKING:
    from ..data.storage import Store

__all__ = ['store']

kind_argument = click.argument('kind', required=False, default='bars_60s')
root_option = click.option(
    '--root', metavar='DIR|URL', default=None,
    help='Root of the tables; by default storage.root of the settings.',
)
config_option = click.option(
    '--config', type=click.Path(path_type=Path), default=None,
    help='Settings file to read instead of the usual one.',
)

start_option = click.option(
    '--start', type=TimeParam(), metavar='TIME',
    help='From this time (UTC) on.',
)
end_option = click.option(
    '--end', type=TimeParam(), metavar='TIME', help='Up to before this time.'
)


def _open(root: str | None, config: Path | None) -> Store:
    from ..data.storage import Store

    settings = load_settings(config).storage
    if root is None:
        return Store(settings.root, settings.options)
    return Store(root, settings.options)


@contextmanager
def _progress(
    title: str, total: int, as_json: bool
) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, where a person looks at it."""
    console = Console(stderr=True)
    shown = console.is_terminal and not as_json
    with Progress(
        TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
        console=console, disable=not shown, transient=True,
    ) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.update(task, advance=count)


@click.group(context_settings=CONTEXT)
def store() -> None:
    """
    Bars and ticks kept on disk, in Delta Lake tables.

    Works on the tables themselves, with or without a running tree.  KIND is
    bars_1s, bars_60s or ticks.
    """


@store.command('ls', context_settings=CONTEXT)
@root_option
@config_option
@level_option
@json_option
@guarded
def list_(
    root: str | None, config: Path | None, loglevel: str, as_json: bool
) -> None:
    """List every table."""
    where = _open(root, config)
    found = [where.info(t.instrument_id, t.kind) for t in where.ls()]
    if as_json:
        for info in found:
            emit(asdict(info))
        return
    if not found:
        click.echo(f'nothing is stored under {where.root}', err=True)
        return
    print_table(f'tables under {where.root}', [
        ('symbol', 'left'), ('kind', 'left'), ('rows', 'right'),
        ('files', 'right'), ('MiB', 'right'), ('first (UTC)', 'left'),
        ('last (UTC)', 'left'),
    ], [
        [
            info.instrument_id, info.kind, f'{info.rows:,}',
            str(info.files), f'{info.bytes / 2**20:.1f}',
            *(_times(info.first_ns, info.last_ns) if info.rows else '––'),
        ]
        for info in found
    ])


def _times(first_ns: int, last_ns: int) -> tuple[str, str]:
    return format_ns(first_ns)[:19], format_ns(last_ns)[:19]


@store.command(context_settings=CONTEXT)
@click.argument('symbol')
@kind_argument
@root_option
@config_option
@level_option
@json_option
@guarded
def info(
    symbol: str,
    kind: str,
    root: str | None,
    config: Path | None,
    loglevel: str,
    as_json: bool,
) -> None:
    """Show one table: rows, files, size, versions, gaps."""
    where = _open(root, config)
    found = asdict(where.info(symbol, kind))
    if kind == TICKS:
        found['newest_trade_id'] = where.newest_trade_id(symbol)
    else:
        period_s = TableId.of(symbol, kind).period_s
        found['gaps'] = len(where.gaps(symbol, period_s))
    found['uri'] = where.table(symbol, kind).uri
    if as_json:
        emit(found)
        return
    for name, value in found.items():
        if name.endswith('_ns'):
            name, value = name.removesuffix('_ns'), format_ns(value)
        shown = f'{value:,}' if isinstance(value, int) else value
        click.echo(f'{name.replace("_", " "):16} {shown}')


@store.command(context_settings=CONTEXT)
@click.argument('symbol')
@kind_argument
@start_option
@end_option
@root_option
@config_option
@level_option
@json_option
@guarded
def gaps(
    symbol: str,
    kind: str,
    start: int | None,
    end: int | None,
    root: str | None,
    config: Path | None,
    loglevel: str,
    as_json: bool,
) -> None:
    """
    List the bars that are missing between the first and the last.

    With --start or --end, between those.
    """
    from ..data.storage.absent import absent_ranges
    from ..data.storage.ranges import without

    where = _open(root, config)
    where.info(symbol, kind)
    period_s = _period_of(symbol, kind)
    found = where.gaps(symbol, period_s, start, end)
    looked = absent_ranges(
        where.root, where.options, TableId.of(symbol, kind)
    )
    rows = [
        (gap, gap.bars(period_s), gap.bars(period_s) - sum(
            left.bars(period_s) for left in without([gap], looked)
        ))
        for gap in found
    ]
    if as_json:
        for gap, bars, absent in rows:
            emit({**gap._asdict(), 'bars': bars, 'absent': absent})
        return
    if not found:
        click.echo('no gaps', err=True)
        return
    print_table('', [
        ('from (UTC)', 'left'), ('to before', 'left'), ('bars', 'right'),
        ('not at the venue', 'right'),
    ], [
        [
            *_times(gap.start_ns, gap.end_ns), f'{bars:,}',
            f'{absent:,}' if absent else '–',
        ]
        for gap, bars, absent in rows
    ])


def _period_of(symbol: str, kind: str) -> int:
    period_s = TableId.of(symbol, kind).period_s
    if not period_s:
        raise BadInput('ticks have no gaps: name a kind of bars')
    return period_s


@store.command(context_settings=CONTEXT)
@click.argument('symbol')
@click.argument('kind')
@click.argument('file', type=click.Path(path_type=Path))
@click.option(
    '--format', 'form', type=click.Choice(['parquet', 'csv']), default=None,
    help='By default what the name of FILE ends in.',
)
@start_option
@end_option
@root_option
@config_option
@level_option
@json_option
@guarded
def export(
    symbol: str,
    kind: str,
    file: Path,
    form: str | None,
    start: int | None,
    end: int | None,
    root: str | None,
    config: Path | None,
    loglevel: str,
    as_json: bool,
) -> None:
    """Write a table, or a range of it, to a parquet or CSV FILE."""
    from ..data.storage.transfer import export_table

    where = _open(root, config)
    total = where.info(symbol, kind).rows
    with _progress('exporting', total, as_json) as progress:
        rows = export_table(
            where, TableId.of(symbol, kind), file, form or '',
            start_ns=start, end_ns=end, progress=progress,
        )
    _say(as_json, f'{rows:,} rows written to {file}',
         rows=rows, file=str(file))


@store.command('import', context_settings=CONTEXT)
@click.argument('symbol')
@click.argument('kind')
@click.argument('file', type=click.Path(path_type=Path))
@click.option(
    '--format', 'form', type=click.Choice(['parquet', 'csv']), default=None,
    help='By default what the name of FILE ends in.',
)
@root_option
@config_option
@level_option
@json_option
@guarded
def import_(
    symbol: str,
    kind: str,
    file: Path,
    form: str | None,
    root: str | None,
    config: Path | None,
    loglevel: str,
    as_json: bool,
) -> None:
    """Check a parquet or CSV FILE and store its rows, all or none."""
    from ..data.storage.transfer import import_table

    where = _open(root, config)
    rows = import_table(where, TableId.of(symbol, kind), file, form or '')
    _say(as_json, f'{rows:,} rows stored as {symbol} {kind}', rows=rows)


@store.command(context_settings=CONTEXT)
@click.argument('symbol', required=False)
@click.argument('kind', required=False)
@click.option(
    '--retention', type=click.IntRange(min=0), default=24,
    show_default=True, metavar='HOURS',
    help='Keep replaced files this long for whoever still reads them.',
)
@root_option
@config_option
@level_option
@json_option
@guarded
def compact(
    symbol: str | None,
    kind: str | None,
    retention: int,
    root: str | None,
    config: Path | None,
    loglevel: str,
    as_json: bool,
) -> None:
    """
    Make few large files of many small ones, and sweep leftovers.

    Without SYMBOL all tables, without KIND all of a symbol.
    """
    where = _open(root, config)
    wanted = [
        table for table in where.ls()
        if (symbol is None or table == TableId.of(symbol, table.kind))
        and kind in (None, table.kind)
    ]
    if not wanted and symbol:
        where.info(symbol, kind or 'bars_60s')
    done = []
    with _progress('compacting', len(wanted), as_json) as progress:
        for table in wanted:
            result = where.compact(
                table.instrument_id, table.kind, retention_h=retention
            )
            done.append((table, result))
            progress(1)
    for table, result in done:
        _say(
            as_json,
            f'{table}: {result.files_before} → {result.files_after} files, '
            f'{result.swept} swept',
            symbol=table.instrument_id, kind=table.kind, **asdict(result),
        )


@store.command(context_settings=CONTEXT)
@click.argument('symbol')
@click.argument('kind')
@click.option('--yes', is_flag=True, help='Do not ask.')
@root_option
@config_option
@level_option
@json_option
@guarded
def delete(
    symbol: str,
    kind: str,
    yes: bool,
    root: str | None,
    config: Path | None,
    loglevel: str,
    as_json: bool,
) -> None:
    """Delete a table with all its rows."""
    where = _open(root, config)
    found = where.info(symbol, kind)
    if not yes:
        click.confirm(
            f'Delete {found.rows:,} rows of {symbol} {kind} for good?',
            abort=True, err=True,
        )
    where.delete(symbol, kind)
    _say(as_json, f'deleted {symbol} {kind}', deleted=found.rows)


@store.command(context_settings=CONTEXT)
@click.argument('symbol')
@kind_argument
@start_option
@end_option
@root_option
@config_option
@registry_option
@level_option
@json_option
@guarded
def fill(
    symbol: str,
    kind: str,
    start: int | None,
    end: int | None,
    root: str | None,
    config: Path | None,
    registry: str,
    loglevel: str,
    as_json: bool,
) -> None:
    """
    Fill gaps with bars from the venue, the newest first.

    With --start or --end also before the first and after the last bar.
    """
    where = _open(root, config)
    period_s = _period_of(symbol, kind)
    if end is not None:
        # what is not over yet, nobody has
        period_ns = period_s * NS_PER_S
        now_ns = SystemClock().now_ns()
        end = min(end, now_ns // period_ns * period_ns)
    missing = sum(
        gap.bars(period_s) for gap in where.gaps(symbol, period_s, start, end)
    )
    with _progress('filling', missing, as_json) as progress:
        found = run(partial(
            _fill, where, symbol, period_s, str(Tree.parse(registry)),
            (start, end), progress,
        ))
    _say(
        as_json,
        f'{found.filled:,} of {found.missing:,} missing bars in '
        f'{found.gaps} gaps filled',
        **found._asdict(),
    )


async def _fill(
    where: Store,
    symbol: str,
    period_s: int,
    registry: str,
    bounds: tuple[int | None, int | None],
    progress: Callable[[int], None],
) -> Any:
    from ..data.storage.fill import fetch_from_tree, fill_gaps

    async with open_tree(
        Tree.parse(registry), 'fill', start=own_pikerd(registry, [])
    ) as tree:
        return await fill_gaps(
            where, symbol, period_s, fetch_from_tree(tree),
            start_ns=bounds[0], end_ns=bounds[1], progress=progress,
        )


def _say(as_json: bool, text: str, **values: Any) -> None:
    if as_json:
        emit(values)
    else:
        click.echo(text)
