"""
One contestant against the bench server: start, send, collect, compare.
"""
from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import rivals, stream
from .common import BenchError, Pikerd, Place, Told, cpu_s, quantiles
from .server import open_tape

PIKER, BARE = 'piker', 'bare reader'


@dataclass
class Seen:
    """When a contestant had each message in hand, by its ids."""

    trade_ids: np.ndarray
    trade_times: np.ndarray
    book_ids: np.ndarray
    book_times: np.ndarray


class Contestant:
    """A client of the server, in processes of its own."""

    version = ''
    # messages of the server → how many of its own it counts
    doubles_books = False

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / 'seen.npz')
        self.pids: dict[str, int] = {}
        self.found: dict[str, Any] = {}

    def start(self, port: int) -> None:
        raise NotImplementedError

    def expect(self, trades: int, books: int) -> None:
        many = trades + books * (2 if self.doubles_books else 1)
        self.told.tell(expect=many)

    def finish(self, timeout_s: float) -> None:
        self.found = self.told.hear_all('finished', timeout_s)

    def seen(self) -> Seen:
        raise NotImplementedError

    def end(self) -> None:
        self.told.end()


class PikerContestant(Contestant):
    """brokerd → shared memory → ``Flume.ticks`` in another process."""

    doubles_books = True

    def start(self, port: int) -> None:
        self.stack = ExitStack()
        folder = Path(self.path).parent / 'place'
        folder.mkdir()
        self.pikerd = Pikerd(
            Place(folder),
            '--set', f'providers.sim.url=http://127.0.0.1:{port}', '--set',
            'providers.sim.trades=trade', '--with', 'brokerd.sim',
        )
        self.stack.callback(self.pikerd.stop)
        self.told = Told(
            [sys.executable, '-m', 'bench.consume', 'btcusdt.sim', self.path],
            env=self.pikerd.place.env,
        )
        self.stack.callback(self.told.end)
        self.told.hear('ready')
        self.pids = {
            'brokerd': self.pikerd.place.daemon_pid('brokerd.sim'),
            'reader': self.told.pid,
        }

    def seen(self) -> Seen:
        with np.load(self.path) as found:
            self.runs = found['sizes']
            hop = found['when'] + self.found['wall_minus_monotonic']
            self.hop = hop - found['recv']
            return Seen(*(
                found[name] for name in Seen.__dataclass_fields__
            ))

    def end(self) -> None:
        if hasattr(self, 'stack'):
            self.stack.close()


class BareContestant(Contestant):
    """Frame headers counted, nothing else: the ceiling."""

    def start(self, port: int) -> None:
        self.told = Told([
            sys.executable, '-m', 'bench.bare', f'http://127.0.0.1:{port}',
            self.path,
        ])
        self.told.hear('ready')
        self.pids = {'reader': self.told.pid}

    def stamps(self) -> np.ndarray:
        """(time, messages) of each read."""
        return np.array(json.loads(Path(self.path).read_text()), 'i8')


class RivalContestant(Contestant):
    """A library in its own environment, called back in its own process."""

    def __init__(self, folder: Path, rival: rivals.Rival) -> None:
        super().__init__(folder)
        self.rival = rival

    def start(self, port: int) -> None:
        python = rivals.environment(self.rival)
        script = Path(__file__).parent / 'adapters' / self.rival.script
        self.told = Told([
            str(python), str(script), f'http://127.0.0.1:{port}', self.path
        ])
        self.version = self.told.hear_all('ready', 90)['version']
        self.pids = {'client': self.told.pid}

    def seen(self) -> Seen:
        raw = np.fromfile(self.path, 'i8')
        columns = []
        at = 0
        for _ in range(4):
            size = int(raw[at])
            columns.append(raw[at + 1:at + 1 + size])
            at += 1 + size
        return Seen(*columns)


@dataclass
class Venue:
    """A running bench server."""

    told: Told
    port: int
    times: str
    tape: stream.Tape
    loops: int

    def wait_subscribed(self, timeout_s: float = 60) -> None:
        """Until trades and bids and asks are subscribed."""
        end = time.monotonic() + timeout_s
        while True:
            names = self.told.hear('subscribed', end - time.monotonic())
            kinds = {name.partition('@')[2] for name in names}
            if 'bookTicker' in kinds and kinds & {'trade', 'aggTrade'}:
                return


@contextmanager
def open_venue(
    recording: str, seconds: float, loops: int, folder: Path,
    module: str = 'bench.server',
) -> Iterator[Venue]:
    times = str(folder / 'times.npy')
    told = Told([
        sys.executable, '-m', module, '--recording', recording,
        '--seconds', str(seconds), '--loops', str(loops), '--times', times,
    ])
    try:
        tape = open_tape(recording, seconds)
        yield Venue(told, told.hear('port', 120), times, tape, loops)
    finally:
        told.end()


def contestant(name: str, folder: Path) -> Contestant:
    if name == PIKER:
        return PikerContestant(folder)
    if name == BARE:
        return BareContestant(folder)
    return RivalContestant(folder, rivals.RIVALS[name])


def run(
    name: str,
    recording: str,
    *,
    speed: float,
    seconds: float = 0,
    loops: int = 1,
    for_s: float = 1e9,
) -> dict[str, Any]:
    """
    One contestant, one pace; ``speed`` 0 is as fast as it takes them.

    Raises `BenchError` if it cannot be driven.
    """
    with (
        tempfile.TemporaryDirectory(prefix='pkd') as base,
        ExitStack() as all_,
    ):
        folder = Path(base)
        venue = all_.enter_context(
            open_venue(recording, seconds, loops, folder)
        )
        client = contestant(name, folder)
        all_.callback(client.end)
        client.start(venue.port)
        venue.wait_subscribed()
        time.sleep(0.5)
        before = {who: cpu_s(pid) for who, pid in client.pids.items()}
        venue.told.tell(go={'speed': speed, 'for_s': for_s})
        length = venue.tape.span_ns * loops / 1e9
        limit = 60 + (length / speed if speed else min(for_s, 600.0))
        done = venue.told.hear_all('done', limit)
        due, sent = np.load(venue.times)
        was_sent = sent > 0
        is_trade = np.tile(venue.tape.is_trade, loops)
        trades = int((was_sent & is_trade).sum())
        books = int((was_sent & ~is_trade).sum())
        client.expect(trades, books)
        client.finish(limit)
        cpu = {
            who: cpu_s(pid) - before[who]
            for who, pid in client.pids.items()
        }
        result = {
            'contestant': name,
            'version': client.version,
            'speed': speed,
            'sent': trades + books,
            'ticks_sent': trades + 2 * books,
            'sending_s': done['seconds'],
            'server_cpu_s': done['cpu'],
            'cpu_s': cpu,
        }
        if isinstance(client, BareContestant):
            _add_bare(result, client, sent)
        else:
            _add_seen(result, client, venue, due, sent, is_trade)
    return result


def _add_bare(
    result: dict[str, Any], client: BareContestant, sent: np.ndarray
) -> None:
    stamps = client.stamps()
    when = np.repeat(stamps[:, 0], stamps[:, 1])[:result['sent']]
    # Its frames are those of the tape, in order.
    _rates(result, when, when - sent[:len(when)], lost=0)


def _add_seen(
    result: dict[str, Any],
    client: Contestant,
    venue: Venue,
    due: np.ndarray,
    sent: np.ndarray,
    is_trade: np.ndarray,
) -> None:
    seen = client.seen()
    tape, loops = venue.tape, venue.loops
    if len(seen.book_ids) and seen.book_ids[0] < 0:
        books = np.flatnonzero((sent > 0) & ~is_trade)[:len(seen.book_ids)]
    else:
        books = tape.place_books(seen.book_ids, loops)
    trades = tape.place_trades(seen.trade_ids, loops)
    places = np.concatenate((trades, books))
    when = np.concatenate((seen.trade_times, seen.book_times))
    lost = result['sent'] - len(np.unique(places))
    _rates(result, when, when - sent[places], lost=lost)
    if result['speed']:
        result['from_due_us'] = quantiles(when - due[places])
        late = sent - due
        result['server_late_us'] = quantiles(late[sent > 0])
    if isinstance(client, PikerContestant):
        result['missed'] = client.found['missed']
        result['counters'] = client.found['counters']
        result['ticks_per_run'] = float(client.runs.mean())
        result['in_hand_after_read_us'] = quantiles(client.hop)


def _rates(
    result: dict[str, Any], when: np.ndarray, late: np.ndarray, *, lost: int
) -> None:
    span = (when.max() - when.min()) / 1e9 if len(when) > 1 else 0.0
    got = result['sent'] - lost
    result['received'] = got
    result['lost'] = lost
    result['messages_per_s'] = got / span if span else 0.0
    result['latency_us'] = quantiles(late)
    result['cpu_s_per_million'] = {
        who: cpu / max(got, 1) * 1e6 for who, cpu in result['cpu_s'].items()
    }


__all__ = ['BARE', 'PIKER', 'BenchError', 'open_venue', 'run']
