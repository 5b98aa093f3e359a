"""
Processes that write to a store until they are killed.

Started once, it takes one line of JSON an order (``root``, ``options``,
``mode``, ``number``, ``out``), forks a writer for it before any library has
made a thread, and answers with its pid.  A writer says in the file ``out``
what has been acknowledged, one line a batch.
"""
from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1])]

from storage.conftest import BARS, SYMBOL, TICKS, bars, trades  # noqa: E402

import piker.data.storage.store as store_module  # noqa: E402

PER_BATCH = 10


def several(store: Any, number: int) -> None:
    for at in range(8):
        start = (number * 8 + at) * PER_BATCH
        store.append_bars(SYMBOL, 1, bars(range(start, start + PER_BATCH)))


def forever(store: Any, out: int) -> None:
    """Resumes where the tables end, as a recorder does."""
    bounds = store.bounds(SYMBOL, BARS)
    at = bounds[1] // 10**9 + 1 if bounds else 0
    position = store.ring_position(SYMBOL, 'ring') or 0
    while True:
        store.append_bars(SYMBOL, 1, bars(range(at, at + PER_BATCH)))
        at += PER_BATCH
        store.append_ticks(
            SYMBOL, trades(range(position, position + PER_BATCH)),
            ring='ring', position=position + PER_BATCH,
        )
        position += PER_BATCH
        os.write(out, f'{at} {position}\n'.encode())
        if at // PER_BATCH % 7 == 0:
            store.compact(SYMBOL, BARS, retention_h=1)
            store.compact(SYMBOL, TICKS, least_files=4, retention_h=1)


def write(order: dict[str, Any]) -> None:
    store = store_module.Store(order['root'], order['options'])
    if order['mode'] == 'several':
        several(store, order['number'])
        return
    forever(store, os.open(order['out'], os.O_WRONLY | os.O_CREAT))


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            write(json.loads(line))
            os._exit(0)
        os.write(1, f'{pid}\n'.encode())


if __name__ == '__main__':
    main()
