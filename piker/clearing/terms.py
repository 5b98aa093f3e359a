"""
What an order may say, and what of it the venue is told.

The checks here are of the order by itself and against the instrument's grid;
`risk` has those against limits.
"""
from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from ..errors import BadInput
from ..instruments import Instrument
from ..orders import (
    Abilities,
    OrderChange,
    OrderRequest,
    OrderType,
    PlaceOrder,
    Tif,
)

__all__ = [
    'FOREIGN',
    'changed',
    'check',
    'check_abilities',
    'check_values',
    'goes_dark',
    'made',
    'same_terms',
]

FOREIGN = 'venue-'  # how the oids of orders begin that were found
_LONGEST_OID = 64
_NEEDS_STOP = frozenset({
    OrderType.STOP, OrderType.TAKE_PROFIT, OrderType.THROUGH,
})


def check(
    request: OrderRequest, instrument: Instrument, now_ns: int
) -> None:
    """Raise `BadInput` for a new order that cannot be meant so."""
    _check_oid(request.oid)
    check_values(request, instrument)
    _check_times(request, now_ns)
    _check_flags(request)


def check_values(request: OrderRequest, instrument: Instrument) -> None:
    """Raise `BadInput` for prices and sizes that no order can have."""
    _check_prices(request, instrument)
    _check_sizes(request, instrument)


def _check_oid(oid: str) -> None:
    if not 1 <= len(oid) <= _LONGEST_OID or not oid.isprintable():
        raise BadInput(
            f'{oid!r} cannot be an oid: take 1 to {_LONGEST_OID} printable '
            'characters'
        )
    if oid.startswith(FOREIGN):
        raise BadInput(
            f"{oid!r}: oids that begin with {FOREIGN!r} are those of orders "
            'found at the venue; take another'
        )


def _check_prices(request: OrderRequest, instrument: Instrument) -> None:
    kind, oid = request.type, request.oid
    _wanted(oid, 'price', request.price, kind is OrderType.LIMIT,
            kind is not OrderType.MARKET, kind)
    _wanted(oid, 'stop', request.stop, kind in _NEEDS_STOP,
            kind in _NEEDS_STOP, kind)
    trails = kind is OrderType.TRAILING_STOP
    _wanted(oid, 'trail', request.trail, trails, trails, kind)
    for name in ('price', 'stop', 'trail'):
        value: Decimal | None = getattr(request, name)
        if value is None:
            continue
        _positive(oid, name, value)
        if not instrument.on_tick(value):
            near = instrument.round_price(value)
            raise BadInput(
                f'{oid}: {name} {value} is not a multiple of the tick size '
                f'{instrument.tick_size} of {instrument.id}; the nearest is '
                f'{near}'
            )


def _wanted(
    oid: str, name: str, value: Decimal | None, needed: bool, allowed: bool,
    kind: OrderType,
) -> None:
    if value is None and needed:
        raise BadInput(f'{oid}: a {kind} order needs a {name}')
    if value is not None and not allowed:
        raise BadInput(f'{oid}: a {kind} order has no {name} ({value})')


def _positive(oid: str, name: str, value: Decimal) -> None:
    if not value.is_finite() or value <= 0:
        raise BadInput(f'{oid}: {name} {value} must be above 0')


def _check_sizes(request: OrderRequest, instrument: Instrument) -> None:
    oid = request.oid
    for name in ('size', 'display'):
        value: Decimal | None = getattr(request, name)
        if value is None:
            continue
        _positive(oid, name, value)
        if value % instrument.lot_size:
            raise BadInput(
                f'{oid}: {name} {value} is not a multiple of the lot size '
                f'{instrument.lot_size} of {instrument.id}'
            )
    if request.display is not None and request.display > request.size:
        raise BadInput(
            f'{oid}: display {request.display} is more than the size '
            f'{request.size}'
        )
    price = request.price
    if price is None:
        return
    if price * request.size < instrument.min_notional:
        raise BadInput(
            f'{oid}: {request.size} at {price} is worth less than the least '
            f'notional {instrument.min_notional} of {instrument.id}'
        )


def _check_times(request: OrderRequest, now_ns: int) -> None:
    if request.tif is Tif.GTD:
        if request.good_till_ns <= now_ns:
            raise BadInput(
                f'{request.oid}: good_till_ns {request.good_till_ns} is not '
                f'in the future (it is {now_ns})'
            )
    elif request.good_till_ns:
        raise BadInput(
            f'{request.oid}: good_till_ns is for tif gtd, not {request.tif}'
        )


def _check_flags(request: OrderRequest) -> None:
    oid = request.oid
    if request.dark and request.type is OrderType.MARKET:
        raise BadInput(f'{oid}: a market order has nothing to wait for')
    if request.price is None:
        if request.post_only or request.display is not None:
            raise BadInput(
                f'{oid}: post_only and display are for orders with a price'
            )
    elif request.post_only and request.tif in {Tif.IOC, Tif.FOK}:
        raise BadInput(f'{oid}: post_only cannot be {request.tif}')
    if request.oco and request.type is OrderType.MARKET:
        raise BadInput(f'{oid}: a market order waits for no other (oco)')
    if request.parent == oid:
        raise BadInput(f'{oid}: an order cannot be its own parent')


def check_abilities(request: OrderRequest, abilities: Abilities) -> None:
    """Raise `BadInput` for what the venue lacks and cannot be done here."""
    oid = request.oid
    kind = _sent_type(request, dark=goes_dark(request, abilities))
    if kind not in abilities.types:
        raise BadInput(
            f'{oid}: the venue has no {kind} orders; it has '
            f'{", ".join(sorted(abilities.types))}'
        )
    if request.tif is not Tif.GTD and request.tif not in abilities.tifs:
        raise BadInput(
            f'{oid}: the venue has no {request.tif} orders; it has '
            f'{", ".join(sorted(abilities.tifs))}'
        )
    if request.post_only and not abilities.post_only:
        raise BadInput(f'{oid}: the venue has no post-only orders')
    if request.display is not None and not abilities.iceberg:
        raise BadInput(f'{oid}: the venue has no orders that show a part')


def goes_dark(request: OrderRequest, abilities: Abilities) -> bool:
    """Whether an order waits here for its trigger."""
    if request.dark:
        return True
    return request.type.waits and request.type not in abilities.types


def _sent_type(request: OrderRequest, dark: bool) -> OrderType:
    if not dark:
        return request.type
    return OrderType.MARKET if request.price is None else OrderType.LIMIT


def changed(request: OrderRequest, change: OrderChange) -> OrderRequest:
    """The request with the new values; raises `BadInput` for none."""
    values = {
        name: getattr(change, name)
        for name in ('price', 'size', 'stop', 'trail')
        if getattr(change, name) is not None
    }
    if not values:
        raise BadInput(
            f'{change.oid}: give a new price, size, stop or trail'
        )
    return replace(request, **values)


def made(
    request: OrderRequest, size: Decimal, cid: str, *, fired: bool
) -> PlaceOrder:
    """
    The order for the venue; ``fired``: its trigger has gone off here.

    How long it is good for (`Tif.GTD`) is seen to here, not there.
    """
    kind = _sent_type(request, dark=fired)
    waits = kind.waits
    return PlaceOrder(
        ref=0, cid=cid, symbol=request.symbol, side=request.side, size=size,
        type=kind, price=request.price,
        stop=request.stop if waits else None,
        trail=request.trail if waits else None,
        tif=Tif.GTC if request.tif is Tif.GTD else request.tif,
        post_only=request.post_only,
        display=(
            None if request.display is None else min(request.display, size)
        ),
    )


def same_terms(a: PlaceOrder, b: PlaceOrder) -> bool:
    """Whether two orders wait and deal at the same prices."""
    return (a.price, a.stop, a.trail) == (b.price, b.stop, b.trail)
