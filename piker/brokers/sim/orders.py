"""
Users' orders: what an order is, and when a waiting one is triggered.

Types and their mandatory parameters:
https://developers.binance.com/docs/binance-spot-api-docs/rest-api/trading-endpoints
Prices are whole ticks, sizes whole lots, amounts 10^-8 of an asset.
"""
from __future__ import annotations

import msgspec

from .accounts import ONE
from .engine import Side, Stp, Tif
from .market import Spec
from .matching import Ticket

__all__ = ['ALGO', 'LIMITS', 'OPEN', 'TYPES', 'Execution', 'Order',
           'OrderList', 'base_amount', 'is_through', 'need_of', 'quote_amount',
           'trail', 'working_ticket']

# type → parameters that it must have
TYPES: dict[str, tuple[str, ...]] = {
    'LIMIT': ('timeInForce', 'quantity', 'price'),
    'MARKET': (),
    'STOP_LOSS': ('quantity',),
    'STOP_LOSS_LIMIT': ('timeInForce', 'quantity', 'price'),
    'TAKE_PROFIT': ('quantity',),
    'TAKE_PROFIT_LIMIT': ('timeInForce', 'quantity', 'price'),
    'LIMIT_MAKER': ('quantity', 'price'),
}
ALGO = frozenset({'STOP_LOSS', 'STOP_LOSS_LIMIT', 'TAKE_PROFIT',
                  'TAKE_PROFIT_LIMIT'})
LIMITS = frozenset({'LIMIT', 'LIMIT_MAKER', 'STOP_LOSS_LIMIT',
                    'TAKE_PROFIT_LIMIT'})
OPEN = frozenset({'NEW', 'PARTIALLY_FILLED'})


class Order(msgspec.Struct, kw_only=True):
    """
    An order as the venue keeps it.

    ``waiting``: for its trigger; ``best`` is the most favourable price that a
    trailing one has seen.  ``quote_size`` is what a market order by quote
    quantity may spend or earn.  ``cancel_id`` is the client order id of the
    request that cancelled it.
    """

    id: int
    account: str
    symbol: str
    client_id: str
    side: Side
    type: str
    tif: Tif = Tif.GTC
    size: int = 0
    price: int = 0
    stop: int = 0
    trail: int = 0
    best: int = 0
    display: int = 0
    quote_size: int = 0
    stp: Stp = Stp.NONE
    list_id: int = -1
    status: str = 'NEW'
    filled: int = 0
    spent: int = 0
    waiting: bool = False
    made_ms: int = 0
    changed_ms: int = 0
    working_ms: int = -1
    cancel_id: str = ''
    strategy: int | None = None
    strategy_type: int | None = None

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def left(self) -> int:
        return self.size - self.filled

    @property
    def group(self) -> tuple[str, int]:
        """Under which name it holds money: a list holds as one."""
        if self.list_id >= 0:
            return 'list', self.list_id
        return 'order', self.id


class OrderList(msgspec.Struct, kw_only=True):
    """An OCO pair."""

    id: int
    account: str
    symbol: str
    client_id: str
    orders: tuple[int, int]
    made_ms: int
    done: bool = False


class Execution(msgspec.Struct, kw_only=True):
    """A user's side of a trade; ``counter`` is the other order, 0: agents'."""

    trade_id: int
    order_id: int
    account: str
    symbol: str
    list_id: int
    side: Side
    price: int
    size: int
    quote: int
    fee: int
    fee_asset: str
    time_ms: int
    maker: bool
    counter: int


def base_amount(spec: Spec, lots: int) -> int:
    """Lots as an amount of the base asset."""
    return int(lots * ONE // 10**spec.size_digits)


def quote_amount(spec: Spec, price: int, lots: int, up: bool = False) -> int:
    """What ``lots`` cost; what is beyond eight places is cut or made up."""
    whole = price * lots * ONE
    grid = 10 ** (spec.price_digits + spec.size_digits)
    return int(-(-whole // grid) if up else whole // grid)


def need_of(spec: Spec, order: Order) -> int:
    """
    What an order holds while it is open.

    The base asset of a sale, the quote asset of a purchase with a limit.
    Purchases at the market pay when they trade.
    """
    if not order.is_open:
        return 0
    if order.side is Side.SELL:
        return base_amount(spec, order.left)
    return quote_amount(spec, order.price, order.left, up=True)


def is_through(order: Order, last: int) -> bool:
    """Whether a waiting order is triggered by a trade at ``last``."""
    rises = (order.side is Side.BUY) == order.type.startswith('STOP_LOSS')
    if order.trail:
        if not order.best:
            return False
        edge = order.best * (10_000 + (order.trail if rises
                                       else -order.trail))
        return last * 10_000 >= edge if rises else last * 10_000 <= edge
    return last >= order.stop if rises else last <= order.stop


def trail(order: Order, last: int) -> bool:
    """
    Let a trailing order follow the price; whether that changed it.

    It begins at once, or when ``stop`` is reached, and then keeps the lowest
    price (if it is triggered by a rise) or the highest.
    """
    rises = (order.side is Side.BUY) == order.type.startswith('STOP_LOSS')
    if not order.best:
        # the price must first come to the activation price, if there is one
        if order.stop and (last > order.stop if rises else last < order.stop):
            return False
        order.best = last
        return True
    if last < order.best if rises else last > order.best:
        order.best = last
        return True
    return False


def working_ticket(order: Order, own: frozenset[int] = frozenset()) -> Ticket:
    """What goes into the book."""
    return Ticket(
        order.id, order.side, order.left, order.price or None,
        tif=order.tif if order.price else Tif.IOC,
        post_only=order.type == 'LIMIT_MAKER', display=order.display,
        own=own, stp=order.stp,
    )
