"""``piker ledger`` on a journal, and against the books of a tree."""
from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import msgspec
import polars as pl
import pytest
from cli_tools import Cli, invoke, running_tree, wait_until
from click.testing import Result

from piker.clearing import records as rec
from piker.clearing.audit import Audit
from piker.clearing.journal import Journal, JournalReader
from piker.clearing.positions import DAY_NS
from piker.gateway import Abilities
from piker.instruments import Instrument
from piker.orders import Fill, OrderSide, OrderType

BUY, SELL = OrderSide.BUY, OrderSide.SELL
DAY = 20_000 * DAY_NS  # 2024-10-04
D = Decimal
BTC = Instrument(
    id='btcusdt.sim', raw_symbol='BTCUSDT', base='btc', quote='usdt',
    tick_size=D('0.01'), lot_size=D('0.00001'),
)


def fill(
    side: OrderSide, size: str, price: str, trade: int, day: int = 0,
    fee: tuple[str, str] = ('0', ''), account: str = 'paper',
    symbol: str = BTC.id,
) -> Fill:
    return Fill(
        account=account, oid=f'o{trade}', symbol=symbol, side=side,
        trade_id=str(trade), price=D(price), size=D(size), fee=D(fee[0]),
        fee_asset=fee[1], time_ns=DAY + day * DAY_NS + trade * 10**9,
    )


FILLS = [
    fill(BUY, '0.5', '60000', 1, fee=('0.0005', 'btc')),
    fill(SELL, '0.25', '61000', 2, fee=('15.25', 'usdt')),
    fill(BUY, '1', '3000', 3, 1, account='swing', symbol='ethusdt.sim'),
    fill(SELL, '0.25', '59999.5', 4, 1, fee=('0.001', 'bnb')),
]


def write(path: Path, fills: list[Fill] = FILLS) -> None:
    journal = Journal(path, DAY)
    journal.append([
        rec.InstrumentKnown(time_ns=DAY, instrument=BTC),
        *(
            rec.Filled(
                time_ns=f.time_ns, account=f.account, oid=f.oid, fill=f,
                cid='pk1',
            ) for f in fills
        ),
    ])
    journal.close()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Directories of the test's own, and no tree."""
    monkeypatch.setenv('PIKER_CONFIG_DIR', str(tmp_path))
    monkeypatch.setenv('PIKER_DATA_DIR', str(tmp_path))
    monkeypatch.setenv('PIKER_REGISTRY', '127.0.0.1:1')
    return tmp_path


@pytest.fixture
def journal(data: Path) -> Path:
    write(data / 'ems.sqlite')
    return data / 'ems.sqlite'


def ledger(*args: str, code: int = 0) -> Result:
    done = invoke('piker', 'ledger', *args)
    assert done.exit_code == code, done.output
    return done


def cells(*args: str) -> list[list[str]]:
    return [line.split() for line in ledger(*args).stdout.splitlines()]


def test_history(journal: Path) -> None:
    head, *rows = cells()
    assert head == [
        'time', '(UTC)', 'account', 'symbol', 'side', 'size', 'price', 'fee',
        'position', 'realised', 'total', 'order',
    ]
    assert rows == [
        ['2024-10-04', '00:00:01.000', 'paper', 'btcusdt.sim', 'buy', '0.5',
         '60000', '0.0005', 'btc', '0.5', '0.00', '0.00', 'usdt', 'o1'],
        ['2024-10-04', '00:00:02.000', 'paper', 'btcusdt.sim', 'sell',
         '0.25', '61000', '15.25', 'usdt', '0.25', '250.00', '250.00',
         'usdt', 'o2'],
        ['2024-10-05', '00:00:03.000', 'swing', 'ethusdt.sim', 'buy', '1',
         '3000', '–', '1', '0.00', '0.00', 'o3'],
        ['2024-10-05', '00:00:04.000', 'paper', 'btcusdt.sim', 'sell',
         '0.25', '59999.5', '0.001', 'bnb', '0', '-0.125', '249.88', 'usdt',
         'o4'],
    ]


def test_which_fills(journal: Path) -> None:
    def orders(*args: str) -> list[str]:
        return [
            json.loads(line)['oid']
            for line in ledger(*args, '--json').stdout.splitlines()
        ]

    assert orders() == ['o1', 'o2', 'o3', 'o4']
    assert orders('--account', 'swing') == ['o3']
    assert orders('--account', 'sim') == []
    assert orders('--symbol', 'BTCUSDT.sim') == ['o1', 'o2', 'o4']
    assert orders('--since', '2024-10-05') == ['o3', 'o4']
    assert orders('--until', '2024-10-04T00:00:02') == ['o1']


def test_json_is_exact(journal: Path) -> None:
    line = ledger('--json', '--since', '2024-10-05').stdout.splitlines()[1]
    assert json.loads(line) == {
        'account': 'paper', 'oid': 'o4', 'symbol': 'btcusdt.sim',
        'side': 'sell', 'trade_id': '4', 'price': '59999.5', 'size': '0.25',
        'fee': '0.001', 'fee_asset': 'bnb', 'maker': False,
        'time_ns': DAY + DAY_NS + 4 * 10**9, 'base': 'btc', 'quote': 'usdt',
        'position': '0', 'average': '0', 'realised': '-0.125',
        'total': '249.875', 'fee_quote': '0',
    }


def test_profit(journal: Path) -> None:
    assert cells('pnl', '--account', 'paper') == [
        ['day', '(UTC)', 'account', 'symbol', 'fills', 'bought', 'sold',
         'turnover', 'realised', 'fees', 'net', 'other', 'fees'],
        ['2024-10-04', 'paper', 'btcusdt.sim', '2', '0.5', '0.25',
         '45,250.00', '250.00', '45.25', '204.75', 'usdt'],
        ['2024-10-05', 'paper', 'btcusdt.sim', '1', '0', '0.25',
         '14,999.88', '-0.125', '0.00', '-0.125', 'usdt', '0.001', 'bnb'],
    ]
    assert cells('pnl', '--by', 'symbol', '--symbol', BTC.id)[1:] == [[
        'paper', 'btcusdt.sim', '3', '0.5', '0.5', '60,249.88', '249.88',
        '45.25', '204.62', 'usdt', '0.001', 'bnb',
    ]]
    by_day = cells('pnl', '--by', 'day')
    assert 'symbol' not in by_day[0]
    assert [row[:3] for row in by_day[1:]] == [
        ['2024-10-04', 'paper', '2'], ['2024-10-05', 'paper', '1'],
        ['2024-10-05', 'swing', '1'],
    ]
    found = json.loads(ledger(
        'pnl', '--by', 'symbol', '--account', 'paper', '--json'
    ).stdout)
    assert found['day_ns'] is None
    assert found['net'] == '204.625'


def test_exported_tables(journal: Path, tmp_path: Path) -> None:
    for kind in ('csv', 'parquet'):
        file = tmp_path / f'fills.{kind}'
        file.write_text('what was there before')
        done = ledger('export', str(file))
        assert done.stderr == f'4 fills written to {file}\n'
        assert not done.stdout
    assert not list(tmp_path.glob('.*'))
    table = pl.read_parquet(tmp_path / 'fills.parquet')
    assert table['realised'].to_list() == [0, 250, 0, D('-0.125')]
    assert table['price'].dtype == pl.Decimal(38, 8)
    lines = (tmp_path / 'fills.csv').read_text().splitlines()
    assert lines[0] == ','.join(table.columns)
    assert lines[4].startswith(
        '2024-10-05T00:00:04.000000000Z,paper,btcusdt.sim,sell,0.25000000,'
        '59999.50000000,0.00100000,bnb,false,'
    )
    file = tmp_path / 'one.csv'
    ledger('export', '--format', 'csv', str(file), '--account', 'swing')
    assert len(file.read_text().splitlines()) == 2


def test_exported_beancount(journal: Path, tmp_path: Path) -> None:
    file = tmp_path / 'fills.beancount'
    args = ('export', '--format', 'beancount', str(file))
    refused = ledger(*args, code=7)
    assert 'ethusdt.sim' in refused.stderr
    assert not file.exists()
    ledger(*args, '--symbol', BTC.id, '--since', '2024-10-05')
    text = file.read_text()
    assert '"btcusdt.sim as it was"' in text
    assert '0.25 BTC {60000 USDT, 2024-10-04, "1"}\n' in text
    assert '@ 59999.5 USDT' in text
    assert 'o2' not in text


def test_a_file_that_cannot_be_written(journal: Path, tmp_path: Path) -> None:
    done = ledger(
        'export', '--format', 'csv', str(tmp_path / 'no' / 'x.csv'), code=7
    )
    assert 'cannot be written' in done.stderr


def test_no_journal_yet(data: Path) -> None:
    """Says so, and how one comes about; an empty table all the same."""
    done = ledger()
    assert done.stdout.split()[:2] == ['time', '(UTC)']
    assert len(done.stdout.splitlines()) == 1
    assert str(data / 'ems.sqlite') in done.stderr
    assert 'piker ems buy' in done.stderr
    assert not ledger('--json').stdout
    assert len(ledger('pnl').stdout.splitlines()) == 1
    for kind in ('csv', 'beancount'):
        ledger('export', '--format', kind, str(data / kind))
    assert len((data / 'csv').read_text().splitlines()) == 1
    assert 'open' not in (data / 'beancount').read_text()
    assert 'piker ems buy' in ledger('check').stderr
    assert not (data / 'ems.sqlite').exists()


def test_which_journal(data: Path) -> None:
    write(data / 'mine.sqlite', FILLS[:1])
    (data / 'piker.toml').write_text(
        f'[ems]\njournal = "{data}/mine.sqlite"\n'
    )
    write(data / 'other.sqlite', FILLS[:2])
    assert len(cells()) == 2
    assert len(cells('--journal', str(data / 'other.sqlite'))) == 3
    (data / 'else.toml').write_text('')
    assert len(cells('--config', str(data / 'else.toml'))) == 1


@pytest.mark.parametrize(('args', 'code', 'text'), [
    (['--account', 'papr'], 2, "'papr'. Did you mean"),
    (['--symbol', 'btcusdt'], 2, 'SYMBOL.PROVIDER'),
    (['--since', 'monday'], 2, "'monday' is not a time"),
    (['--since', '2024-10-05', '--until', '2024-10-05'], 2, 'not after'),
    (['--account', 'paper', 'pnl'], 2, "write --account after 'pnl'"),
    (['--json', 'pnl'], 2, "write --json after 'pnl'"),
    (['pnl', '--by', 'week'], 2, "'week'"),
    (['export', 'x.txt'], 2, "'txt' is not a format"),
    (['export', 'fills'], 2, "'fills' is not a format"),
    (['check', '--account', 'nosuch'], 2, 'nosuch'),
])
def test_refusals(
    journal: Path, args: list[str], code: int, text: str
) -> None:
    assert text in ledger(*args, code=code).stderr


def test_a_file_that_is_no_journal(data: Path) -> None:
    (data / 'ems.sqlite').write_text('just a text, and longer than a page')
    assert 'ems.sqlite' in ledger(code=7).stderr


def test_nothing_to_check(journal: Path) -> None:
    """Fills of an account that no gateway was ever there for."""
    assert 'no order of any account' in ledger('check').stderr


_TRADE = '''
import trio
from piker.clearing import open_ems

async def main():
    async with open_ems() as ems:
        for account in ('paper', 'sim'):
            for size in ('0.02', '0.01'):
                view = await ems.buy('btcusdt.sim', size, account=account)
                view = await ems.closed(view.request.oid, account=account)
                assert view.status == 'closed', view
        view = await ems.buy('btcusdt.sim', '0.01', price='1000')

trio.run(main)
'''


def _meddle(path: Path, change: str) -> None:
    with sqlite3.connect(path) as db:
        assert db.execute(change).rowcount == 1
    db.close()


def _check(cli: Cli, *args: str, code: int = 0) -> list[Audit]:
    done = cli.run('piker', 'ledger', 'check', '--json', *args, code=code)
    return [
        msgspec.json.decode(line, type=Audit)
        for line in done.stdout.splitlines()
    ]


def test_against_the_venue() -> None:
    """Paper and the embedded venue; what is changed behind its back shows."""
    with running_tree('--set=storage.enabled=false') as cli:
        subprocess.run(
            [sys.executable, '-c', _TRADE], env=cli.env, check=True,
            timeout=90,
        )
        wait_until(lambda: not any(a.unsettled for a in _check(cli)))
        paper, sim = _check(cli)
        assert (paper.account, sim.account) == ('paper', 'sim')
        for audit in (paper, sim):
            assert audit.fills >= 2
            assert audit.balances >= 2
            assert not audit.differences
        (line,) = cli.lines('piker', 'ledger', 'check', '--account', 'sim')
        assert line.startswith('sim: ')
        assert line.endswith('compared, no differences')
        path = cli.base / 'data' / 'ems-paper.sqlite'
        _meddle(path, 'delete from fills where number = 1')
        _meddle(
            path, 'update balances set body = \'{"free":"7"}\' '
            "where asset = 'usdt'",
        )
        paper, sim = _check(cli, code=1)
        assert not sim.differences
        first, second = paper.differences
        assert (first.kind, first.trade_id) == ('fill', '1')
        assert first.ours
        assert not first.venue
        assert (second.kind, second.of) == ('balance', 'usdt')
        assert (second.ours, second.venue) != ('7', '7')
        assert second.venue == '7'
        done = cli.run(
            'piker', 'ledger', 'check', '--account', 'paper', code=1
        )
        # emsd has heard of the balance by now
        assert '1 difference\n' in done.stdout
        copy = cli.base / 'data' / 'copy.sqlite'
        with JournalReader(cli.base / 'data' / 'ems.sqlite') as reader:
            found = Journal(copy, DAY)
            found.append([e.record for e in reader.entries()][1:])
            found.close()
        done = cli.run(
            'piker', 'ledger', 'check', '--journal', str(copy), code=2
        )
        assert 'is not the journal of that tree' in done.stderr


def test_check_needs_a_tree(data: Path) -> None:
    journal = Journal(data / 'ems.sqlite', DAY)
    journal.append([rec.GatewayKnown(
        time_ns=DAY, account='paper',
        abilities=Abilities(types=frozenset({OrderType.LIMIT})),
    )])
    journal.close()
    assert 'no pikerd runs' in ledger('check', code=5).stderr
