"""
What the tests run in processes of their own: ``side_processes.py NAME ARG…``.

Each prints a line when it is ready, goes on at a line from stdin, and prints
JSON of what it saw at the end, or dies with a traceback.
"""
from __future__ import annotations

import json
import random
import sys
import threading
import time

import numpy as np
import trio

from piker.data.bars import BAR_DTYPE, Bars, BarWriter
from piker.data.ticks import Kind, TickReader, TickWriter
from piker.data.wake import WakerHub, open_waker
from piker.errors import ActorDied, DataError

START = 10_000


def say(**what):
    sys.stdout.write(json.dumps(what) + '\n')
    sys.stdout.flush()


def until_told():
    """An event that is set once a line, or the end, comes from stdin."""
    told = threading.Event()

    def wait():
        sys.stdin.readline()
        told.set()

    threading.Thread(target=wait, daemon=True).start()
    return told


# bars: every field of a row follows from one number

def bar(value):
    return (
        value, value + 1.0, value - 1.0, value + 0.5, value * 2.0,
        value + 0.25, int(value),
    )


def wrong_bars(rows, period_ns, low):
    """How many of these rows are torn or out of place."""
    value = rows['open']
    index = np.arange(low, low + len(rows))
    fine = (
        (rows['time'] == index * period_ns)
        & (rows['high'] == value + 1)
        & (rows['low'] == value - 1)
        & (rows['close'] == value + 0.5)
        & (rows['volume'] == value * 2)
        & (rows['vwap'] == value + 0.25)
        & (rows['trades'] == value)
        & (value // 1024 == index)
    )
    return int((~fine).sum())


def bars_writer(stem, seed):
    """Append, update, prepend and grow, until killed."""
    dice = random.Random(int(seed))
    writer = BarWriter(stem, 'x.sim', 1, START, capacity=64, back=16)
    say(name=writer.segment_name)
    sys.stdin.readline()
    while True:
        what = dice.random()
        if what < 0.2:
            writer.append(*bar(writer.next * 1024.0))
        elif what < 0.23:
            first = writer.first
            low = max(1, first - dice.randint(1, 20))
            rows = np.zeros(first - low, BAR_DTYPE)
            for at, index in enumerate(range(low, first)):
                rows[at] = (index * writer.period_ns, *bar(index * 1024.0))
            writer.prepend(rows)
        elif writer.next > writer.first:
            index = max(writer.first, writer.next - dice.randint(1, 5))
            writer.update(index, *bar(index * 1024.0 + dice.randint(0, 1023)))


def bars_reader(name, seed):
    """Read all and parts, until told to stop."""
    dice = random.Random(int(seed))
    bars = Bars.attach(name)
    say(ready=True)
    sys.stdin.readline()
    stop = until_told()
    seen = {'reads': 0, 'rows': 0, 'torn': 0, 'moves': 0, 'half': 0}
    segment, first, newest, changes = name, START, START, 0
    while not stop.is_set():
        start = None
        if dice.random() < 0.9:
            start = max(first, newest - dice.randint(1, 50))
        try:
            rows = bars.read(start)
        except DataError:
            seen['half'] += 1
            continue
        low = int(rows['time'][0]) // bars.period_ns if len(rows) else START
        seen['torn'] += wrong_bars(rows, bars.period_ns, low)
        seen['reads'] += 1
        seen['rows'] += len(rows)
        if bars.segment_name != segment:
            segment = bars.segment_name
            seen['moves'] += 1
        # neither end ever goes back, and what was there stays there
        assert bars.first <= first, (bars.first, first)
        assert bars.next >= newest, (bars.next, newest)
        assert bars.changes >= changes
        if start is not None:
            assert low <= start or not len(rows)
            assert low + len(rows) >= newest, (low, len(rows), newest)
        first, newest, changes = bars.first, bars.next, bars.changes
    say(**seen, first=first, next=newest)


# ticks: every field of a tick follows from its place

def tick(at):
    return (
        at * 7, at * 7 + 1, Kind.TRADE, at % 3 - 1, at * 0.5, at + 0.25,
        at, at % 1000,
    )


def wrong_ticks(run):
    at = run.seq.astype('i8')
    fine = (
        (run.time == at * 7) & (run.recv == at * 7 + 1)
        & (run.kind == Kind.TRADE) & (run.side == at % 3 - 1)
        & (run.price == at * 0.5) & (run.size == at + 0.25)
        & (run.id == at) & (run.count == at % 1000)
    )
    return int((~fine).sum())


def ticks_writer(name, seed, capacity):
    """Batches of all sizes and a quote after each, until told to stop."""
    dice = random.Random(int(seed))
    capacity = int(capacity)
    writer = TickWriter(name, 'x.sim', capacity=capacity)
    writer.set_quote(last=0.0, bid=-1.0, ask=1.0, volume=0.0, time=0, recv=1)
    say(name=name)
    sys.stdin.readline()
    stop = until_told()
    at = 0
    while not stop.is_set():
        # mostly small ones, now and then one larger than the ring
        most = dice.choice([3, 3, 3, capacity // 4, capacity, 3 * capacity])
        many = dice.randint(0, most)
        writer.write([tick(k) for k in range(at, at + many)])
        at += many
        writer.count('trades', many)
        writer.set_quote(
            last=float(at), bid=at - 1.0, ask=at + 1.0, volume=at * 2.0,
            time=at, recv=at + 1,
        )
        if dice.random() < 0.5:
            # let readers keep up for a while
            time.sleep(0.0002)
    say(written=at)


def ticks_reader(name, seed):
    dice = random.Random(int(seed))
    reader = TickReader.attach(name, from_start=True)
    say(ready=True)
    sys.stdin.readline()
    stop = until_told()
    seen = {'read': 0, 'missed': 0, 'torn': 0, 'runs': 0, 'quotes': 0}
    expected = newest = 0
    while True:
        over = stop.is_set()
        run = reader.read(dice.choice([1, 10, 100, 1 << 14]))
        if run is not None:
            assert len(run)
            assert int(run.seq[0]) == expected + run.missed, (
                run.seq[0], expected, run.missed
            )
            assert (np.diff(run.seq) == 1).all()
            assert all(
                len(getattr(run, field)) == len(run)
                for field in run.__slots__ if field != 'missed'
            )
            expected = int(run.seq[-1]) + 1
            seen['torn'] += wrong_ticks(run)
            seen['read'] += len(run)
            seen['missed'] += run.missed
            seen['runs'] += 1
        elif over:
            break
        quote = reader.quote()
        last = quote.last
        assert (quote.bid, quote.ask, quote.volume, quote.time, quote.recv) \
            == (last - 1, last + 1, last * 2, last, last + 1), quote
        assert last >= newest, (last, newest)
        newest = last
        seen['quotes'] += 1
    assert reader.missed == seen['missed']
    assert reader.pending == 0
    say(**seen, position=reader.position, last=newest)


# wake-ups

def sleeper(address, name, many, seed):
    """Read ``many`` ticks, sleeping whenever there are none; dawdles."""
    many = int(many)
    at_random = random.Random(int(seed))

    async def main():
        reader = TickReader.attach(name, from_start=True)
        got = naps = 0
        async with open_waker(address, name) as waker:
            say(ready=True)
            while got < many:
                run = reader.read()
                if run is None:
                    for _ in range(at_random.randrange(300)):
                        pass
                    waker.arm()
                    if not reader.pending:
                        naps += 1
                        with trio.fail_after(10):
                            await waker.sleep()
                    continue
                assert not run.missed
                got += len(run)
        say(got=got, naps=naps)

    trio.run(main)


def sleep_for_ever(address, name):
    """Sleep on a ring; tells how the sleep ended."""

    async def main():
        async with open_waker(address, name) as waker:
            waker.arm()
            say(ready=True)
            try:
                await waker.sleep()
            except ActorDied as err:
                say(died=str(err))
            else:
                say(woken=True)

    trio.run(main)


def hub(prefix):
    """Serve readers of one ring until killed."""

    async def main():
        waker_hub = WakerHub(prefix)
        writer = TickWriter(f'{prefix}ticks', 'x.sim', capacity=256)
        waker_hub.ring(writer.segment.name)
        async with trio.open_nursery() as nursery:
            await nursery.start(waker_hub.serve)
            say(address=waker_hub.address, name=writer.segment.name)

    trio.run(main)


if __name__ == '__main__':
    globals()[sys.argv[1]](*sys.argv[2:])
