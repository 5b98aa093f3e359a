"""
An order dialog: everything between taking an order on and its end.

::

    held ──→ pending ──→ open ──→ closed | cancelled | rejected | expired
       └──→ dark ──→ triggered ──┘          (each of them may end at once)

A dialog has one `Placement` for each order that was sent to the venue on its
behalf: the first, and one for each replacement.  What the client sees
(`Dialog.view`) is the sum of them.  Nothing here decides anything: the
methods apply what records say, see `records`.
"""
from __future__ import annotations

import enum
from decimal import Decimal

import msgspec

from ..gateway import PlaceOrder
from ..orders import DialogView, Fill, OrderRequest, OrderStatus

__all__ = ['Dialog', 'Placement', 'PlacementState']

_ZERO = Decimal(0)


class PlacementState(enum.StrEnum):
    """
    How an order that was sent stands at its venue.

    ``sent``: perhaps not even there; ``lost``: it never got there.
    """

    SENT = 'sent'
    OPEN = 'open'
    FILLED = 'filled'
    CANCELLED = 'cancelled'
    REJECTED = 'rejected'
    EXPIRED = 'expired'
    LOST = 'lost'

    @property
    def live(self) -> bool:
        """Whether it may still fill."""
        return self in _LIVE


_LIVE = frozenset({PlacementState.SENT, PlacementState.OPEN})
_NOT_TAKEN = frozenset({
    PlacementState.SENT, PlacementState.REJECTED, PlacementState.LOST,
})


class Placement(msgspec.Struct, kw_only=True):
    """
    One order at the venue.

    ``request`` are the dialog's values that it stands for.  ``filled`` is
    what the venue counts, ``known`` what we have fills of.  ``doubt``: it is
    not known how it stands, the venue has to be asked.
    """

    cid: str
    order: PlaceOrder
    request: OrderRequest
    sent_ns: int
    replaces: str = ''
    paired: bool = False
    state: PlacementState = PlacementState.SENT
    venue_id: str = ''
    filled: Decimal = _ZERO
    known: Decimal = _ZERO
    doubt: bool = False
    reason: str = ''
    venue_ns: int = 0  # of the newest report

    @property
    def accepted(self) -> bool:
        """Whether the venue has taken it at all."""
        return self.state not in _NOT_TAKEN

    @property
    def begun(self) -> bool:
        """Whether some of it is filled, by the venue's word or by ours."""
        return bool(self.filled or self.known)

    @property
    def missing(self) -> bool:
        """Whether the venue counts fills that we have not seen."""
        return self.filled > self.known

    @property
    def overdue(self) -> bool:
        """Whether its fills say that it is over, and its venue has not."""
        return (
            self.state is PlacementState.OPEN
            and self.known >= self.order.size
        )

    @property
    def settled(self) -> bool:
        """Whether it is known how it stands, fills included."""
        return (
            self.state is not PlacementState.SENT
            and not self.doubt
            and not self.missing
        )


class Dialog(msgspec.Struct, kw_only=True):
    """
    One order dialog of an account.

    ``original`` is the request as it came, ``request`` has the values in
    force, ``change`` those that are wanted instead.  ``asked`` is the whole
    size that the client wants, ``asking`` the one that a change under way is
    to bring; ``request.size`` may be less, see `groups`.
    ``cancel`` is what it is to end as, once a cancel is wanted; ``most`` the
    size beyond which the venue would not have it grow with its parent.
    ``reference`` is the price that a dark order measures from.
    """

    account: str
    original: OrderRequest
    request: OrderRequest
    asked: Decimal
    status: OrderStatus
    client: str = ''
    foreign: bool = False
    made_ns: int = 0
    changed_ns: int = 0
    version: int = 0
    reason: str = ''
    placements: list[Placement] = []
    change: OrderRequest | None = None
    asking: Decimal | None = None
    most: Decimal | None = None
    cancel: OrderStatus | None = None
    reference: Decimal | None = None
    triggered: Decimal | None = None
    filled: Decimal = _ZERO
    cost: Decimal = _ZERO
    fees: dict[str, Decimal] = {}

    @property
    def oid(self) -> str:
        return self.original.oid

    @property
    def symbol(self) -> str:
        return self.original.symbol

    @property
    def final(self) -> bool:
        return self.status.final

    @property
    def wanted(self) -> OrderRequest:
        """The values it should have."""
        return self.change or self.request

    @property
    def live(self) -> list[Placement]:
        """Its orders that may still fill."""
        return [p for p in self.placements if p.state.live]

    @property
    def settled(self) -> bool:
        """Whether it is known how each of its orders stands."""
        return all(p.settled for p in self.placements)

    @property
    def in_doubt(self) -> bool:
        return any(p.doubt for p in self.placements)

    def put_in_force(self, request: OrderRequest) -> None:
        """The order has these values now."""
        self.request = request
        if self.change == request:
            self.change = None
            if self.asking is not None:
                self.asked, self.asking = self.asking, None

    def placement(self, cid: str) -> Placement:
        """The order ``cid``; `KeyError` if it isn't one of these."""
        for placement in reversed(self.placements):
            if placement.cid == cid:
                return placement
        raise KeyError(cid)

    def view(self) -> DialogView:
        """What clients see."""
        average = self.cost / self.filled if self.filled else _ZERO
        taken = [p for p in self.placements if p.accepted]
        return DialogView(
            request=self.request,
            status=self.status,
            filled=self.filled,
            average=average,
            fees=dict(self.fees),
            reason=self.reason,
            venue_id=taken[-1].venue_id if taken else '',
            cancelling=self.cancel is not None and not self.final,
            changing=self.change is not None and not self.final,
            in_doubt=self.in_doubt,
            foreign=self.foreign,
            client=self.client,
            made_ns=self.made_ns,
            changed_ns=self.changed_ns,
            version=self.version,
        )

    def add_fill(self, fill: Fill, placement: Placement) -> None:
        """Count a fill of one of its orders."""
        placement.known += fill.size
        self.filled += fill.size
        self.cost += fill.price * fill.size
        if fill.fee:
            so_far = self.fees.get(fill.fee_asset, _ZERO)
            self.fees[fill.fee_asset] = so_far + fill.fee
