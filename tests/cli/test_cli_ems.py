"""
``piker ems``: what is refused at once, and what a line comes to.
"""
from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from cli_tools import free_port, invoke
from desk_tools import FakeEms, order, snapshot_of

from piker.cli.desk.line import parse
from piker.cli.ems import client as ems_client
from piker.cli.ems.client import find_dialog
from piker.cli.ems.words import (
    amount,
    dialog_object,
    money,
    new_oid,
    note_text,
)
from piker.clock import SystemClock
from piker.errors import BadInput, RiskRefused
from piker.orders import (
    DialogView,
    OrderRequest,
    OrderSide,
    OrderStatus,
    OrderType,
    Tif,
)


def refused(*args: str, code: int = 2) -> str:
    result = invoke(
        'piker', 'ems', *args,
        env={'PIKER_REGISTRY': f'127.0.0.1:{free_port()}'},
    )
    assert result.exit_code == code, result.output
    assert 'Traceback' not in result.output
    return result.output


def request(line: str) -> OrderRequest:
    return parse(line, 'paper').requests()[0]


# what is refused before anything is asked

@pytest.mark.parametrize(('args', 'words'), [
    (['buy', 'btcusdt.sim', '0'], 'not above 0'),
    (['buy', 'btcusdt.sim', 'much'], "'much' is not a number"),
    (['buy', 'btcusdt.sim', 'nan'], 'not a number'),
    (['buy', 'btcusdt.sim', '1', '--price', '-5'], 'not above 0'),
    (['buy', 'btcusdt', '1'], 'not an instrument id'),
    (['sell', 'btcusdt.sin', '1'], "Did you mean 'sim'"),
    (['sell', 'btcusdt.sim', '1', '--stop', '1', '--trail', '2'],
     '--stop and --trail'),
    (['buy', 'btcusdt.sim', '1', '--tif', 'gtd'], '--till'),
    (['buy', 'btcusdt.sim', '1', '--till', 'soon'], 'not a time'),
    (['buy', 'btcusdt.sim', '1', '--till', '+5m', '--tif', 'fok'],
     '--till is for gtd'),
    (['buy', 'btcusdt.sim', '1', '--bracket', '5'], 'TP,SL'),
    (['buy', 'btcusdt.sim', '1', '--bracket', '90,110'], 'above the stop'),
    (['sell', 'btcusdt.sim', '1', '--bracket', '110,90'], 'below the stop'),
    (['modify', 'abc'], 'nothing to change'),
    (['alert', 'btcusdt.sim', '5', '--above', '--below'], 'name one'),
    (['-a', 'real', 'buy', 'btcusdt.sim', '1'],
     "write --account after 'buy'"),
    (['--watch', 'btcusdt.sim', 'orders'], "'orders' takes no --watch"),
    (['--watch', 'btcusdt'], 'not an instrument id'),
    (['nonsense'], 'No such command'),
    (['canel', 'x'], "Did you mean 'cancel'"),
])
def test_refused(args: list[str], words: str) -> None:
    assert words in refused(*args)


@pytest.mark.parametrize('args', [
    ['buy', 'btcusdt.sim', '1'], ['cancel', 'x'], ['cancel-all'], ['halt'],
    ['resume'], ['alert', 'btcusdt.sim', '1'], ['drop-alert', 'x'],
    ['modify', 'x', '--price', '1'],
])
def test_needs_a_tree_that_stays(args: list[str]) -> None:
    """It starts none: that one would end, and the order with it."""
    output = refused(*args, code=5)
    assert 'orders need one that stays' in output
    assert 'start it with `pikerd`' in output


def test_desk_needs_a_terminal() -> None:
    assert 'needs a terminal' in refused()


# what a line comes to

@pytest.mark.parametrize(('options', 'type_', 'values'), [
    ('', OrderType.MARKET, {}),
    ('-p 5', OrderType.LIMIT, {'price': Decimal(5)}),
    ('-s 5', OrderType.STOP, {'stop': Decimal(5)}),
    ('-s 5 -p 4.5', OrderType.STOP,
     {'stop': Decimal(5), 'price': Decimal('4.5')}),
    ('--take-profit 5', OrderType.TAKE_PROFIT, {'stop': Decimal(5)}),
    ('--through 5', OrderType.THROUGH, {'stop': Decimal(5)}),
    ('-t 0.1', OrderType.TRAILING_STOP, {'trail': Decimal('0.1')}),
    ('-p 5 --dark', OrderType.LIMIT, {'dark': True}),
    ('-p 5 --post-only --display 0.1', OrderType.LIMIT,
     {'post_only': True, 'display': Decimal('0.1')}),
    ('-p 5 --tif ioc', OrderType.LIMIT, {'tif': Tif.IOC}),
    ('-p 5 --till 2026-07-01T00:00:00', OrderType.LIMIT,
     {'tif': Tif.GTD, 'good_till_ns': 1_782_864_000_000_000_000}),
    ('--oco g --parent p --oid mine -a sim', OrderType.MARKET,
     {'oco': 'g', 'parent': 'p', 'oid': 'mine', 'account': 'sim'}),
])
def test_orders(
    options: str, type_: OrderType, values: dict[str, Any]
) -> None:
    made = request(f'sell BTCUSDT.sim 1.50 {options}')
    assert made.type is type_
    assert made.side is OrderSide.SELL
    assert made.symbol == 'btcusdt.sim'
    assert made.size == Decimal('1.5')
    for name, value in values.items():
        assert getattr(made, name) == value
    untouched = OrderRequest(
        oid='', symbol='', side=OrderSide.SELL, size=Decimal(1)
    )
    for name in OrderRequest.__struct_fields__[4:]:
        if name not in {*values, 'type', 'price', 'account'}:
            assert getattr(made, name) == getattr(untouched, name), name


def test_till_from_now() -> None:
    now = SystemClock().now_ns()
    till = request('buy btcusdt.sim 1 -p 1 --till +90s').good_till_ns
    assert 0 <= till - now - 90 * 10**9 < 5 * 10**9


@pytest.mark.parametrize(('side', 'profit', 'loss'), [
    ('buy', '110', '90'), ('sell', '90', '110'),
])
def test_bracket(side: str, profit: str, loss: str) -> None:
    """Two ways out, on the other side; one of them fills."""
    order_, take, stop = parse(
        f'{side} btcusdt.sim 2 -p 100 --bracket {profit},{loss}', 'swing'
    ).requests()
    assert order_.price == 100
    assert (take.type, take.price) == (OrderType.LIMIT, Decimal(profit))
    assert (stop.type, stop.stop) == (OrderType.STOP, Decimal(loss))
    for leg in (take, stop):
        assert leg.parent == order_.oid
        assert leg.side is order_.side.other
        assert (leg.size, leg.account) == (2, 'swing')
    assert take.oco == stop.oco != ''
    assert len({order_.oid, take.oid, stop.oid}) == 3


def test_account_of_the_desk() -> None:
    """It is for orders that name none; other words have no default."""
    assert request('buy btcusdt.sim 1').account == 'paper'
    assert parse('buy btcusdt.sim 1', 'sim').requests()[0].account == 'sim'
    named = parse('buy btcusdt.sim 1 -a paper', 'sim')
    assert named.requests()[0].account == 'paper'
    assert parse('halt', 'sim').values['account'] == ''


def test_names() -> None:
    names = {new_oid() for _ in range(1000)}
    assert len(names) == 1000
    assert all(len(name) == 12 and name.isalnum() for name in names)


# finding an order by what a person types

def test_find_dialog() -> None:
    ems = FakeEms(snapshot_of(dialogs=[
        order('abc'), order('abd'), order('xyz'),
        order('abe', status=OrderStatus.CLOSED),
        order('xyz', account='sim'),
    ]))
    assert find_dialog(ems, 'abc').request.oid == 'abc'
    assert find_dialog(ems, 'abe').status is OrderStatus.CLOSED
    assert find_dialog(ems, 'xyz', 'sim').request.account == 'sim'
    assert find_dialog(ems, 'x', 'sim').request.account == 'sim'
    with pytest.raises(BadInput, match=r'abc \(paper\), abd \(paper\)'):
        find_dialog(ems, 'ab')
    with pytest.raises(BadInput, match='any of 2'):
        find_dialog(ems, 'xyz')
    with pytest.raises(BadInput, match="no order 'q'"):
        find_dialog(ems, 'q')


@pytest.mark.parametrize(('value', 'text'), [
    ('0.10', '0.1'), ('100', '100'), ('1E+3', '1000'), ('0', '0'),
    ('0.123456789012', '0.12345679'), ('-2.50', '-2.5'),
])
def test_amount(value: str, text: str) -> None:
    assert amount(Decimal(value)) == text


@pytest.mark.parametrize(('value', 'text'), [
    ('0', '0.00'), ('-1234.567', '-1,234.57'), ('0.00012345', '0.0001234'),
    ('-0.5', '-0.50'), ('0E-20', '0.00'),
])
def test_money(value: str, text: str) -> None:
    assert money(Decimal(value)) == text


# what is printed, and exit codes

@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeEms:
    """Every command gets this one."""
    fake = FakeEms()

    @asynccontextmanager
    async def give(*args: Any, **options: Any) -> Any:
        yield fake

    monkeypatch.setattr(ems_client, 'open_ems', give)
    monkeypatch.setattr(ems_client, 'own_pikerd', lambda *_: None)
    return fake


def run(*args: str, code: int = 0) -> list[str]:
    result = invoke('piker', 'ems', *args)
    assert result.exit_code == code, result.output
    return result.output.splitlines()


def objects(*args: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(*args, '--json')]


def test_lists(client: FakeEms) -> None:
    """Tables have what the objects have."""
    assert [o['oid'] for o in objects('orders')] == ['resting', 'stopper']
    assert {o['oid'] for o in objects('orders', '--all')} == {
        'resting', 'stopper', 'gone',
    }
    assert objects('orders', '-a', 'sim') == []
    assert run('orders', '-a', 'sim') == ['no open orders']
    assert objects('positions')[0]['average'] == '100.50'
    assert objects('fills')[0]['trade_id'] == '1'
    assert objects('fills', '--symbol', 'ethusdt.sim') == []
    assert objects('alerts')[0]['note'] == 'up there'
    assert objects('balances') == [{
        'account': 'paper', 'asset': 'usdt', 'free': '1000', 'locked': '2',
        'total': '1002',
    }]
    assert [a['account'] for a in objects('accounts')] == ['paper', 'sim']
    for name, words in {
        'orders': 'stopper', 'positions': 'stale', 'fills': '100.5',
        'alerts': 'waits', 'balances': '1002', 'accounts': 'on paper',
    }.items():
        head, *rows = run(name)
        assert '  ' in head
        assert words in '\n'.join(rows), name


@pytest.mark.parametrize('name', ['orders', 'positions', 'fills', 'balances'])
def test_lists_of_no_account(client: FakeEms, name: str) -> None:
    """Nothing found is something else than a name that is wrong."""
    error, = run(name, '-a', 'papr', code=2)
    assert "no account 'papr'. Did you mean 'paper'?" in error


def test_real_money_is_marked(client: FakeEms) -> None:
    client.live = frozenset({'sim'})
    _, paper, sim = run('accounts')
    assert 'play' in paper
    assert 'REAL' in sim


def test_flat_object(client: FakeEms) -> None:
    found = dialog_object(client.dialogs['paper', 'resting'])
    assert found['size'] == '0.02'
    assert found['status'] == 'open'
    assert found.keys() == {
        *OrderRequest.__struct_fields__, *DialogView.__struct_fields__,
    } - {'request'}
    msgspec.json.encode(found)


def test_a_limit_is_a_refusal(client: FakeEms) -> None:
    client.refusal = RiskRefused('max_order is 1, this is 2')
    assert run('buy', 'btcusdt.sim', '2', code=2) == [
        'piker: max_order is 1, this is 2'
    ]


def test_rejected_is_an_error(client: FakeEms) -> None:
    """The order is printed, with why; the exit code is the venue's."""
    client.dialogs['paper', 'mine'] = order(
        'mine', status=OrderStatus.REJECTED, reason='no money', version=5
    )
    line, error = run(
        'buy', 'btcusdt.sim', '2', '--oid', 'mine', '--json', code=6
    )
    assert json.loads(line)['status'] == 'rejected'
    assert error == 'piker: order mine was rejected: no money'


def test_a_change_that_the_venue_refuses(client: FakeEms) -> None:
    """What was asked for is not in force: an error that says why."""
    client.dialogs['paper', 'resting'] = order(
        'resting', reason='price out of range'
    )
    *_, error = run('modify', 'rest', '--price', '7', code=6)
    assert error == (
        'piker: order resting stays as it was: price out of range'
    )
    assert client.calls[-1][1]['change']['price'] == '7'


def test_cancel(client: FakeEms) -> None:
    client.dialogs['paper', 'gone2'] = order(
        'gone2', status=OrderStatus.CANCELLED
    )
    assert 'cancelled' in run('cancel', 'gone2')[1]
    assert client.calls[-1] == (
        'cancel', {'account': 'paper', 'oid': 'gone2'}
    )
    assert "no order 'nope'" in run('cancel', 'nope', code=2)[0]


def test_prices_stand_in_line(client: FakeEms) -> None:
    """As many places for each price of a symbol."""
    first = client.fills[0]
    client.fills.append(msgspec.structs.replace(
        first, trade_id='2', price=Decimal('100.505')
    ))
    _, one, two = run('fills')
    assert '  100.500  ' in one
    assert '  100.505  ' in two


def test_notes(client: FakeEms) -> None:
    """Terms with their time, and no reason said twice."""
    at_ns = 1_790_000_000_000_000_000
    assert note_text(order('x', tif=Tif.GTD, good_till_ns=at_ns)) == (
        'till 2026-09-21 14:13:20'
    )
    assert note_text(order(
        'x', post_only=True, reason='post-only, but 5 would take'
    )) == 'post-only, but 5 would take'
    assert note_text(order('x', dark=True, reason='no')) == 'dark: no'


def test_cancelled_late(
    client: FakeEms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is still open after a while is an error, not a success."""
    monkeypatch.setattr(ems_client, 'SETTLE_S', 0.05)
    for args in (['cancel', 'resting'], ['cancel-all'], ['halt']):
        *_, error = run(*args, code=5)
        assert 'not cancelled yet: see `piker ems orders`' in error


def test_halt_names_accounts(client: FakeEms) -> None:
    client.dialogs.clear()
    assert run('halt', '--reason', 'lunch') == [
        'all accounts: halted, 0 open orders ended'
    ]
    assert client.calls[-1] == ('halt', {'account': '', 'reason': 'lunch'})
    assert "no account 'nobody'" in run(
        'halt', '-a', 'nobody', code=2
    )[0]
    assert len(client.calls) == 1


def test_drop_alert(client: FakeEms) -> None:
    assert run('drop-alert', 'a1') == ['a1: dropped']
    assert client.calls == [('drop_alert', {'aid': 'a1'})]
    assert "no alert 'zzz'" in run('drop-alert', 'zzz', code=2)[0]


def test_terminal_library_is_not_loaded() -> None:
    """One-shot commands start without what only the desk needs."""
    code = (
        'import sys, piker.cli.ems; '
        "sys.exit('urwid' in sys.modules or 'PyQt5' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, '-c', code], env=os.environ, check=False
    )
    assert done.returncode == 0
