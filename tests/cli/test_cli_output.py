"""What the commands print, on a tree that runs."""
from __future__ import annotations

import json
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from cli_tools import Cli, invoke, open_cli, running_tree

from piker.cli.watch import _follow_quotes, _Printer
from piker.data import FeedState, Quote
from piker.data.status import TreeReport
from piker.instruments import Instrument
from piker.messages import BookStatus, FeedStatus, TreeStatus


@pytest.fixture(scope='module')
def shared() -> Iterator[Cli]:
    """The programs, on a tree that runs already."""
    with running_tree('--with', 'brokerd.sim') as cli:
        yield cli


@pytest.fixture
def alone() -> Iterator[Cli]:
    """The programs, where no tree runs."""
    with open_cli() as cli:
        yield cli


def test_quotes(shared: Cli) -> None:
    """Exactly as many lines as asked for, each of one of the symbols."""
    lines = shared.lines(
        'piker', 'watch', 'BTCUSDT.sim', 'ethusdt.sim', '--count', '5',
        '--rate', '20',
    )
    assert len(lines) == 5
    for line in lines:
        words = line.split()
        assert words[1] in {'btcusdt.sim', 'ethusdt.sim'}
        assert len(line) < 100
        last, _, bid, _, ask = words[2:7]
        assert float(bid) < float(ask)
        assert float(last) == pytest.approx(float(bid), rel=0.01)
        assert words[-1] == 'live'
    bare = [line.split(maxsplit=1)[1] for line in lines]
    assert all(one != two for one, two in pairwise(bare))


def test_quotes_as_json(shared: Cli) -> None:
    quotes = shared.objects(
        'piker', 'watch', '--json', '--count', '3', '--rate', '20',
        'ethusdt.sim',
    )
    assert len(quotes) == 3
    for quote in quotes:
        assert quote['symbol'] == 'ethusdt.sim'
        assert (quote['state'], quote['reason']) == ('live', '')
        assert quote['bid'] < quote['ask']
        assert quote['recv'] > 10**18


class FakeFlume:
    """A feed that is not live, for one reason after the other."""

    instrument = Instrument(
        id='btcusdt.sim', raw_symbol='BTCUSDT', base='btc', quote='usdt',
        tick_size=Decimal('0.01'), lot_size=Decimal('0.001'),
    )

    def __init__(self, *told: tuple[FeedState, str]) -> None:
        self._told = iter(told)
        self.state, self.reason = FeedState.STARTING, ''

    def quote(self) -> Quote:
        self.state, self.reason = next(
            self._told, (self.state, self.reason)
        )
        return Quote(100.0, 1.0, 99.0, 1.0, 101.0, 1.0, 5.0, 1, 1, 1)


@pytest.mark.parametrize('as_json', [False, True])
async def test_why_a_quote_is_not_live(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    """Beside the state, and a line of its own when it changes."""
    flume: Any = FakeFlume(
        (FeedState.LIVE, ''),
        (FeedState.RECONNECTING, 'the venue closed: \x1b[2J'),
        (FeedState.RECONNECTING, 'the venue does not answer'),
        (FeedState.RECONNECTING, 'the venue does not answer'),
        (FeedState.STALE, ''),
    )
    printer = _Printer(as_json, 4)
    feed: Any = {'btcusdt.sim': flume}
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                _follow_quotes, feed, 'btcusdt.sim', printer, 60.0
            )
            await printer.enough.wait()
            nursery.cancel_scope.cancel()
    lines = capsys.readouterr().out.splitlines()
    if as_json:
        told = [json.loads(line) for line in lines]
        assert [(t['state'], t['reason']) for t in told] == [
            ('live', ''),
            ('reconnecting', 'the venue closed: \x1b[2J'),
            ('reconnecting', 'the venue does not answer'),
            ('stale', ''),
        ]
        return
    assert [line.split(maxsplit=8)[-1] for line in lines] == [
        'live',
        'reconnecting: the venue closed: ·[2J',
        'reconnecting: the venue does not answer',
        'stale',
    ]


def test_why_feeds_and_books_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """First among the notes of each; nothing where all is well."""
    feeds = [
        FeedStatus(
            'btcusdt.sim', 'reconnecting', 1, 10, 0.0, 14.0, {}, True,
            {'trades': 5, 'reconnects': 2}, reason='the venue closed',
        ),
        FeedStatus(
            'ethusdt.sim', 'stale', 1, 10, 0.0, 6.0, {}, False, {},
            reason='nothing is heard of the venue',
        ),
        FeedStatus('xrpusdt.sim', 'live', 1, 10, 0.0, 0.1, {}, False, {}),
    ]
    books = [
        BookStatus(
            'btcusdt.sim', 'syncing', 1, 0, 0, 0.3, {'gaps': 1},
            reason='the book is being fetched',
        ),
        BookStatus('ethusdt.sim', 'live', 1, 9, 9, 0.1, {}),
    ]
    tree = TreeStatus('127.0.0.1:1', [], [])

    async def ask(*_: Any) -> TreeReport:
        return TreeReport(tree, feeds, {}, books)

    monkeypatch.setattr('piker.cli.services._ask', ask)
    lines = invoke('piker', 'services').stdout.splitlines()
    at = lines.index('feeds') + 2
    assert [line.split(maxsplit=8)[8:] for line in lines[at:at + 3]] == [
        ['the venue closed; loading history, 2 reconnects'],
        ['nothing is heard of the venue'],
        [],
    ]
    at = lines.index('order books') + 2
    assert [line.split(maxsplit=6)[6:] for line in lines[at:at + 2]] == [
        ['the book is being fetched; 1 gaps'], [],
    ]
    found = json.loads(invoke('piker', 'services', '--json').stdout)
    assert [f['reason'] for f in found['feeds']] == [
        f.reason for f in feeds
    ]
    assert [b['reason'] for b in found['books']] == [
        b.reason for b in books
    ]


def test_ticks(shared: Cli) -> None:
    lines = shared.lines(
        'piker', 'watch', '--ticks', '--count', '4', 'btcusdt.sim'
    )
    assert len(lines) == 4
    assert {line.split()[2] for line in lines} <= {'trade', 'bid', 'ask'}
    ticks = shared.objects(
        'piker', 'watch', '--ticks', '--json', '--count', '20', 'btcusdt.sim'
    )
    first = ticks[0]['seq']
    assert [t['seq'] for t in ticks] == list(range(first, first + 20))
    for tick in ticks:
        assert (tick['side'] != '') == (tick['kind'] == 'trade')


def test_bars(shared: Cli) -> None:
    head, *rows = shared.lines(
        'piker', 'bars', 'btcusdt.sim', '--count', '3'
    )
    assert head.split() == [
        'time', '(UTC)', 'open', 'high', 'low', 'close', 'volume', 'vwap',
        'trades',
    ]
    assert len(rows) == 3
    for row in rows:
        _, _, open_, high, low, close, *_ = row.split()
        assert float(low) <= min(float(open_), float(close))
        assert float(high) >= max(float(open_), float(close))
        assert len(open_.partition('.')[2]) == 2
        assert row == row.rstrip()
    seconds = shared.objects(
        'piker', 'bars', 'btcusdt.sim', '--period', '1', '--count', '1500',
        '--json',
    )
    assert len(seconds) == 1500
    times = [bar['time'] for bar in seconds]
    assert times == list(range(times[0], times[-1] + 1, 10**9))
    hours = shared.objects(
        'piker', 'bars', 'btcusdt.sim', '--period', '3600', '--count', '60',
        '--json',
    )
    assert len(hours) == 60
    assert {bar['time'] % (3600 * 10**9) for bar in hours} == {0}


def test_book(shared: Cli) -> None:
    """A ladder, highest price first; the best of both sides in the middle."""
    head, names, *rows = shared.lines(
        'piker', 'book', 'btcusdt.sim', '--levels', '4'
    )
    assert head.startswith('btcusdt.sim ')
    assert ' live ' in head
    assert names.split() == ['price', 'size', 'sum']
    assert len(rows) == 9
    prices = [float(row.split()[0]) for row in rows if row.split()[1:]]
    assert prices == sorted(prices, reverse=True)
    books = shared.objects(
        'piker', 'book', 'btcusdt.sim', '--levels', '2', '--json', '--count',
        '3', '--rate', '30',
    )
    assert len(books) == 3
    for book in books:
        assert len(book['bids']) == len(book['asks']) == 2
        assert book['bids'][0][0] < book['asks'][0][0]


def test_unknown_symbol(shared: Cli) -> None:
    done = shared.run('piker', 'bars', 'btcsdt.sim', code=2)
    assert done.stderr == (
        "piker: sim has no symbol 'btcsdt'. Did you mean 'btcusdt' or "
        "'ltcusdt' or 'ethusdt'? `piker search TEXT` lists what there is.\n"
    )
    assert not done.stdout


def test_search(shared: Cli) -> None:
    head, first, *_ = shared.lines('piker', 'search', 'eth')
    assert head.split() == ['symbol', 'description', 'tick', 'lot', 'status']
    assert first.startswith('eth')
    found = shared.objects('piker', 'search', '--json', '--limit', '2', 'eth')
    assert len(found) == 2
    assert found[0]['tick_size'] == '0.00001'
    done = shared.run('piker', 'search', 'qqqqqqqq')
    assert done.stderr == "nothing resembles 'qqqqqqqq'\n"
    assert not done.stdout


def test_services(shared: Cli) -> None:
    shared.run('piker', 'watch', '--count', '1', 'btcusdt.sim')
    lines = shared.lines('piker', 'services')
    assert lines[0] == f'tree at {shared.tree}'
    daemons = [line.split()[0] for line in lines[2:lines.index('')]]
    assert daemons == ['pikerd', *['├'] * (len(daemons) - 2), '└']
    feed = next(line for line in lines if line.startswith('btcusdt.sim'))
    assert feed.split()[1:3] == ['live', '0']
    assert any(line.startswith('services ') for line in lines)
    (answer,) = shared.objects('piker', 'services', '--json')
    names = [daemon['name'] for daemon in answer['tree']['daemons']]
    assert names[0] == 'pikerd'
    assert {'brokerd.sim', 'simd'} <= set(names)
    assert len(names) == len(daemons)
    assert answer['feeds'][0]['counters']['trades'] > 0
    assert answer['feeds'][0]['reason'] == ''
    done = shared.run('piker', 'services', '--stop', 'brokerd.nim', code=5)
    assert "Did you mean 'brokerd.sim'?" in done.stderr


def test_runs_already(shared: Cli) -> None:
    done = shared.run('pikerd', code=5)
    assert done.stderr.startswith(
        f'pikerd: pikerd already runs at {shared.tree} (pid '
    )
    assert '--registry' in done.stderr


@pytest.mark.parametrize('options', [
    ('watch', '--rate', '30', 'btcusdt.sim'),
    ('watch', '--ticks', '--json', 'btcusdt.sim'),
    ('bars', 'btcusdt.sim', '--count', '3000'),
    ('services',),
])
def test_closed_pipe(shared: Cli, options: tuple[str, ...]) -> None:
    """As with ``| head -1``: quiet, and no failure."""
    process = shared.open(
        'piker', *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout
    assert process.stderr
    assert process.stdout.readline()
    process.stdout.close()
    with process.stderr as errors:
        assert errors.read() == ''
    assert process.wait(20) == 0


def test_ctrl_c(shared: Cli) -> None:
    process = shared.open(
        'piker', 'watch', 'btcusdt.sim', stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == ''


def test_screenshot(shared: Cli, tmp_path: Path) -> None:
    picture = tmp_path / 'chart.png'
    done = shared.run(
        'piker', 'chart', 'btcusdt.sim', '--screenshot', str(picture),
        '--after', '0', '--size', '640x360',
    )
    assert picture.read_bytes().startswith(b'\x89PNG')
    assert not done.stderr
    assert not done.stdout


@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM])
def test_venue(alone: Cli, how: signal.Signals) -> None:
    """Says where it is, and ends when told to."""
    venue = alone.open('piker', 'venue', stdout=subprocess.PIPE)
    assert venue.stdout
    try:
        words = venue.stdout.readline().split()
        assert words[:2] == ['venue', 'at']
        with urllib.request.urlopen(f'{words[2]}/ping') as answer:
            assert answer.read() == b'{}'
        port = words[2].rpartition(':')[2].partition('/')[0]
        if how is signal.SIGINT:
            done = alone.run('piker', 'venue', '--port', port, code=5)
            assert f'port {port} of 127.0.0.1 is taken' in done.stderr
        venue.send_signal(how)
        assert venue.wait(20) == 0
    finally:
        venue.kill()
        venue.communicate()


def test_foreign_port(alone: Cli) -> None:
    """A client does not take another program for a tree."""
    with socket.socket() as other:
        other.bind(alone.tree.address)
        other.listen()
        done = alone.run('piker', 'watch', 'btcusdt.sim', code=5)
    assert 'is in use by another program' in done.stderr
    assert 'Traceback' not in done.stderr


def test_own_tree_says_so(alone: Cli) -> None:
    """A tree started for one command goes with it."""
    done = alone.run('piker', 'search', 'eth', '--limit', '1')
    assert done.stdout.splitlines()[1].startswith('eth')
    assert done.stderr == (
        f'piker: no pikerd runs at {alone.tree}: starting one for this '
        'command (it ends with its last client)\n'
    )
    assert not alone.record_pid()
