"""
Ten thousand random orders, changes and cancels against a venue, while all of
it is killed and cut at random; in the end two sets of books, to the digit.

Three clients (`soak_ems_client`), each a process of its own, do what comes to
their minds.  Meanwhile ``emsd``, ``brokerd`` and the clients are killed, the
venue hangs up on us, tells its users' streams twice and in the wrong order,
and answers orders with time-outs and errors, carried out or not.  What is
true in the end is looked at by `soak_ems_truth`.
"""
from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.error
import urllib.parse
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from .common import BenchError, Options, Told, open_pikerd, say, show
from .soak_ems_client import read_log, summed
from .soak_ems_truth import (
    Books,
    Compared,
    compare_dialogs,
    compare_fills,
    compare_money,
    compare_orders,
)
from .soak_kills import Asked
from .soak_tools import Limits
from .soak_truth import get, post

_NAMES = ('anna', 'bert', 'carl')
_SYMBOLS = ('btcusdt.sim', 'ethusdt.sim', 'solusdt.sim', 'ethbtc.sim')
_RATE = 15.0  # operations a second of all clients together
# More deaths of one daemon within a minute, and pikerd gives it up.
_MOST_DEATHS, _WITHIN_S = 5, 61.0
_START_S = 40.0
_SETTLE_S = 150.0
_DAEMONS = ('emsd', 'brokerd.sim')
_KINDS = {
    'emsd': 3, 'brokerd.sim': 3, 'client': 3, 'user stream': 2,
    'connections': 2,
}
_ANSWERS = ('silence', 'timeout', 'error', 'unavailable', 'limit', 'ban')
_ASK_EVERY_S = 0.25


class Torture:
    """
    One run against a tree that is there already.

    ``record`` is the tree's, ``journal`` that of its ``emsd``; logs go to
    ``folder``, ``env`` is what leads a client to the tree.
    """

    def __init__(
        self,
        record: Path,
        journal: Path,
        folder: Path,
        env: Mapping[str, str],
        *,
        operations: int,
        kills: int,
        seed: int,
        rate: float = _RATE,
    ) -> None:
        self.record = record
        self.journal = journal
        self.folder = folder
        self.env = env
        self.operations = operations
        self.kills_wanted = kills
        self.rate = rate
        self.seed = seed
        self.dice = Random(f'{seed} torture')
        self.clients: dict[str, Told] = {}
        self.finished: dict[str, dict[str, Any]] = {}
        self.kills: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.placed: Counter[str] = Counter()
        self.failed: list[str] = []
        self.url = ''
        self._deaths: dict[str, deque[float]] = {
            name: deque(maxlen=_MOST_DEATHS) for name in _DAEMONS
        }
        self._calm: dict[str, Any] = {}

    def log(self, name: str) -> Path:
        return self.folder / f'{name}.jsonl'

    def logs(self) -> list[Path]:
        return [self.log(name) for name in _NAMES]

    # processes

    def _start(self, **given: Any) -> Told:
        return Told(
            [sys.executable, '-m', 'bench.soak_ems_client',
             json.dumps(given)], env=dict(self.env),
        )

    def _start_client(self, name: str) -> None:
        self.clients[name] = self._start(
            do='operate', name=name, seed=self.seed, log=str(self.log(name)),
            symbols=_SYMBOLS, quota=-(-self.operations // len(_NAMES)),
            rate=self.rate / len(_NAMES),
            within_s=60 + 4 * self.operations / self.rate,
        )

    def _pid_of(self, name: str) -> int:
        try:
            children = json.loads(self.record.read_text())['children']
        except (OSError, ValueError):
            return 0
        pid: int = children.get(name, (0, 0))[0]
        return pid

    # one run

    def run(self) -> dict[str, Any]:
        """All of it; ``failed`` of what it returns says what was wrong."""
        began = time.monotonic()
        try:
            for name in _NAMES:
                self._start_client(name)
            self.url = self.clients[_NAMES[0]].hear('ready', _START_S)
            for name in _NAMES[1:]:
                self.clients[name].hear('ready', _START_S)
            before = self._books()
            self.asked = Asked(self.url)
            self._misbehave()
            self._until_done()
            self._fault({})
        finally:
            for client in self.clients.values():
                client.end()
        ran_s = time.monotonic() - began
        live = self._settle()
        self._see_requests()
        return self._judge(before, live, ran_s)

    def _books(self) -> dict[str, Any]:
        found: dict[str, Any] = get(self.url, '/sim/v1/books', account='sim')
        return found

    def _done(self) -> int:
        """How many operations are in the logs."""
        count = 0
        for path in self.logs():
            if path.exists():
                count += path.read_bytes().count(b'"do"')
        return count

    def _until_done(self) -> None:
        """Kill and cut in step with the operations, until all are done."""
        step = self.operations / (self.kills_wanted + 1)
        next_kill, next_fault = step * self.dice.uniform(0.5, 1.5), 0.0
        told = asked = time.monotonic()
        end = time.monotonic() + 120 + 4 * self.operations / self.rate
        while len(self.finished) < len(_NAMES):
            if time.monotonic() > end:
                self.failed.append('not all was asked for in time')
                return
            time.sleep(0.02)
            self._look_after_clients()
            count = self._done()
            if count >= next_kill and sum(
                self.kills.values()
            ) < self.kills_wanted:
                next_kill += step * self.dice.uniform(0.6, 1.35)
                self._kill()
            if count >= next_fault:
                next_fault = count + self.dice.uniform(0.3, 1.0) * min(
                    step, 60
                )
                self._misbehave()
            if time.monotonic() - asked > _ASK_EVERY_S:
                asked = time.monotonic()
                self._see_requests()
            if time.monotonic() - told > 20:
                told = time.monotonic()
                say(f'{count} operations, {sum(self.kills.values())} kills '
                    f'and cuts, {sum(self.faults.values())} faults, '
                    f'{len(self.placed)} orders')
        left = self.kills_wanted - sum(self.kills.values())
        if left > 0:
            self.failed.append(f'{left} kills fewer than were wanted')

    def _look_after_clients(self) -> None:
        for name, client in self.clients.items():
            if name in self.finished or client.process.poll() is None:
                continue
            try:
                self.finished[name] = client.hear('result', 5)
            except BenchError as err:
                self.kills['client by itself'] += 1
                say(f'{name} ended by itself: {err}')
                client.end()
                self._start_client(name)
                return

    # what goes wrong

    def _kill(self) -> None:
        """One or, now and then, two at once."""
        many = 2 if self.dice.random() < 0.15 else 1
        for kind in self.dice.sample(list(_KINDS), many) if many > 1 else (
            self.dice.choices(list(_KINDS), list(_KINDS.values()))
        ):
            killed = True
            if kind == 'client':
                killed = self._kill_client()
            elif kind in _DAEMONS:
                killed = self._kill_daemon(kind)
            if not killed:
                kind = 'user stream'
            if kind == 'user stream':
                self._cut(drop_user_streams=True)
            elif kind == 'connections':
                self._cut(
                    drop_connections=True,
                    refuse_connections_s=self.dice.uniform(0, 0.8),
                )
            self.kills[kind] += 1

    def _kill_daemon(self, name: str) -> bool:
        died, pid = self._deaths[name], self._pid_of(name)
        if not pid or (
            len(died) == _MOST_DEATHS
            and died[0] + _WITHIN_S > time.monotonic()
        ):
            return False
        died.append(time.monotonic())
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return True

    def _kill_client(self) -> bool:
        names = [n for n in _NAMES if n not in self.finished]
        if not names:
            return False
        name = self.dice.choice(names)
        self.clients[name].process.kill()
        self.clients[name].process.wait()
        self.clients[name].end()
        self._start_client(name)
        return True

    def _cut(self, **faults: Any) -> None:
        self._fault(self._calm | faults)

    def _misbehave(self) -> None:
        """Other faults of orders and users' streams from now on."""
        dice = self.dice
        self._calm = {
            'user_duplicate_rate': dice.choice([0.0, 0.2]),
            'user_reorder_rate': dice.choice([0.0, 0.2]),
            'order_delay_ms': dice.choice([0.0, 0.0, 20.0, 200.0]),
        }
        answer = dice.choice(_ANSWERS)
        # these two are a definite no, by the venue's documentation
        executed = answer not in {'limit', 'ban'} and dice.random() < 0.5
        kind = dice.choice(['', 'place', 'cancel', 'replace'])
        self.faults[f'{answer}, {"" if executed else "not "}done'] += 1
        self._fault(self._calm | {
            'order_answer': answer, 'order_executed': executed,
            'order_requests': dice.randint(1, 3), 'order_kind': kind,
        })

    def _fault(self, faults: dict[str, Any]) -> None:
        """Tell the venue, which may be hanging up on everybody."""
        for _ in range(50):
            try:
                post(self.url, '/sim/v1/faults', faults)
                return
            except (OSError, urllib.error.URLError):
                time.sleep(0.1)
        raise BenchError('the venue takes no faults')

    def _see_requests(self) -> None:
        """Which orders were placed, by the venue's log of requests."""
        with suppress(OSError, urllib.error.URLError, ValueError):
            for request in self.asked.fresh():
                self._see(request)

    def _see(self, request: Mapping[str, Any]) -> None:
        if request['method'] != 'POST':
            return
        query = dict(urllib.parse.parse_qsl(request['query']))
        for name in ('newClientOrderId', 'aboveClientOrderId',
                     'belowClientOrderId'):
            if name in query:
                self.placed[query[name]] += 1

    # the end

    def _oids(self) -> list[str]:
        return [
            request['oid'] for path in self.logs()
            for op in read_log(path)[0].values() if op['kind'] != 'again'
            for request in op.get('requests', ())
        ]

    def _settle(self) -> dict[str, Any]:
        """What a client sees once all has been cancelled and is over."""
        out, oids = self.folder / 'live.json', self.folder / 'oids.json'
        oids.write_text(json.dumps(self._oids()))
        client = self._start(
            do='settle', oids=str(oids), out=str(out), url=self.url,
            within_s=_SETTLE_S,
        )
        try:
            client.hear('result', _SETTLE_S + 150)
        finally:
            client.end()
        found: dict[str, Any] = json.loads(out.read_text())
        return found

    def _judge(
        self, before: dict[str, Any], live: dict[str, Any], ran_s: float
    ) -> dict[str, Any]:
        books, venue, found = Books(self.journal), self._books(), Compared()
        compare_orders(found, books, venue, self.placed)
        compare_fills(found, books, venue, live['fills'])
        compare_money(found, books, venue, before, live)
        compare_dialogs(found, books, live, self.logs())
        operations = summed(self.logs())
        failed = self.failed + found.wrong
        if self.asked.gone:
            failed.append('requests were overwritten before they were seen')
        if not (venue['fills'] and venue['orders'] and self.placed):
            failed.append('nothing was traded: nothing has been compared')
        failed += [f'nothing compared: {what}' for what in (
            'orders by cid', 'fills', 'positions', 'balances', 'as live',
            'acknowledged', 'placed once',
        ) if not found.counts[what]]
        for name, one in self.finished.items():
            if one['unanswered']:
                failed.append(f'{name} was left without an answer')
        placements = [p for d in books.dialogs for p in d['placements']]
        statuses = Counter(d['status'] for d in books.dialogs)
        figures = {
            'seconds': ran_s, 'settled after s': live['settled_s'],
            'balances agree after s': live['agreed_s'],
            'operations': sum(operations.values()),
            'kills and cuts': sum(self.kills.values()),
            'faults of orders told': sum(self.faults.values()),
            'orders at the venue': len(venue['orders']),
            'fills': len(venue['fills']),
            'dialogs': len(books.dialogs),
            **{f'dialogs {k}': n for k, n in sorted(statuses.items())},
            'orders that never arrived': sum(
                p['state'] == 'lost' for p in placements
            ),
            'doubts': books.kinds['doubted'],
            'journal records': sum(books.kinds.values()),
            'triggered here': books.kinds['triggered'],
            'pairs at the venue': len(venue['lists']),
            **{f'venue {k}': n for k, n in sorted(
                get(self.url, '/sim/v1/stats')['faults'].items()
            )},
        }
        return {
            'failed': failed, 'figures': figures, 'operations': operations,
            'kills': self.kills, 'faults': self.faults,
            'compared': found.rows(), 'seed': self.seed,
        }


def run_ems(options: Options, limits: Limits) -> dict[str, Any]:
    """The soak by itself, with a tree of its own."""
    limits.operations = limits.operations or options.pick(150, 1000, 10_000)
    limits.kills = limits.kills or options.pick(4, 20, 100)
    with open_pikerd('--set', 'storage.enabled=false') as pikerd:
        place = pikerd.place
        torture = Torture(
            place.base / 'run' / 'piker' / f'tree-{place.port}.json',
            place.base / 'data' / 'ems.sqlite', place.base, place.env,
            operations=limits.operations, kills=limits.kills,
            seed=limits.seed,
        )
        found = torture.run()
        pikerd.log.seek(0)
        log = pikerd.log.read()
        if 'Traceback' in log:
            at = log.index('Traceback')
            found['failed'].append(f'in the log: {log[at:at + 1500]}')
    show_ems(found)
    return found


def show_ems(found: Mapping[str, Any]) -> None:
    """Tables of what a run did and compared."""
    def table(title: str, first: str, rows: Iterable[tuple[str, Any]]) -> None:
        show(title, (first, 'count'), [list(row) for row in rows])

    table('Operations', 'kind', sorted(found['operations'].items()))
    table('Kills and cuts', 'what', sorted(found['kills'].items()))
    table('Orders’ answers spoiled', 'how', sorted(found['faults'].items()))
    table('Figures', 'what', found['figures'].items())
    show('Compared', ('what', 'compared', 'wrong'), found['compared'])
