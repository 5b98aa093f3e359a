"""
How long a message takes from the venue to a reader in another process.

Against the bench server, which knows when it handed each message to its
socket; and once against the embedded venue, end to end.
"""
from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from . import duel
from .common import Options, Told, cpu_s, quantiles, say, show
from .server import open_tape


def run(options: Options) -> dict[str, Any]:
    recording = '' if options.smoke else options.recording
    paces = options.pick(
        [(10.0, 8.0)], [(1.0, 10.0), (10.0, 60.0)],
        [(1.0, 0.0 if options.full else 60.0), (10.0, 0.0)],
    )
    found: dict[str, Any] = {}
    for speed, seconds in paces:
        say(f'bench server at {speed:g}x')
        found[f'bench server {speed:g}x'] = duel.run(
            duel.PIKER, recording, speed=speed, seconds=seconds
        )
        if recording:
            say(f'embedded venue at {speed:g}x')
            found[f'embedded venue {speed:g}x'] = _embedded(
                recording, speed, seconds
            )
    rows = []
    for name, each in found.items():
        late, due = each['latency_us'], each.get('from_due_us', {})
        hop = each['in_hand_after_read_us']
        rows.append([
            name, late['p50'], late['p99'], late['p999'], late['max'],
            due.get('p99'), hop['p50'], hop['p99'], each['lost'],
        ])
    show(
        'Venue to reader in another process, µs',
        ('venue', 'p50', 'p99', 'p99.9', 'max', 'p99 from due',
         'read → hand p50', 'p99', 'lost'),
        rows,
    )
    return found


def _embedded(
    recording: str, speed: float, seconds: float
) -> dict[str, Any]:
    """The same with piker's own venue, which notes when it publishes."""
    with (
        tempfile.TemporaryDirectory(prefix='pkl') as base,
        ExitStack() as all_,
    ):
        folder = Path(base)
        path = str(folder / 'published.npz')
        venue = Told([
            sys.executable, '-m', 'bench.venue_host', recording, str(speed),
            str(seconds), path,
        ])
        all_.callback(venue.end)
        client = duel.PikerContestant(folder)
        all_.callback(client.end)
        client.start(venue.hear('port', 120))
        before = {who: cpu_s(pid) for who, pid in client.pids.items()}
        length = open_tape(recording, seconds).span_ns / 1e9 / speed
        sent = venue.hear_all('published', length + 60)
        client.expect(sent['trades'], sent['books'])
        client.finish(length + 60)
        cpu = {
            who: cpu_s(pid) - before[who]
            for who, pid in client.pids.items()
        }
        seen = client.seen()
        with np.load(path) as noted:
            trades = _after(
                noted['trade_ids'], noted['trade_times'], seen.trade_ids,
                seen.trade_times,
            )
            books = _after(
                noted['book_ids'], noted['book_times'], seen.book_ids,
                seen.book_times,
            )
            noted_ids = dict(noted)
        late = np.concatenate((trades, books))
        # The venue began as brokerd subscribed, before the reader was there.
        total = sum(
            int((ids >= seen_ids[0]).sum())
            for ids, seen_ids in (
                (noted_ids['trade_ids'], seen.trade_ids),
                (noted_ids['book_ids'], seen.book_ids),
            )
        )
        return {
            'speed': speed,
            'sent': total,
            'received': len(late),
            'lost': total - len(late),
            'latency_us': quantiles(late),
            'in_hand_after_read_us': quantiles(client.hop),
            'cpu_s': cpu,
        }


def _after(
    ids: np.ndarray, sent: np.ndarray, seen: np.ndarray, when: np.ndarray
) -> np.ndarray:
    at = np.searchsorted(ids, seen)
    at = np.minimum(at, len(ids) - 1)
    known = ids[at] == seen
    return (when - sent[at])[known]
