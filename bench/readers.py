"""
Readers of one ring: ``python -m bench.readers KIND MANY NAME ADDRESS``.

One process imports everything and forks; the readers go with it.  KIND is
``polling`` (60 times a second), ``sleeping`` (woken by the writer) or
``stopped`` (asleep on the ring when stopped by a signal).
"""
from __future__ import annotations

import json
import os
import signal
import sys
import time
from functools import partial

import trio

from piker.data.ticks import TickReader
from piker.data.wake import open_waker


def polling(reader: TickReader, ready: int) -> None:
    os.write(ready, b'.')
    while True:
        while reader.read() is not None:
            pass
        time.sleep(1 / 60)


async def sleeping(
    reader: TickReader, ready: int, address: str, *, stopped: bool
) -> None:
    async with open_waker(address, reader.segment_name) as waker:
        waker.arm()
        os.write(ready, b'.')
        if stopped:
            os.kill(os.getpid(), signal.SIGSTOP)
        while True:
            while reader.read() is not None:
                pass
            waker.arm()
            if not reader.pending:
                await waker.sleep()


def main(kind: str, many: str, name: str, address: str) -> None:
    reading, ready = os.pipe()
    children = []
    for _ in range(int(many)):
        pid = os.fork()
        if not pid:
            os.close(0)
            reader = TickReader.attach(name)
            if kind == 'polling':
                polling(reader, ready)
            else:
                trio.run(partial(
                    sleeping, reader, ready, address,
                    stopped=kind == 'stopped',
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


if __name__ == '__main__':
    main(*sys.argv[1:])
