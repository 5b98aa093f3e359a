"""
The words of orders: what clients, ``emsd`` and gateways say to one another.

Like `messages`, of which this is the part that concerns trading: plain typed
structs, grouped by sender → receiver, sent by `messages.pack` and read by
`messages.unpack`.  Prices and sizes are `Decimal` (strings on the wire),
times ns UTC.  Sizes are positive, `OrderSide` says which way.
"""
from __future__ import annotations

import enum
from decimal import Decimal

import msgspec

__all__ = [
    'Abilities',
    'AccountReport',
    'AccountView',
    'Alert',
    'AlertGone',
    'AlertSide',
    'Answer',
    'Balance',
    'CancelOrder',
    'Command',
    'DialogView',
    'Fill',
    'FillReport',
    'GatewayMessage',
    'LinkReport',
    'Notice',
    'OrderChange',
    'OrderReport',
    'OrderRequest',
    'OrderSide',
    'OrderStatus',
    'OrderType',
    'Outcome',
    'PlaceOco',
    'PlaceOrder',
    'PositionView',
    'QueryOrder',
    'ReplaceOrder',
    'Snapshot',
    'Tif',
    'VenueStatus',
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


class _Said(msgspec.Struct, frozen=True, tag_field='is'):
    """A message of several kinds on one stream: ``is`` says which."""


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


# emsd → gateways.  ``cid`` is our order id at the venue, at most 36 letters,
# digits, '-' and '_'; ``ref`` numbers a command so that its `Answer` can be
# told from others.

class PlaceOrder(_Said, frozen=True, kw_only=True, tag='place'):
    ref: int
    cid: str
    symbol: str
    side: OrderSide
    size: Decimal
    type: OrderType
    price: Decimal | None = None
    stop: Decimal | None = None
    trail: Decimal | None = None
    tif: Tif = Tif.GTC
    post_only: bool = False
    display: Decimal | None = None


class PlaceOco(_Said, frozen=True, kw_only=True, tag='oco'):
    """Two orders of one side and size, of which one fills; ``cid`` of both."""

    ref: int
    cid: str
    above: PlaceOrder
    below: PlaceOrder


class CancelOrder(_Said, frozen=True, kw_only=True, tag='cancel'):
    ref: int
    cid: str
    symbol: str
    venue_id: str = ''


class ReplaceOrder(_Said, frozen=True, kw_only=True, tag='replace'):
    """
    Cancel ``cid`` and place ``order`` in its stead, or neither.

    If the first can't be cancelled the second is not placed.
    """

    ref: int
    cid: str
    symbol: str
    order: PlaceOrder
    venue_id: str = ''


class QueryOrder(_Said, frozen=True, kw_only=True, tag='query'):
    """
    Ask what the venue knows of an order: an `OrderReport` and its fills,
    then the `Answer`; `Outcome.UNKNOWN` if it has never heard of it.
    """

    ref: int
    cid: str
    symbol: str
    venue_id: str = ''


class Snapshot(_Said, frozen=True, kw_only=True, tag='snapshot'):
    """
    Ask for everything: an `OrderReport` for each open order of the account,
    `FillReport`s of ``symbols`` from ``since`` on (venue trade ids, exclusive,
    per symbol; absent: from ``since_ns`` on), an `AccountReport`, then the
    `Answer`.
    """

    ref: int
    symbols: list[str] = []
    since: dict[str, str] = {}
    since_ns: int = 0


Command = (
    PlaceOrder | PlaceOco | CancelOrder | ReplaceOrder | QueryOrder | Snapshot
)


# gateways → emsd

class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway's venue does itself; the rest is done dark."""

    types: frozenset[OrderType]
    tifs: frozenset[Tif] = frozenset({Tif.GTC, Tif.IOC, Tif.FOK})
    post_only: bool = True
    iceberg: bool = False
    oco: bool = False
    replace: bool = True


class Outcome(enum.StrEnum):
    """
    How a command ended.

    ``refused`` is a definite no with nothing changed; ``unsent`` never left
    us; ``doubt`` may or may not have been carried out; ``unknown`` answers a
    query, or a cancel, of an order that the venue has never heard of or that
    is no longer open.
    """

    DONE = 'done'
    REFUSED = 'refused'
    UNSENT = 'unsent'
    DOUBT = 'doubt'
    UNKNOWN = 'unknown'


class Answer(_Said, frozen=True, kw_only=True, tag='answer'):
    """
    The end of command ``ref``.

    What the venue said of orders comes before it as `OrderReport` and
    `FillReport`.  Of a replacement that is ``refused``, the old order stands
    unless a report has said otherwise.
    """

    ref: int
    outcome: Outcome
    reason: str = ''
    venue_id: str = ''


class VenueStatus(enum.StrEnum):
    """An order's state at its venue."""

    OPEN = 'open'
    FILLED = 'filled'
    CANCELLED = 'cancelled'
    REJECTED = 'rejected'
    EXPIRED = 'expired'


class OrderReport(_Said, frozen=True, kw_only=True, tag='order'):
    """
    An order as its venue has it at ``time_ns``.

    ``filled`` is all of it so far; fills themselves come as `FillReport`, in
    any order relative to this.  Everything about the order is there, so that
    one we did not make can be shown.
    """

    cid: str
    venue_id: str
    symbol: str
    side: OrderSide
    size: Decimal
    filled: Decimal
    type: OrderType
    status: VenueStatus
    price: Decimal | None = None
    stop: Decimal | None = None
    tif: Tif = Tif.GTC
    post_only: bool = False
    display: Decimal | None = None
    reason: str = ''
    time_ns: int = 0


class FillReport(_Said, frozen=True, kw_only=True, tag='fill'):
    """One execution; ``trade_id`` is unique per account and symbol."""

    cid: str
    venue_id: str
    symbol: str
    side: OrderSide
    trade_id: str
    price: Decimal
    size: Decimal
    fee: Decimal = _ZERO
    fee_asset: str = ''
    maker: bool = False
    time_ns: int = 0


class AccountReport(_Said, frozen=True, kw_only=True, tag='account'):
    """Balances by asset (lower case); ``whole``: assets not named are 0."""

    balances: dict[str, Balance]
    whole: bool = False
    time_ns: int = 0


class LinkReport(_Said, frozen=True, kw_only=True, tag='link'):
    """
    The venue's stream of our orders came up or went down.

    After each ``up`` something may have been missed: ask for a `Snapshot`.
    """

    up: bool
    reason: str = ''


GatewayMessage = (
    Answer | OrderReport | FillReport | AccountReport | LinkReport
)
