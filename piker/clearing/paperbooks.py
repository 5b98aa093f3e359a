"""
A paper account's books: orders, queue positions, balances, fills.

Pure and deterministic: equal commands and ticks in equal order give equal
fills.  What has happened is appended to ``out`` as a venue would report it,
and is to be handed on once `changes` has been made durable.  ``docs/ems.rst``
states the model.
"""
from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from ..clock import NS_PER_MS
from ..config import PaperSettings
from ..instruments import Instrument
from ..orders import (
    Abilities,
    AccountReport,
    Answer,
    Balance,
    CancelOrder,
    FillReport,
    GatewayMessage,
    OrderReport,
    OrderSide,
    OrderType,
    Outcome,
    PlaceOrder,
    ReplaceOrder,
    Tif,
    VenueStatus,
)
from .papermarket import PaperMarket, Taken

__all__ = ['ABILITIES', 'PaperBooks', 'PaperChanges', 'PaperOrder', 'reported']

ABILITIES = Abilities(
    types=frozenset({OrderType.MARKET, OrderType.LIMIT}),
    tifs=frozenset({Tif.GTC, Tif.IOC, Tif.FOK}),
)

_ZERO = Decimal(0)
# Binance states fees to eight decimals.
_FEE_STEP = Decimal('1e-8')
# Trades and quotes come over different streams: for so long a trade may
# explain a shrinkage that a quote has shown before.
_EXPLAINS_NS = 250 * NS_PER_MS


class PaperOrder(msgspec.Struct, kw_only=True):
    """
    An order that has reached the market; ``base`` and ``quote`` are assets.

    ``ahead`` is the size that is filled before it at its price, ``None``
    where that is not known yet; ``shrunk`` what quotes have taken off it and
    trades until ``shrunk_until_ns`` may explain.
    """

    placed: PlaceOrder
    base: str
    quote: str
    venue_id: str
    arrived_ns: int
    changed_ns: int
    status: VenueStatus = VenueStatus.OPEN
    filled: Decimal = _ZERO
    ahead: Decimal | None = None
    shrunk: Decimal = _ZERO
    shrunk_until_ns: int = 0
    reason: str = ''

    @property
    def left(self) -> Decimal:
        return self.placed.size - self.filled

    @property
    def limit(self) -> Decimal:
        assert self.placed.price is not None
        return self.placed.price


class PaperChanges(msgspec.Struct):
    """
    What has changed since it was last asked for.

    Of ``taken`` one without levels stands for a side of which nothing is.
    """

    orders: list[PaperOrder]
    balances: dict[str, Balance]
    fills: list[FillReport]
    taken: list[Taken] = []


def reported(order: PaperOrder) -> OrderReport:
    """The order as its venue would report it."""
    placed = order.placed
    return OrderReport(
        cid=placed.cid, venue_id=order.venue_id, symbol=placed.symbol,
        side=placed.side, size=placed.size, filled=order.filled,
        type=placed.type, status=order.status, price=placed.price,
        tif=placed.tif, post_only=placed.post_only, reason=order.reason,
        time_ns=order.changed_ns,
    )


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
        self.balances = dict(balances or {})
        self._last_order, self._last_trade = numbers
        self._markets: dict[str, PaperMarket] = {}
        self._taken_before = list(taken)
        self.out: list[GatewayMessage] = []
        self._changed: dict[str, PaperOrder] = {}
        self._moved: dict[str, None] = {}
        self._fills: list[FillReport] = []
        self._taken: dict[tuple[str, OrderSide], Taken] = {}
        if balances is None:
            for asset, amount in settings.balances.items():
                self._move(asset.lower(), amount)

    @property
    def open_orders(self) -> list[PaperOrder]:
        return list(self._open.values())

    @property
    def symbols(self) -> set[str]:
        """Those with an open order."""
        return {order.placed.symbol for order in self._open.values()}

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
        if not (self._changed or self._moved or self._fills or self._taken):
            return None
        found = PaperChanges(
            list(self._changed.values()),
            {asset: self.balances[asset] for asset in self._moved},
            self._fills,
            list(self._taken.values()),
        )
        self._changed, self._moved, self._fills = {}, {}, []
        self._taken = {}
        return found

    # commands, as they arrive

    def place(self, command: PlaceOrder, now_ns: int) -> None:
        refusal = self._refusal(command, {})
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
        refusal = self._refusal(command.order, dict([self._held_by(old)]))
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
        for order in self._resting(symbol, side):
            if time_ns <= order.arrived_ns:
                continue
            if (order.limit - price) * side.sign >= 0:
                shown = size if order.limit == price else _ZERO
                self._shrink(order, shown, time_ns)
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

    def _shrink(
        self, order: PaperOrder, shown: Decimal, time_ns: int
    ) -> None:
        if order.ahead is None:
            order.ahead = shown
        elif shown < order.ahead:
            if time_ns > order.shrunk_until_ns:
                order.shrunk = _ZERO
            order.shrunk += order.ahead - shown
            order.shrunk_until_ns = time_ns + _EXPLAINS_NS
            order.ahead = shown
        else:
            return
        self._changed[order.placed.cid] = order

    def _cross(
        self, symbol: str, market: PaperMarket, side: OrderSide,
        price: Decimal, time_ns: int,
    ) -> None:
        """The far side stands at ``price``: who of ours would have met it."""
        for order in self._resting(symbol, side):
            if (order.limit - price) * side.sign < 0:
                return
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
            for order in self._resting(symbol, side):
                beyond = (order.limit - price) * side.sign
                at_price = beyond == 0 and aggressor != side.sign
                if order.arrived_ns >= time_ns or not (
                    beyond > 0 or at_price
                ):
                    continue
                part = self._through(order, size, beyond > 0, time_ns)
                part = min(order.left, left, part - (size - left))
                if part > 0:
                    left -= part
                    self._fill(order, order.limit, part, True, time_ns)
                    self._settle(order, time_ns)

    def _through(
        self, order: PaperOrder, size: Decimal, beyond: bool, time_ns: int
    ) -> Decimal:
        """What of a trade comes past those before the order."""
        self._changed[order.placed.cid] = order
        if beyond:
            order.ahead = order.shrunk = _ZERO
            return size
        if time_ns > order.shrunk_until_ns:
            order.shrunk = _ZERO
        explained = min(size, order.shrunk)
        order.shrunk -= explained
        size_on = size - explained
        if order.ahead is None:
            return _ZERO
        used = min(size_on, order.ahead)
        order.ahead -= used
        return size_on - used

    def _resting(self, symbol: str, side: OrderSide) -> list[PaperOrder]:
        """Open orders of a side, best price first, then as they came."""
        found = [
            order for order in self._open.values()
            if order.placed.symbol == symbol and order.placed.side is side
        ]
        if len(found) > 1:
            found.sort(key=lambda o: -o.limit * side.sign)
        return found

    # the books

    def _refusal(
        self, command: PlaceOrder, freed: dict[str, Decimal]
    ) -> str:
        """Why an order is not taken; empty if it is."""
        market = self._markets.get(command.symbol)
        if market is None:
            return f'{command.symbol} is not known here'
        if command.cid in self._open:
            return f'there is an open order {command.cid} already'
        return (
            _malformed(command, market)
            or self._unaffordable(command, market, freed)
        )

    def _unaffordable(
        self, command: PlaceOrder, market: PaperMarket,
        freed: dict[str, Decimal],
    ) -> str:
        base, quote = market.base, market.quote
        if command.side is OrderSide.SELL:
            asset, need = base, command.size
        elif command.price is not None:
            asset, need = quote, command.size * command.price
        else:
            asset = quote
            need = _notional(self._walk(command, market))
        free = self._balance(asset).free + freed.get(asset, _ZERO)
        if need <= free:
            return ''
        return (
            f'insufficient balance: {need.normalize():f} {asset} needed, '
            f'{free.normalize():f} free'
        )

    def _walk(
        self, command: PlaceOrder, market: PaperMarket
    ) -> list[tuple[Decimal, Decimal, Decimal]]:
        """What an order takes on arrival: (price paid, level's, size)."""
        limit = command.price
        slip = _ZERO
        if command.type is OrderType.MARKET:
            limit = None
            slip = self._settings.slippage_ticks * (
                market.instrument.tick_size * command.side.sign
            )
        left = command.size
        found = []
        for price, size in market.offers(command.side, limit):
            part = min(size, left)
            paid = max(price + slip, market.instrument.tick_size)
            found.append((paid, price, part))
            left -= part
            if not left:
                break
        return found

    def _enter(self, command: PlaceOrder, now_ns: int) -> PaperOrder:
        """An order that is taken reaches the book."""
        market = self._markets[command.symbol]
        self._last_order += 1
        order = PaperOrder(
            placed=command, base=market.base, quote=market.quote,
            venue_id=str(self._last_order),
            arrived_ns=now_ns, changed_ns=now_ns,
        )
        taking = self._walk(command, market)
        if command.tif is Tif.FOK and (
            sum(size for *_, size in taking) < command.size
        ):
            taking = []
        self._open[command.cid] = order
        self._changed[command.cid] = order
        asset, held = self._held_by(order)
        self._move(asset, -held, held)
        for paid, price, size in taking:
            self._take(market, command.side, price, size)
            self._fill(order, paid, size, False, now_ns)
        if order.left and (
            command.type is OrderType.MARKET or command.tif is not Tif.GTC
        ):
            self._end(order, VenueStatus.EXPIRED, now_ns)
        elif order.left:
            order.ahead = market.shown_at(command.side, order.limit)
        self._settle(order, now_ns)
        return order

    def _held_by(self, order: PaperOrder) -> tuple[str, Decimal]:
        """What an open order keeps from being spent: (asset, amount)."""
        placed = order.placed
        if placed.side is OrderSide.SELL:
            return order.base, order.left
        return order.quote, order.left * (placed.price or _ZERO)

    def _fill(
        self, order: PaperOrder, price: Decimal, size: Decimal,
        maker: bool, time_ns: int,
    ) -> None:
        placed, base, quote = order.placed, order.base, order.quote
        rate = (
            self._settings.maker_fee if maker else self._settings.taker_fee
        )
        notional = price * size
        if placed.side is OrderSide.BUY:
            held = size * (placed.price or _ZERO)
            fee, asset = _fee(size * rate), base
            self._move(quote, held - notional, -held)
            self._move(base, size - fee)
        else:
            fee, asset = _fee(notional * rate), quote
            self._move(base, _ZERO, -size)
            self._move(quote, notional - fee)
        order.filled += size
        order.changed_ns = max(order.changed_ns, time_ns)
        self._changed[placed.cid] = order
        self._last_trade += 1
        fill = FillReport(
            cid=placed.cid, venue_id=order.venue_id, symbol=placed.symbol,
            side=placed.side, trade_id=str(self._last_trade), price=price,
            size=size, fee=fee, fee_asset=asset, maker=maker,
            time_ns=time_ns,
        )
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
        asset, held = self._held_by(order)
        if held:
            self._move(asset, held, -held)
        order.status = status
        order.changed_ns = max(order.changed_ns, now_ns)
        del self._open[order.placed.cid]
        self._changed[order.placed.cid] = order

    def _report(self, order: PaperOrder) -> None:
        self.out.append(reported(order))
        self.out.append(AccountReport(
            balances={
                asset: self._balance(asset)
                for asset in (order.base, order.quote)
            },
            time_ns=order.changed_ns,
        ))

    def _balance(self, asset: str) -> Balance:
        return self.balances.get(asset, Balance(_ZERO))

    def _move(
        self, asset: str, free: Decimal, locked: Decimal = _ZERO
    ) -> None:
        before = self._balance(asset)
        self.balances[asset] = Balance(
            before.free + free, before.locked + locked
        )
        self._moved[asset] = None


def _malformed(command: PlaceOrder, market: PaperMarket) -> str:
    """Which of the instrument's filters an order fails, if any."""
    instrument, size, price = market.instrument, command.size, command.price
    side = command.side
    if command.type not in ABILITIES.types or command.display is not None:
        return f'no {command.type} order of this kind on paper'
    if size <= 0 or size % instrument.lot_size:
        return f'size {size} is not a multiple of {instrument.lot_size}'
    far = market.best(side.other)
    if command.type is OrderType.LIMIT:
        if price is None or price <= 0 or not instrument.on_tick(price):
            return f'price {price} is not a multiple of {instrument.tick_size}'
        if command.post_only and (
            far is not None and (price - far) * side.sign >= 0
        ):
            return f'post-only, but {price} would take from {far}'
    elif price is not None:
        return 'a market order has no price'
    elif far is None:
        return f'nothing is offered in {command.symbol}'
    notional = size * (price or far or _ZERO)
    if notional < instrument.min_notional:
        return (
            f'worth {notional.normalize():f} {instrument.quote}, less than '
            f'the {instrument.min_notional} that an order must be'
        )
    return ''


def _notional(taking: list[tuple[Decimal, Decimal, Decimal]]) -> Decimal:
    return sum((paid * size for paid, _, size in taking), _ZERO)


def _fee(amount: Decimal) -> Decimal:
    return amount.quantize(_FEE_STEP, ROUND_HALF_UP)
