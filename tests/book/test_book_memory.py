"""
A reader of a book in shared memory never sees a mix of two states.
"""
from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_book import PlainBook, Venue, segment_name

from piker.data.book import (
    Book,
    BookReader,
    BookState,
    BookWriter,
    Levels,
)
from piker.data.depth import DepthSnapshot, DepthSync
from piker.errors import SegmentGone

LEVELS = 6
price = st.integers(1, 20).map(float)
size = st.sampled_from([0.0, 1.0, 2.0, 3.0])
changes = st.lists(st.tuples(price, size), max_size=5)


@pytest.fixture
def name() -> Iterator[str]:
    name = segment_name()
    yield name
    Path('/dev/shm', name).unlink(missing_ok=True)


batches = st.lists(st.tuples(changes, changes), max_size=3)


@given(st.lists(batches, max_size=12))
@settings(max_examples=150, deadline=None)
def test_both_copies_follow(
    batches: list[list[tuple[list[tuple[float, float]], ...]]]
) -> None:
    """Only what changed is written, and still all of it is right."""
    venue, sync, want = Venue(), DepthSync(), PlainBook()
    sync.load(venue.snapshot())
    writer = BookWriter(segment_name(), 'x.sim', LEVELS)
    try:
        reader = writer.reader()
        for at, batch in enumerate(batches):
            events = [venue.change(bids, asks, 1) for bids, asks in batch]
            sync.put(events)
            if at % 3 == 2:
                unseen = [(at + 1.0, 5.0)], [(21.0 - at, 5.0)]
                venue.change(*unseen, 1)
                sync.load(venue.snapshot(limit=8))
                batch = [*batch, unseen]
            writer.write(sync, BookState.LIVE)
            for bids, asks in batch:
                want.apply(bids, asks)
            book = reader.read()
            sides = (
                (book.bids, want.best_bids(), sync.bids),
                (book.asks, want.best_asks(), sync.asks),
            )
            for have, full, side in sides:
                known = min(LEVELS, len(side))
                assert have.rows() == full[:LEVELS][:known]
                assert side.cut or known == min(LEVELS, len(full))
            assert book.update_id == venue.update_id
            top = reader.read(2)
            assert top.bids.rows() == book.bids.rows()[:2]
    finally:
        writer.unlink()


WRITER = '''
import sys, threading
from piker.data.book import BookState, BookWriter
from piker.data.depth import DepthEvent, DepthSnapshot, DepthSync
sync = DepthSync()
sync.load(DepthSnapshot(0, 0, 0, [], []))
writer = BookWriter(sys.argv[1], 'x.sim', 200)
writer.write(sync, BookState.LIVE)
print('up', flush=True)
n, told = 0, []
# until its input ends
threading.Thread(
    target=lambda: told.append(sys.stdin.read()), daemon=True
).start()
while not told:
    n += 1
    # every level says which state it is of, and so does their number
    count = 100 + n % 90
    bids = [(1000.0 - at, n if at < count else 0.0) for at in range(190)]
    asks = [(2000.0 + at, n if at < count else 0.0) for at in range(190)]
    sync.put([DepthEvent(n, n, n, n, bids, asks)])
    writer.write(sync, BookState.LIVE)
print(n)
'''


@contextmanager
def writing(name: str) -> Iterator[subprocess.Popen[str]]:
    """A process that writes as fast as it can, until its input is closed."""
    with subprocess.Popen(
        [sys.executable, '-c', WRITER, name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:
        assert process.stdout
        try:
            assert process.stdout.readline() == 'up\n'
            yield process
        finally:
            process.kill()


def test_never_a_mix(name: str) -> None:
    """Against a process that writes as fast as it can."""
    with writing(name) as process:
        reader = BookReader.attach(name)
        seen, reads = set(), 0
        # A busy machine may take longer to show enough of them.
        least, most = time.monotonic() + 2.0, time.monotonic() + 30.0
        while time.monotonic() < (least if len(seen) > 100 else most):
            assert process.poll() is None
            book = reader.read()
            reads += 1
            n = book.update_id
            if not n:
                continue
            seen.add(n)
            for side in (book.bids, book.asks):
                assert len(side.price) == 100 + n % 90
                assert np.all(side.size == n)
                assert np.all(np.abs(np.diff(side.price)) == 1)
            assert (book.time, book.recv, book.version) == (n, n, n + 1)
        written = int(process.communicate()[0])
    assert written > 500
    assert len(seen) > 100
    assert reads >= len(seen)


def test_overtaken_reader_begins_again(name: str) -> None:
    """Two writes while it copies spoil the copy; one does not."""
    sync = DepthSync()
    writer = BookWriter(name, 'x.sim', LEVELS)
    try:

        def write(n: int) -> None:
            levels = [(float(p), float(n)) for p in range(1, 4)]
            sync.load(DepthSnapshot(n, n, n, levels, []))
            writer.write(sync, BookState.LIVE)

        def read_while(writes: list[int]) -> Book:
            reader = writer.reader()
            side = reader._side

            def disturbed(name: str, start: int, count: int) -> Levels:
                while writes and name == 'ask':
                    write(writes.pop(0))
                return side(name, start, count)

            reader._side = disturbed  # type: ignore[method-assign]
            return reader.read()

        for n in (1, 2, 3):
            write(n)
        assert read_while([4]).update_id == 3
        assert read_while([5, 6]).update_id == 6
        assert read_while([7, 8, 9]).update_id == 9
    finally:
        writer.unlink()


def test_writer_killed(name: str) -> None:
    """The last whole book stays readable."""
    with writing(name) as process:
        reader = BookReader.attach(name)
        while reader.read(0).update_id < 20:
            assert process.poll() is None
            time.sleep(0.005)
    book = reader.read()
    assert np.all(book.bids.size == book.update_id)
    Path('/dev/shm', name).unlink()
    assert reader.read().update_id == book.update_id
    with pytest.raises(SegmentGone):
        BookReader.attach(name)
