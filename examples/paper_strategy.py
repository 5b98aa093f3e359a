"""
A small strategy on paper: buy a rise, leave by a target or a trailing stop.

The two orders that leave cancel each other and stay with the tree: the
position is looked after even when this program ends.
"""
# ruff: noqa: T201
from __future__ import annotations

from collections import deque
from decimal import ROUND_DOWN, Decimal
from itertools import pairwise

import trio

from piker.clearing import EmsClient, open_ems
from piker.data import FeedState, Flume, open_feed
from piker.orders import (
    DialogView,
    OrderRequest,
    OrderSide,
    OrderType,
)

SYMBOL = 'btcusdt.sim'
SIZE = Decimal('0.001')
LOOK = 3  # quotes that must rise
PATIENCE_S = 10


def ways_out(flume: Flume, entry: DialogView) -> list[OrderRequest]:
    """A target above, and a stop that follows the price up from below."""
    instrument, oid = flume.instrument, entry.request.oid
    tick, lot = instrument.tick_size, instrument.lot_size
    # The fee was taken from what was bought: so much less can be sold.
    have = entry.filled - entry.fees.get(instrument.base.lower(), Decimal(0))
    size = have.quantize(lot, ROUND_DOWN)
    target = instrument.round_price(entry.average) + 200 * tick
    return [
        OrderRequest(
            oid=f'{oid}-target', symbol=SYMBOL, side=OrderSide.SELL,
            size=size, type=OrderType.LIMIT, price=target, oco=oid,
        ),
        OrderRequest(
            oid=f'{oid}-stop', symbol=SYMBOL, side=OrderSide.SELL,
            size=size, type=OrderType.TRAILING_STOP, trail=100 * tick,
            oco=oid,
        ),
    ]


async def wait_for_rise(flume: Flume) -> None:
    """Until the last price has risen a few times in a row."""
    recent: deque[float] = deque(maxlen=LOOK)
    with trio.move_on_after(PATIENCE_S):
        async for quote in flume.quotes(rate_hz=5):
            recent.append(quote.last)
            rising = all(a <= b for a, b in pairwise(recent))
            full = len(recent) == LOOK
            if full and rising and flume.state is FeedState.LIVE:
                return


async def show(ems: EmsClient) -> None:
    """Print what becomes of the orders, whoever made them."""
    async for event in ems.events():
        if isinstance(event, DialogView):
            request = event.request
            print(
                f'{request.oid:>31} {request.side:4} {request.size} '
                f'{event.status} {event.reason}'
            )


async def main() -> None:
    async with (
        open_feed([SYMBOL]) as feed,
        open_ems(client='strategy') as ems,
        trio.open_nursery() as nursery,
    ):
        flume = feed[SYMBOL]
        nursery.start_soon(show, ems)
        await wait_for_rise(flume)
        name = f'rise-{flume.quote().recv}'
        await ems.buy(SYMBOL, SIZE, oid=name)
        entry = await ems.closed(name)
        out = await ems.submit_all(ways_out(flume, entry))
        with trio.move_on_after(PATIENCE_S):
            for view in out:
                await ems.closed(view.request.oid)
        await leave_at_once(ems, [view.request for view in out])
        position = ems.positions['paper', SYMBOL]
        print(
            f'realised {position.realised:.4f}, '
            f'fees {position.fees_quote:.4f} {flume.instrument.quote}'
        )
        nursery.cancel_scope.cancel()


async def leave_at_once(ems: EmsClient, out: list[OrderRequest]) -> None:
    """Cancel what still waits, and sell what that would have sold."""
    for request in out:
        await ems.cancel(request.oid)
    ended = [await ems.closed(request.oid) for request in out]
    left = out[0].size - sum(view.filled for view in ended)
    if left:
        sold = await ems.sell(SYMBOL, left)
        await ems.closed(sold.request.oid)


if __name__ == '__main__':
    trio.run(main)
