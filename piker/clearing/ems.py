"""
What joins the core with the market, the gateways, the journal and clients.

Every input is taken by the core at once, in the task that it arrives in, and
what it changes is in the journal before any other input.  Gateways and
clients are told in the order of the inputs, once the disk has what they are
told of; a thread waits for that, so that the next ticks do not.  What a
trigger sends goes out in the same breath as its tick, and so does whatever
had to go out before: a kill loses none of it, and after a power cut the venue
is asked.
"""
from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio

from ..clock import NS_PER_S, Clock
from ..config import AccountSettings, EmsSettings
from ..data import Quote, Ticks
from ..errors import PikerError
from ..gateway import Abilities, Command, GatewayMessage
from ..instruments import Instrument
from ..orders import Notice, OrderStatus
from ..service import TreeClient
from .core import Core
from .effects import Effects
from .gateways import Gateways
from .hub import Hub
from .journal import Journal, journal_file
from .market import Market, latest_trade
from .outbox import Outbox
from .paper import paper_file
from .paperstore import PaperStore
from .probe import Probes, VenueBooks
from .records import InstrumentKnown
from .wire import EmsSnapshot

__all__ = ['OPEN_WITHIN_S', 'Ems', 'open_ems_core']

log = logging.getLogger(__name__)

# What a client is told of the past.
_OLD_DIALOGS = 1000
_OLD_FILLS = 1000
# How long an order waits for a feed or a gateway to be opened first.
OPEN_WITHIN_S = 15.0
_LOOK_S = 5.0


class Ems:
    """
    The one owner of a `Core`; satisfies `MarketSink` and `GatewaySink`.

    Made by `open_ems_core`.
    """

    def __init__(self, core: Core, journal: Journal, clock: Clock) -> None:
        self.core = core
        self.hub = Hub()
        self.market: Market
        self.gateways: Gateways
        # Those whose feed was open once, by id.
        self.instruments: dict[str, Instrument] = {}
        self._journal = journal
        self._clock = clock
        self._probes = Probes()
        self._error: BaseException | None = None
        self._failed = trio.Event()
        self._moved = trio.Event()
        self._outbox = Outbox(journal, self._send, self.hub.publish)
        self._idle = journal.path.with_name(f'{journal.path.name}.idle')
        self._marked = False

    # effects

    def _carry_out(self, effects: Effects) -> None:
        """Journal, send, tell."""
        if not effects:
            return
        if effects.records and self._marked:
            self._idle.unlink(missing_ok=True)
            self._marked = False
        self._outbox.put(effects)
        self._look_at_market()
        self._moved.set()

    def _send(self, account: str, command: Command) -> None:
        self.gateways.send(account, command)

    def _fail(self, err: BaseException) -> None:
        self._error = err
        self._failed.set()

    def _look_at_market(self) -> None:
        wanted = set(self.core.symbols_wanted)
        for paper in self.gateways.papers:
            wanted |= paper.symbols
        self.market.want(wanted)

    def _take(self, make: Callable[[int], Effects]) -> None:
        """
        An input: what breaks there ends this process.

        The core has moved on by then, perhaps further than the journal; the
        next process begins with what the journal has.
        """
        try:
            self._carry_out(make(self._clock.now_ns()))
        except BaseException as err:
            self._fail(err)
            raise

    # the market

    def on_instrument(self, instrument: Instrument) -> None:
        self.instruments[instrument.id] = instrument
        self.core.add_instrument(instrument)
        for paper in self.gateways.papers:
            paper.add_instrument(instrument)

    def on_market(self, symbol: str, quote: Quote | None) -> None:
        for paper in self.gateways.papers:
            self._show(paper, symbol, quote)
        self._take(
            lambda now: self.core.on_market(symbol, quote is not None, now)
        )
        if quote is not None:
            self._take(lambda now: self.core.on_ticks(
                symbol, latest_trade(quote), now
            ))

    @staticmethod
    def _show(paper: Any, symbol: str, quote: Quote | None) -> None:
        if quote is None:
            paper.on_market(symbol, False)
            return
        paper.on_market(
            symbol, True, (quote.bid, quote.bid_size),
            (quote.ask, quote.ask_size),
        )

    def on_ticks(self, symbol: str, ticks: Ticks) -> None:
        self._take(lambda now: self.core.on_ticks(symbol, ticks, now))
        for paper in self.gateways.papers:
            paper.on_ticks(symbol, ticks)

    # gateways

    def on_gateway(self, account: str, abilities: Abilities | None) -> None:
        if abilities is None:
            self._probes.lose(account)
            self._take(lambda now: self.core.gateway_lost(account, now))
            return
        for paper in self.gateways.papers:
            for symbol, instrument in self.instruments.items():
                paper.add_instrument(instrument)
                self._show(paper, symbol, self.market.quote(symbol))
        self._take(
            lambda now: self.core.gateway_up(account, abilities, now)
        )

    def on_messages(
        self, account: str, messages: list[GatewayMessage]
    ) -> None:
        self._probes.hear(account, messages)
        self._take(
            lambda now: self.core.on_messages(account, messages, now)
        )

    def on_trouble(self, account: str, text: str) -> None:
        self.hub.publish([Notice(
            time_ns=self._clock.now_ns(), text=text, account=account
        )])

    # clients

    async def do(self, make: Callable[[int], Effects]) -> None:
        """
        What a client asks for: refused with nothing changed, or done.

        Returns once what it changed is on the disk.
        """
        try:
            effects = make(self._clock.now_ns())
        except PikerError:
            raise
        except BaseException as err:
            self._fail(err)
            raise
        self._take(lambda _: effects)
        await self._outbox.written()

    # what is so now

    def snapshot(self) -> EmsSnapshot:
        """What a client is told first."""
        return EmsSnapshot(
            dialogs=self.core.recent_dialogs(_OLD_DIALOGS),
            fills=self.core.recent_fills(_OLD_FILLS),
            positions=self.core.positions(),
            accounts=self.core.accounts(),
            alerts=self.core.alerts(),
            notices=list(self.hub.notices),
            providers=self.gateways.providers,
            live=self.gateways.live(),
        )

    async def venue_books(
        self, account: str, symbols: list[str], since_ns: int
    ) -> VenueBooks:
        """
        What the venue has of an account now, fills from ``since_ns`` on.

        Raises as `Gateways.opened` and `Probes.ask`.
        """
        with trio.move_on_after(OPEN_WITHIN_S):
            await self.gateways.opened(account)
        books = await self._probes.ask(
            account, self.gateways.send, symbols, since_ns
        )
        return msgspec.structs.replace(books, journal=str(self._journal.path))

    def status(self) -> dict[str, Any]:
        """As ``piker services`` shows it."""
        return {
            'open': self.core.count_open(),
            'dark': self.core.count_open(OrderStatus.DARK),
            'alerts': len(self.core.alerts()),
            'halted': self.core.halted,
            'gateways': self.gateways.status(self.core.ready),
            'symbols': self.market.status,
            'clients': self.hub.clients,
            'journal': str(self._journal.path),
            'journal_bytes': _size(self._journal.path),
            'records': self._journal.last,
            **self._outbox.status(),
        }

    # tasks

    def begin(self) -> None:
        """Open what the journal says is under way."""
        for account in {
            d.request.account for d in self.core.dialogs(open_only=True)
        }:
            try:
                self.gateways.start(account)
            except PikerError as err:
                log.warning('open orders are not looked after: %s', err)
                self.on_trouble(account, str(err))
        self._look_at_market()
        self._marked = self._idle.exists()
        self.mark()

    def mark(self) -> None:
        """
        Leave word for the next start of the tree whether we are needed.

        The mark says that nothing here waits for anything; it is taken away
        before the first record that may change that.
        """
        busy = self.core.count_open() or self.core.alerts() or self._error
        if not busy and not self._marked:
            self._idle.touch()
            self._marked = True

    async def keep_time(self) -> None:
        """Give the core its turn when it is due."""
        while True:
            self._moved = trio.Event()
            due = self.core.deadline_ns()
            now = self._clock.now_ns()
            if due is not None and due <= now:
                self._take(self.core.on_time)
                await trio.sleep(0.001)
                continue
            pause = _LOOK_S if due is None else (due - now) / NS_PER_S
            with trio.move_on_after(min(pause, _LOOK_S)):
                await self._moved.wait()

    async def keep_written(self) -> None:
        """Have what was journalled reach the disk, and then go out."""
        try:
            await self._outbox.run()
        except Exception as err:
            self._fail(err)

    async def keep_marked(self) -> None:
        """Keep the word for the next start true."""
        while True:
            await trio.sleep(_LOOK_S)
            self.mark()

    async def raise_failure(self) -> None:
        """What has made the core unusable, once something has."""
        await self._failed.wait()
        assert self._error is not None
        raise self._error


def _size(path: Path) -> int:
    files = (path, path.with_name(f'{path.name}-wal'))
    return sum(f.stat().st_size for f in files if f.exists())


@asynccontextmanager
async def open_ems_core(
    tree: TreeClient,
    registry: str,
    settings: Mapping[str, Any],
    clock: Clock,
) -> AsyncGenerator[Ems, None]:
    """
    The execution management system of a tree, with its journal replayed.

    Raises `DataError` for a journal that cannot be used, `StorageError` for
    the paper accounts'; while it is open, whatever makes it unusable.
    """
    own = EmsSettings(**settings.get('ems', {}))
    accounts = {
        name: AccountSettings(**account)
        for name, account in settings['accounts'].items()
    }
    path = journal_file(own.journal)
    sim_url = settings.get('providers', {}).get('sim', {}).get('url', '')
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(path, clock.now_ns()))
        store = stack.enter_context(PaperStore(paper_file(path)))
        core = Core(accounts, int(own.answer_within_s * NS_PER_S))
        ems = Ems(core, journal, clock)
        for entry in journal.entries():
            core.apply(entry.record)
            if isinstance(entry.record, InstrumentKnown):
                instrument = entry.record.instrument
                ems.instruments[instrument.id] = instrument
        ems.market = Market(registry, ems)
        ems.gateways = Gateways(
            accounts, ems, tree, store, clock,
            sim_url=sim_url, depth=ems.market.depth,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(ems.gateways.run)
            await nursery.start(ems.market.run)
            nursery.start_soon(ems.raise_failure)
            ems.begin()
            for task in (ems.keep_time, ems.keep_written, ems.keep_marked):
                nursery.start_soon(task)
            try:
                yield ems
            finally:
                ems.mark()
            nursery.cancel_scope.cancel()
