"""
``piker services``: the tree as it is now.
"""
from __future__ import annotations

from functools import partial
from typing import Any

import click
import msgspec

from ..data.status import TreeReport, report
from ..messages import FeedStatus, RecordStatus, StoreStatus
from ..service import Tree, open_tree
from .common import emit, guarded, run
from .options import CONTEXT, client_options
from .table import print_table

__all__ = ['services']

# Counters that rise while all is well.
_ROUTINE = frozenset({
    'trades', 'quotes', 'filled', 'amended',
    'updates', 'covered', 'snapshots',
})


@click.command(context_settings=CONTEXT)
@client_options
@click.option(
    '--stop', metavar='DAEMON', help='End one daemon, e.g. brokerd.sim.'
)
@guarded
def services(registry: str, as_json: bool, stop: str | None) -> None:
    """
    Show the tree: its daemons, feeds, what is stored of them, and clients.

    Notes say why a feed or book is not live and name what has happened out
    of the ordinary; --json has every counter.
    """
    found = run(partial(_ask, Tree.parse(registry), stop))
    if as_json:
        emit(msgspec.to_builtins(found))
    else:
        _print(found)


async def _ask(tree: Tree, stop: str | None) -> TreeReport:
    async with open_tree(tree, 'services') as client:
        if stop:
            await client.stop(stop)
        return await report(client)


def _print(found: TreeReport) -> None:
    rows = []
    last = len(found.tree.daemons) - 1
    for at, daemon in enumerate(found.tree.daemons):
        branch = '' if at == 0 else '└ ' if at == last else '├ '
        rows.append([
            branch + daemon.name,
            daemon.state,
            str(daemon.pid or '–'),
            _duration(daemon.uptime_s),
            str(daemon.restarts),
            f'{daemon.cpu_percent:.1f}',
            f'{daemon.memory / 2**20:.1f}',
            daemon.error or _where(daemon.details),
        ])
    print_table(f'tree at {found.tree.address}', [
        ('daemon', 'left'), ('state', 'left'), ('pid', 'right'),
        ('up', 'right'), ('restarts', 'right'), ('cpu %', 'right'),
        ('MiB', 'right'), ('', 'text'),
    ], rows)
    if found.feeds:
        print_table('\nfeeds', [
            ('symbol', 'left'), ('state', 'left'), ('clients', 'right'),
            ('ticks', 'right'), ('per s', 'right'), ('age s', 'right'),
            ('1s bars', 'right'), ('1m bars', 'right'), ('notes', 'text'),
        ], [
            [
                feed.symbol, feed.state, str(feed.subscribers),
                f'{feed.ticks:,}', f'{feed.rate:.1f}', f'{feed.age_s:.1f}',
                f'{feed.bars.get("1", 0):,}', f'{feed.bars.get("60", 0):,}',
                _joined('; ', feed.reason, _joined(
                    ', ', _notes(feed.counters, feed.backfilling),
                    _gaps(feed),
                )),
            ]
            for feed in found.feeds
        ])
    if found.books:
        print_table('\norder books', [
            ('symbol', 'left'), ('state', 'left'), ('clients', 'right'),
            ('bids', 'right'), ('asks', 'right'), ('age s', 'right'),
            ('notes', 'text'),
        ], [
            [
                book.symbol, book.state, str(book.subscribers),
                f'{book.bids:,}', f'{book.asks:,}', f'{book.age_s:.1f}',
                _joined('; ', book.reason, _notes(book.counters, False)),
            ]
            for book in found.books
        ])
    if found.store:
        _print_store(found.store)
    if found.ems:
        _print_ems(found.ems)
    if found.tree.clients:
        print_table('\nclients', [('client', 'left'), ('pid', 'right')], [
            [client.name, str(client.pid)] for client in found.tree.clients
        ])


def _print_store(store: StoreStatus) -> None:
    title = f'\nstored in {store.root}'
    if store.compacted:
        title += f', {store.compacted:,} ranges compacted'
    if store.error:
        title += f'; compacting failed: {store.error}'
    print_table(title, [
        ('symbol', 'left'), ('state', 'left'), ('1s bars', 'right'),
        ('1m bars', 'right'), ('ticks', 'right'), ('waiting', 'right'),
        ('age s', 'right'), ('notes', 'text'),
    ], [
        [
            symbol, _recording_state(record),
            f'{record.bars.get("1", 0):,}', f'{record.bars.get("60", 0):,}',
            f'{record.ticks:,}', f'{record.waiting:,}',
            f'{record.since_flush_s:.1f}', _record_notes(record),
        ]
        for symbol, record in sorted(store.recording.items())
    ])


def _recording_state(record: RecordStatus) -> str:
    if record.error:
        return 'failing'
    return 'ending' if record.ending else 'recording'


def _record_notes(record: RecordStatus) -> str:
    notes = _notes({
        name: getattr(record, name)
        for name in ('lost', 'torn', 'refused', 'errors')
    }, False)
    return _joined(': ', notes, record.error)


def _print_ems(ems: dict[str, Any]) -> None:
    print_table('\norders', [
        ('open', 'right'), ('dark', 'right'), ('alerts', 'right'),
        ('gateways', 'left'), ('journal', 'left'), ('commit ms', 'right'),
        ('halted', 'text'),
    ], [[
        str(ems['open']), str(ems['dark']), str(ems['alerts']),
        ', '.join(f'{n} {state}' for n, state in ems['gateways'].items()),
        f'{ems["records"]:,} records, {ems["journal_bytes"] / 2**20:.1f} MiB',
        f'{ems["commit_ms"]:.2f}',
        ', '.join(
            f'{name or "all"}: {why or "yes"}'
            for name, why in ems['halted'].items()
        ),
    ]])


def _where(details: dict[str, Any]) -> str:
    if 'port' in details:
        return f'http://{details["host"]}:{details["port"]}'
    return ''


def _joined(between: str, *notes: str) -> str:
    return between.join(filter(None, notes))


def _notes(counters: dict[str, int], backfilling: bool) -> str:
    notes = ['loading history'] if backfilling else []
    notes += [
        f'{n} {name}' for name, n in counters.items()
        if n and name not in _ROUTINE
    ]
    return ', '.join(notes)


def _gaps(feed: FeedStatus) -> str:
    if not feed.gaps_left:
        return ''
    return f'{feed.gaps_left} stored gaps to fill ({feed.bars_left:,} bars)'


def _duration(seconds: float) -> str:
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    if hours:
        return f'{hours}h{m:02d}m'
    return f'{m}m{s:02d}s' if m else f'{seconds:.1f}s'
