"""
What each word of the line does at the desk.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ...errors import BadInput
from ..common import check_symbols
from ..ems.alerts import alert_side
from ..ems.client import check_account, find_dialog, newest
from ..ems.words import amount, new_oid
from .line import Parsed, brief

if TYPE_CHECKING:
    from .desk import Desk

__all__ = ['cancel', 'do']

_Work = Callable[[], Awaitable[str]]
# So many orders are listed in a question.
_MOST_LISTED = 8


def do(desk: Desk, parsed: Parsed) -> None:
    """Start it, or ask first; raises `BadInput` with nothing done."""
    _WORDS[parsed.name](desk, parsed)


def _place(desk: Desk, parsed: Parsed) -> None:
    requests = parsed.requests()
    order, ems = requests[0], desk.ems

    async def work() -> str:
        views = newest(ems, await ems.submit_all(requests))
        return f'{order.oid}: {brief(order)}: {views[0].status}'

    if order.account in ems.live:
        desk.ask(
            f'Send this to {ems.providers.get(order.account)}?',
            [brief(r) for r in requests],
            lambda: desk.call(work),
        )
    else:
        desk.call(work)


def _modify(desk: Desk, parsed: Parsed) -> None:
    values = parsed.values
    new = {
        name: values[name] for name in ('price', 'size', 'stop', 'trail')
        if values[name] is not None
    }
    if not new:
        raise BadInput('modify: name a --price, --size, --stop or --trail')
    r = find_dialog(desk.ems, values['oid'], values['account']).request

    async def work() -> str:
        await desk.ems.change(r.oid, account=r.account, **new)
        words = ' '.join(f'{k} {amount(v)}' for k, v in new.items())
        return f'{r.oid}: to {words}'

    desk.call(work)


def _cancel(desk: Desk, parsed: Parsed) -> None:
    account = parsed.values['account']
    requests = [
        find_dialog(desk.ems, name, account).request
        for name in parsed.values['oids']
    ]
    for r in requests:
        cancel(desk, r.account, r.oid)


def cancel(desk: Desk, account: str, oid: str) -> None:
    """Have one order cancelled."""

    async def work() -> str:
        await desk.ems.cancel(oid, account=account)
        return f'{oid}: cancel requested'

    desk.call(work)


def _cancel_all(desk: Desk, parsed: Parsed) -> None:
    account = parsed.values['account']
    symbol = parsed.values['symbol'].lower()
    check_account(desk.ems, account)
    check_symbols([symbol] if symbol else [])
    where = ' '.join(filter(None, (account, symbol))) or 'all accounts'

    async def work() -> str:
        await desk.ems.cancel_all(account, symbol)
        return f'{where}: cancelling all'

    _ask_about_open(
        desk, f'Cancel every order of {where}?', account, symbol, work
    )


def _halt(desk: Desk, parsed: Parsed) -> None:
    account, reason = parsed.values['account'], parsed.values['reason']
    check_account(desk.ems, account)
    where = account or 'all accounts'

    async def work() -> str:
        await desk.ems.halt(account, reason)
        return f'{where}: HALTED ({reason})'

    _ask_about_open(
        desk, f'Halt {where}: cancel all, refuse what is new?', account, '',
        work,
    )


def _ask_about_open(
    desk: Desk, question: str, account: str, symbol: str, work: _Work
) -> None:
    views = [
        v for v in desk.ems.dialogs.values()
        if not v.status.final and account in {'', v.request.account}
        and symbol in {'', v.request.symbol}
    ]
    lines = [brief(v.request) for v in views[:_MOST_LISTED]]
    if len(views) > len(lines):
        lines.append(f'… {len(views)} orders in all')
    desk.ask(
        question, lines or ['no order is open'], lambda: desk.call(work)
    )


def _resume(desk: Desk, parsed: Parsed) -> None:
    account = parsed.values['account']
    check_account(desk.ems, account)
    where = account or 'all accounts'

    async def work() -> str:
        await desk.ems.resume(account)
        return f'{where}: resumed'

    halted = [
        f'{view.account} is halted: {view.halted}'
        for view in desk.ems.accounts.values()
        if view.halted and account in {'', view.account}
    ]
    desk.ask(
        f'Take orders of {where} again?', halted or ['nothing is halted'],
        lambda: desk.call(work),
    )


def _alert(desk: Desk, parsed: Parsed) -> None:
    values = parsed.values
    symbol = values['symbol'].lower()
    side = alert_side(values['above'], values['below'])
    check_symbols([symbol])

    async def work() -> str:
        alert = await desk.ems.alert(
            symbol, values['price'], side=side, note=values['note'],
            aid=new_oid(),
        )
        return f'alert: {alert.symbol} {alert.side} {amount(alert.price)}'

    desk.call(work)


def _watch(desk: Desk, parsed: Parsed) -> None:
    symbols = parsed.values['symbols']
    check_symbols(symbols)
    desk.watch([symbol.lower() for symbol in symbols])


def _unwatch(desk: Desk, parsed: Parsed) -> None:
    desk.unwatch([symbol.lower() for symbol in parsed.values['symbols']])


def _account(desk: Desk, parsed: Parsed) -> None:
    name = parsed.values['account']
    check_account(desk.ems, name)
    desk.account = name
    attr = 'live' if name in desk.ems.live else ''
    desk.tell(f'new orders go to account {name}', attr)


_WORDS: dict[str, Callable[[Desk, Parsed], None]] = {
    'buy': _place,
    'sell': _place,
    'modify': _modify,
    'cancel': _cancel,
    'cancel-all': _cancel_all,
    'halt': _halt,
    'resume': _resume,
    'alert': _alert,
    'watch': _watch,
    'unwatch': _unwatch,
    'account': _account,
}
