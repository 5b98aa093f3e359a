"""What ``piker services`` says of the store."""
from __future__ import annotations

from typing import Any

import pytest
from cli_tools import Cli, invoke, running_tree, wait_until

from piker.data.status import TreeReport
from piker.messages import RecordStatus, StoreStatus, TreeStatus


def record(**changes: Any) -> RecordStatus:
    return RecordStatus(**{
        'bars': {'1': 7_200, '60': 120}, 'ticks': 1_234_567, 'waiting': 25,
        'flushes': 9, 'since_flush_s': 4.04, 'lost': 0, 'torn': 0,
        'refused': 0, 'errors': 0, 'error': '', 'ending': False, **changes,
    })


def shown(monkeypatch: pytest.MonkeyPatch, store: StoreStatus) -> list[str]:
    """The lines from that of the store on."""
    tree = TreeStatus('127.0.0.1:1', [], [])

    async def ask(*_: Any) -> TreeReport:
        return TreeReport(tree, [], {}, store=store)

    monkeypatch.setattr('piker.cli.services._ask', ask)
    lines = invoke('piker', 'services').stdout.splitlines()
    return lines[lines.index('') + 1:]


def test_each_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, StoreStatus('/tables', {
        'ethusdt.sim': record(ending=True, waiting=0, lost=3, torn=1),
        'btcusdt.sim': record(),
        'xrpusdt.sim': record(error='no space left', errors=2, refused=5),
    }, compacted=1_500, error=''))
    title, head, *rows = lines
    assert title == 'stored in /tables, 1,500 ranges compacted'
    assert head.split() == [
        'symbol', 'state', '1s', 'bars', '1m', 'bars', 'ticks', 'waiting',
        'age', 's', 'notes',
    ]
    assert [row.split() for row in rows] == [
        ['btcusdt.sim', 'recording', '7,200', '120', '1,234,567', '25',
         '4.0'],
        ['ethusdt.sim', 'ending', '7,200', '120', '1,234,567', '0', '4.0',
         '3', 'lost,', '1', 'torn'],
        ['xrpusdt.sim', 'failing', '7,200', '120', '1,234,567', '25', '4.0',
         '5', 'refused,', '2', 'errors:', 'no', 'space', 'left'],
    ]


def test_an_idle_store(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, StoreStatus(
        's3://tables', {}, compacted=0, error='it is gone'
    ))
    assert lines[0] == 'stored in s3://tables; compacting failed: it is gone'


def test_a_tree_that_stores() -> None:
    with running_tree(
        '--with=brokerd.sim', '--set=storage.flush_s=0.3',
        '--set=storage.settle_s=1.0',
    ) as cli:
        cli.run('piker', 'watch', '--count', '1', 'btcusdt.sim')

        def stored() -> dict[str, Any]:
            (answer,) = cli.objects('piker', 'services', '--json')
            store = answer['store']
            return store and store['recording'].get('btcusdt.sim', {})

        def written() -> bool:
            found = stored()
            return bool(found) and found['ticks'] > 0 < found['bars']['1']

        wait_until(written, 30)
        assert stored()['error'] == ''
        lines = cli.lines('piker', 'services')
        at = lines.index(f'stored in {tables(cli)}')
        symbol, state, bars, _, ticks, *_ = lines[at + 2].split()
        assert (symbol, state) == ('btcusdt.sim', 'recording')
        assert bars != '0' != ticks


def test_a_tree_that_stores_nothing() -> None:
    with running_tree('--set=storage.enabled=false') as cli:
        (answer,) = cli.objects('piker', 'services', '--json')
        assert answer['store'] is None
        assert 'stored' not in cli.run('piker', 'services').stdout


def tables(cli: Cli) -> str:
    (answer,) = cli.objects('piker', 'services', '--json')
    root: str = answer['store']['root']
    assert root.startswith(str(cli.base / 'data'))
    return root
