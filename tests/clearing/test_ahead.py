"""What a trigger sends is remembered before SQLite has it."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_journal import NOW, halted, read

from piker.clearing.ahead import Ahead
from piker.clearing.effects import Effects
from piker.clearing.journal import Journal
from piker.clearing.outbox import Outbox
from piker.errors import DataError

NOTER = '''
import os, sys
from pathlib import Path
from piker.clearing import records as rec
from piker.clearing.journal import Journal
journal = Journal(Path(sys.argv[1]), 1)
journal.append([rec.Halted(time_ns=2, reason='before')])
journal.note([rec.Halted(time_ns=3, reason=why) for why in ('a', 'b')])
os.kill(os.getpid(), 9)
'''


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'ems.sqlite'


def reasons(path):
    return [record.reason for record in read(path)[1:]]


def test_what_a_killed_process_noted_is_journalled(path):
    subprocess.run([sys.executable, '-c', NOTER, str(path)], check=False)
    assert reasons(path) == ['before']
    for _ in range(2):
        with Journal(path, NOW):
            assert reasons(path) == ['before', 'a', 'b']


def test_what_was_journalled_as_well_is_there_once(path):
    with Journal(path, NOW) as journal:
        for n in range(3):
            journal.note([halted(n), halted(n + 10)])
            assert journal.append([halted(n), halted(n + 10)]) == 2 * n + 3
    with Journal(path, NOW) as journal:
        journal.append([halted(5)])
    assert reasons(path) == ['0', '10', '1', '11', '2', '12', '5']


def test_what_follows_on_another_record_is_not_taken(tmp_path):
    """The journal was put back, or lost its end in a power cut."""
    one, other = tmp_path / 'one', tmp_path / 'other'
    for n, path in enumerate((one, other)):
        with Journal(path, NOW) as journal:
            journal.append([halted(n)])
    with Journal(one, NOW) as journal:
        journal.note([halted(2)])
    Path(f'{one}-ahead').replace(f'{other}-ahead')
    with Journal(other, NOW):
        assert reasons(other) == ['1']


def test_what_a_newer_piker_noted_is_kept_for_it(path):
    with Journal(path, NOW) as journal:
        journal.append([halted(1)])
        journal._ahead.write(3, [b'{"kind":"unheard of"}'], journal._before)
    for _ in range(2):
        with pytest.raises(DataError, match='-ahead: written by a newer'):
            Journal(path, NOW)
    assert reasons(path) == ['1']


def test_it_is_forgotten_once_a_journal_has_begun(path):
    with Journal(path, NOW) as journal:
        journal.append([halted(1), halted(2)])
        journal.note([halted(3)])
    noted = Path(f'{path}-ahead').read_bytes()
    with Journal(path, NOW):
        assert reasons(path) == ['1', '2', '3']
    assert b'"3"' in noted
    assert not any(Path(f'{path}-ahead').read_bytes()[:24])


@given(
    bodies=st.lists(st.binary(min_size=1).filter(lambda b: b'\n' not in b),
                    min_size=1, max_size=4),
    seq=st.integers(1, 1 << 62), before=st.integers(0, (1 << 32) - 1),
    data=st.data(),
)
def test_what_is_torn_is_not_taken(
    tmp_path_factory, bodies, seq, before, data
):
    path = tmp_path_factory.mktemp('ahead') / 'file'
    ahead = Ahead(path)
    ahead.write(seq, [b'x' * 70_000], before ^ 1)
    assert ahead.read(seq, before ^ 1) == [b'x' * 70_000]
    ahead.write(seq, bodies, before)
    assert ahead.read(seq, before) == bodies
    assert ahead.read(seq + 1, before) == []
    assert ahead.read(seq, before ^ 1) == []
    whole = bytearray(path.read_bytes())
    size = len(b'\n'.join(bodies)) + 24
    at = data.draw(st.integers(0, size - 1), 'which byte')
    whole[at] ^= data.draw(st.integers(1, 255), 'how')
    with path.open('r+b') as file:
        file.write(whole)
    assert ahead.read(seq, before) == []
    ahead.write(seq, bodies, before)
    ahead.clear()
    assert ahead.read(seq, before) == []
    ahead.close()


def test_a_kill_between_sending_and_journalling_forgets_nothing(path):
    """Whatever is sent is in one of the two files by then."""
    found = []

    def send(account, command):
        noted = Path(f'{path}-ahead').read_bytes()
        found.append((account, b'"7"' in noted, reasons(path)))

    with Journal(path, NOW) as journal:
        outbox = Outbox(journal, send, lambda news: None)
        outbox.put(Effects(
            records=[halted(7)], urgent=True, commands=[('sim', None)],
        ))
        assert found == [('sim', True, [])]
        assert reasons(path) == ['7']
