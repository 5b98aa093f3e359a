"""
What the desk is and does, apart from any terminal.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from ...clearing import EmsClient
from ...clock import NS_PER_S, Clock
from ...errors import BadInput, PikerError
from ...orders import (
    Alert,
    DialogView,
    Fill,
    Notice,
    OrderStatus,
)
from ..common import check_symbols
from ..ems_tools import amount, find_dialog
from . import rows
from .actions import desk_commands
from .layout import NAMES, TABS
from .line import Parsed, brief, complete, describe, parse
from .pages import details_page, help_page, question_page
from .panels import Page, Panel
from .prompt import History, Prompt
from .quotes import Quotes
from .rows import LogLine

__all__ = ['Desk']

_MOST_LOG = 1000
_MESSAGE_NS = 20 * NS_PER_S
# Calls that may be under way; a key that is held down makes no more.
_MOST_CALLS = 32

Work = Callable[[], Awaitable[str]]


class Desk:
    """
    Panels, the line, pages on top, and everything that keys can do.

    ``spawn`` starts a task, ``leave`` ends the desk, ``ring`` makes itself
    heard.  `refresh` takes up what is new; ``dirty`` says that there is
    something to draw.  Nothing here waits or draws.
    """

    def __init__(
        self,
        ems: EmsClient,
        quotes: Quotes,
        clock: Clock,
        *,
        spawn: Callable[..., Any],
        leave: Callable[[], Any],
        ring: Callable[[], Any],
        registry: str = '',
        account: str = 'paper',
        watched: list[str] | None = None,
    ) -> None:
        self.ems = ems
        self.quotes = quotes
        self.registry = registry
        self.account = account
        self.watched = list(watched or [])
        self.quit = leave
        self._spawn, self._ring, self._clock = spawn, ring, clock
        self.panels = {
            name: Panel(
                name, str(number), rows.COLUMNS[name], rows.EMPTY[name]
            )
            for number, name in enumerate(NAMES, 1)
        }
        for name in ('fills', 'log'):
            self.panels[name].follows = True
        self.active = 'orders'
        self.tab = 'fills'
        self.only = ''
        self.everything = False
        self.prompt: Prompt | None = None
        self.page_on_top: Page | None = None
        self.dirty = True
        self.cols = 80
        self._history = History()
        self._answer: Callable[[], Any] | None = None
        self._pasting = False
        self._message: tuple[int, str, str] = (0, '', '')
        self._log: deque[LogLine] = deque(maxlen=_MOST_LOG)
        self._lines = 0
        self._calls = 0
        self._changed = True
        self._mirror: Any = None
        self._known = 0
        self._second = 0
        self.commands = desk_commands(self)
        self.go(self.active)
        for notice in ems.notices:
            self.log(notice.text, time_ns=notice.time_ns)

    # what is shown

    @property
    def now_ns(self) -> int:
        return self._clock.now_ns()

    def message(self) -> tuple[str, str]:
        """(attribute, text) of what was last said, while it is new."""
        if self.prompt is not None:
            return self._preview()
        time_ns, text, attr = self._message
        return (attr, text) if self.now_ns - time_ns < _MESSAGE_NS else (
            '', ''
        )

    @property
    def has_news(self) -> bool:
        """Whether orders or the like have changed since `refresh`."""
        return self._changed

    def refresh(self) -> None:
        """Take up what has changed since the last time."""
        ems, quotes = self.ems, self.quotes
        known = sum(w.instrument is not None for w in quotes.all())
        if ems.dialogs is not self._mirror or known != self._known:
            # A new snapshot, of this emsd or of one that was restarted; or
            # an instrument, by which prices are written.
            self._mirror, self._known = ems.dialogs, known
            self._changed = True
        changed, self._changed = self._changed, False
        if changed:
            quotes.want(rows.wanted_symbols(ems, self.watched))
        show = self._show
        show('quotes', rows.quote_rows(quotes, self.now_ns))
        show('positions', *rows.position_rows(ems, quotes))
        show('alerts', rows.alert_rows(ems, quotes))
        second = self.now_ns // NS_PER_S
        if second != self._second or changed:
            self._second = second
            self.dirty = True
            orders = rows.order_rows(ems, quotes, self.everything)
            ended = ' and those over' if self.everything else ''
            open_ = sum(not v.status.final for v in ems.dialogs.values())
            show('orders', orders, f'{open_} open{ended}')
            show('fills', rows.fill_rows(ems.fills, quotes))
            show('balances', rows.balance_rows(ems))
        show('log', rows.log_rows(self._log))

    def _show(self, name: str, found: list[Any], note: str = '') -> None:
        self.dirty |= self.panels[name].show(found, note)

    def tell(self, text: str, attr: str = '') -> None:
        """Into the message line and the log."""
        self._message = (self.now_ns, text, attr)
        self.log(text, attr)

    def log(
        self, text: str, attr: str = '', *, time_ns: int | None = None
    ) -> None:
        """A line of the log."""
        self._lines += 1
        when = self.now_ns if time_ns is None else time_ns
        self._log.append(LogLine(self._lines, when, text, attr))
        self.dirty = True

    def on_event(self, event: Any) -> None:
        """Something that ``emsd`` told of."""
        self._changed = True
        match event:
            case Notice():
                self.log(event.text, 'warn', time_ns=event.time_ns)
            case Fill():
                self.log(
                    f'{event.account}: {event.side} {amount(event.size)} '
                    f'{event.symbol} filled at {amount(event.price)}',
                    event.side.value, time_ns=event.time_ns,
                )
            case DialogView(status=OrderStatus.REJECTED):
                self.tell(
                    f'{event.request.oid} was rejected: {event.reason}',
                    'error',
                )
            case Alert() if event.fired_ns:
                note = f': {event.note}' if event.note else ''
                self.tell(
                    f'ALERT {event.symbol} {event.side} '
                    f'{amount(event.price)}{note}', 'warn',
                )
                self._ring()

    # keys

    def press(self, key: str) -> None:
        """A key, as the terminal library names it."""
        self.dirty = True
        if key in {'begin paste', 'end paste'}:
            self._pasting = key == 'begin paste'
        elif key == 'ctrl c':
            self.quit()
        elif self._pasting:
            # Pasted text is text: it runs nothing, wherever it lands.
            if self.prompt is not None and len(key) == 1:
                self.prompt.press(key, self.cols)
        elif self._answer is not None:
            self._press_answer(key)
        elif self.page_on_top is not None:
            self._press_page(self.page_on_top, key)
        elif self.prompt is not None:
            self._press_prompt(self.prompt, key)
        elif key != 'esc' and not self.commands.press(key):
            self._message = (
                self.now_ns, f'{key!r} does nothing here: ? lists the keys',
                'faint',
            )

    def _press_answer(self, key: str) -> None:
        answer = self._answer
        if key in {'y', 'Y'}:
            self._answer = self.page_on_top = None
            if answer is not None:
                answer()
        elif key in {'n', 'N', 'esc', 'q', 'enter'}:
            self._answer = self.page_on_top = None
            self._message = (self.now_ns, 'nothing done', 'faint')

    def _press_page(self, page: Page, key: str) -> None:
        steps = {
            'up': -1, 'k': -1, 'down': 1, 'j': 1, 'page up': -page.room,
            'page down': page.room, ' ': page.room, 'home': -10**9,
            'end': 10**9,
        }
        if key in steps:
            page.scroll(steps[key])
        else:
            self.page_on_top = None

    def _press_prompt(self, prompt: Prompt, key: str) -> None:
        match prompt.press(key, self.cols):
            case 'escape':
                self.prompt = None
            case 'complete':
                oids = [
                    v.request.oid for v in self.ems.dialogs.values()
                    if not v.status.final
                ]
                known = [w.symbol for w in self.quotes.all()]
                text, found = complete(prompt.text, known, oids)
                prompt.set(text)
                if len(found) > 1:
                    self.log(f'may be: {" ".join(found[:20])}', 'faint')
            case 'enter':
                self._enter(prompt)

    def _enter(self, prompt: Prompt) -> None:
        line = prompt.text.strip()
        if not line:
            self.prompt = None
            return
        self._history.add(line)
        try:
            self.execute(line)
        except BadInput as err:
            # It stays to be put right; the line above says why.
            self.log(str(err), 'error')
            return
        self.prompt = None

    def _preview(self) -> tuple[str, str]:
        assert self.prompt is not None
        try:
            parsed = parse(self.prompt.text, self.account)
            if parsed.name not in {'buy', 'sell'}:
                return 'label', 'Enter does it, Esc leaves it'
            order, *more = parsed.requests()
        except BadInput as err:
            return 'faint', str(err)
        watched = self.quotes[order.symbol]
        i = watched.instrument if watched else None
        text = describe(
            order, watched.last() if watched else None, i.quote if i else ''
        )
        if more:
            profit, loss = amount(more[0].price), amount(more[1].stop)
            text += f' · then out at {profit} or {loss}'
        if order.account in self.ems.live:
            return 'live', f'REAL MONEY  {text}'
        return order.side.value, text

    # lines

    def execute(self, line: str) -> None:
        """Do what a line says; raises `BadInput` with nothing done."""
        if line in {command.name for command in self.commands}:
            self.prompt = None
            self.commands.run(line)
            return
        parsed = parse(line, self.account)
        getattr(self, f'_do_{parsed.name.replace("-", "_")}')(parsed)

    def _do_buy(self, parsed: Parsed) -> None:
        requests = parsed.requests()
        order = requests[0]

        async def work() -> str:
            views = await self.ems.submit_all(requests)
            return f'{order.oid}: {brief(order)}: {views[0].status}'

        if order.account in self.ems.live:
            self.ask(
                f'Send this to {self.ems.providers.get(order.account)}?',
                [brief(r) for r in requests],
                lambda: self.call(work),
            )
        else:
            self.call(work)

    _do_sell = _do_buy

    def _do_modify(self, parsed: Parsed) -> None:
        values = dict(parsed.values)
        given = {
            name: values[name] for name in ('price', 'size', 'stop', 'trail')
            if values[name] is not None
        }
        if not given:
            raise BadInput('modify: name a --price, --size, --stop or --trail')
        r = find_dialog(self.ems, values['oid'], values['account']).request

        async def work() -> str:
            await self.ems.change(r.oid, account=r.account, **given)
            words = ' '.join(f'{k} {amount(v)}' for k, v in given.items())
            return f'{r.oid}: to {words}'

        self.call(work)

    def _do_cancel(self, parsed: Parsed) -> None:
        account = parsed.values['account']
        for name in parsed.values['oids']:
            r = find_dialog(self.ems, name, account).request
            self.cancel(r.account, r.oid)

    def cancel(self, account: str, oid: str) -> None:
        async def work() -> str:
            await self.ems.cancel(oid, account=account)
            return f'{oid}: cancel requested'

        self.call(work)

    def _do_cancel_all(self, parsed: Parsed) -> None:
        account = parsed.values['account']
        symbol = parsed.values['symbol'].lower()
        where = ' '.join(filter(None, (account, symbol))) or 'all accounts'

        async def work() -> str:
            await self.ems.cancel_all(account, symbol)
            return f'{where}: cancelling all'

        self._ask_about_open(
            f'Cancel every order of {where}?', account, symbol, work
        )

    def _do_halt(self, parsed: Parsed) -> None:
        account, reason = parsed.values['account'], parsed.values['reason']
        where = account or 'all accounts'

        async def work() -> str:
            await self.ems.halt(account, reason)
            return f'{where}: HALTED ({reason})'

        self._ask_about_open(
            f'Halt {where}: cancel all, refuse what is new?', account, '',
            work,
        )

    def _ask_about_open(
        self, question: str, account: str, symbol: str, work: Work
    ) -> None:
        views = [
            v for v in self.ems.dialogs.values()
            if not v.status.final and account in {'', v.request.account}
            and symbol in {'', v.request.symbol}
        ]
        lines = [brief(v.request) for v in views[:8]]
        if len(views) > len(lines):
            lines.append(f'… {len(views)} orders in all')
        self.ask(
            question, lines or ['no order is open'],
            lambda: self.call(work),
        )

    def _do_resume(self, parsed: Parsed) -> None:
        account = parsed.values['account']
        where = account or 'all accounts'

        async def work() -> str:
            await self.ems.resume(account)
            return f'{where}: resumed'

        halted = [
            f'{view.account} is halted: {view.halted}'
            for view in self.ems.accounts.values() if view.halted
        ]
        self.ask(
            f'Take orders of {where} again?', halted or ['nothing is halted'],
            lambda: self.call(work),
        )

    def _do_alert(self, parsed: Parsed) -> None:
        from ..ems import alert_side

        values = parsed.values
        side = alert_side(values['above'], values['below'])
        check_symbols([values['symbol']])

        async def work() -> str:
            alert = await self.ems.alert(
                values['symbol'].lower(), values['price'], side=side,
                note=values['note'],
            )
            return f'alert: {alert.symbol} {alert.side} {amount(alert.price)}'

        self.call(work)

    def _do_watch(self, parsed: Parsed) -> None:
        check_symbols(parsed.values['symbols'])
        for symbol in parsed.values['symbols']:
            if symbol.lower() not in self.watched:
                self.watched.append(symbol.lower())
        self._changed = True

    def _do_unwatch(self, parsed: Parsed) -> None:
        for symbol in parsed.values['symbols']:
            if symbol.lower() not in self.watched:
                raise BadInput(
                    f'{symbol} is not watched by choice: it is shown for its '
                    'orders, position or alerts'
                )
            self.watched.remove(symbol.lower())
        self._changed = True

    def _do_account(self, parsed: Parsed) -> None:
        name = parsed.values['account']
        if name not in self.ems.accounts:
            raise BadInput(
                f'there is no account {name!r}. Accounts: '
                f'{", ".join(sorted(self.ems.accounts))}.'
            )
        self.account = name
        attr = 'live' if name in self.ems.live else ''
        self.tell(f'new orders go to account {name}', attr)

    def call(self, work: Work) -> None:
        """Start something that asks ``emsd``; its end is told."""
        if self._calls >= _MOST_CALLS:
            self.tell(
                f'{self._calls} calls are under way already: not done',
                'error',
            )
            return
        self._calls += 1
        self._spawn(self._call, work)

    async def _call(self, work: Work) -> None:
        try:
            self.tell(await work())
        except PikerError as err:
            self.tell(str(err), 'error')
        finally:
            self._calls -= 1

    # commands

    def start(self, word: str) -> None:
        """Open the line with the beginning of a command."""
        text = f'{word} ' if word else ''
        key = self.panels['quotes'].selected
        if word in {'buy', 'sell', 'alert'} and key is not None:
            text += f'{self._symbol_at_hand() or key[0]} '
        self.prompt = Prompt(text, self._history)

    def _symbol_at_hand(self) -> str:
        """The symbol of what is selected."""
        key = self.panels[self.active].selected
        if key is None:
            return ''
        match self.active:
            case 'quotes':
                return key[0]
            case 'positions' | 'fills':
                return key[1]
            case 'orders':
                view = self.ems.dialogs.get((key[0], key[1]))
                return view.request.symbol if view else ''
            case 'alerts':
                alert = self.ems.alerts.get(key[0])
                return alert.symbol if alert else ''
        return ''

    def start_close(self) -> None:
        key = self.panels['positions'].selected
        if key is None:
            self.tell('there is no position to close', 'error')
            return
        position = self.ems.positions[key[0], key[1]]
        side = 'sell' if position.size > 0 else 'buy'
        self.prompt = Prompt(
            f'{side} {position.symbol} {amount(abs(position.size))} '
            f'--account {position.account} ', self._history,
        )

    def start_modify(self) -> None:
        key = self.panels['orders'].selected
        view = self.ems.dialogs.get((key[0], key[1])) if key else None
        if view is None or view.status.final:
            self.tell('select an open order first', 'error')
            return
        r = view.request
        words = [f'modify {r.oid} --account {r.account}']
        for name in ('trail', 'stop', 'price'):
            value = getattr(r, name)
            if value is not None:
                words.append(f'--{name} {amount(value)}')
                break
        self.prompt = Prompt(' '.join(words), self._history)

    def remove_selected(self) -> None:
        name = 'alerts' if self.active == 'alerts' else 'orders'
        key = self.panels[name].selected
        if key is None:
            self.tell(f'nothing is selected in {name}', 'error')
        elif name == 'orders':
            # Without its stop a position is on its own: not by a slip.
            view = self.ems.dialogs.get((key[0], key[1]))
            if view is None or view.status.final:
                self.tell('this order is over', 'error')
                return
            self.ask(
                'Cancel this order?', [f'{brief(view.request)}, {key[1]}'],
                lambda: self.cancel(key[0], key[1]),
            )
        else:
            async def work() -> str:
                await self.ems.drop_alert(key[0])
                return 'alert dropped'

            self.call(work)

    def ask_cancel_all(self) -> None:
        self.execute('cancel-all')

    def ask_halt(self) -> None:
        self.execute('halt')

    def ask_resume(self) -> None:
        self.execute('resume')

    def next_account(self) -> None:
        names = sorted(self.ems.accounts)
        if names:
            at = names.index(self.account) if self.account in names else -1
            self.execute(f'account {names[(at + 1) % len(names)]}')

    def unwatch_selected(self) -> None:
        key = self.panels['quotes'].selected
        if key is None:
            return
        try:
            self.execute(f'unwatch {key[0]}')
        except BadInput as err:
            self.tell(str(err), 'error')

    def move(self, by: int) -> None:
        self.panels[self.active].move(by)

    def page(self, pages: int) -> None:
        self.panels[self.active].page(pages)

    def go(self, name: str) -> None:
        """Make a panel the active one."""
        self.active = name
        if name in TABS:
            self.tab = name
        if self.only:
            self.only = name
        for panel in self.panels.values():
            panel.activate(panel.name == name)

    def step(self, by: int) -> None:
        self.go(NAMES[(NAMES.index(self.active) + by) % len(NAMES)])

    def zoom(self) -> None:
        self.only = '' if self.only else self.active

    def toggle_all(self) -> None:
        self.everything = not self.everything
        self._changed = True

    def redraw(self) -> None:
        """Replaced by who has the screen."""

    def show_help(self) -> None:
        self.page_on_top = help_page(self.commands)

    def show_details(self) -> None:
        found = self._selected_struct()
        if found is not None:
            title, struct = found
            self.page_on_top = details_page(title, struct)

    def _selected_struct(self) -> tuple[str, dict[str, Any]] | None:
        key = self.panels[self.active].selected
        if key is None:
            return None
        ems = self.ems
        found: Any = None
        match self.active:
            case 'orders':
                found = ems.dialogs.get((key[0], key[1]))
            case 'positions':
                found = ems.positions.get((key[0], key[1]))
            case 'alerts':
                found = ems.alerts.get(key[0])
            case 'fills':
                found = next((
                    f for f in ems.fills
                    if (f.account, f.symbol, f.trade_id) == key
                ), None)
            case 'quotes':
                watched = self.quotes[key[0]]
                found = watched and watched.instrument
            case 'log':
                found = next((
                    line.text for line in self._log
                    if str(line.number) == key[0]
                ), None)
                return ('log', {'': found}) if found else None
        if found is None:
            return None
        whole = msgspec.to_builtins(found)
        whole = {**whole.pop('request', {}), **whole}
        return self.active.rstrip('s'), whole

    def ask(
        self, question: str, lines: list[str], answer: Callable[[], Any]
    ) -> None:
        """Do it only after a ``y``."""
        self.prompt = None
        self._answer = answer
        self.page_on_top = question_page(question, lines)
