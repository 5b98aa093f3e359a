"""
What clearing remembers: one record for each thing that has happened.

A record is a fact and never a decision: whoever applies all of them in order
(`replay.apply`) gets the state that was, however the rules that led to
them have changed since.  They are journalled as JSON; a field that is added
must have a default, and a kind or field that is written once is kept.
"""
from __future__ import annotations

from decimal import Decimal
from typing import get_args

import msgspec

from ..errors import DataError
from ..gateway import Abilities, OrderReport, PlaceOrder
from ..instruments import Instrument
from ..orders import Alert, AlertSide, Balance, Fill, OrderRequest, OrderStatus
from .dialog import PlacementState

__all__ = [
    'Accepted',
    'Adopted',
    'AlertDropped',
    'AlertFired',
    'AlertMade',
    'AlertSided',
    'Amended',
    'Balances',
    'Begun',
    'CancelWanted',
    'ChangeFailed',
    'ChangeWanted',
    'Claimed',
    'DayOpened',
    'Doubted',
    'Ended',
    'Filled',
    'GatewayKnown',
    'Halted',
    'InstrumentKnown',
    'Peaked',
    'Record',
    'Released',
    'Reported',
    'Resumed',
    'Searched',
    'Sent',
    'Suspected',
    'Synced',
    'Triggered',
    'Unsynced',
    'decode',
    'encode',
    'kind_of',
]

_ZERO = Decimal(0)


class _Record(
    msgspec.Struct, frozen=True, kw_only=True, tag_field='kind',
    omit_defaults=True,
):
    """``account`` and ``oid`` are empty where it concerns none."""

    time_ns: int
    account: str = ''
    oid: str = ''


class Begun(_Record, frozen=True, kw_only=True, tag='begun'):
    """The journal was made; ``tag`` makes its order ids its own."""

    tag: str


class InstrumentKnown(_Record, frozen=True, kw_only=True, tag='instrument'):
    """What is traded, as it was when an order in it was first taken."""

    instrument: Instrument


class GatewayKnown(_Record, frozen=True, kw_only=True, tag='gateway'):
    """What an account's gateway can do, when it was first there or changed."""

    abilities: Abilities


class Unsynced(_Record, frozen=True, kw_only=True, tag='unsynced'):
    """From here on reports of an account may be missing."""

    reason: str = ''


class Synced(_Record, frozen=True, kw_only=True, tag='synced'):
    """A snapshot is in: everything before it is known."""


class Suspected(_Record, frozen=True, kw_only=True, tag='suspected'):
    """
    Balances have changed as by trades in ``symbols`` that were not told of.

    No order of the account has been in any of them, nor need there be such
    an instrument: the venue is asked.
    """

    symbols: list[str]


class Searched(_Record, frozen=True, kw_only=True, tag='searched'):
    """The venue has told what there is to tell of a suspect."""

    symbol: str


class Accepted(_Record, frozen=True, kw_only=True, tag='accepted'):
    """
    A client's order was taken on.

    ``status`` is ``pending``, ``held`` or ``dark``; ``reference`` the price
    at which the market stood, where one was known.
    """

    request: OrderRequest
    status: OrderStatus
    client: str = ''
    reference: Decimal | None = None


class Adopted(_Record, frozen=True, kw_only=True, tag='adopted'):
    """An order that we did not make was found at the venue."""

    report: OrderReport


class Released(_Record, frozen=True, kw_only=True, tag='released'):
    """A held or pending order goes its way: ``pending`` or ``dark``."""

    status: OrderStatus
    reference: Decimal | None = None


class Amended(_Record, frozen=True, kw_only=True, tag='amended'):
    """
    The values in force of an order changed here.

    ``asked`` is the whole size that the client wants, where that changed.
    """

    request: OrderRequest
    asked: Decimal | None = None


class Peaked(_Record, frozen=True, kw_only=True, tag='peaked'):
    """The price that a dark order measures from."""

    price: Decimal


class Triggered(_Record, frozen=True, kw_only=True, tag='triggered'):
    """A dark order fired on a tick at ``price``."""

    price: Decimal
    tick_ns: int


class Sent(_Record, frozen=True, kw_only=True, tag='sent'):
    """
    An order is about to go to the venue.

    ``request`` are the values that are in force once it is there, ``None``
    for those that are already; ``replaces`` the cid that it takes the place
    of by one command; ``paired`` marks a leg of the venue's own OCO.
    """

    cid: str
    revision: int
    order: PlaceOrder
    request: OrderRequest | None = None
    replaces: str = ''
    paired: bool = False


class Doubted(_Record, frozen=True, kw_only=True, tag='doubted'):
    """It is not known how ``cid`` stands; the venue is asked."""

    cid: str
    reason: str = ''


class Reported(_Record, frozen=True, kw_only=True, tag='reported'):
    """
    What became known of the order ``cid``; settles a doubt.

    ``size`` and the others are set where the venue has other values than
    those sent.
    """

    cid: str
    state: PlacementState
    filled: Decimal = _ZERO
    venue_id: str = ''
    reason: str = ''
    size: Decimal | None = None
    price: Decimal | None = None
    stop: Decimal | None = None
    venue_ns: int = 0


class Filled(_Record, frozen=True, kw_only=True, tag='filled'):
    """
    One execution; ``oid`` is empty while it is not known whose it is.

    Then ``venue_id`` tells it, see `Claimed`.
    """

    fill: Fill
    cid: str = ''
    venue_id: str = ''


class Claimed(_Record, frozen=True, kw_only=True, tag='claimed'):
    """The fills of ``venue_id`` belong to ``oid``, its order ``cid``."""

    cid: str
    venue_id: str
    symbol: str


class CancelWanted(_Record, frozen=True, kw_only=True, tag='cancel'):
    """An order is to be cancelled, and ``status`` what it ends as."""

    status: OrderStatus = OrderStatus.CANCELLED
    reason: str = ''
    client: str = ''


class ChangeWanted(_Record, frozen=True, kw_only=True, tag='change'):
    """
    An order at the venue is to have the values of ``request``.

    ``asked`` is the whole size that the client wants, where that changed.
    """

    request: OrderRequest
    asked: Decimal | None = None
    client: str = ''


class ChangeFailed(_Record, frozen=True, kw_only=True, tag='unchanged'):
    """The change that was wanted is not to be had."""

    reason: str


class Ended(_Record, frozen=True, kw_only=True, tag='ended'):
    """A dialog is over."""

    status: OrderStatus
    reason: str = ''


class DayOpened(_Record, frozen=True, kw_only=True, tag='day'):
    """
    The last price before a UTC day of an instrument that was held then.

    The day is that of ``time_ns``; its losses are measured from there.
    """

    symbol: str
    price: Decimal


class Balances(_Record, frozen=True, kw_only=True, tag='balances'):
    """Balances of an account by asset, those that have changed."""

    balances: dict[str, Balance]


class Halted(_Record, frozen=True, kw_only=True, tag='halted'):
    """No new orders for ``account``, or for all if it is empty."""

    reason: str = ''
    client: str = ''


class Resumed(_Record, frozen=True, kw_only=True, tag='resumed'):
    """The halt of ``account``, or of all if it is empty, is lifted."""

    client: str = ''


class AlertMade(_Record, frozen=True, kw_only=True, tag='alert'):
    alert: Alert
    client: str = ''


class AlertSided(_Record, frozen=True, kw_only=True, tag='alert-sided'):
    """From which side an alert's price must be reached."""

    aid: str
    side: AlertSide


class AlertFired(_Record, frozen=True, kw_only=True, tag='alert-fired'):
    aid: str
    price: Decimal
    tick_ns: int


class AlertDropped(_Record, frozen=True, kw_only=True, tag='alert-dropped'):
    aid: str
    client: str = ''


Record = (
    Begun | InstrumentKnown | GatewayKnown | Unsynced | Synced | Suspected
    | Searched | Accepted | Adopted | Released | Amended | Peaked | Triggered
    | Sent | Doubted | Reported | Filled | Claimed | CancelWanted
    | ChangeWanted | ChangeFailed | Ended | Balances | DayOpened | Halted
    | Resumed | AlertMade | AlertSided | AlertFired | AlertDropped
)

_KINDS: dict[type[Record], str] = {
    kind: str(kind.__struct_config__.tag) for kind in get_args(Record)
}
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def encode(record: Record) -> bytes:
    """A record as JSON."""
    return _encoder.encode(record)


def decode(body: bytes) -> Record:
    """The record of `encode`; raises `DataError` for anything else."""
    try:
        return _decoder.decode(body)
    except msgspec.MsgspecError as err:
        raise DataError(f'not a record: {err}: {body[:80]!r}') from err


def kind_of(record: Record) -> str:
    """The name of a record's kind, as it is journalled."""
    return _KINDS[type(record)]
