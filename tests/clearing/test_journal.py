"""The journal: what is written is there, whatever happens to the writer."""
from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from decimal import Decimal
from functools import partial

import msgspec
import pytest
from clearing_venue import World, limit_request
from hypothesis import given
from hypothesis import strategies as st

from piker.clearing import records as rec
from piker.clearing.journal import Journal, JournalReader
from piker.errors import DataError
from piker.gateway import Abilities
from piker.orders import Alert, AlertSide, Balance, Fill, OrderSide, OrderType

NOW = 1_700_000_000_000_000_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'deep' / 'ems.sqlite'


def halted(i, account='sim', **given):
    return rec.Halted(time_ns=NOW + i, account=account, reason=str(i), **given)


def read(path, **given):
    with JournalReader(path) as reader:
        return [entry.record for entry in reader.entries(**given)]


def test_what_is_written_is_read(path):
    with Journal(path, NOW) as journal:
        assert journal.append([halted(1), halted(2)]) == 3
        assert journal.append([halted(3)]) == 4
        assert journal.append([]) == 4
        journal.sync()
        assert [r.reason for r in read(path)[1:]] == ['1', '2', '3']
    with Journal(path, NOW) as journal:
        assert journal.append([halted(4)]) == 5
        begun, *others = (e.record for e in journal.entries())
    assert len(begun.tag) == 16
    assert others == [halted(1), halted(2), halted(3), halted(4)]
    assert path.stat().st_mode & 0o777 == 0o600


def test_each_journal_has_a_tag_of_its_own(tmp_path):
    tags = set()
    for name in 'ab':
        with Journal(tmp_path / name, NOW):
            pass
        tags.add(read(tmp_path / name)[0].tag)
    assert len(tags) == 2


def test_entries_that_fit(path):
    with Journal(path, NOW) as journal:
        journal.append([
            halted(1), halted(2, account='paper'), halted(3, oid='x'),
            rec.Resumed(time_ns=NOW + 4, account='sim'),
        ])
        found = {
            name: [e.seq for e in journal.entries(**given)]
            for name, given in {
                'after': {'after': 4}, 'account': {'account': 'paper'},
                'oid': {'oid': 'x'}, 'kinds': {'kinds': ['resumed', 'begun']},
                'since': {'since_ns': NOW + 3}, 'until': {'until_ns': NOW + 1},
            }.items()
        }
    assert found == {
        'after': [5], 'account': [3], 'oid': [4], 'kinds': [1, 5],
        'since': [4, 5], 'until': [1],
    }


def test_more_than_is_read_at_once(path):
    with Journal(path, NOW) as journal:
        journal.append([halted(i) for i in range(12_000)])
        assert len(list(journal.entries())) == 12_001
        assert journal.last == 12_001


def test_a_long_log_is_moved_and_stays_small(path):
    log = path.with_name('ems.sqlite-wal')
    with Journal(path, NOW) as journal:
        for i in range(150):
            journal.append([halted(j) for j in range(i * 500, i * 500 + 500)])
            journal.sync()
        assert log.stat().st_size < 16 << 20
        assert path.stat().st_size > 4 << 20
        assert len(list(journal.entries())) == 75_001


def test_a_second_writer_is_refused(path):
    with Journal(path, NOW) as journal:
        with pytest.raises(DataError, match=rf'process {os.getpid()} writes'):
            Journal(path, NOW)
        journal.append([halted(1)])  # the first is not disturbed
    with Journal(path, NOW):
        pass


WRITER = """
import sys
from pathlib import Path
from piker.clearing import records as rec
from piker.clearing.journal import Journal
journal = Journal(Path(sys.argv[1]), 1)
for i in range(10 ** 9):
    journal.append(
        [rec.Halted(time_ns=i, reason=f'{i}.{j}') for j in range(3)]
    )
    if i % 2:
        journal.sync()
    print(i, flush=True)
"""


def test_a_kill_loses_nothing_that_was_acknowledged(path):
    """Flushed or not; and what was not is there whole or not at all."""
    with subprocess.Popen(
        [sys.executable, '-c', WRITER, path], stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        for _ in range(100):
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
        acknowledged = int(rest[-1]) if rest else acknowledged
    with Journal(path, NOW) as journal:
        found = [e.record.reason for e in journal.entries(after=1)]
        journal.append([halted(1)])
    assert len(found) % 3 == 0
    last = len(found) // 3
    assert found == [f'{i}.{j}' for i in range(last) for j in range(3)]
    assert last - 1 >= acknowledged


@pytest.mark.parametrize('keep', [0.3, 0.5, 0.71, 0.9, 0.999])
def test_a_torn_log_loses_its_end_only(path, tmp_path, keep):
    """As a power cut may leave it: the end of the log is not on the disk."""
    copy = tmp_path / 'copy.sqlite'
    with Journal(path, NOW) as journal:
        for i in range(20):
            journal.append([halted(i), halted(i)])
        log = path.with_name('ems.sqlite-wal').read_bytes()
        copy.write_bytes(path.read_bytes())
    torn = log[:int(len(log) * keep)]
    copy.with_name('copy.sqlite-wal').write_bytes(torn)
    with Journal(copy, NOW) as journal:
        found = [e.record.reason for e in journal.entries(after=1)]
    assert found == [str(i // 2) for i in range(len(found))]
    assert 0 < len(found) < 40
    assert len(found) % 2 == 0


@pytest.mark.parametrize('content', [
    b'this is no database at all' * 99, b'SQLite format 3\0' + b'\xff' * 999,
])
def test_a_foreign_file_is_named_and_left_alone(tmp_path, content):
    path = tmp_path / 'ems.sqlite'
    path.write_bytes(content)
    for kind in (lambda: Journal(path, NOW), lambda: JournalReader(path)):
        with pytest.raises(DataError, match=r'ems\.sqlite: .*mv .*\.bad'):
            kind()
    assert path.read_bytes() == content


def test_another_database_is_refused(tmp_path):
    path = tmp_path / 'other.sqlite'
    with sqlite3.connect(path) as db:
        db.execute('create table mine (x)')
    db.close()
    before = path.read_bytes()
    with pytest.raises(DataError, match='not a journal of piker'):
        Journal(path, NOW)
    assert path.read_bytes() == before


def test_a_newer_format_is_refused(path):
    with Journal(path, NOW):
        pass
    with sqlite3.connect(path) as db:
        db.execute('pragma user_version = 99')
    db.close()
    with pytest.raises(DataError, match=r'format 99.*newer piker'):
        Journal(path, NOW)
    with pytest.raises(DataError, match='format 99'):
        JournalReader(path)


def test_a_torn_page_is_told(path):
    with Journal(path, NOW) as journal:
        journal.append([halted(i) for i in range(5000)])
    whole = bytearray(path.read_bytes())
    whole[4096 * 20:4096 * 24] = bytes(4096 * 4)
    path.write_bytes(whole)
    with pytest.raises(DataError, match='damaged'):
        Journal(path, NOW)


@pytest.mark.parametrize(('change', 'says'), [
    ("update record set body = '{' where seq = 3", 'record 3'),
    ('delete from record where seq = 3', 'records from 3 are gone'),
])
def test_a_damaged_record_is_told(path, change, says):
    with Journal(path, NOW) as journal:
        journal.append([halted(i) for i in range(5)])
    with sqlite3.connect(path) as db:
        db.execute(change)
    db.close()
    with pytest.raises(DataError, match=says):
        read(path)


def test_no_journal_to_read(path):
    with pytest.raises(DataError, match='there is no journal'):
        JournalReader(path)
    assert not path.exists()


def test_a_refused_append_writes_nothing(path):
    with Journal(path, NOW) as journal:
        journal._next = 1  # a seq that is there already
        with pytest.raises(DataError):
            journal.append([halted(1), halted(2)])
        assert journal.last == 1
        journal._next = 2
        assert journal.append([halted(1)]) == 2


def test_a_core_starts_from_its_journal(path):
    world = World()
    world.settle()
    world.submit(limit_request('a'))
    world.settle()
    with Journal(path, NOW) as journal:
        journal.append(world.records)
    world.records = read(path)[1:]
    before = world.core.dump()
    world.restart()
    assert world.core.dump() == before


money = st.decimals(
    allow_nan=False, allow_infinity=False, places=8, min_value=0,
    max_value=10 ** 9,
)
texts = st.text(max_size=9)
recorded = st.one_of(
    st.builds(rec.Halted, time_ns=st.integers(0, 2 ** 62), reason=texts),
    st.builds(
        rec.Filled, time_ns=st.integers(0, 2 ** 62), oid=texts,
        fill=st.builds(
            Fill, account=texts, oid=texts, symbol=texts, trade_id=texts,
            side=st.sampled_from(OrderSide), price=money, size=money,
        ),
    ),
    st.builds(
        rec.GatewayKnown, time_ns=st.just(1),
        abilities=st.builds(
            Abilities, types=st.frozensets(st.sampled_from(OrderType)),
        ),
    ),
    st.builds(
        rec.Balances, time_ns=st.just(1),
        balances=st.dictionaries(texts, st.builds(Balance, money, money)),
    ),
    st.builds(
        rec.AlertMade, time_ns=st.just(1),
        alert=st.builds(
            Alert, aid=texts, symbol=texts, price=money,
            side=st.sampled_from(AlertSide),
        ),
    ),
)


@given(recorded)
def test_records_survive_as_they_are(record):
    again = rec.decode(rec.encode(record))
    assert again == record
    texts_of = partial(msgspec.to_builtins, order='sorted')
    assert texts_of(again) == texts_of(record)  # 1.0 is not 1.00


def test_a_record_of_an_older_piker_is_read():
    body = b"""{
        "kind": "filled", "time_ns": 1, "of_the_future": 7,
        "fill": {
            "account": "a", "oid": "b", "symbol": "c", "side": "buy",
            "trade_id": "1", "price": "1.10", "size": "2"
        }
    }"""
    assert rec.decode(body).fill.price == Decimal('1.10')
