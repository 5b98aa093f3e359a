"""
The desk without a terminal: what it shows, and what keys do.
"""
from __future__ import annotations

import os
from decimal import Decimal

import pytest
import trio
from desk_tools import NOW_NS, SYMBOL, open_desk, order

from piker.clearing.wire import EmsSnapshot
from piker.cli.desk.doing import cancel
from piker.cli.desk.layout import NAMES
from piker.cli.desk.line import WORDS, complete
from piker.cli.desk.output import Output
from piker.cli.desk.table import Column, Row, Table, clean, fit
from piker.data import FeedState
from piker.errors import RiskRefused
from piker.orders import (
    AccountView,
    Alert,
    Notice,
    OrderStatus,
    OrderType,
)

SIZES = [(80, 24), (120, 40), (200, 60), (60, 20), (100, 30), (40, 10)]


@pytest.mark.parametrize('size', SIZES)
async def test_sizes(size: tuple[int, int]) -> None:
    """Everything fits, also under a question and with the line open."""
    async with open_desk(*size) as desk:
        for keys in ('', '?', 'H', 'b', 'z', '1234567', 'o'):
            desk.keys(*keys)
            lines = desk.lines()
            assert lines[0].startswith(' piker ems  127.')
            desk.keys('esc')
        text = desk.text()
        assert 'nothing done' in text or size[1] < 12


async def test_compact() -> None:
    """At 80x24: the essentials, and the other panels as tabs."""
    async with open_desk(80, 24) as desk:
        text = desk.text()
        for found in (
            'btcusdt.sim', '101.25', 'live', 'stop', 'dark', '90.00',
            '2 open', 'net +', '4 FILLS  5 alerts  6 log', '100.50',
            'b buy', '? help', 'q quit', '●', 'UTC',
        ):
            assert found in text, found
        assert 'gone' not in text
        desk.keys('5')
        assert 'up there' in desk.text()
        desk.keys('7')
        assert '1000' in desk.text()


@pytest.mark.parametrize('size', [(120, 40), (200, 60)])
async def test_all_panels_at_once(size: tuple[int, int]) -> None:
    async with open_desk(*size) as desk:
        text = desk.text()
        for number, name in enumerate(NAMES, 1):
            assert f' {number} {name.upper()} ' in text
        for found in ('resting', 'stopper', 'up there', '101.24'):
            assert found in text, found


async def test_profit_follows_the_market() -> None:
    """Marked by the feed while it is live, else shown as stale."""
    async with open_desk(120, 40) as desk:
        assert '+0.20 usdt' in desk.text()  # 0.3 × (101.25 − 100.5) − 0.03
        desk.flumes[SYMBOL].last = 111.25
        assert '+3.20 usdt' in desk.text()
        assert 'stale' not in desk.text()
        desk.flumes[SYMBOL].state = FeedState.STALE
        text = desk.text()
        assert '-0.48 usdt' in text  # at 99, what emsd last had
        assert text.count('stale') == 2
        assert 'warn' in desk.attrs('111.25')


async def test_nothing_new_is_not_drawn() -> None:
    async with open_desk() as desk:
        desk.lines()
        desk.desk.dirty = False
        desk.desk.refresh()
        assert not desk.desk.dirty
        desk.flumes[SYMBOL].last = 102.0
        desk.desk.refresh()
        assert desk.desk.dirty


async def test_alarms() -> None:
    """Real money, a halt, and a lost emsd: each over the whole width."""
    async with open_desk(
        live=['real'], providers={'paper': '', 'real': 'binance'},
        accounts=[
            AccountView(account='paper'),
            AccountView(account='real', halted='too much'),
        ],
    ) as desk:
        text = desk.text()
        assert 'REAL MONEY  account real trades at binance' in text
        assert desk.attrs('REAL MONEY') == {'live'}
        assert 'HALTED  real: too much' in text
        assert desk.attrs('HALTED') == {'warn'}
        assert 'REATTACHING' not in text
        desk.ems.attached = False
        text = desk.text()
        assert 'REATTACHING' in text
        assert ' reattaching ' in text
        desk.ems.accounts['paper'] = AccountView(
            account='paper', halted='too much'
        )
        assert 'HALTED  all accounts: too much' in desk.text()


async def test_a_new_emsd() -> None:
    """A snapshot replaces what is shown, without any event."""
    async with open_desk(120, 40) as desk:
        assert 'resting' in desk.text()
        desk.ems._begin(EmsSnapshot(
            dialogs=[order('later')], fills=[], positions=[], accounts=[],
            alerts=[], notices=[],
        ))
        text = desk.text()
        assert 'later' in text
        assert 'resting' not in text


# keys

async def test_buy_by_keys() -> None:
    async with open_desk() as desk:
        desk.keys('b')
        assert desk.lines()[-1].startswith('❯ buy btcusdt.sim')
        desk.keys(*'0.01 -p 99.5')
        above, _ = desk.lines()[-2:]
        assert above.startswith('buy 0.01 btcusdt.sim limit 99.5')
        assert '· paper · ≈ 1.00 usdt ·' in above
        assert '-1.73% away' in above
        desk.keys('enter')
        await trio.testing.wait_all_tasks_blocked()
        request, = desk.ems.requests()
        assert request.symbol == SYMBOL
        assert request.size == Decimal('0.01')
        assert request.price == Decimal('99.5')
        assert request.type is OrderType.LIMIT
        assert request.account == 'paper'
        assert 'limit 99.5: pending' in desk.text()
        desk.keys(':', 'up')
        assert desk.lines()[-1].startswith(
            '❯ buy btcusdt.sim 0.01 -p 99.5'
        )


async def test_a_line_that_is_wrong_stays() -> None:
    async with open_desk() as desk:
        await desk.enter('buy btcusdt.sim 0')
        assert 'not above 0' in desk.lines()[-2]
        assert desk.lines()[-1].startswith('❯ buy btcusdt.sim 0')
        desk.keys('esc')
        assert not desk.ems.calls
        await desk.enter('bye btcusdt.sim 1')
        assert "Did you mean 'buy'?" in desk.lines()[-2]
        desk.keys('esc')
        await desk.enter('cancel nope')
        assert "no order 'nope'" in desk.lines()[-2]
        assert 'error' in desk.attrs("no order 'nope'")
        desk.keys('x')
        assert 'Enter does it' in desk.lines()[-2]


async def test_refused_by_emsd() -> None:
    async with open_desk() as desk:
        desk.ems.refusal = RiskRefused('max_order is 1, this is 2')
        await desk.enter('sell btcusdt.sim 2')
        assert 'max_order is 1, this is 2' in desk.lines()[-2]
        assert desk.attrs('max_order is 1') == {'error'}


async def test_real_money_is_asked_about() -> None:
    async with open_desk(
        live=['real'], providers={'real': 'binance'},
        accounts=[AccountView(account='real')],
    ) as desk:
        desk.keys('n')
        desk.keys(':', *'buy btcusdt.sim 1')
        assert 'REAL MONEY' in desk.lines()[-2]
        desk.keys('enter')
        assert 'Send this to binance?' in desk.text()
        desk.keys('n')
        await trio.testing.wait_all_tasks_blocked()
        assert not desk.ems.calls
        await desk.enter('buy btcusdt.sim 1')
        desk.keys('y')
        await trio.testing.wait_all_tasks_blocked()
        assert desk.ems.requests()[0].account == 'real'


@pytest.mark.parametrize(('key', 'function', 'arguments'), [
    ('c', 'cancel', {'account': 'paper', 'oid': 'resting'}),
    ('C', 'cancel_all', {'account': '', 'symbol': ''}),
    ('H', 'halt', {'account': '', 'reason': 'halted by hand'}),
    ('R', 'resume', {'account': ''}),
])
async def test_dangerous_keys(
    key: str, function: str, arguments: dict[str, str]
) -> None:
    """Nothing without a y; other keys are no answer."""
    async with open_desk() as desk:
        for answer in ('n', 'esc', 'enter'):
            desk.keys(key, 'x', 'b', answer)
            await trio.testing.wait_all_tasks_blocked()
            assert not desk.ems.calls, answer
        desk.keys(key)
        assert 'are you sure' in desk.text()
        desk.keys('y')
        await trio.testing.wait_all_tasks_blocked()
        assert desk.ems.calls == [(function, arguments)]


async def test_selection() -> None:
    """It stays with its order when others come and go."""
    async with open_desk() as desk:
        desk.keys('j', 'm')
        assert desk.lines()[-1].startswith(
            '❯ modify stopper --account paper --stop 90'
        )
        desk.keys('esc')
        del desk.ems.dialogs['paper', 'resting']
        desk.desk.on_event(Notice(time_ns=NOW_NS, text='x'))
        desk.lines()
        desk.keys('c', 'y')
        await trio.testing.wait_all_tasks_blocked()
        assert desk.ems.calls[-1][1]['oid'] == 'stopper'


async def test_alert_and_drop() -> None:
    async with open_desk() as desk:
        await desk.enter("alert btcusdt.sim 130 --above --note 'far away'")
        name, arguments = desk.ems.calls[-1]
        assert name == 'add_alert'
        assert arguments['alert']['note'] == 'far away'
        desk.keys('5', 'c')
        await trio.testing.wait_all_tasks_blocked()
        assert desk.ems.calls[-1] == ('drop_alert', {'aid': 'a1'})
        fired = Alert(
            aid='a1', symbol=SYMBOL, price=Decimal(120), fired_ns=NOW_NS,
            note='up there',
        )
        desk.desk.on_event(fired)
        assert desk.rings == 1
        assert 'ALERT btcusdt.sim' in desk.lines()[-2]


async def test_close_and_watch() -> None:
    async with open_desk() as desk:
        desk.keys('x')
        assert desk.lines()[-1].startswith(
            '❯ sell btcusdt.sim 0.3 --account paper'
        )
        desk.keys('esc')
        await desk.enter('watch ETHUSDT.sim')
        desk.desk.refresh()
        await trio.testing.wait_all_tasks_blocked()
        assert 'ethusdt.sim' in desk.text()
        await desk.enter('unwatch ethusdt.sim')
        assert 'ethusdt.sim' not in desk.lines()[3]
        desk.keys('1', 'u')
        assert 'not watched by choice' in desk.lines()[-2]


async def test_pasted_text_runs_nothing() -> None:
    async with open_desk() as desk:
        desk.keys('begin paste', *'CyHyq', 'enter', 'end paste')
        await trio.testing.wait_all_tasks_blocked()
        assert not desk.ems.calls
        assert not desk.left
        desk.keys('b', 'begin paste', *'1 -p 5', 'enter', 'end paste')
        await trio.testing.wait_all_tasks_blocked()
        assert not desk.ems.calls
        assert desk.lines()[-1].startswith('❯ buy btcusdt.sim 1 -p 5')


async def test_help_lists_every_command() -> None:
    async with open_desk(80, 200) as desk:
        desk.keys('?')
        text = desk.text()
        for command in desk.desk.commands:
            assert command.name in text
        for word in WORDS:
            assert f'  {word} ' in text
        desk.keys('q')
        assert not desk.left
        desk.keys('q')
        assert desk.left


@pytest.mark.parametrize('key', ['q', 'ctrl c'])
async def test_leaving(key: str) -> None:
    async with open_desk() as desk:
        desk.keys(key)
        assert desk.left


async def test_ends_of_orders() -> None:
    """Told once, whoever made them; a bad symbol is said and dropped."""
    async with open_desk(120, 40) as desk:
        over = order(
            'resting', status=OrderStatus.CLOSED, filled=Decimal('0.02'),
            average=Decimal('99.5'),
        )
        desk.desk.on_event(over)
        words = 'resting: buy 0.02 btcusdt.sim closed, 0.02 at 99.5'
        assert words in desk.lines()[-2]
        desk.desk.on_event(over)
        assert desk.text().count(words) == 2  # above the line, in the log
        desk.desk.on_event(order(
            'stopper', status=OrderStatus.EXPIRED, reason='its time is over'
        ))
        assert 'expired: its time is over' in desk.lines()[-2]


async def test_a_symbol_that_there_is_not() -> None:
    async with open_desk() as desk:
        await desk.enter('watch nosuch.sim')
        desk.lines()
        watched = desk.desk.quotes['nosuch.sim']
        assert watched is not None
        watched.refused, watched.trouble = True, "sim has no symbol 'nosuch'"
        desk.lines()
        assert "sim has no symbol 'nosuch'" in desk.lines()[-2]
        assert not desk.desk.watched
        assert 'nosuch.sim' not in desk.lines()[4]


async def test_redraw() -> None:
    """Of the screen that came after the commands were made."""
    cleared = []
    async with open_desk() as desk:
        desk.desk.clear = lambda: cleared.append(1)
        desk.keys('ctrl l')
    assert cleared


async def test_accounts_are_checked() -> None:
    async with open_desk() as desk:
        for line in (
            'halt -a papr', 'cancel-all -a papr', 'resume -a papr',
            'account papr',
        ):
            await desk.enter(line)
            assert "no account 'papr'. Did you mean" in desk.lines()[-2]
            desk.keys('esc')
        assert not desk.ems.calls


async def test_commands_by_name() -> None:
    async with open_desk() as desk:
        assert 'cancelled' not in desk.text()
        await desk.enter('panel.all-orders')
        assert 'cancelled' in desk.text()


async def test_what_comes_from_outside_is_text() -> None:
    """No escape sequence of a note or a reason reaches the terminal."""
    async with open_desk(120, 40) as desk:
        desk.desk.log('\x1b[2Jcleared\a\n日本語' * 3)
        desk.desk.tell('\x1b]0;title\a', 'error')
        for line in desk.lines():
            assert line == clean(line)


async def test_bounds() -> None:
    """The log, the calls under way, the history of the line."""
    async with open_desk() as desk:
        for n in range(3000):
            desk.desk.log(f'line {n}')
        assert len(desk.desk._log) == 1000
        for _ in range(100):
            cancel(desk.desk, 'paper', 'resting')
        assert 'under way already' in desk.text()
        await trio.testing.wait_all_tasks_blocked()
        assert len(desk.ems.calls) == 32
        for n in range(300):
            await desk.enter(f'account {("paper", "sim")[n % 2]}')
        assert len(desk.desk._history.lines) == 100


async def test_rejected_later() -> None:
    async with open_desk() as desk:
        desk.desk.on_event(order(
            'resting', status=OrderStatus.REJECTED, reason='no money'
        ))
        assert 'resting was rejected: no money' in desk.lines()[-2]


async def fill_up(output: Output) -> None:
    while not output.busy:
        output.write('x' * 4096)
        output.flush()
        with trio.move_on_after(0.05):
            while output.busy:
                await trio.sleep(0.001)


async def test_slow_terminal() -> None:
    """Writing never waits; what is busy is told, and ends when it is read."""
    reader, writer = os.pipe()
    output = Output(writer)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(output.run)
            with trio.fail_after(5):
                await fill_up(output)
            assert output.busy
            output.write('end')
            output.flush()
            got = b''
            with trio.fail_after(5):
                while not got.endswith(b'end'):
                    got += await trio.to_thread.run_sync(
                        os.read, reader, 1 << 16
                    )
                while output.busy:
                    await trio.sleep(0.001)
            nursery.cancel_scope.cancel()
        assert got == b'x' * (len(got) - 3) + b'end'
    finally:
        os.close(reader)
        os.close(writer)


# pieces

@pytest.mark.parametrize(('text', 'width', 'right', 'shown'), [
    ('abc', 5, False, 'abc  '), ('abc', 5, True, '  abc'),
    ('abcdef', 4, False, 'abc…'), ('日本語', 4, False, '日… '),
    ('', 2, False, '  '), ('abc', 0, False, ''), ('a\x1bb', 3, False, 'a·b'),
])
def test_fit(text: str, width: int, right: bool, shown: str) -> None:
    fitted = fit(text, width, right)
    assert fitted.rstrip() == shown.rstrip()


def test_columns_keep_their_width() -> None:
    table = Table([Column('a', right=True), Column('b', rank=1)])

    def shown(value: str) -> str:
        _, lines = table.lines([Row(('k',), (('', value), ('', 'x')))], 20)
        return ''.join(text for _, text in lines[0])

    wide = shown('123456')
    assert shown('1').index('x') == wide.index('x')
    assert len(wide) == 20


def test_completion() -> None:
    def done(line: str) -> str:
        return complete(line, [SYMBOL, 'ethusdt.sim'], ['abc', 'abd'])[0]

    assert done('b') == 'buy '
    assert done('c') == 'cancel'
    assert done('buy bt') == 'buy btcusdt.sim '
    assert done('buy btcusdt.sim 1 --po') == 'buy btcusdt.sim 1 --post-only '
    assert done('cancel a') == 'cancel ab'
    assert done('nothing x') == 'nothing x'
