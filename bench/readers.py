"""
Readers of one ring: ``python -m bench.readers KIND MANY NAME ADDRESS``.

One process imports everything and forks; the readers go with it.  KIND is
``polling`` (60 times a second), ``sleeping`` (woken by the writer) or
``stopped`` (sleeping, but one of them is stopped by a signal).  At the end it
tells how long after ``recv`` of the newest tick those that slept had it.
"""
from __future__ import annotations

import json
import mmap
import os
import signal
import sys
import time
from functools import partial

import numpy as np
import trio

from piker.data.ticks import TickReader
from piker.data.wake import open_waker

from .common import quantiles

_MOST = 1 << 14


def polling(reader: TickReader, ready: int) -> None:
    os.write(ready, b'.')
    while True:
        while reader.read() is not None:
            pass
        time.sleep(1 / 60)


async def sleeping(
    reader: TickReader,
    ready: int,
    address: str,
    delays: np.ndarray,
    *,
    stopped: bool,
) -> None:
    """Put each delay, ns, into ``delays``, whose first item counts them."""
    async with open_waker(address, reader.segment_name) as waker:
        waker.arm()
        os.write(ready, b'.')
        if stopped:
            os.kill(os.getpid(), signal.SIGSTOP)
        while True:
            while (run := reader.read()) is not None:
                many = delays[0] = delays[0] + 1
                if many < len(delays):
                    delays[many] = time.monotonic_ns() - run.recv[-1]
            waker.arm()
            if not reader.pending:
                await waker.sleep()


def main(kind: str, many: str, name: str, address: str) -> None:
    reading, ready = os.pipe()
    children = []
    memory = mmap.mmap(-1, int(many) * _MOST * 8)
    delays = np.frombuffer(memory, 'i8').reshape(-1, _MOST)
    for at in range(int(many)):
        pid = os.fork()
        if not pid:
            os.close(0)
            reader = TickReader.attach(name)
            if kind == 'polling':
                polling(reader, ready)
            else:
                trio.run(partial(
                    sleeping, reader, ready, address, delays[at],
                    stopped=kind == 'stopped' and not at,
                ))
            os._exit(0)
        children.append(pid)
    got = 0
    while got < len(children):
        got += len(os.read(reading, 64))
    print(json.dumps({'ready': got}), flush=True)
    sys.stdin.read()
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    seen = np.concatenate([row[1:1 + row[0]] for row in delays])
    told = quantiles(seen) if len(seen) else {}
    print(json.dumps({'delays': told}), flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
