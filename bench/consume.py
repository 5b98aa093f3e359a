"""
piker's reader: ``python -m bench.consume SYMBOL FILE``, its own process.

Reads `Flume.ticks` and notes for every run when it had it in hand.  Talks
with its parent as the adapters do.
"""
from __future__ import annotations

import json
import sys
import threading
import time

import numpy as np
import trio

from piker.data import Kind, open_feed

_IDLE_S = 3.0


def main(symbol: str, path: str) -> None:
    expected = [1 << 62]

    def listen() -> None:
        for line in sys.stdin:
            expected[0] = json.loads(line).get('expect', expected[0])

    threading.Thread(target=listen, daemon=True).start()
    stamps, kinds, ids, recvs = [], [], [], []
    missed = 0
    counters: dict[str, int] = {}

    async def read() -> None:
        nonlocal missed, counters
        seen = 0
        async with open_feed([symbol], client='bench') as feed:
            flume = feed[symbol]

            async def watch() -> None:
                before, since = -1, trio.current_time()
                while seen + missed < expected[0]:
                    now = trio.current_time()
                    if seen != before:
                        before, since = seen, now
                    elif expected[0] < 1 << 62 and now - since > _IDLE_S:
                        break
                    await trio.sleep(0.02)
                nursery.cancel_scope.cancel()

            ticks = flume.ticks()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch)
                print(json.dumps({'ready': True}), flush=True)
                async for run in ticks:
                    stamps.append((time.monotonic_ns(), len(run)))
                    kinds.append(run.kind)
                    ids.append(run.id)
                    recvs.append(run.recv)
                    missed += run.missed
                    seen += len(run)
            counters = flume.counters
    trio.run(read)
    kind = np.concatenate(kinds or [np.zeros(0, 'u1')])
    id_ = np.concatenate(ids or [np.zeros(0, 'i8')])
    when = np.repeat(
        np.array([s for s, _ in stamps], 'i8'),
        np.array([n for _, n in stamps], 'i8'),
    )
    trades, asks = kind == Kind.TRADE, kind == Kind.ASK
    np.savez(
        path, trade_ids=id_[trades], trade_times=when[trades],
        book_ids=id_[asks], book_times=when[asks],
        sizes=np.array([n for _, n in stamps], 'i8'),
        recv=np.concatenate(recvs or [np.zeros(0, 'i8')]), when=when,
    )
    print(json.dumps({
        'finished': len(id_), 'missed': missed, 'counters': counters,
        'wall_minus_monotonic': time.time_ns() - time.monotonic_ns(),
    }), flush=True)
    sys.stdin.read()


if __name__ == '__main__':
    main(*sys.argv[1:])
