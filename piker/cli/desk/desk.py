"""
What the desk is, apart from any terminal: its state, and what changes it.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ...clearing import EmsClient
from ...clock import NS_PER_S, Clock
from ...errors import BadInput, PikerError
from . import entry, rows
from .actions import desk_commands
from .columns import COLUMNS, EMPTY
from .doing import do
from .layout import NAMES, TABS
from .line import parse
from .news import news_of
from .pages import help_page, question_page
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
    Panels, the line, pages on top; `actions` says what keys do with them.

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
        # Set by who has the screen.
        self.clear: Callable[[], Any] = lambda: None
        self._spawn, self._ring, self._clock = spawn, ring, clock
        self.panels = {
            name: Panel(name, str(number), COLUMNS[name], EMPTY[name])
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
        self._refused = ('', '')
        self._said: deque[tuple[str, ...]] = deque(maxlen=_MOST_LOG)
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
            line, why = self._refused
            if line and line == self.prompt.text.strip():
                return 'error', why
            return entry.preview(self, self.prompt.text)
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
        self._drop_refused()
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

    def _drop_refused(self) -> None:
        """Watch no more what no feed can be had of."""
        for watched in self.quotes.all():
            if watched.refused and watched.symbol in self.watched:
                self.watched.remove(watched.symbol)
                self.tell(watched.trouble, 'error')
                self._changed = True

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

    def log_text(self, number: str) -> str | None:
        """A line of the log by its number."""
        return next((
            line.text for line in self._log if str(line.number) == number
        ), None)

    def on_event(self, event: Any) -> None:
        """Something that ``emsd`` told of."""
        self._changed = True
        news = news_of(event)
        if news is None or (news.once and news.once in self._said):
            return
        self._said.append(news.once)
        if news.told:
            self.tell(news.text, news.attr)
        else:
            self.log(news.text, news.attr, time_ns=news.time_ns or None)
        if news.rings:
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
            entry.press(self, self.prompt, key)
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

    # lines

    def open_line(self, text: str) -> None:
        """Have it typed on from here."""
        self.prompt = Prompt(text, self._history)

    def enter(self, line: str) -> None:
        """Do what was typed; what cannot be done stays to be put right."""
        if line:
            self._history.add(line)
            try:
                self.execute(line)
            except BadInput as err:
                # Said above the line until that is another.
                self._refused = line, str(err)
                self.log(str(err), 'error')
                return
        self.prompt = None

    def execute(self, line: str) -> None:
        """Do what a line says; raises `BadInput` with nothing done."""
        if line in {command.name for command in self.commands}:
            self.prompt = None
            self.commands.run(line)
        else:
            do(self, parse(line, self.account))

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

    def ask(
        self, question: str, lines: list[str], answer: Callable[[], Any]
    ) -> None:
        """Do it only after a ``y``."""
        self.prompt = None
        self._answer = answer
        self.page_on_top = question_page(question, lines)

    # symbols and accounts

    def watch(self, symbols: Sequence[str]) -> None:
        self.watched = list(dict.fromkeys([*self.watched, *symbols]))
        self._changed = True

    def unwatch(self, symbols: Sequence[str]) -> None:
        """Raises `BadInput` for one that is shown for another reason."""
        for symbol in symbols:
            if symbol not in self.watched:
                raise BadInput(
                    f'{symbol} is not watched by choice: it is shown for its '
                    'orders, position or alerts'
                )
            self.watched.remove(symbol)
        self._changed = True

    def next_account(self) -> None:
        names = sorted(self.ems.accounts)
        if names:
            at = names.index(self.account) if self.account in names else -1
            self.execute(f'account {names[(at + 1) % len(names)]}')

    # panels

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
        """Draw over whatever else has come to the screen."""
        self.clear()

    def show_help(self) -> None:
        self.page_on_top = help_page(self.commands)
