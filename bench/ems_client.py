"""
A client of ``emsd``: ``python -m bench.ems_client SYMBOL``, its own process.

Talks with its parent in lines of JSON.  Told to ``rest``, it places limit
orders far from the market, one after the other; told to ``halt``, it does so
without a pause until the kill switch ends it; told to ``trail``, it keeps
a dark buy stop and a sell stop at the last price, until told to ``stop``:
the next trades fire them; told to ``watch``, it notes when it first sees
each order; told ``far``, it places that many dark orders of
every sort that none will.  Each order has a size of its own.  All stamps are
``CLOCK_MONOTONIC``.
"""
from __future__ import annotations

import json
import sys
import time
from decimal import Decimal
from typing import Any

import trio
import trio.testing

from piker.clearing import open_ems
from piker.data import open_feed
from piker.errors import RiskRefused
from piker.orders import (
    DialogView,
    OrderRequest,
    OrderSide,
    OrderStatus,
    OrderType,
)

_LOT = Decimal('0.00001')
_APART_S = 0.02
_BEFORE_HALT = 30
_ACCOUNT = 'sim'
_WAITING = (
    OrderType.STOP, OrderType.TAKE_PROFIT, OrderType.TRAILING_STOP,
    OrderType.THROUGH,
)


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


class Hand:
    """The one who orders."""

    def __init__(self, ems: Any, symbol: str, flume: Any) -> None:
        self.ems = ems
        self.symbol = symbol
        self.flume = flume
        self.count = 0
        self.stop = trio.Event()

    def _size(self) -> Decimal:
        self.count += 1
        return (1000 + self.count) * _LOT

    async def rest(self, many: int) -> list[dict[str, Any]]:
        """Limit orders: called, acknowledged, seen open."""
        found = []
        with self.ems.events() as events:
            for _ in range(many):
                size = self._size()
                began = time.monotonic_ns()
                view = await self.ems.buy(
                    self.symbol, size, price='10000', account=_ACCOUNT
                )
                acked = time.monotonic_ns()
                oid = view.request.oid
                await self._until(events, {oid}, {OrderStatus.OPEN})
                found.append({
                    'oid': oid, 'size': str(size), 'called': began,
                    'acked': acked,
                    'open': time.monotonic_ns(),
                })
                await self.ems.cancel(oid, account=_ACCOUNT)
                await trio.sleep(_APART_S)
        return found

    async def watch(self, seen: dict[str, int]) -> None:
        """Note when each order is first seen, whoever placed it."""
        with self.ems.events() as events:
            async for event in events:
                if isinstance(event, DialogView):
                    seen.setdefault(event.request.oid, time.monotonic_ns())

    async def trail(self) -> list[dict[str, Any]]:
        """Dark stops, each put anew once it has fired."""
        found = []
        armed: dict[str, str] = {}
        with self.ems.events() as events:
            while not self.stop.is_set():
                last = Decimal(repr(self.flume.quote().last))
                for side in ('buy', 'sell'):
                    if side in armed.values():
                        continue
                    size = self._size()
                    began = time.monotonic_ns()
                    view = await getattr(self.ems, side)(
                        self.symbol, size, stop=last, dark=True,
                        account=_ACCOUNT,
                    )
                    found.append({
                        'oid': view.request.oid, 'size': str(size),
                        'called': began,
                        'acked': time.monotonic_ns(),
                    })
                    armed[view.request.oid] = side
                with trio.move_on_after(0.5):
                    del armed[await self._until(
                        events, set(armed), {OrderStatus.CLOSED}
                    )]
                await trio.sleep(_APART_S)
        return found

    async def halt(self, many: int) -> list[dict[str, Any]]:
        """
        A strategy that orders without a pause is halted, so many times.

        Called, answered, when its next order was refused, and when the last
        of its orders was over.
        """
        found = []
        for _ in range(many):
            found.append(await self._halt_once())
            await trio.sleep(10 * _APART_S)
        return found

    async def _halt_once(self) -> dict[str, Any]:
        sizes: list[str] = []
        refused_ns = 0

        async def order() -> None:
            nonlocal refused_ns
            while True:
                size = self._size()
                try:
                    await self.ems.buy(
                        self.symbol, size, price='10000', account=_ACCOUNT
                    )
                except RiskRefused:
                    refused_ns = time.monotonic_ns()
                    return
                sizes.append(str(size))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(order)
            while len(sizes) < _BEFORE_HALT:
                await trio.sleep(0.001)
            called = time.monotonic_ns()
            await self.ems.halt(reason='bench')
            answered = time.monotonic_ns()
        while any(not d.status.final for d in self.ems.dialogs.values()):
            await trio.sleep(0.0005)
        over = time.monotonic_ns()
        await self.ems.resume()
        return {
            'called': called, 'answered': answered, 'refused': refused_ns,
            'over': over, 'sizes': sizes,
        }

    async def far(self, symbols: list[str], many: int) -> int:
        """Dark orders out of reach, spread over the symbols."""
        requests = []
        for i in range(many):
            kind = _WAITING[i // len(symbols) % len(_WAITING)]
            side = (OrderSide.BUY, OrderSide.SELL)[i % 2]
            above = (side is OrderSide.BUY) is not (
                kind is OrderType.TAKE_PROFIT
            )
            stop = Decimal((200_000 if above else 10_000) + self.count)
            trails = kind is OrderType.TRAILING_STOP
            requests.append(OrderRequest(
                oid=f'far-{self.count}', symbol=symbols[i % len(symbols)],
                side=side, size=self._size(), account=_ACCOUNT, type=kind,
                stop=None if trails else stop,
                trail=Decimal(30_000) if trails else None, dark=True,
            ))
        for at in range(0, many, 50):
            await self.ems.submit_all(requests[at:at + 50])
        return many

    @staticmethod
    async def _until(
        events: Any, oids: set[str], statuses: set[OrderStatus]
    ) -> str:
        """The first of these orders to be so."""
        async for event in events:
            if isinstance(event, DialogView):
                oid: str = event.request.oid
                if oid in oids and event.status in statuses:
                    return oid
                if oid in oids and event.status in {
                    OrderStatus.REJECTED, OrderStatus.EXPIRED
                }:
                    raise RuntimeError(f'{event.status}: {event.reason}')
        raise RuntimeError('emsd says no more')


async def main(symbol: str) -> None:
    async with (
        open_ems(client='bench') as ems,
        open_feed([symbol], client='bench') as feed,
        trio.open_nursery() as nursery,
    ):
        hand = Hand(ems, symbol, feed[symbol])
        await hand.rest(2)  # has the gateway opened
        say(ready=True)

        async def trail() -> None:
            say(trailed=await hand.trail())

        seen: dict[str, int] = {}
        while line := await trio.to_thread.run_sync(
            sys.stdin.readline, abandon_on_cancel=True
        ):
            order = json.loads(line)
            if 'rest' in order:
                say(rested=await hand.rest(order['rest']))
            elif 'halt' in order:
                say(halted=await hand.halt(order['halt']))
            elif 'trail' in order:
                nursery.start_soon(trail)
            elif 'watch' in order:
                nursery.start_soon(hand.watch, seen)
                await trio.testing.wait_all_tasks_blocked(0.05)
                say(watching=True)
            elif 'watched' in order:
                say(seen=seen)
            elif 'far' in order:
                say(placed=await hand.far(**order['far']))
            elif 'stop' in order:
                hand.stop.set()
        nursery.cancel_scope.cancel()


if __name__ == '__main__':
    trio.run(main, *sys.argv[1:])
