"""
The desk in a terminal, and the one-shot commands, on a whole tree.
"""
from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from desk_terminal import Terminal
from suite import Daemon, run_piker, wait_until

SYMBOL = 'btcusdt.sim'


@contextmanager
def desk(*args: str, **size: int) -> Iterator[Terminal]:
    terminal = Terminal(*args, **size)
    try:
        yield terminal
    finally:
        terminal.close()


def ems(*args: str) -> list[dict[str, Any]]:
    """A command with its objects."""
    done = run_piker('ems', *args, '--json')
    return [json.loads(line) for line in done.stdout.splitlines()]


def open_orders() -> list[str]:
    return [found['oid'] for found in ems('orders')]


def assert_left_clean(terminal: Terminal, settings: list[Any]) -> None:
    """The terminal is as it was: its screen, its cursor, its modes."""
    assert settings == terminal.before
    raw = terminal.raw.decode(errors='replace')
    for on, off in (
        ('\x1b[?1049h', '\x1b[?1049l'),  # the other screen
        ('\x1b[?2004h', '\x1b[?2004l'),  # pastes are marked
        ('\x1b[?25l', '\x1b[?25h'),  # no cursor
    ):
        assert raw.rfind(off) > raw.rfind(on) >= 0, repr(on)
    assert 'Traceback' not in raw


def test_one_shot(daemon: Daemon) -> None:
    """An order's life from a shell."""
    bought, = ems('buy', SYMBOL, '0.02', '--wait')
    assert bought['status'] == 'closed'
    assert Decimal(bought['filled']) == Decimal('0.02')
    assert bought['client'] == 'cli'
    again, = ems('buy', SYMBOL, '0.02', '--oid', bought['oid'])
    assert again['status'] == 'closed'
    assert sum(Decimal(f['size']) for f in ems('fills')) == Decimal('0.02')
    position, = ems('positions')
    assert Decimal(position['size']) == Decimal('0.02')

    low, = ems('buy', SYMBOL, '0.01', '--price', '1000', '--oid', 'lowest')
    assert low['status'] == 'open'
    changed, = ems('modify', 'low', '--price', '1001.5')
    assert changed['price'] == '1001.5'
    order, take, stop = ems(
        'buy', SYMBOL, '0.01', '-p', '1000', '--bracket', '2000,500'
    )
    assert order['status'] == 'open'
    assert {take['status'], stop['status']} == {'held'}
    assert len(open_orders()) == 4
    assert 'lowest' in run_piker('ems', 'orders').stdout
    gone, = ems('cancel', 'lowest')
    assert gone['status'] == 'cancelled'
    assert {o['status'] for o in ems('cancel-all')} == {'cancelled'}

    poor = run_piker(
        'ems', 'buy', SYMBOL, '90', '--price', '2000', check=False
    )
    assert poor.returncode == 6
    assert 'insufficient balance' in poor.stderr
    alert, = ems('alert', SYMBOL, '1000', '--below', '--note', 'cheap')
    assert ems('alerts') == [alert]
    ems('drop-alert', alert['aid'][:6])
    assert ems('alerts') == []
    balances = {b['asset']: b['total'] for b in ems('balances')}
    assert Decimal(balances['btc']) <= Decimal('0.02')


def test_halt_holds_for_everybody(
    start_daemon: Callable[..., Daemon]
) -> None:
    """Also across a restart, until it is lifted."""
    daemon = start_daemon()
    ems('buy', SYMBOL, '0.01', '-p', '1000')
    assert all(a['halted'] == 'lunch' for a in ems(
        'halt', '--reason', 'lunch'
    ))
    assert open_orders() == []
    daemon.stop()
    start_daemon()
    refused = run_piker('ems', 'buy', SYMBOL, '0.01', check=False)
    assert refused.returncode == 2
    assert 'halted (lunch)' in refused.stderr
    assert all(a['halted'] == '' for a in ems('resume'))
    assert ems('buy', SYMBOL, '0.01', '--wait')[0]['status'] == 'closed'


@pytest.mark.usefixtures('tree')
def test_a_list_starts_a_tree_of_its_own() -> None:
    """It has the journal to tell of, and leaves nothing behind."""
    done = run_piker('ems', 'orders')
    assert 'no pikerd runs' in done.stderr
    assert 'no open orders' in done.stderr
    assert done.stdout == ''


def test_an_order_by_keys(daemon: Daemon) -> None:
    """Placed, seen, cancelled; then out, by q and by Ctrl-C."""
    with desk('-w', SYMBOL) as terminal:
        terminal.shows(rf'{SYMBOL} +\d+\.\d\d .* live')
        terminal.press('b')
        terminal.shows(rf'^❯ buy {SYMBOL} $'.replace(' $', ' *$'))
        terminal.press('0.01 -p 1000')
        terminal.shows(r'limit 1000 · paper')
        assert open_orders() == []
        terminal.press('\r')
        terminal.shows(rf'{SYMBOL} +buy +limit +0\.01 +1000\.00 .* open')
        oid, = open_orders()
        terminal.press('c')
        terminal.shows('Cancel this order')
        terminal.press('y')
        terminal.shows('2 ORDERS +0 open')
        assert open_orders() == []
        terminal.press('o')
        terminal.shows(rf'{SYMBOL} +buy +limit .* cancelled')
        terminal.press('?')
        terminal.shows('order.buy')
        terminal.press('\x1b')
        terminal.shows('^ 1 QUOTES')
        terminal.resize(120, 40)
        terminal.shows(r'^ piker ems .{90,} UTC')
        terminal.shows(oid)
        terminal.press('q')
        wait_until(lambda: terminal.process.poll() is not None)
        settings = terminal.settings
        assert terminal.ended() == 0
        assert_left_clean(terminal, settings)
    with desk() as terminal:
        terminal.shows('2 ORDERS')
        terminal.press('\x03')
        wait_until(lambda: terminal.process.poll() is not None)
        settings = terminal.settings
        assert terminal.ended() == 0
        assert_left_clean(terminal, settings)


def test_two_desks(daemon: Daemon) -> None:
    """One opened later shows the same; each shows what the other does."""
    with desk(cols=120, rows=40) as one:
        one.shows('2 ORDERS +0 open')
        one.press(f':buy {SYMBOL} 0.01 -p 1000 --oid shared\r')
        one.shows('shared .* open')
        with desk(cols=120, rows=40) as two:
            two.shows('shared .* open')
            two.press('C')
            two.shows('Cancel every order')
            two.press('y')
            one.shows('2 ORDERS +0 open')
            two.press('H')
            two.shows('are you sure')
            two.press('y')
            one.shows('HALTED  all accounts: halted by hand')
            one.press('R')
            one.shows('are you sure')
            one.press('y')
            two.shows('resumed by desk')
            two.process.send_signal(signal.SIGTERM)
            wait_until(lambda: two.process.poll() is not None)
            settings = two.settings
            assert two.ended() == 0
            assert_left_clean(two, settings)
        assert one.process.poll() is None


@pytest.mark.expects_errors('emsd')
def test_emsd_killed(daemon: Daemon) -> None:
    """Shown as such, and then it goes on."""
    with desk('-w', SYMBOL) as terminal:
        terminal.shows('2 ORDERS +0 open')
        terminal.press(f':buy {SYMBOL} 0.01 -p 1000\r')
        terminal.shows('2 ORDERS +1 open')
        daemon.kill('emsd')
        terminal.shows('REATTACHING')
        terminal.shows('^ piker ems .* attached ')
        terminal.shows('2 ORDERS +1 open')
        terminal.press('cy')
        terminal.shows('2 ORDERS +0 open')


def test_pikerd_ends(start_daemon: Callable[..., Daemon]) -> None:
    """The desk ends with it: the terminal back, and why, as an error."""
    daemon = start_daemon()
    with desk() as terminal:
        terminal.shows('2 ORDERS')
        daemon.stop()
        wait_until(lambda: terminal.process.poll() is not None, 90)
        settings = terminal.settings
        assert terminal.ended() == 5
        assert_left_clean(terminal, settings)
        assert b'piker: ' in terminal.raw


def test_a_terminal_that_hangs(daemon: Daemon) -> None:
    """It delays neither emsd nor the desk; what it shows then is new."""
    with desk('-w', SYMBOL, '-w', 'ethusdt.sim') as terminal:
        terminal.shows(rf'{SYMBOL} .* live')
        terminal.pause()
        # More pictures than a pseudo-terminal holds, if all were drawn.
        until = time.monotonic() + 3
        while time.monotonic() < until:
            terminal.press('?\x1b[B\x1b[B')
            time.sleep(0.02)
            terminal.press('q')
            time.sleep(0.02)
        began = time.monotonic()
        placed, = ems('buy', SYMBOL, '0.01', '-p', '1000', '--oid', 'other')
        assert placed['status'] == 'open'
        assert time.monotonic() - began < 10
        terminal.go_on()
        terminal.shows('2 ORDERS +1 open', 5)
        terminal.press('q')
        assert terminal.ended() == 0
