"""
From shared memory into tables: recorders alone, and the whole daemon.
"""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio
from storage.conftest import BARS, SYMBOL, S, bars
from suite import Daemon, wait_until

from piker.config import StorageSettings
from piker.data.bars import BAR_DTYPE, BarWriter
from piker.data.storage import Store, StoreClient, open_store_client
from piker.data.storage.client import rows_of
from piker.data.storage.follow import BarFollower, TickFollower
from piker.data.storage.recorder import Recorder
from piker.data.ticks import TickWriter
from piker.errors import StorageError
from piker.instruments import Instrument
from piker.messages import FlumeInfo
from piker.service import Tree, open_tree

INSTRUMENT = Instrument(
    id=SYMBOL, raw_symbol='BTCUSDT', base='BTC', quote='USDT',
    tick_size=Decimal('0.01'), lot_size=Decimal('0.001'),
)
START = 1_700_000_000


class Memory:
    """The shared memory of one instrument, written by the test itself."""

    def __init__(self, stem: str, first: int = 0) -> None:
        self.bars = BarWriter(
            f'{stem}.1s', SYMBOL, 1, START + first,
            capacity=1 << 16, back=1 << 15,
        )
        self.ticks = TickWriter(f'{stem}.ticks', SYMBOL, capacity=1 << 10)
        self.next_id = first
        self.info = FlumeInfo(
            INSTRUMENT, f'{stem}.ticks', {1: f'{stem}.1s.g0'}, ''
        )

    def write(self, count: int) -> None:
        """So many more bars and trades, and a quote each."""
        for _ in range(count):
            at = self.bars.next
            row = bars([at])[0]
            self.bars.append(*row.tolist()[1:])
            id_ = self.next_id
            self.ticks.write([
                (at * S, at * S, 1, 1, 5.0, 1.0, id_, 1),
                (at * S, at * S, 2, 0, 4.0, 1.0, id_, 0),
            ])
            self.next_id += 1

    def unlink(self) -> None:
        self.bars.unlink()
        self.ticks.unlink()


@pytest.fixture
def memory() -> Iterator[Callable[..., Memory]]:
    made: list[Memory] = []

    def make(first: int = 0) -> Memory:
        stem = f'piker.test.{os.getpid()}.{len(made)}'
        made.append(Memory(stem, first))
        return made[-1]

    yield make
    for one in made:
        one.unlink()


def quick(**values: Any) -> StorageSettings:
    return StorageSettings(**{'flush_s': 0.02, 'settle_s': 0.0, **values})


def recorder(
    memory: Memory, store: Store, settings: StorageSettings, life: str = '1'
) -> Recorder:
    return Recorder(
        memory.info, life, store, settings, trio.CapacityLimiter(2),
        lambda symbol, kind: None,
    )


async def record(one: Recorder, during: Callable[[], Any]) -> None:
    """Record while ``during`` runs, then all that is left."""
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.run)
            await during()
            one.end.set()


async def test_what_is_made_is_stored(
    local: Store, memory: Callable[..., Memory]
) -> None:
    made = memory()
    made.write(20)
    one = recorder(made, local, quick(ticks='all'))

    async def during() -> None:
        for _ in range(5):
            made.write(10)
            await trio.sleep(0.1)
        made.bars.prepend(bars(range(START - 100, START)))

    await record(one, during)
    # The newest bar is not closed.
    assert (
        local.read_bars(SYMBOL, 1) == bars(range(START - 100, START + 69))
    ).all()
    ticks = local.read_ticks(SYMBOL)
    assert len(ticks) == 140
    assert ticks[ticks['kind'] == 1]['id'].tolist() == list(range(70))
    status = one.status()
    assert status['bars'] == {'1': 169}
    assert (status['ticks'], status['lost'], status['errors']) == (140, 0, 0)
    assert status['waiting'] == 0


async def test_a_second_recorder_goes_on_where_the_first_ended(
    local: Store, memory: Callable[..., Memory]
) -> None:
    made = memory()
    for _ in range(4):
        made.write(50)
        await record(recorder(made, local, quick()), partial(trio.sleep, 0.3))
    assert local.info(SYMBOL, BARS).rows == 199
    assert (
        local.read_bars(SYMBOL, 1) == bars(range(START, START + 199))
    ).all()
    assert local.info(SYMBOL, 'ticks').rows == 200
    # A new life of the writer repeats the end of the last one.
    again = memory(first=150)
    again.write(100)
    await record(
        recorder(again, local, quick(), life='2'), partial(trio.sleep, 0.3)
    )
    assert local.read_ticks(SYMBOL)['id'].tolist() == list(range(250))


async def test_a_bad_row_does_not_hold_up_the_rest(
    local: Store, memory: Callable[..., Memory]
) -> None:
    made = memory()
    made.write(10)
    made.bars.append(1.0, float('nan'), 1.0, 1.0)
    made.write(10)
    one = recorder(made, local, quick())
    await record(one, partial(trio.sleep, 0.2))
    assert one.status()['refused'] == 1
    assert one.status()['waiting'] == 0
    assert len(local.read_bars(SYMBOL, 1)) == 19


@pytest.mark.parametrize('behind', [10, 500])
async def test_late_trades_amend_what_is_stored(
    local: Store, memory: Callable[..., Memory], behind: int
) -> None:
    made = memory()
    made.write(behind + 20)

    async def during() -> None:
        await trio.sleep(0.3)
        values = bars([START + 20], base=900).tolist()[0][1:]
        made.bars.update(START + 20, *values)
        made.write(1)

    await record(recorder(made, local, quick()), during)
    assert local.read_bars(SYMBOL, 1)['open'][20] == bars(
        [START + 20], base=900
    )['open'][0]


async def test_a_store_that_fails_loses_nothing_and_is_tried_again(
    local: Store, memory: Callable[..., Memory],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        'piker.data.storage.recorder._BACKOFF_S', (0.05,)
    )
    made = memory()
    root = Path(local.root)
    root.parent.mkdir(exist_ok=True)
    root.write_text('in the way')
    one = recorder(made, local, quick())

    async def during() -> None:
        # More than the ring holds, while nothing can be written.
        for _ in range(30):
            made.write(50)
            await trio.sleep(0.02)
        while not one.errors:
            await trio.sleep(0.01)
        assert one.status()['error']
        assert one.status()['waiting']
        root.unlink()

    await record(one, during)
    assert one.status()['error'] == ''
    assert one.status()['lost'] == 0
    assert len(local.read_bars(SYMBOL, 1)) == 1499
    assert local.read_ticks(SYMBOL)['id'].tolist() == list(range(1500))


def test_bars_settle_by_our_own_clock(
    memory: Callable[..., Memory]
) -> None:
    made = memory()
    made.write(10)
    follower = BarFollower(made.info.bars[1], settle_s=10.0)
    follower.observe(0.0)
    assert follower.take() is None
    made.write(5)
    follower.observe(5.0)
    follower.observe(9.9)
    assert follower.take() is None
    follower.observe(10.0)
    batch = follower.take()
    assert batch is not None
    assert (batch.start, batch.stop) == (START, START + 9)
    follower.done(batch, 9)
    assert follower.take() is None
    follower.observe(15.0)
    batch = follower.take()
    assert batch is not None
    assert (batch.start, batch.stop) == (START + 9, START + 14)


def test_a_row_that_is_torn_is_left_out(
    memory: Callable[..., Memory], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('piker.data.bars.patiently', lambda: range(3))
    made = memory()
    made.write(100)
    made.bars._segment.columns['version'][(1 << 15) + 40] |= 1
    follower = BarFollower(made.info.bars[1], settle_s=0.0)
    follower.observe(0.0)
    batch = follower.take()
    assert batch is not None
    have = [*range(40), *range(41, 99)]
    assert (batch.rows == bars(START + np.array(have))).all()


def test_memory_that_runs_out_is_counted(
    memory: Callable[..., Memory]
) -> None:
    made = memory()
    follower = TickFollower(made.info.ticks, quotes=False, most=100)
    for _ in range(5):
        made.write(40)
        follower.drain()
    assert follower.waiting <= 100
    assert follower.lost == 200 - follower.waiting
    batch = follower.take()
    assert batch is not None
    assert batch.rows['id'][-1] == 199


# with the daemon

SETTINGS = [
    f'--set=storage.{text}'
    for text in ('flush_s=0.2', 'settle_s=0.1', 'compact_files=4')
]

WRITER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from storage.test_recording import Memory, write_for
write_for(sys.argv[2], sys.argv[3])
"""


def write_for(address: str, stem: str) -> None:
    """A process that writes and has it recorded, until it is killed."""
    made = Memory(stem)

    async def main() -> None:
        async with (
            open_tree(Tree.parse(address), 'writer') as tree,
            open_store_client(tree) as store,
            store.record(lambda: [made.info]),
        ):
            while True:
                made.write(1)
                sys.stdout.write(f'{made.next_id}\n')
                sys.stdout.flush()
                await trio.sleep(0.005)

    trio.run(main)


def stem_of(tree: Tree, name: str) -> str:
    """The root sweeps what begins like this."""
    return f'{tree.segment_prefix}{name}'


def start_writer(tree: Tree, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, '-c', WRITER, str(Path(__file__).parents[1]),
         str(tree), stem_of(tree, name)],
        stdout=subprocess.PIPE, text=True,
    )


def test_the_death_of_the_writer_loses_nothing_that_settled(
    start_daemon: Callable[..., Daemon], tree: Tree
) -> None:
    daemon = start_daemon('--with=stored', *SETTINGS)
    store = Store()
    writer = start_writer(tree, 'w1')
    wait_until(lambda: len(store.read_bars(SYMBOL, 1)) > 50)
    # The daemon itself dies on the way and goes on where it was.
    killed = daemon.kill('stored')
    wait_until(lambda: daemon.pid_of('stored') not in (0, killed))
    before = len(store.read_bars(SYMBOL, 1))
    wait_until(lambda: len(store.read_bars(SYMBOL, 1)) > before + 50)
    writer.send_signal(signal.SIGKILL)
    out, _ = writer.communicate()
    said = int(out.splitlines()[-1])

    def all_there() -> bool:
        ids = store.read_ticks(SYMBOL)['id']
        return len(ids) >= said

    wait_until(all_there)
    ids = store.read_ticks(SYMBOL)['id'].tolist()
    assert ids == list(range(len(ids)))
    found = store.read_bars(SYMBOL, 1)
    # Those of the last moment may lack late trades; they are left
    # to the next start, which asks the venue.
    assert len(ids) - 400 < len(found) < len(ids)
    assert (found == bars(range(START, START + len(found)))).all()
    assert store.info(SYMBOL, BARS).rows == len(found)
    assert store.info(SYMBOL, 'ticks').rows == len(ids)
    for path in Path('/dev/shm').glob(f'{stem_of(tree, "w1")}*'):
        path.unlink()


def test_stored_bars_are_lent(
    start_daemon: Callable[..., Daemon], tree: Tree
) -> None:
    daemon = start_daemon('--with=stored', *SETTINGS)
    rows = bars([*range(START, START + 5000), *range(START + 9000,
                                                     START + 9500)])
    Store().append_bars(SYMBOL, 1, rows)

    async def main() -> None:
        async with (
            open_tree(tree, 'test') as client,
            open_store_client(client) as store,
        ):
            found = await store.load_bars(SYMBOL, 1, 0, 1 << 62)
            assert found.dtype == BAR_DTYPE
            assert (found == rows).all()
            found = await store.load_bars(
                SYMBOL, 1, (START + 10) * S, (START + 20) * S
            )
            assert (found == rows[10:20]).all()
            columns = await store.load_bar_columns(SYMBOL, 1, 0, 1 << 62)
            assert (rows_of(columns) == rows).all()
            assert not columns['open'].flags.writeable
            assert loans(tree) == []
            assert not len(await store.load_bars('x.sim', 1, 0, 1 << 62))
            assert await store.bounds(SYMBOL, BARS) == (
                START * S, (START + 9499) * S
            )
            assert await store.bounds('x.sim', BARS) is None
            assert await store.gaps(
                SYMBOL, 1, (START - 5) * S, (START + 9510) * S
            ) == [
                ((START - 5) * S, START * S),
                ((START + 5000) * S, (START + 9000) * S),
                ((START + 9500) * S, (START + 9510) * S),
            ]
            async with open_store_client(client, timeout_s=0) as hasty:
                with pytest.raises(StorageError):
                    await hasty.status()
            # A daemon that dies is asked again once it is back.
            killed = daemon.kill('stored')
            found = await store.load_bars(SYMBOL, 1, 0, 1 << 62)
            assert len(found) == len(rows)
            assert daemon.pid_of('stored') not in (0, killed)
            status = await store.status()
            assert status['root'] == Store().root
            assert status['recording'] == {}

    trio.run(main)
    assert loans(tree) == []


def loans(tree: Tree) -> list[str]:
    return [
        p.name for p in Path('/dev/shm').iterdir()
        if p.name.startswith(tree.segment_prefix) and 'loan' in p.name
    ]


def test_a_load_that_is_cancelled_leaves_nothing_behind(
    start_daemon: Callable[..., Daemon], tree: Tree
) -> None:
    start_daemon('--with=stored', *SETTINGS)
    # Several pieces, so that there is a while to be cancelled in.
    for at in range(4):
        start = START + at * (1 << 20)
        Store().append_bars(SYMBOL, 1, bars(range(start, start + (1 << 20))))

    async def load(store: StoreClient, done: list[int]) -> None:
        columns = await store.load_bar_columns(SYMBOL, 1, 0, 1 << 62)
        done.append(len(columns['time']))

    async def main() -> None:
        async with (
            open_tree(tree, 'test') as client,
            open_store_client(client) as store,
        ):
            # A machine that is busy elsewhere may make us look too late.
            for _ in range(10):
                done: list[int] = []
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(load, store, done)
                    while not loans(tree) and not done:
                        await trio.sleep(0.001)
                    nursery.cancel_scope.cancel()
                if not done:
                    break
            assert done == []
            await trio.to_thread.run_sync(
                wait_until, lambda: not loans(tree)
            )
            # Nor is a reader of the daemon's still at it.
            await load(store, done)
            await load(store, done)
            assert done == [1 << 22, 1 << 22]

    trio.run(main)
    assert loans(tree) == []


def test_an_orderly_end_writes_what_is_left(
    start_daemon: Callable[..., Daemon], tree: Tree
) -> None:
    daemon = start_daemon('--with=stored', '--set=storage.flush_s=600')
    writer = start_writer(tree, 'w2')
    assert writer.stdout is not None
    for _ in range(200):
        line = writer.stdout.readline()
    time.sleep(0.5)
    daemon.stop()
    store = Store()
    ids = store.read_ticks(SYMBOL)['id'].tolist()
    assert len(ids) >= int(line)
    assert ids == list(range(len(ids)))
    writer.kill()
    writer.communicate()
    for path in Path('/dev/shm').glob(f'{stem_of(tree, "w2")}*'):
        path.unlink()


def test_the_daemon_imports_no_polars_before_it_needs_it() -> None:
    code = (
        'import sys, json, piker.data.storage.endpoints, '
        'piker.data.storage.daemon, piker.data;'
        'print(json.dumps([m for m in ("polars", "deltalake", "PyQt5") '
        'if m in sys.modules]))'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], check=True, capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout) == []
