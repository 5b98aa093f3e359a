"""
The embedded venue with a stop-watch: ``bench.venue_host FILE SPEED S OUT``.

Serves the first ``S`` seconds of a recording (0: all of it) and notes when
each trade and each best bid and ask was published, which is when the venue
hands it to its connections' queues.
"""
from __future__ import annotations

import gzip
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import trio

from piker.brokers.sim.faults import Faults
from piker.brokers.sim.venue import VenueConfig, open_venue
from piker.clock import SystemClock

_ID = re.compile(rb'"[tu]":(\d+)')


def _cut(recording: str, seconds: float, folder: str) -> str:
    """The part of the recording that is played, as a file."""
    if not seconds:
        return recording
    path = Path(folder) / 'part.gz'
    first = None
    with gzip.open(recording) as lines, gzip.open(path, 'w', 1) as out:
        for line in lines:
            stamp = int(line.partition(b' ')[0])
            first = first or stamp
            if stamp - first > seconds * 1e9:
                break
            out.write(line)
    return str(path)


async def host(recording: str, speed: float, path: str) -> None:
    noted: list[tuple[int, str, bytes]] = []
    publish = Faults.publish

    def timed(self: Faults, stream: str, payload: bytes, *rest: Any) -> None:
        noted.append((time.monotonic_ns(), stream, payload))
        publish(self, stream, payload, *rest)

    Faults.publish = timed
    config = VenueConfig(replay=(recording,), speed=speed)
    async with open_venue(config, SystemClock()) as venue:
        print(json.dumps({'port': venue.port}), flush=True)
        before = 0
        # It begins when somebody subscribes, and never pauses for so long.
        while not before or before != len(noted):
            before = len(noted)
            await trio.sleep(3)
        columns: dict[str, list[int]] = {
            'trade_ids': [], 'trade_times': [], 'book_ids': [],
            'book_times': [],
        }
        for when, name, payload in noted:
            kind = {'trade': 'trade', 'bookTicker': 'book'}.get(
                name.partition('@')[2]
            )
            if kind:
                columns[f'{kind}_ids'].append(int(_ID.search(payload)[1]))
                columns[f'{kind}_times'].append(when)
        np.savez(path, **{k: np.array(v, 'i8') for k, v in columns.items()})
        print(json.dumps({
            'published': True,
            'trades': len(columns['trade_ids']),
            'books': len(columns['book_ids']),
        }), flush=True)
        await trio.sleep_forever()


if __name__ == '__main__':
    with tempfile.TemporaryDirectory(prefix='pkv') as folder:
        given = sys.argv[1:]
        part = _cut(given[0], float(given[2]), folder)
        trio.run(host, part, float(given[1]), given[3])
