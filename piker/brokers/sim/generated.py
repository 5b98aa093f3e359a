"""
The generated exchange: every listing's agents, and what they cause published.

Users' orders go into the same books, see `matching`.  What they change of the
planned tape is noted as an `Edit`, so that history goes on agreeing with what
was published.
"""
from __future__ import annotations

import logging
from collections.abc import Container, Mapping, Sequence

import trio

from ...clock import NS_PER_MS, Clock, format_ns
from ...errors import BadInput
from .barfeed import BarFeed
from .edited import EditedTape
from .edits import Edit
from .engine import Report, Side
from .flow import Flow, Step
from .hub import Hub
from .listings import GENESIS_MS, pick_listings
from .live import SPEEDS_MS, LiveMarket, for_users
from .market import Market
from .matching import Desk, NoDesk, Ticket
from .plan import DAY_MS
from .publish import Emit, Publisher
from .tape import day_of
from .threads import in_thread

__all__ = ['GeneratedExchange']

log = logging.getLogger(__name__)

_TICK_MS = 100
_PAUSE_S = (0.005, 0.05)  # shortest and longest sleep of the driver
_MAX_BEHIND_MS = 600_000
_PREFETCH_MS = 120_000
_BREATH = 200  # steps between chances for other tasks to run


class GeneratedExchange:
    """
    All listings under one seed, driven by a clock; a `matching.Matcher`.

    ``edits`` are those of earlier runs, by symbol.
    """

    def __init__(
        self,
        clock: Clock,
        hub: Hub,
        emit: Emit,
        *,
        seed: int,
        symbols: tuple[str, ...],
        quote_rate: float,
        edits: Mapping[str, Sequence[Edit]],
    ) -> None:
        self.desk: Desk = NoDesk()
        self._clock = clock
        self._hub = hub
        self._emit = emit
        self._publisher = Publisher(hub, emit)
        now = self.now_ms()
        if now < GENESIS_MS:
            raise BadInput(
                f'the clock reads {format_ns(now * NS_PER_MS)}, before the '
                f'venue began on {format_ns(GENESIS_MS * NS_PER_MS)}: set '
                'the clock right'
            )
        self._markets = {
            listing.symbol: LiveMarket(
                EditedTape(seed, listing, edits.get(listing.symbol, ())),
                now, quote_rate,
            )
            for listing in pick_listings(symbols)
        }
        self.markets: dict[str, Market] = dict(self._markets)
        self.ready = trio.Event()
        self._second = trio.Event()
        self._restarting = trio.Lock()
        self._prints: list[tuple[LiveMarket, Report, int]] = []
        self._touched: dict[str, LiveMarket] = {}

    def now_ms(self) -> int:
        return self._clock.now_ns() // NS_PER_MS

    def replay_state(self) -> None:
        """There is no replay."""

    def start_replay(self) -> bool:
        return False

    async def run(self) -> None:
        """Trade until cancelled."""
        for market in self._markets.values():
            await self._plan(market, day_of(market.position_ms))
            self._begin(market, market.position_ms)
        self.ready.set()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._every_second)
            await self._drive()

    async def settle(self, symbol: str) -> None:
        await self.ready.wait()
        market, now = self._markets[symbol], self.now_ms()
        await self._restart_if_behind(market, now)
        assert market.flow is not None
        for step in market.flow.advance(now):
            self._take(market, market.flow, step, now)
        market.position_ms = max(market.position_ms, now)
        market.trade_ms = market.position_ms

    def watch(self, symbol: str) -> None:
        flow = self._markets[symbol].flow
        assert flow is not None
        flow.guests = True

    def submit(self, symbol: str, ticket: Ticket) -> Report:
        market = self._markets[symbol]
        report, edit = market.submit(ticket)
        if edit is not None:
            self.desk.edited(symbol, edit)
            self._prints.append((market, report, market.trade_ms))
        self._touched[symbol] = market
        return for_users(report)

    def cancel(self, symbol: str, order_id: int) -> int | None:
        market = self._touched[symbol] = self._markets[symbol]
        return market.cancel(order_id)

    def sweep(
        self,
        symbol: str,
        side: Side,
        size: int,
        price: int | None,
        own: Container[int],
    ) -> list[tuple[int, int]]:
        return self._markets[symbol].sweep(side, size, price, own)

    def last_price(self, symbol: str) -> int | None:
        return self._markets[symbol].last

    def trade_ms(self, symbol: str) -> int:
        return self._markets[symbol].trade_ms

    def publish(self) -> None:
        now = self.now_ms()
        prints, self._prints = self._prints, []
        touched, self._touched = self._touched, {}
        for market, report, time_ms in prints:
            self._publisher.trades(market, report, time_ms, now)
        for market in touched.values():
            self._publisher.touch(market)

    async def _drive(self) -> None:
        tick = 0
        while True:
            now = self.now_ms()
            for market in self._markets.values():
                await self._advance(market, now)
            if now // _TICK_MS != tick:
                second = now // 1000 != tick * _TICK_MS // 1000
                tick = now // _TICK_MS
                for market in self._markets.values():
                    self._publisher.depth(
                        market, now, SPEEDS_MS if second else SPEEDS_MS[:1]
                    )
                if second:
                    self._second.set()
                    self._second = trio.Event()
            wake = min(
                (tick + 1) * _TICK_MS,
                *(m.flow.next_ms for m in self._markets.values() if m.flow),
            )
            pause = (wake - self.now_ms()) / 1000
            await trio.sleep(min(max(pause, _PAUSE_S[0]), _PAUSE_S[1]))

    async def _advance(self, market: LiveMarket, now: int) -> None:
        await self._restart_if_behind(market, now)
        flow = market.flow
        assert flow is not None
        for done, step in enumerate(flow.advance(now)):
            self._take(market, flow, step, now)
            if done % _BREATH == _BREATH - 1:
                # a request may settle the market meanwhile
                await trio.lowlevel.checkpoint()
                if market.flow is not flow:
                    return
        market.position_ms = max(market.position_ms, now)

    def _take(
        self, market: LiveMarket, flow: Flow, step: Step, now: int
    ) -> None:
        """Tell of a step, and let the desk know if users may be concerned."""
        if step.taker is None:
            self._publisher.touch(market)
        elif not flow.guests:
            market.note(step)
            self._publisher.trades(market, step.taker, step.time_ms, now)
            self._publisher.touch(market)
        else:
            symbol = market.spec.symbol
            market.trade_ms = max(market.trade_ms, step.time_ms)
            with self.desk.turn():
                edit = market.note(step)
                if edit is not None:
                    self.desk.edited(symbol, edit)
                self._prints.append((market, step.taker, step.time_ms))
                self._touched[symbol] = market
                self.desk.traded(symbol, for_users(step.taker), step.time_ms)
        # what else is due in this very millisecond is still to come
        done = step.time_ms - (flow.next_ms <= step.time_ms)
        market.position_ms = max(market.position_ms, done)

    async def _restart_if_behind(self, market: LiveMarket, now: int) -> None:
        if now - market.position_ms <= _MAX_BEHIND_MS:
            return
        async with self._restarting:
            if now - market.position_ms <= _MAX_BEHIND_MS:
                return
            log.warning(
                '%s: the clock jumped %d s, trades in between are only in '
                'the history', market.spec.symbol,
                (now - market.position_ms) // 1000,
            )
            await self._plan(market, day_of(now))
            self._begin(market, now)

    def _begin(self, market: LiveMarket, now: int) -> None:
        symbol = market.spec.symbol
        market.begin(self.desk.resting(symbol), now)
        with self.desk.turn():
            self.desk.began(symbol)

    async def _every_second(self) -> None:
        feed = BarFeed(self.markets)
        while True:
            await self._second.wait()
            now = self.now_ms()
            if (now - GENESIS_MS) % DAY_MS > DAY_MS - _PREFETCH_MS:
                for market in self._markets.values():
                    await self._plan(market, day_of(now) + 1)
            names = [n for n in self._hub.streams() if _is_slow(n)]
            if not names:
                continue
            messages = await in_thread(feed.messages, names, now // 1000)
            for name, payload in messages:
                self._emit(name, payload)

    async def _plan(self, market: LiveMarket, day: int) -> None:
        await in_thread(market.history.day, day)


def _is_slow(name: str) -> bool:
    kind = name.partition('@')[2]
    return kind.startswith('kline_') or kind in {
        'miniTicker', 'ticker', 'avgPrice', 'arr'
    }
