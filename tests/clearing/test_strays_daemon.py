"""
Trades that somebody else makes on an account, at the venue, on a whole tree.
"""
from __future__ import annotations

import hashlib
import hmac
import time
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import trio
from suite import Daemon

from piker.clearing import EmsClient, open_ems
from piker.data import open_feed
from piker.orders import DialogView

ACCOUNT = 'sim'
PATIENCE_S = 40


def buy_by_hand(base: str, symbol: str, size: str) -> None:
    """An order that piker knows nothing of."""
    query = urlencode({
        'symbol': symbol, 'side': 'BUY', 'type': 'MARKET', 'quantity': size,
        'timestamp': time.time_ns() // 10**6,
    })
    made = hmac.new(b'sim-secret', query.encode(), hashlib.sha256)
    urllib.request.urlopen(urllib.request.Request(
        f'{base}/api/v3/order?{query}&signature={made.hexdigest()}',
        method='POST', headers={'X-MBX-APIKEY': 'sim-key'},
    ), timeout=20).close()


async def until(condition: Callable[[], Any]) -> Any:
    with trio.fail_after(PATIENCE_S):
        while not (found := condition()):
            await trio.sleep(0.01)
    return found


def found_in(ems: EmsClient, symbol: str) -> DialogView | None:
    for view in ems.dialogs.values():
        if view.request.symbol == symbol and view.status.final:
            return view
    return None


async def test_trades_in_instruments_never_traded_here(
    daemon: Daemon,
) -> None:
    """Told by the stream, and found by the balances after a death."""
    async with open_feed(['btcusdt.sim']) as feed:
        low = round(feed['btcusdt.sim'].quote().last * 0.8)
    base = await trio.to_thread.run_sync(daemon.venue)
    async with open_ems() as ems:
        # What rests has the account looked after from the start.
        await ems.buy(
            'btcusdt.sim', '0.001', price=str(low), account=ACCOUNT,
            oid='rests',
        )
        await until(
            lambda: ems.dialogs[ACCOUNT, 'rests'].status == 'open'
        )
        await trio.to_thread.run_sync(buy_by_hand, base, 'XRPUSDT', '50')
        view = await until(lambda: found_in(ems, 'xrpusdt.sim'))
        assert (view.foreign, view.filled) == (True, 50)

        def kill_and_buy() -> None:
            daemon.kill('emsd')
            buy_by_hand(base, 'ETHUSDT', '0.5')

        await trio.to_thread.run_sync(kill_and_buy)
        view = await until(lambda: found_in(ems, 'ethusdt.sim'))
        assert view.foreign
        await until(lambda: (
            (position := ems.positions.get((ACCOUNT, 'ethusdt.sim')))
            and position.size * 2 == 1 and position.mark
        ))
        await ems.cancel('rests', account=ACCOUNT)
