"""
One input's way through the core, and what the core knows besides its state.

`Runtime` is what is gone after a restart and comes back by itself: which
gateways are there, what they have been asked, the books that wait for
prices, the clock of things to do.  A `Turn` lasts for one input: it applies
records as they are decided and gathers the `Effects`.
"""
from __future__ import annotations

import hashlib
import heapq
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..config import AccountSettings
from ..gateway import Command, QueryOrder, Snapshot
from ..instruments import Instrument
from ..orders import AccountView, Notice, OrderStatus
from . import records as rec
from . import replay
from .dialog import Dialog, Placement
from .effects import Effects
from .risk import Risk
from .state import State
from .watching import Market

__all__ = ['Ask', 'Flight', 'Link', 'Runtime', 'Turn', 'make_cid']

DialogKey = tuple[str, str]

_FIRST_RETRY_NS = 200_000_000
_MOST_RETRY_NS = 30_000_000_000


def make_cid(tag: str, account: str, oid: str, revision: int) -> str:
    """
    Our order id at the venue: ``pk`` and 30 hexadecimal digits.

    The same for the same order and revision, and another one for any other,
    those of another journal included.
    """
    name = '\0'.join((tag, account, oid, str(revision)))
    return 'pk' + hashlib.blake2b(name.encode(), digest_size=15).hexdigest()


def back_off_ns(tries: int) -> int:
    """How long to wait after so many tries."""
    return min(_FIRST_RETRY_NS << min(tries, 16), _MOST_RETRY_NS)


@dataclass(slots=True)
class Flight:
    """
    A command under way.

    ``cids`` are the orders it is about, each with its dialog; ``late`` once
    it has taken longer than it may.
    """

    account: str
    command: Command
    cids: list[tuple[DialogKey, str]]
    deadline_ns: int
    late: bool = False

    @property
    def asks(self) -> bool:
        """Whether it only asks and changes nothing."""
        return isinstance(self.command, QueryOrder | Snapshot)


@dataclass(slots=True)
class Ask:
    """How often an order was asked for, and when it may be next."""

    tries: int = 0
    unknown: int = 0
    due_ns: int = 0
    woken_ns: int = 0  # for when there is a timer

    def put_off(self, now_ns: int) -> None:
        """It is asked for now: the next time is later with each."""
        self.due_ns = now_ns + back_off_ns(self.tries)
        self.tries += 1


@dataclass(slots=True)
class Link:
    """
    An account's gateway.

    ``up``: it is there; ``ready``: and all is reconciled.  ``snapshot`` is
    the ref of the one under way, ``seen`` the orders it has told of so far;
    ``again``: it is out of date before it is in.  ``searching`` is the ref of
    the question about a suspect, see `strays`.
    """

    up: bool = False
    ready: bool = False
    had_snapshot: bool = False
    snapshot: int = 0
    again: bool = False
    retry_ns: int = 0
    tries: int = 0
    seen: set[tuple[str, str]] = field(default_factory=set)
    searching: int = 0


class Runtime:
    """What a core knows and does not keep."""

    def __init__(
        self, accounts: Mapping[str, AccountSettings], answer_within_ns: int
    ) -> None:
        self.accounts = accounts
        self.risk = Risk(accounts)
        self.answer_within_ns = answer_within_ns
        self.instruments: dict[str, Instrument] = {}
        self.learnt: set[str] = set()  # instruments, since the last turn
        self.market = Market()
        self.links: dict[str, Link] = {}
        self.flights: dict[int, Flight] = {}
        self.flying: Counter[DialogKey] = Counter()  # commands that change
        self.asking: set[tuple[str, str]] = set()  # account, cid of queries
        self.asks: dict[tuple[str, str], Ask] = {}
        self.cancels: dict[DialogKey, Ask] = {}
        self.strays: dict[tuple[str, str, str], Ask] = {}
        self.searches: dict[tuple[str, str], Ask] = {}  # of suspects
        self.balance_ns: dict[tuple[str, str], int] = {}
        self.submitted: deque[tuple[int, str, str]] = deque()
        self.ref = 0
        self._timers: list[tuple[int, int, DialogKey | str | int]] = []
        self._timer_count = 0

    def link(self, account: str) -> Link:
        return self.links.setdefault(account, Link())

    def forget_asks(self, account: str) -> None:
        """Ask an account's venue anew, without waiting."""
        for table in (self.asks, self.cancels, self.searches):
            for key in [key for key in table if key[0] == account]:
                del table[key]
        for stray in [key for key in self.strays if key[0] == account]:
            del self.strays[stray]

    def wake_at(self, at_ns: int, what: DialogKey | str | int) -> None:
        """Look at a dialog, an account or a flight again at ``at_ns``."""
        self._timer_count += 1
        heapq.heappush(self._timers, (at_ns, self._timer_count, what))

    def wake_once(self, ask: Ask, what: DialogKey) -> None:
        """Look at a dialog again when it may be asked for."""
        if ask.woken_ns != ask.due_ns:
            ask.woken_ns = ask.due_ns
            self.wake_at(ask.due_ns, what)

    def due(self, now_ns: int) -> list[DialogKey | str | int]:
        """What is to be looked at now."""
        found = []
        while self._timers and self._timers[0][0] <= now_ns:
            found.append(heapq.heappop(self._timers)[2])
        return found

    def deadline_ns(self) -> int | None:
        while self._timers:
            at_ns, _, what = self._timers[0]
            if not isinstance(what, int) or what in self.flights:
                return at_ns
            heapq.heappop(self._timers)
        return None


class Turn:
    """
    One input: what it changes, what is to be looked at, what comes of it.

    ``dirty`` are the dialogs that may have something to do, in order.
    """

    def __init__(self, state: State, runtime: Runtime, now_ns: int) -> None:
        self.state = state
        self.runtime = runtime
        self.now_ns = now_ns
        self.effects = Effects()
        self.dirty: dict[DialogKey, Dialog] = {}
        self._touched: dict[DialogKey, Dialog] = {}
        self._positions: dict[tuple[str, str], None] = {}
        self._accounts: dict[str, None] = {}
        self._news: list[object] = []

    # records

    def record(self, record: rec.Record) -> Dialog | None:
        """Apply a record and have it journalled."""
        dialog = replay.apply(record, self.state)
        self.effects.records.append(record)
        if dialog is not None:
            self.runtime.market.place(dialog)
            self.mark(dialog)
            self._touched[dialog.account, dialog.oid] = dialog
        return dialog

    def mark(self, dialog: Dialog) -> None:
        """Have a dialog and those that depend on it looked at."""
        self.dirty[dialog.account, dialog.oid] = dialog
        if dialog.original.oco:
            for other in self.state.siblings(dialog):
                self.dirty[other.account, other.oid] = other
        for child in self.state.children_of(dialog):
            self.dirty[child.account, child.oid] = child

    def know(self, symbol: str) -> None:
        """Have the instrument journalled that something is about to use."""
        instrument = self.runtime.instruments.get(symbol)
        if instrument and self.state.instruments.get(symbol) != instrument:
            self.record(rec.InstrumentKnown(
                time_ns=self.now_ns, instrument=instrument,
            ))

    def end(
        self, dialog: Dialog, status: OrderStatus, reason: str = ''
    ) -> None:
        """Note that a dialog is over."""
        self.record(rec.Ended(
            time_ns=self.now_ns, account=dialog.account, oid=dialog.oid,
            status=status, reason=reason,
        ))

    def doubt(self, dialog: Dialog, placement: Placement, why: str) -> None:
        """Note that it has to be asked how an order stands."""
        if not placement.doubt:
            self.record(rec.Doubted(
                time_ns=self.now_ns, account=dialog.account, oid=dialog.oid,
                cid=placement.cid, reason=why,
            ))

    # commands

    def next_ref(self) -> int:
        self.runtime.ref += 1
        return self.runtime.ref

    def send(
        self, account: str, command: Command,
        cids: Iterable[tuple[Dialog, str]] = (),
    ) -> None:
        """Have a command sent that concerns these orders."""
        runtime = self.runtime
        flight = Flight(
            account, command, [((d.account, d.oid), c) for d, c in cids],
            self.now_ns + runtime.answer_within_ns,
        )
        runtime.flights[command.ref] = flight
        if isinstance(command, QueryOrder):
            runtime.asking.add((account, command.cid or command.venue_id))
        elif not flight.asks:
            runtime.flying.update({key for key, _ in flight.cids})
        runtime.wake_at(flight.deadline_ns, command.ref)
        self.effects.commands.append((account, command))

    def landed(self, flight: Flight) -> None:
        """A command is under way no more, or not waited for any longer."""
        command = flight.command
        if isinstance(command, QueryOrder):
            asked = flight.account, command.cid or command.venue_id
            self.runtime.asking.discard(asked)
        elif not flight.asks:
            for key in {key for key, _ in flight.cids}:
                self.runtime.flying[key] -= 1
                if not self.runtime.flying[key]:
                    del self.runtime.flying[key]
        for key, _ in flight.cids:
            self.mark(self.state.dialogs[key])

    # news

    def tell(self, *news: object) -> None:
        self._news += news

    def tell_account(self, account: str) -> None:
        self._accounts[account] = None

    def tell_position(self, account: str, symbol: str) -> None:
        self._positions[account, symbol] = None

    def notice(self, text: str, account: str = '', oid: str = '') -> None:
        self.tell(Notice(
            time_ns=self.now_ns, text=text, account=account, oid=oid,
        ))

    def finish(self) -> Effects:
        """The effects, with what clients are to see in the end."""
        market, state = self.runtime.market, self.state
        news = self.effects.news
        news += self._news
        news += [dialog.view() for dialog in self._touched.values()]
        for account, symbol in self._positions:
            mark, stale = market.mark(symbol)
            news.append(state.positions.view(account, symbol, mark, stale))
        news += [account_view(state, self.runtime, a) for a in self._accounts]
        return self.effects


def account_view(state: State, runtime: Runtime, account: str) -> AccountView:
    """An account as clients see it."""
    link = runtime.links.get(account)
    return AccountView(
        account=account,
        ready=link is not None and link.ready,
        halted=state.halted.get('') or state.halted.get(account, ''),
        balances=dict(state.account(account).balances),
    )
