"""
The paper gateway: orders filled against the live market, by a stated model.

`PaperEngine` is pure: commands on their way to the market, and the books they
arrive in.  `PaperGateway` gives it ticks, time and a disk.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import trio

from ..clock import NS_PER_MS, NS_PER_S, Clock, VenueClock
from ..config import PaperSettings
from ..data.ticks import Kind, Ticks
from ..gateway import (
    AccountReport,
    Answer,
    CancelOrder,
    Command,
    GatewayMessage,
    Outcome,
    PlaceOco,
    PlaceOrder,
    QueryOrder,
    ReplaceOrder,
    Snapshot,
)
from ..instruments import Instrument
from ..orders import OrderSide
from .paperbooks import PaperBooks
from .papermarket import Level
from .paperorders import ABILITIES, reported
from .paperstore import PaperStore

__all__ = ['Depth', 'PaperEngine', 'PaperGateway', 'no_depth', 'paper_file']

# Levels behind the touch as they are now: bids and asks, best first.
Depth = Callable[[str], tuple[list[Level], list[Level]]]

_SIDES = {int(Kind.BID): OrderSide.BUY, int(Kind.ASK): OrderSide.SELL}
_TRADE = int(Kind.TRADE)
# Queue positions are written so often when nothing else is.
_FLUSH_S = 1.0
# How long an order that is larger than the touch waits for the book, less
# than a venue has to answer, and how often it looks.
_BOOK_WITHIN_NS = 4 * NS_PER_S
_LOOK_NS = 20 * NS_PER_MS


def paper_file(journal: Path) -> Path:
    """Where the paper accounts of a journal are kept."""
    return journal.with_name(f'{journal.stem}-paper{journal.suffix}')


def no_depth(symbol: str) -> tuple[list[Level], list[Level]]:
    """For a market of which only the touch is known."""
    return [], []


class PaperEngine:
    """
    Commands on their way, and where they arrive.

    Times are on the clock of the symbol's venue.  A command arrives
    ``latency_ns`` after it was sent, not before those sent earlier, and
    before the first tick of a later time.  One that would take of levels
    behind the touch where ``depth`` has no book arrives once there is one,
    or without after a while.  ``questions`` are the queries that have
    arrived; whoever keeps the books durable answers them.
    """

    def __init__(
        self, books: PaperBooks, latency_ns: int, depth: Depth = no_depth
    ) -> None:
        self.books = books
        self.questions: list[QueryOrder | Snapshot] = []
        self._latency_ns = latency_ns
        self._depth = depth
        self._on_way: dict[str, deque[tuple[int, Command]]] = {}
        self._live: set[str] = set()
        # when the next command may have a book, and where that was in vain
        self._look_ns: dict[str, int] = {}
        self._bookless: set[str] = set()
        # the touch as last seen, where nothing was open to hear of it
        self._touch: dict[str, dict[OrderSide, tuple[float, float]]] = {}

    @property
    def symbols(self) -> set[str]:
        """Those with an order that is open or on its way."""
        return self.books.symbols | {s for s, q in self._on_way.items() if q}

    def send(self, command: Command, now_ns: int) -> None:
        """A command leaves for the market."""
        if isinstance(command, Snapshot):
            self.questions.append(command)
            return
        if isinstance(command, PlaceOco):
            self.books.out.append(Answer(
                ref=command.ref, outcome=Outcome.REFUSED,
                reason='no OCO orders on paper',
            ))
            return
        queue = self._on_way.setdefault(command.symbol, deque())
        arrives = now_ns + self._latency_ns
        if queue:
            arrives = max(arrives, queue[-1][0])
        queue.append((arrives, command))

    def due_ns(self) -> dict[str, int]:
        """When the next command arrives, by symbol."""
        return {
            symbol: max(queue[0][0], self._look_ns.get(symbol, 0))
            for symbol, queue in self._on_way.items() if queue
        }

    def on_market(self, symbol: str, live: bool) -> None:
        """Whether the symbol's data can be trusted: orders need it."""
        (self._live.add if live else self._live.discard)(symbol)
        self._bookless.discard(symbol)

    def advance(self, symbol: str, now_ns: int) -> None:
        """The venue's clock reads ``now_ns``: who has arrived?"""
        queue = self._on_way.get(symbol)
        before_ns = 0
        while queue and queue[0][0] <= now_ns:
            if self._look_ns.get(symbol, 0) > now_ns:
                return
            due_ns, command = queue[0]
            arrived_ns = self._arrival(symbol, command, due_ns, now_ns)
            if arrived_ns is None:
                return
            queue.popleft()
            before_ns = max(arrived_ns, before_ns)
            self._carry_out(symbol, command, before_ns)

    def _arrival(
        self, symbol: str, command: Command, due_ns: int, now_ns: int
    ) -> int | None:
        """When a command is there that is due; ``None``: not yet."""
        waited = self._look_ns.pop(symbol, None) is not None
        market = self.books.market(symbol)
        if not isinstance(command, PlaceOrder | ReplaceOrder) or (
            symbol not in self._live or market is None
        ):
            return max(due_ns, now_ns) if waited else due_ns
        self._show_touch(symbol, due_ns)
        market.show_book(*self._depth(symbol))
        until_ns = due_ns + _BOOK_WITHIN_NS
        order = command if isinstance(command, PlaceOrder) else command.order
        if market.book_known:
            self._bookless.discard(symbol)
        elif (
            self._depth is not no_depth and symbol not in self._bookless
            and self.books.awaits_book(order)
        ):
            if now_ns < until_ns:
                self._look_ns[symbol] = min(until_ns, now_ns + _LOOK_NS)
                return None
            self._bookless.add(symbol)
            return until_ns
        return min(now_ns, until_ns) if waited else due_ns

    def _carry_out(
        self, symbol: str, command: Command, now_ns: int
    ) -> None:
        if isinstance(command, CancelOrder):
            self.books.cancel(command, now_ns)
        elif isinstance(command, QueryOrder):
            self.questions.append(command)
        elif isinstance(command, PlaceOrder | ReplaceOrder):
            if symbol not in self._live:
                self.books.out.append(Answer(
                    ref=command.ref, outcome=Outcome.REFUSED,
                    reason=f'the market data of {symbol} is not live: '
                    'nothing is filled on paper until it is',
                ))
                return
            if isinstance(command, PlaceOrder):
                self.books.place(command, now_ns)
            else:
                self.books.replace(command, now_ns)

    def on_ticks(self, symbol: str, ticks: Ticks) -> None:
        """The tape and the quotes, every tick of them in order."""
        if symbol not in self.symbols:
            self._note_touch(symbol, ticks)
            return
        self._show_touch(symbol, int(ticks.time[0]))
        queue = self._on_way.get(symbol)
        books, looks = self.books, self._look_ns
        for time, kind, side, price, size in zip(
            ticks.time.tolist(), ticks.kind.tolist(), ticks.side.tolist(),
            ticks.price.tolist(), ticks.size.tolist(), strict=True,
        ):
            if queue and max(queue[0][0], looks.get(symbol, 0)) < time:
                self.advance(symbol, time - 1)
            if kind == _TRADE:
                books.on_trade(
                    symbol, _exact(price), _exact(size), side, time
                )
            elif kind in _SIDES:
                books.on_quote(
                    symbol, _SIDES[kind], _exact(price), _exact(size), time
                )

    def _note_touch(self, symbol: str, ticks: Ticks) -> None:
        """Keep the last bid and ask for the next order; no one waits."""
        touch = self._touch.setdefault(symbol, {})
        market = self.books.market(symbol)
        for kind, side in _SIDES.items():
            found = (ticks.kind == kind).nonzero()[0]
            if not len(found):
                continue
            last = found[-1]
            touch[side] = float(ticks.price[last]), float(ticks.size[last])
            taken = market.taken(side) if market else None
            if taken is None:
                continue
            elsewhere = ticks.price[found] != float(taken.touch)
            elsewhere |= ticks.size[found] == 0
            if elsewhere.any():
                # What was taken there is forgotten, though it comes back.
                first = found[elsewhere.argmax()]
                self.books.on_touch(
                    symbol, side, _exact(float(ticks.price[first])),
                    _exact(float(ticks.size[first])),
                )

    def show_touch(
        self, symbol: str, bid: tuple[float, float], ask: tuple[float, float]
    ) -> None:
        """The market as it stands, where no tick has told of it."""
        self._touch[symbol] = {OrderSide.BUY: bid, OrderSide.SELL: ask}

    def _show_touch(self, symbol: str, time_ns: int) -> None:
        if self.books.market(symbol) is None:
            return
        for side, (price, size) in self._touch.pop(symbol, {}).items():
            self.books.on_quote(
                symbol, side, _exact(price), _exact(size), time_ns
            )


def _exact(value: float) -> Decimal:
    """The decimal that was parsed to this float: the shortest one."""
    return Decimal(repr(value))


class PaperGateway:
    """
    A `Gateway` on paper for one account.

    Whoever reads the feeds hands ticks on; the account's books are in
    ``store`` before any report of them is received.
    """

    abilities = ABILITIES

    def __init__(
        self,
        account: str,
        settings: PaperSettings,
        store: PaperStore,
        clock: Clock,
        depth: Depth = no_depth,
    ) -> None:
        self._account = account
        self._store = store
        self._clock = clock
        self._clocks: dict[str, VenueClock] = {}
        books = PaperBooks(
            settings,
            orders=store.open_orders(account),
            balances=store.balances(account),
            numbers=store.numbers(account),
            taken=store.taken(account),
        )
        self._engine = PaperEngine(
            books, int(settings.latency_ms * NS_PER_MS), depth
        )
        self._stirred = trio.Event()

    @property
    def symbols(self) -> set[str]:
        """Those whose ticks it needs now."""
        return self._engine.symbols

    def add_instrument(self, instrument: Instrument) -> None:
        self._engine.books.add_instrument(instrument)

    def send(self, command: Command) -> None:
        symbol = getattr(command, 'symbol', '')
        self._engine.send(command, self._venue_now_ns(symbol))
        self._stirred.set()

    def on_ticks(self, symbol: str, ticks: Ticks) -> None:
        """Every tick of a symbol that it needs, in order."""
        newest = int(ticks.time.max())
        clock = self._clocks.get(symbol)
        if clock is None:
            clock = self._clocks[symbol] = VenueClock(self._clock)
            recv = int(ticks.recv[-1])
            clock.sync(newest, recv, recv)
        clock.observe(newest)
        engine = self._engine
        engine.on_ticks(symbol, ticks)
        if engine.books.out or engine.questions:
            self._stirred.set()

    def on_market(
        self,
        symbol: str,
        live: bool,
        bid: tuple[float, float] = (0.0, 0.0),
        ask: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """
        Whether a symbol's data can be trusted, and its touch if it can.
        """
        if live:
            self._engine.show_touch(symbol, bid, ask)
        self._engine.on_market(symbol, live)

    async def receive(self) -> list[GatewayMessage]:
        """What has come of it, once it is on disk."""
        engine = self._engine
        while True:
            self._stirred = trio.Event()
            pause_s = self._advance()
            changes = None
            if engine.books.out or engine.questions or pause_s >= _FLUSH_S:
                changes = engine.books.changes()
            out, engine.books.out = engine.books.out, []
            asked, engine.questions = engine.questions, []
            if changes:
                rows = self._store.encode(self._account, changes)
                await trio.to_thread.run_sync(self._store.commit, rows)
            for question in asked:
                out += self._answers(question)
            if out:
                return out
            with trio.move_on_after(pause_s):
                await self._stirred.wait()

    def close(self) -> None:
        """Keep what has changed since the last report."""
        changes = self._engine.books.changes()
        if changes:
            self._store.commit(self._store.encode(self._account, changes))

    def _advance(self) -> float:
        """Let arrive who is due; how long until the next, at most 1 s."""
        pause_s = _FLUSH_S
        for symbol in self._engine.due_ns():
            self._engine.advance(symbol, self._venue_now_ns(symbol))
        for symbol, due_ns in self._engine.due_ns().items():
            left_ns = due_ns - self._venue_now_ns(symbol)
            pause_s = min(pause_s, max(0.0, left_ns / NS_PER_S))
        return pause_s

    def _venue_now_ns(self, symbol: str) -> int:
        clock: Clock = self._clocks.get(symbol, self._clock)
        return clock.now_ns()

    def _answers(
        self, question: QueryOrder | Snapshot
    ) -> list[GatewayMessage]:
        if isinstance(question, QueryOrder):
            return self._answer_query(question)
        store, account = self._store, self._account
        out: list[GatewayMessage] = [
            reported(order) for order in store.open_orders(account)
        ]
        for symbol in question.symbols:
            number = int(question.since.get(symbol, 0))
            since_ns = 0 if symbol in question.since else question.since_ns
            out += store.fills_after(account, symbol, number, since_ns)
        out.append(AccountReport(
            balances=store.balances(account) or {}, whole=True,
            time_ns=self._clock.now_ns(),
        ))
        out.append(Answer(ref=question.ref, outcome=Outcome.DONE))
        return out

    def _answer_query(self, query: QueryOrder) -> list[Any]:
        order = self._store.order(self._account, query.cid)
        if order is None:
            return [Answer(
                ref=query.ref, outcome=Outcome.UNKNOWN,
                reason='no such order',
            )]
        return [
            reported(order),
            *self._store.fills(self._account, query.cid),
            Answer(
                ref=query.ref, outcome=Outcome.DONE, venue_id=order.venue_id
            ),
        ]
