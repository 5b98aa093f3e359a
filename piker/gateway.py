"""
What clearing asks of a gateway: the whole contract, in one file.

A gateway carries the orders of one account to one venue.  Live ones run in
the provider's ``brokerd`` and are reached over the actor tree, the paper one
runs in ``emsd``; both are this to it.  First the commands and messages, plain
structs as in `orders` with prices, sizes and times as there; then the
interface that they go through.
"""
from __future__ import annotations

import enum
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from .orders import Balance, OrderSide, OrderType, Tif

__all__ = [
    'Abilities',
    'AccountReport',
    'Answer',
    'CancelOrder',
    'Command',
    'FillReport',
    'Gateway',
    'GatewayFactory',
    'GatewayMessage',
    'LinkReport',
    'LiveGateway',
    'OrderReport',
    'Outcome',
    'PlaceOco',
    'PlaceOrder',
    'QueryOrder',
    'ReplaceOrder',
    'Snapshot',
    'VenueStatus',
]

_ZERO = Decimal(0)


class _Said(msgspec.Struct, frozen=True, tag_field='is'):
    """A message of several kinds on one stream: ``is`` says which."""


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


# the interface

class Gateway(Protocol):
    """
    One account at one venue.

    Every command ends in exactly one `Answer` with its ``ref``, unless the
    gateway itself dies first; then each command without an answer is in
    doubt.  A command is tried once: what a time-out leaves open is said so
    (`Outcome.DOUBT`), never tried again.  Commands that concern one order
    are carried out in the order they were sent; others side by side.
    Reports come as the venue sends them: perhaps late, twice, or out of
    order.
    """

    abilities: Abilities

    def send(self, command: Command) -> None:
        """Hand over a command; does not wait.  `ActorDied` if it is gone."""

    async def receive(self) -> list[GatewayMessage]:
        """
        What has come since the last call, at least one message.

        Raises `ActorDied` once the gateway is gone.
        """


class LiveGateway(Gateway, Protocol):
    """One that is reached over a network."""

    async def carry_out(self, command: Command) -> None:
        """`send` and wait until it is answered: at once, in this task."""


class GatewayFactory(Protocol):
    """
    How a provider offers live gateways: ``open_gateway`` in its package.

    ``account`` is the account's name and ``settings`` its table in the
    configuration, checked; ``backend`` the provider's open `Backend`.
    Raises `ConfigError` for keys that are missing, `VenueRefused` for those
    that the venue does not take.
    """

    def __call__(
        self, account: str, settings: dict[str, Any], backend: Any
    ) -> AbstractAsyncContextManager[LiveGateway]: ...
