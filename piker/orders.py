"""
The words of orders: what clients and ``emsd`` say to one another.

Like `messages`, of which this is the part that concerns trading: plain typed
structs, grouped by sender → receiver, sent by `messages.pack` and read by
`messages.unpack`.  Prices and sizes are `Decimal` (strings on the wire),
times ns UTC.  Sizes are positive, `OrderSide` says which way.  What ``emsd``
and gateways say to one another is in `gateway`.
"""
from __future__ import annotations

import enum
from decimal import Decimal

import msgspec

__all__ = [
    'AccountView',
    'Alert',
    'AlertGone',
    'AlertSide',
    'Balance',
    'DialogView',
    'Fill',
    'Notice',
    'OrderChange',
    'OrderRequest',
    'OrderSide',
    'OrderStatus',
    'OrderType',
    'PositionView',
    'Tif',
]

_ZERO = Decimal(0)


class OrderSide(enum.StrEnum):
    BUY = 'buy'
    SELL = 'sell'

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is OrderSide.BUY else -1

    @property
    def other(self) -> OrderSide:
        return OrderSide.SELL if self is OrderSide.BUY else OrderSide.BUY


class OrderType(enum.StrEnum):
    """
    What an order does at the market, and when.

    Those from ``STOP`` on wait for a trigger: a stop for a price at least as
    bad as ``stop`` (a buy: at or above), a take-profit for one at least as
    good (a buy: at or below), a trailing stop for a move of ``trail`` away
    from the best price since it was placed.  ``THROUGH`` waits for the price
    to trade through ``stop`` from the side it was on at placement.  Then they
    become a limit order if they have a ``price``, else a market order.
    """

    MARKET = 'market'
    LIMIT = 'limit'
    STOP = 'stop'
    TAKE_PROFIT = 'take-profit'
    TRAILING_STOP = 'trailing-stop'
    THROUGH = 'through'

    @property
    def waits(self) -> bool:
        """Whether it has a trigger."""
        return self not in {OrderType.MARKET, OrderType.LIMIT}


class Tif(enum.StrEnum):
    """How long an order works."""

    GTC = 'gtc'  # until cancelled
    IOC = 'ioc'  # what can be had now
    FOK = 'fok'  # all of it now or nothing
    GTD = 'gtd'  # until `good_till_ns`


class OrderStatus(enum.StrEnum):
    """
    Where a dialog stands, see `clearing.dialog` for the transitions.

    ``pending``: accepted and on its way to the venue; ``held``: waits for its
    parent to fill; ``dark``: waits here for its trigger; ``triggered``: fired
    and on its way; ``open``: on the venue's book.  The others are final;
    ``closed`` means filled whole.
    """

    PENDING = 'pending'
    HELD = 'held'
    DARK = 'dark'
    TRIGGERED = 'triggered'
    OPEN = 'open'
    CLOSED = 'closed'
    CANCELLED = 'cancelled'
    REJECTED = 'rejected'
    EXPIRED = 'expired'

    @property
    def final(self) -> bool:
        return self in _FINAL


_FINAL = frozenset({
    OrderStatus.CLOSED, OrderStatus.CANCELLED, OrderStatus.REJECTED,
    OrderStatus.EXPIRED,
})


# clients → emsd

class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """
    A new order, under a name of the client's own.

    ``oid`` (1–64 printable characters, unique per account for ever) makes it
    idempotent: the same request again changes nothing and gets the same
    dialog, another request under the same ``oid`` is refused.  ``price`` is
    the limit, ``stop`` the trigger, ``trail`` the distance of a trailing stop
    in the quote currency.  ``display`` is what an iceberg shows.  ``dark``
    keeps it here until it is triggered, even where the venue could hold it.
    Orders that share ``oco`` cancel each other: a fill of one takes its size
    off the others.  One with a ``parent`` is held until that order fills and
    then has the size that was filled; with ``oco`` children, that makes a
    bracket.
    """

    oid: str
    symbol: str
    side: OrderSide
    size: Decimal
    account: str = 'paper'
    type: OrderType = OrderType.MARKET
    price: Decimal | None = None
    stop: Decimal | None = None
    trail: Decimal | None = None
    tif: Tif = Tif.GTC
    good_till_ns: int = 0
    post_only: bool = False
    display: Decimal | None = None
    dark: bool = False
    parent: str = ''
    oco: str = ''


class OrderChange(msgspec.Struct, frozen=True, kw_only=True):
    """
    New values for an open order; what is ``None`` stays.

    ``size`` is the order's whole size, what is filled included.
    """

    oid: str
    account: str = 'paper'
    price: Decimal | None = None
    size: Decimal | None = None
    stop: Decimal | None = None
    trail: Decimal | None = None


class AlertSide(enum.StrEnum):
    """From which side a price must be reached; ``either``: crossed at all."""

    ABOVE = 'above'
    BELOW = 'below'
    EITHER = 'either'


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """
    A price to be told of, once.

    ``fired_ns`` and ``fired_price`` are set once it has gone off; ``side`` is
    settled (never ``either``) as soon as a first price is known.
    """

    aid: str
    symbol: str
    price: Decimal
    side: AlertSide = AlertSide.EITHER
    note: str = ''
    made_ns: int = 0
    fired_ns: int = 0
    fired_price: Decimal | None = None


# emsd → clients

class AlertGone(msgspec.Struct, frozen=True):
    """Somebody has dropped an alert."""

    aid: str


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of an order; ``trade_id`` is the venue's."""

    account: str
    oid: str
    symbol: str
    side: OrderSide
    trade_id: str
    price: Decimal
    size: Decimal
    fee: Decimal = _ZERO
    fee_asset: str = ''
    maker: bool = False
    time_ns: int = 0


class DialogView(msgspec.Struct, frozen=True, kw_only=True):
    """
    An order dialog as every client sees it.

    ``request`` has the values now in force.  ``average`` is the mean price of
    what is filled.  ``cancelling`` and ``changing`` tell what is under way,
    ``in_doubt`` that the venue's answer is being looked for.  ``foreign``
    marks an order that was found at the venue and not made here.  ``version``
    rises with each change.
    """

    request: OrderRequest
    status: OrderStatus
    filled: Decimal = _ZERO
    average: Decimal = _ZERO
    fees: dict[str, Decimal] = {}
    reason: str = ''
    venue_id: str = ''
    cancelling: bool = False
    changing: bool = False
    in_doubt: bool = False
    foreign: bool = False
    client: str = ''
    made_ns: int = 0
    changed_ns: int = 0
    version: int = 0

    @property
    def left(self) -> Decimal:
        """What may still fill."""
        return self.request.size - self.filled


class PositionView(msgspec.Struct, frozen=True, kw_only=True):
    """
    A position: ``size`` is signed, ``average`` its mean entry price.

    ``realised`` and ``unrealised`` are in the quote currency; ``fees`` by
    asset, those in quote or base valued at the fill's price are also in
    ``fees_quote``.  ``mark`` is the price the unrealised part was worked out
    with, ``stale`` whether that price can be trusted.
    """

    account: str
    symbol: str
    size: Decimal
    average: Decimal
    realised: Decimal
    unrealised: Decimal = _ZERO
    fees: dict[str, Decimal] = {}
    fees_quote: Decimal = _ZERO
    mark: Decimal = _ZERO
    stale: bool = False


class Balance(msgspec.Struct, frozen=True):
    free: Decimal
    locked: Decimal = _ZERO

    @property
    def total(self) -> Decimal:
        return self.free + self.locked


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """
    An account as every client sees it.

    ``ready``: its gateway is there and all is reconciled with the venue, so
    orders are sent at once.  ``halted`` is why new orders are refused, empty
    if they are not.
    """

    account: str
    ready: bool = False
    halted: str = ''
    balances: dict[str, Balance] = {}


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person should know, for the log of a desk."""

    time_ns: int
    text: str
    account: str = ''
    oid: str = ''
