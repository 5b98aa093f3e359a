"""
A paper account's books: orders, queue positions, balances, fills.

Pure and deterministic: equal commands and ticks in equal order give equal
fills.  What has happened is appended to ``out`` as a venue would report it,
and is to be handed on once `changes` has been made durable.  ``docs/ems.rst``
states the model.
"""
from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from ..config import PaperSettings
from ..gateway import (
    AccountReport,
    Answer,
    CancelOrder,
    FillReport,
    GatewayMessage,
    Outcome,
    PlaceOrder,
    ReplaceOrder,
    VenueStatus,
)
from ..instruments import Instrument
from ..orders import Balance, OrderSide, OrderType, Tif
from .paperentry import (
    goes_deeper,
    malformed,
    unaffordable,
    unfilled,
    walk,
)
from .papermarket import PaperMarket, Taken
from .paperorders import PaperChanges, PaperOrder, reported
from .paperpurse import Purse
from .paperqueue import Resting, shrink, trade_through

__all__ = ['PaperBooks']

_ZERO = Decimal(0)


class PaperBooks:
    """
    One paper account.

    ``orders`` are the open ones it begins with, in the order of their
    arrival; ``numbers`` the last order and trade numbers given out; ``taken``
    what orders have had of markets, see `PaperMarket`.
    """

    def __init__(
        self,
        settings: PaperSettings,
        *,
        orders: Iterable[PaperOrder] = (),
        balances: dict[str, Balance] | None = None,
        numbers: tuple[int, int] = (0, 0),
        taken: Iterable[Taken] = (),
    ) -> None:
        self._settings = settings
        self._open = {order.placed.cid: order for order in orders}
        self._resting = Resting(self._open.values())
        self._last_order, last_trade = numbers
        self._purse = Purse(settings, balances, last_trade)
        self._markets: dict[str, PaperMarket] = {}
        self._taken_before = list(taken)
        self.out: list[GatewayMessage] = []
        self._changed: dict[str, PaperOrder] = {}
        self._fills: list[FillReport] = []
        self._taken: dict[tuple[str, OrderSide], Taken] = {}

    @property
    def balances(self) -> dict[str, Balance]:
        """By asset, in lower case."""
        return self._purse.balances

    @property
    def open_orders(self) -> list[PaperOrder]:
        return list(self._open.values())

    @property
    def symbols(self) -> set[str]:
        """Those with an open order."""
        return self._resting.symbols

    def market(self, symbol: str) -> PaperMarket | None:
        return self._markets.get(symbol)

    def add_instrument(self, instrument: Instrument) -> None:
        """Needed before an order in it arrives; again is fine."""
        if instrument.id not in self._markets:
            self._markets[instrument.id] = PaperMarket(instrument, (
                t for t in self._taken_before if t.symbol == instrument.id
            ))

    def changes(self) -> PaperChanges | None:
        """
        What is to be made durable, and not told again; ``None``: nothing.
        """
        moved = self._purse.moved
        if not (self._changed or moved or self._fills or self._taken):
            return None
        found = PaperChanges(
            list(self._changed.values()),
            {asset: self.balances[asset] for asset in moved},
            self._fills,
            list(self._taken.values()),
        )
        self._changed, self._fills, self._taken = {}, [], {}
        moved.clear()
        return found

    # commands, as they arrive

    def awaits_book(self, command: PlaceOrder) -> bool:
        """Whether an order would take of levels that are not known."""
        market = self._markets.get(command.symbol)
        return market is not None and goes_deeper(command, market)

    def place(self, command: PlaceOrder, now_ns: int) -> None:
        refusal = self._refusal(command)
        if refusal:
            self._answer(command.ref, Outcome.REFUSED, refusal)
            return
        order = self._enter(command, now_ns)
        self._answer(command.ref, Outcome.DONE, '', order.venue_id)

    def cancel(self, command: CancelOrder, now_ns: int) -> None:
        order = self._open.get(command.cid)
        if order is None:
            self._answer(command.ref, Outcome.UNKNOWN, 'no such open order')
            return
        self._end(order, VenueStatus.CANCELLED, now_ns)
        self._report(order)
        self._answer(command.ref, Outcome.DONE, '', order.venue_id)

    def replace(self, command: ReplaceOrder, now_ns: int) -> None:
        """Both or neither, in one instant of the market."""
        old = self._open.get(command.cid)
        if old is None:
            self._answer(command.ref, Outcome.REFUSED, 'no such open order')
            return
        refusal = self._refusal(command.order, instead_of=old)
        if refusal:
            self._answer(command.ref, Outcome.REFUSED, refusal)
            return
        self._end(old, VenueStatus.CANCELLED, now_ns)
        self._report(old)
        order = self._enter(command.order, now_ns)
        self._answer(command.ref, Outcome.DONE, '', order.venue_id)

    def _answer(
        self, ref: int, outcome: Outcome, reason: str, venue_id: str = ''
    ) -> None:
        self.out.append(Answer(
            ref=ref, outcome=outcome, reason=reason, venue_id=venue_id
        ))

    # the market

    def on_quote(
        self,
        symbol: str,
        side: OrderSide,
        price: Decimal,
        size: Decimal,
        time_ns: int,
    ) -> None:
        """
        The best bid (``BUY``) or ask has changed.

        Orders at that price have at most what is shown before them, those at
        a better one nothing; one that the far side has come to is filled by
        what is offered there.
        """
        market = self._markets[symbol]
        self._show(market, side, price, size)
        for order in self._resting.reached(symbol, side, price):
            if time_ns <= order.arrived_ns:
                continue
            shown = size if order.limit == price else _ZERO
            if shrink(order, shown, time_ns):
                self._changed[order.placed.cid] = order
        if size and price:
            self._cross(symbol, market, side.other, price, time_ns)

    def on_touch(
        self, symbol: str, side: OrderSide, price: Decimal, size: Decimal
    ) -> None:
        """The best bid or ask has been this, with no order to hear of it."""
        self._show(self._markets[symbol], side, price, size)

    def _show(
        self, market: PaperMarket, side: OrderSide, price: Decimal,
        size: Decimal,
    ) -> None:
        if market.show(side, price, size):
            symbol = market.instrument.id
            self._taken[symbol, side] = Taken(symbol, side, _ZERO, {})

    def _take(
        self, market: PaperMarket, side: OrderSide, price: Decimal,
        size: Decimal,
    ) -> None:
        """An order of ``side`` has so much of a level."""
        market.take(side, price, size)
        taken = market.taken(side.other)
        assert taken is not None
        self._taken[taken.symbol, taken.side] = taken

    def _cross(
        self, symbol: str, market: PaperMarket, side: OrderSide,
        price: Decimal, time_ns: int,
    ) -> None:
        """The far side stands at ``price``: who of ours would have met it."""
        for order in self._resting.reached(symbol, side, price):
            if time_ns <= order.arrived_ns:
                continue
            offer = next(market.offers(side, price), None)
            if offer is None:
                return
            part = min(offer[1], order.left)
            self._take(market, side, price, part)
            self._fill(order, order.limit, part, True, time_ns)
            self._settle(order, time_ns)

    def on_trade(
        self,
        symbol: str,
        price: Decimal,
        size: Decimal,
        aggressor: int,
        time_ns: int,
    ) -> None:
        """
        ``size`` has traded at ``price``; ``aggressor`` +1 buy, -1 sell.

        It fills what rests at a better price, and what rests at this one
        once those before it have had theirs; all of it at most ``size``.
        """
        for side in OrderSide:
            left = size
            for order in self._resting.reached(symbol, side, price):
                beyond = order.limit != price
                if order.arrived_ns >= time_ns or not (
                    beyond or aggressor != side.sign
                ):
                    continue
                self._changed[order.placed.cid] = order
                part = trade_through(order, size, beyond, time_ns)
                part = min(order.left, left, part - (size - left))
                if part > 0:
                    left -= part
                    self._fill(order, order.limit, part, True, time_ns)
                    self._settle(order, time_ns)

    # the books

    def _refusal(
        self, command: PlaceOrder, instead_of: PaperOrder | None = None
    ) -> str:
        """Why an order is not taken; empty if it is."""
        market = self._markets.get(command.symbol)
        if market is None:
            return f'{command.symbol} is not known here'
        if command.cid in self._open:
            return f'there is an open order {command.cid} already'

        def free(asset: str) -> Decimal:
            freed, size = instead_of.held if instead_of else ('', _ZERO)
            more = size if freed == asset else _ZERO
            return self._purse.balance(asset).free + more

        return malformed(command, market) or unaffordable(
            command, market, self._settings.slippage_ticks, free
        )

    def _enter(self, command: PlaceOrder, now_ns: int) -> PaperOrder:
        """An order that is taken reaches the book."""
        market = self._markets[command.symbol]
        self._last_order += 1
        order = PaperOrder(
            placed=command, base=market.base, quote=market.quote,
            venue_id=str(self._last_order),
            arrived_ns=now_ns, changed_ns=now_ns,
        )
        taking = walk(command, market, self._settings.slippage_ticks)
        rest = ''
        if sum(part.size for part in taking) < command.size:
            rest = unfilled(command, market, taking)
            if command.tif is Tif.FOK:
                taking = []
        self._open[command.cid] = order
        self._changed[command.cid] = order
        self._purse.hold(order)
        for part in taking:
            self._take(market, command.side, part.level, part.size)
            self._fill(order, part.paid, part.size, False, now_ns)
        if order.left and (
            command.type is OrderType.MARKET or command.tif is not Tif.GTC
        ):
            order.reason = rest
            self._end(order, VenueStatus.EXPIRED, now_ns)
        elif order.left:
            order.ahead = market.shown_at(command.side, order.limit)
            self._resting.add(order)
        self._settle(order, now_ns)
        return order

    def _fill(
        self, order: PaperOrder, price: Decimal, size: Decimal,
        maker: bool, time_ns: int,
    ) -> None:
        fill = self._purse.fill(order, price, size, maker, time_ns)
        self._changed[order.placed.cid] = order
        self._fills.append(fill)
        self.out.append(fill)

    def _settle(self, order: PaperOrder, now_ns: int) -> None:
        """Report an order that was placed or filled; end it if it is done."""
        if order.status is VenueStatus.OPEN and not order.left:
            self._end(order, VenueStatus.FILLED, now_ns)
        self._report(order)

    def _end(
        self, order: PaperOrder, status: VenueStatus, now_ns: int
    ) -> None:
        self._purse.free(order)
        order.status = status
        order.changed_ns = max(order.changed_ns, now_ns)
        del self._open[order.placed.cid]
        self._resting.remove(order)
        self._changed[order.placed.cid] = order

    def _report(self, order: PaperOrder) -> None:
        self.out.append(reported(order))
        self.out.append(AccountReport(
            balances={
                asset: self._purse.balance(asset)
                for asset in (order.base, order.quote)
            },
            time_ns=order.changed_ns,
        ))
