"""
Helpers for tests that trade on a whole tree.
"""
from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import trio
from suite import Daemon

from piker.clearing import EmsClient
from piker.data import Flume, open_feed
from piker.orders import DialogView, OrderStatus

SYMBOL = 'btcusdt.sim'
PATIENCE_S = 40


async def wait_for(
    condition: Callable[[], Any], within_s: float = PATIENCE_S
) -> Any:
    """Until ``condition`` gives something true."""
    with trio.fail_after(within_s):
        while not (found := condition()):
            await trio.sleep(0.005)
    return found


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    return await trio.to_thread.run_sync(function, *args)


def dialog(ems: EmsClient, oid: str) -> DialogView | None:
    return ems.dialogs.get(('paper', oid))


def status(ems: EmsClient, oid: str) -> OrderStatus | None:
    view = dialog(ems, oid)
    return view.status if view else None


def price_near(flume: Flume, ticks: int) -> str:
    """The last price and so many ticks, as text."""
    instrument = flume.instrument
    last = instrument.round_price(Decimal(repr(flume.quote().last)))
    return str(last + ticks * instrument.tick_size)


async def last_price(symbol: str = SYMBOL) -> Decimal:
    async with open_feed([symbol]) as feed:
        return Decimal(price_near(feed[symbol], 0))


def ems_status(daemon: Daemon) -> dict[str, Any] | None:
    found: dict[str, Any] | None = daemon.services()['ems']
    return found


def kill_and_wait(daemon: Daemon, name: str) -> None:
    """SIGKILL a daemon; returns once another one runs in its place."""
    killed = daemon.kill(name)
    end = time.monotonic() + PATIENCE_S
    while daemon.pid_of(name) in {0, killed}:
        assert time.monotonic() < end, f'{name} did not come back'
        time.sleep(0.02)
