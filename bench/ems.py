"""
Orders: from a tick to the order that it triggers, and from a client to the
venue's book.

The bench server has an account (`ems_venue`), so that it knows by one clock
when it handed a trade to its socket and when the bytes of the order came that
this trade has triggered.
"""
from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from piker.clearing.journal import JournalReader
from piker.clearing.records import Triggered
from piker.clock import NS_PER_MS

from . import duel, rivals
from .common import (
    ROOT,
    BenchError,
    Options,
    Pikerd,
    Place,
    Told,
    cpu_s,
    quantiles,
    say,
    show,
)
from .crowd import names_of

# Trades that went out within this time went out as one.
_SAME_NS = 100_000
_SYMBOL = 'btcusdt.sim'
_SYMBOLS = 50
# dark orders, over how many symbols
_LOADS = ((10, 10), (50, 50), (1000, 50))

Orders = list[dict[str, Any]]
Came = dict[Decimal, int]


def run(options: Options) -> dict[str, Any]:
    recording = '' if options.smoke else options.recording
    paces = options.pick(
        [(1.0, 4.0)], [(1.0, 20.0), (10.0, 100.0)],
        [(1.0, 120.0), (10.0, 0.0)],
    )
    rests = options.pick(5, 50, 200)
    found: dict[str, Any] = {}
    say('the kill switch')
    found['halt'] = _halt(recording, options.pick(2, 10, 30))
    for speed, seconds in paces:
        say(f'piker at {speed:g}x')
        found[f'piker {speed:g}x'] = _piker(
            recording, speed, seconds, rests
        )
        for name in () if options.smoke else rivals.ORDERS:
            say(f'{name} at {speed:g}x')
            try:
                each = _rival(name, recording, speed, seconds)
            except (BenchError, OSError, subprocess.SubprocessError) as err:
                say(f'{name}: skipped: {err}')
                each = {'skipped': str(err)}
            found[f'{name} {speed:g}x'] = each
    _show({n: each for n, each in found.items() if n != 'halt'})
    say('1,000 dark orders')
    found['load'] = _load(options)
    return found


def _rival(
    name: str, recording: str, speed: float, seconds: float
) -> dict[str, Any]:
    """The same from a strategy that orders on a trade, in one process."""
    rival = rivals.ORDERS[name]
    with (
        tempfile.TemporaryDirectory(prefix='pke') as base,
        ExitStack() as stack,
    ):
        venue = stack.enter_context(duel.open_venue(
            recording, seconds, 1, Path(base), 'bench.ems_venue'
        ))
        client = Told([
            str(rivals.environment(rival)),
            str(ROOT / 'bench' / 'adapters' / rival.script),
            f'http://127.0.0.1:{venue.port}',
        ])
        stack.callback(client.end)
        version = client.hear_all('ready', 90)['version']
        venue.wait_subscribed()
        before = cpu_s(client.pid)
        venue.told.tell(go={'speed': speed})
        venue.told.hear('done', 60 + venue.tape.span_ns / 1e9 / speed)
        cpu = cpu_s(client.pid) - before
        client.tell(stop=True)
        ordered = client.hear('ordered')
        came = _came(venue)
        _, sent = np.load(venue.times)
        at = venue.tape.place_trades(np.array([id_ for _, id_ in ordered]), 1)
        late = [
            came[Decimal(size)] - int(sent[place])
            for (size, _), place in zip(ordered, at, strict=True)
            if Decimal(size) in came
        ]
        return {
            'version': version, 'speed': speed, 'cpu_s': {'client': cpu},
            'trigger': {
                'orders': len(late),
                'tick_to_order_us': quantiles(np.array(late)),
            },
        }


def _came(venue: duel.Venue) -> Came:
    """When the bytes of each order came, by its size."""
    venue.told.tell(orders=True)
    return {
        Decimal(size): at for _, size, at in venue.told.hear('orders')
    }


def _piker(
    recording: str, speed: float, seconds: float, rests: int
) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix='pke') as base,
        ExitStack() as stack,
    ):
        folder = Path(base)
        venue = stack.enter_context(duel.open_venue(
            recording, seconds, 1, folder, 'bench.ems_venue'
        ))
        place, client = _tree(
            _made(folder / 'place'), venue.port, _SYMBOL, stack
        )
        venue.wait_subscribed()
        other = _client(place, _SYMBOL, stack)
        other.tell(watch=True)
        other.hear('watching')
        client.tell(rest=rests)
        rested = client.hear('rested', 60)
        other.tell(watched=True)
        seen = other.hear('seen')
        other.end()
        pids = {
            name: place.daemon_pid(name) for name in ('brokerd.sim', 'emsd')
        }
        before = {name: cpu_s(pid) for name, pid in pids.items()}
        venue.told.tell(go={'speed': speed})
        venue.told.hear('encoded')
        time.sleep(1)  # of the tape, so that there is a price
        client.tell(trail=True)
        venue.told.hear('done', 60 + venue.tape.span_ns / 1e9 / speed)
        cpu = {name: cpu_s(pid) - before[name] for name, pid in pids.items()}
        client.tell(stop=True)
        trailed = client.hear('trailed', 60)
        came = _came(venue)
        offset_ns = time.time_ns() - time.monotonic_ns()
        with JournalReader(place.base / 'data' / 'ems.sqlite') as journal:
            taken = {
                entry.record.oid: (
                    entry.record.time_ns - offset_ns,
                    entry.record.tick_ns // NS_PER_MS,
                    float(entry.record.price),
                )
                for entry in journal.entries()
                if isinstance(entry.record, Triggered)
            }
        return {
            'speed': speed,
            'cpu_s': cpu,
            'submit': _submit(rested, came, seen),
            'trigger': _trigger(trailed, came, taken, venue),
        }


def _halt(recording: str, many: int) -> dict[str, Any]:
    """How soon a strategy that orders without a pause is stopped."""
    with (
        tempfile.TemporaryDirectory(prefix='pke') as base,
        ExitStack() as stack,
    ):
        folder = Path(base)
        venue = stack.enter_context(duel.open_venue(
            recording, 1.0, 1, folder, 'bench.ems_venue'
        ))
        _, client = _tree(
            _made(folder / 'place'), venue.port, _SYMBOL, stack
        )
        client.tell(halt=many)
        halts = client.hear('halted', 30 + 5 * many)
        came = _came(venue)
    late = [
        max(came[Decimal(size)] for size in halt['sizes']) - halt['called']
        for halt in halts
    ]
    figures = {
        'halts': many,
        'orders': sum(len(halt['sizes']) for halt in halts),
        'last_order_us': quantiles(np.array(late)),
    } | {
        f'{key}_us': quantiles(
            np.array([h[key] - h['called'] for h in halts])
        )
        for key in ('answered', 'refused', 'over')
    }
    show(
        'The kill switch, from its call on, µs',
        ('until', 'p50', 'max'),
        [[text, figures[key]['p50'], figures[key]['max']] for key, text in (
            ('last_order_us', 'the last order came to the venue'),
            ('answered_us', 'it is answered'),
            ('refused_us', 'the strategy is refused'),
            ('over_us', 'its last order is over'),
        )],
    )
    return figures


def _load(options: Options) -> dict[str, Any]:
    """What a tick costs ``emsd``, by how many dark orders wait in it."""
    recording = '' if options.smoke else options.recording
    seconds = options.pick(1.0, 5.0, 15.0)
    names = [f'{name}.sim' for name in names_of(_SYMBOLS)]
    found: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory(prefix='pke') as base,
        ExitStack() as stack,
    ):
        server = Told([
            sys.executable, '-m', 'bench.ems_crowd', '--recording',
            recording, '--symbols', str(_SYMBOLS),
        ])
        stack.callback(server.end)
        place, client = _tree(
            _made(Path(base) / 'place'), server.hear('port', 120), names[0],
            stack,
        )
        pid = place.daemon_pid('emsd')
        orders = 0
        for many, symbols in _LOADS:
            client.tell(far={
                'symbols': names[:symbols], 'many': many - orders,
            })
            client.hear('placed', 120)
            orders = many
            time.sleep(options.pick(0.5, 2.0, 3.0))  # feeds have opened
            before, began = _sent(server, symbols), cpu_s(pid)
            time.sleep(seconds)
            spent = cpu_s(pid) - began
            ticks = _sent(server, symbols) - before
            found[f'{many:,} over {symbols} symbols'] = {
                'ticks': ticks, 'cpu_s': spent,
                'cpu_s_per_million': spent / ticks * 1e6,
            }
    least = next(iter(found.values()))['cpu_s_per_million']
    show(
        'CPU of emsd with dark orders that wait',
        ('orders', 'ticks', 'CPU s/M ticks', 'of the first'),
        [[name, each['ticks'], each['cpu_s_per_million'],
          each['cpu_s_per_million'] / least] for name, each in found.items()],
    )
    return found


def _sent(server: Told, symbols: int) -> int:
    """Ticks of the first symbols so far; a book is two of them."""
    server.tell(report=True)
    report = server.hear('report')
    return sum(report['trades'][:symbols]) + 2 * sum(
        report['quotes'][:symbols]
    )


def _tree(
    folder: Path, port: int, symbol: str, stack: ExitStack
) -> tuple[Place, Told]:
    """A tree that trades at ``port``, and a client of it that is ready."""
    place = Place(folder)
    pikerd = Pikerd(
        place,
        '--set', f'providers.sim.url=http://127.0.0.1:{port}',
        '--set', 'providers.sim.trades=trade',
        '--with', 'brokerd.sim', '--with', 'emsd',
    )
    stack.callback(pikerd.stop)
    return place, _client(place, symbol, stack)


def _client(place: Place, symbol: str, stack: ExitStack) -> Told:
    client = Told(
        [sys.executable, '-m', 'bench.ems_client', symbol], env=place.env,
    )
    stack.callback(client.end)
    client.hear('ready')
    return client


def _made(path: Path) -> Path:
    path.mkdir()
    return path


def _submit(
    orders: Orders, came: Came, seen: dict[str, int]
) -> dict[str, Any]:
    """Times from the client's call on."""
    def since(key: str) -> dict[str, float]:
        return quantiles(np.array([o[key] - o['called'] for o in orders]))

    for order in orders:
        order['booked'] = came[Decimal(order['size'])]
        order['seen'] = seen[order['oid']]
    return {
        'orders': len(orders), 'acknowledged_us': since('acked'),
        'at_venue_us': since('booked'), 'seen_open_us': since('open'),
        'seen_by_another_us': since('seen'),
    }


def _trigger(
    orders: Orders,
    came: Came,
    taken: dict[str, tuple[int, int, float]],
    venue: duel.Venue,
) -> dict[str, Any]:
    """
    Times from the trade that has triggered an order on.

    The journal has that trade's time and price.  Where several are alike and
    some were sent before the order was there, it is not known which one it
    was: these orders are only counted.
    """
    tape = venue.tape
    _, sent = np.load(venue.times)
    sent = sent[tape.is_trade]
    trades = [t for t in tape.trades if t]
    prices = np.array([float(t[2]) for t in trades])
    times = np.array([t[4] for t in trades])
    whole, feed, path = [], [], []
    unsure = 0
    for order in orders:
        if order['oid'] not in taken:
            continue
        began, tick_ms, price = taken[order['oid']]
        alike = sent[(times == tick_ms) & (prices == price)]
        first = int(alike.min())
        if first < order['acked'] and alike.max() - first > _SAME_NS:
            unsure += 1
            continue
        end = came[Decimal(order['size'])]
        whole.append(end - first)
        feed.append(began - first)
        path.append(end - began)
    return {
        'orders': len(whole), 'unsure': unsure,
        'tick_to_order_us': quantiles(np.array(whole)),
        'tick_to_emsd_us': quantiles(np.array(feed)),
        'emsd_to_order_us': quantiles(np.array(path)),
    }


def _show(found: dict[str, Any]) -> None:
    rows = []
    done = {n: f for n, f in found.items() if 'skipped' not in f}
    for name, each in done.items():
        trigger = each['trigger']
        late = trigger['tick_to_order_us']
        parts = [
            trigger.get(part, {}).get(q)
            for part in ('tick_to_emsd_us', 'emsd_to_order_us')
            for q in ('p50', 'p99')
        ]
        rows.append([
            name, late['p50'], late['p99'], late['max'], *parts,
            trigger['orders'],
        ])
    show(
        'Trade at the socket to the bytes of the order that it triggers, µs',
        ('', 'p50', 'p99', 'max', 'to emsd p50', 'p99', 'from there p50',
         'p99', 'orders'),
        rows,
    )
    rows = []
    for name, each in done.items():
        if 'submit' not in each:
            continue
        submit = each['submit']
        rows.append([
            name, *(
                submit[key][q]
                for key in (
                    'acknowledged_us', 'at_venue_us', 'seen_open_us',
                    'seen_by_another_us',
                )
                for q in ('p50', 'p99')
            ), submit['orders'],
        ])
    show(
        'A limit order from the client’s call on, µs',
        ('', 'acknowledged p50', 'p99', 'at the venue p50', 'p99',
         'seen open p50', 'p99', 'seen by another client p50', 'p99',
         'orders'),
        rows,
    )
