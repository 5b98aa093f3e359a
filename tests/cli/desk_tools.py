"""
A desk without a terminal and without a tree.
"""
from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import trio
import trio.testing

from piker.clearing import EmsClient
from piker.clearing.wire import EmsSnapshot
from piker.cli.desk.desk import Desk
from piker.cli.desk.quotes import Quotes
from piker.cli.desk.view import View
from piker.clock import ManualClock
from piker.data import FeedState, Quote
from piker.errors import PikerError
from piker.instruments import Instrument
from piker.messages import pack, unpack
from piker.orders import (
    AccountView,
    Alert,
    AlertSide,
    Balance,
    DialogView,
    Fill,
    OrderRequest,
    OrderSide,
    OrderStatus,
    OrderType,
    PositionView,
)

NOW_NS = 1_790_000_000_000_000_000
SYMBOL = 'btcusdt.sim'
INSTRUMENT = Instrument(
    id=SYMBOL, raw_symbol='BTCUSDT', base='BTC', quote='USDT',
    tick_size=Decimal('0.01'), lot_size=Decimal('0.00001'),
)


class FakeEms(EmsClient):
    """The real client's mirrors; calls are noted, and answered here."""

    def __init__(self, snapshot: EmsSnapshot | None = None) -> None:
        super().__init__(None, 'desk')  # type: ignore[arg-type]
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.refusal: PikerError | None = None
        self._begin(snapshot or snapshot_of())

    async def _call(self, function: str, **arguments: Any) -> Any:
        await trio.lowlevel.checkpoint()
        self.calls.append((function, arguments))
        if self.refusal is not None:
            raise self.refusal
        if function == 'submit':
            return [
                pack(DialogView(
                    request=unpack(OrderRequest, r),
                    status=OrderStatus.PENDING,
                ))
                for r in arguments['requests']
            ]
        if function == 'add_alert':
            return arguments['alert']
        if function in {'change', 'cancel'}:
            oid = arguments.get('oid') or arguments['change']['oid']
            view = next(
                v for (_, o), v in self.dialogs.items() if o == oid
            )
            return pack(view)
        return None

    def requests(self) -> list[OrderRequest]:
        """What was submitted by the last call."""
        return [
            unpack(OrderRequest, r) for r in self.calls[-1][1]['requests']
        ]


def order(oid: str, **values: Any) -> DialogView:
    status = values.pop('status', OrderStatus.OPEN)
    views = {
        name: values.pop(name) for name in list(values)
        if name in DialogView.__struct_fields__
    }
    request = OrderRequest(**{
        'oid': oid, 'symbol': SYMBOL, 'side': OrderSide.BUY,
        'size': Decimal('0.02'), 'type': OrderType.LIMIT,
        'price': Decimal(100),
        **values,
    })
    return DialogView(
        request=request, status=status, client='other', made_ns=NOW_NS,
        **views,
    )


def snapshot_of(**values: Any) -> EmsSnapshot:
    return EmsSnapshot(**{
        'dialogs': [
            order('resting'),
            order('stopper', type=OrderType.STOP, price=None, stop=Decimal(90),
                  side=OrderSide.SELL, status=OrderStatus.DARK),
            order('gone', status=OrderStatus.CANCELLED),
        ],
        'fills': [
            Fill(account='paper', oid='first', symbol=SYMBOL,
                 side=OrderSide.BUY, trade_id='1', price=Decimal('100.50'),
                 size=Decimal('0.3'), fee=Decimal('0.0003'), fee_asset='BTC',
                 time_ns=NOW_NS),
        ],
        'positions': [
            PositionView(
                account='paper', symbol=SYMBOL, size=Decimal('0.3'),
                average=Decimal('100.50'), realised=Decimal(0),
                fees_quote=Decimal('0.03'), mark=Decimal(99), stale=True,
            ),
        ],
        'accounts': [
            AccountView(account='paper', ready=True, balances={
                'usdt': Balance(Decimal(1000), Decimal(2)),
            }),
            AccountView(account='sim'),
        ],
        'alerts': [
            Alert(aid='a1', symbol=SYMBOL, price=Decimal(120),
                  side=AlertSide.ABOVE, note='up there'),
        ],
        'notices': [],
        'providers': {'paper': '', 'sim': 'sim'},
        **values,
    })


class FakeFlume:
    def __init__(self) -> None:
        self.instrument = INSTRUMENT
        self.state = FeedState.LIVE
        self.last = 101.25

    def quote(self) -> Quote:
        return Quote(
            last=self.last, last_size=0.1, bid=101.24, bid_size=0.5,
            ask=101.26, ask_size=0.25, volume=1234.5, time=NOW_NS,
            quote_time=NOW_NS, recv=NOW_NS,
        )


class Harness:
    """A desk of a size, its keys, and the lines that it shows."""

    def __init__(
        self, ems: FakeEms, quotes: Quotes, nursery: trio.Nursery,
        flumes: dict[str, FakeFlume], size: tuple[int, int],
    ) -> None:
        self.ems, self.flumes, self.size = ems, flumes, size
        self.clock = ManualClock(NOW_NS)
        self.left = False
        self.rings = 0
        self.desk = Desk(
            ems, quotes, self.clock, spawn=nursery.start_soon,
            leave=self._leave, ring=self._ring, registry='127.0.0.1:6116',
        )
        self.view = View(self.desk)

    def _leave(self) -> None:
        self.left = True

    def _ring(self) -> None:
        self.rings += 1

    def lines(self) -> list[str]:
        self.desk.refresh()
        canvas = self.view.render(self.size, focus=True)
        assert (canvas.cols(), canvas.rows()) == self.size
        return [line.decode() for line in canvas.text]

    def text(self) -> str:
        return '\n'.join(self.lines())

    def attrs(self, text: str) -> set[Any]:
        """The attributes of the lines that contain ``text``."""
        self.desk.refresh()
        canvas = self.view.render(self.size, focus=True)
        found: set[Any] = set()
        for row in canvas.content():
            if text in b''.join(part for _, _, part in row).decode():
                found |= {attr for attr, _, _ in row}
        return found

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.view.keypress(self.size, key)

    async def enter(self, line: str) -> None:
        """Type a line, enter it, and let its call end."""
        self.keys(':', *line, 'enter')
        await trio.testing.wait_all_tasks_blocked()


@asynccontextmanager
async def open_desk(
    cols: int = 80, rows: int = 24, **snapshot: Any
) -> AsyncIterator[Harness]:
    flumes: dict[str, FakeFlume] = {}

    @asynccontextmanager
    async def feed(symbol: str) -> AsyncIterator[Any]:
        flumes[symbol] = FakeFlume()
        yield flumes

    async with trio.open_nursery() as nursery:
        quotes = Quotes(feed)
        await nursery.start(quotes.run)
        harness = Harness(
            FakeEms(snapshot_of(**snapshot)), quotes, nursery, flumes,
            (cols, rows),
        )
        harness.desk.refresh()
        await trio.testing.wait_all_tasks_blocked()
        yield harness
        nursery.cancel_scope.cancel()
