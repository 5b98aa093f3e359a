"""
What an order may say, and what of it the venue is told.

The checks here are of the order by itself and against the instrument's grid;
`risk` has those against limits.  A refusal begins with what is wrong; which
order it is about, whoever asked knows, or adds.
"""
from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from ..errors import BadInput
from ..gateway import Abilities, PlaceOrder
from ..instruments import Instrument
from ..orders import OrderChange, OrderRequest, OrderType, Tif
from .money import plain

__all__ = [
    'FOREIGN',
    'changed',
    'check',
    'check_abilities',
    'check_values',
    'digits',
    'goes_dark',
    'made',
    'near_sizes',
    'same_terms',
]

FOREIGN = 'venue-'  # how the oids of orders begin that were found
_LONGEST_OID = 64
# Beyond these no price or size is meant, nor could it be reckoned with.
_LARGEST = Decimal('1e15')
_MOST_DIGITS = 40
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


def digits(value: Decimal) -> str:
    """A number as a person writes it: 0.00000009, never 9E-8."""
    if not value.is_finite() or abs(value.adjusted()) > _MOST_DIGITS:
        return str(value)  # of use to nobody, however it is written
    return f'{plain(value):f}'


def _check_prices(request: OrderRequest, instrument: Instrument) -> None:
    kind = request.type
    _wanted(instrument, 'price', request.price, kind is OrderType.LIMIT,
            kind is not OrderType.MARKET, kind)
    _wanted(instrument, 'stop', request.stop, kind in _NEEDS_STOP,
            kind in _NEEDS_STOP, kind)
    trails = kind is OrderType.TRAILING_STOP
    _wanted(instrument, 'trail', request.trail, trails, trails, kind)
    for name in ('price', 'stop', 'trail'):
        value: Decimal | None = getattr(request, name)
        if value is None:
            continue
        _positive(instrument, name, value)
        if not instrument.on_tick(value):
            tick = instrument.tick_size
            near = max(instrument.round_price(value), tick)
            raise BadInput(
                f'{instrument.id}: {name} {digits(value)} is not a multiple '
                f'of the tick size {digits(tick)}; the nearest is '
                f'{instrument.format_price(near)}'
            )


def _wanted(
    instrument: Instrument, name: str, value: Decimal | None, needed: bool,
    allowed: bool, kind: OrderType,
) -> None:
    if value is None and needed:
        raise BadInput(f'{instrument.id}: a {kind} order needs a {name}')
    if value is not None and not allowed:
        raise BadInput(
            f'{instrument.id}: a {kind} order has no {name} '
            f'({digits(value)})'
        )


def _positive(instrument: Instrument, name: str, value: Decimal) -> None:
    if not value.is_finite() or value <= 0:
        raise BadInput(
            f'{instrument.id}: {name} {digits(value)} must be above 0'
        )
    if value > _LARGEST:
        raise BadInput(
            f'{instrument.id}: {name} {digits(value)} is more than any order '
            f'can have, {digits(_LARGEST)}'
        )


def _check_sizes(request: OrderRequest, instrument: Instrument) -> None:
    price = request.price
    for name in ('size', 'display'):
        value: Decimal | None = getattr(request, name)
        if value is None:
            continue
        _positive(instrument, name, value)
        if value % instrument.lot_size:
            near = (
                near_sizes(value, instrument, price) if name == 'size'
                else near_sizes(value, instrument, most=request.size)
            )
            raise BadInput(
                f'{instrument.id}: {name} {digits(value)} is not a multiple '
                f'of the lot size {digits(instrument.lot_size)}; {near}'
            )
    size = request.size
    if request.display is not None and request.display > size:
        raise BadInput(
            f'{instrument.id}: display {digits(request.display)} is more '
            f'than the size {digits(size)}'
        )
    if price is None:
        return
    if price * size < instrument.min_notional:
        raise BadInput(
            f'{instrument.id}: {digits(size)} at {digits(price)} is worth '
            f'{digits(price * size)}, less than the least notional '
            f'{digits(instrument.min_notional)}; the least size at that '
            f'price is {digits(_least(instrument, price))}'
        )


def near_sizes(
    size: Decimal, instrument: Instrument, price: Decimal | None = None,
    most: Decimal | None = None,
) -> str:
    """
    The sizes next to one, in words, that an order can have.

    At least what an order at ``price`` must be, at most ``most``.
    """
    lot = instrument.lot_size
    below = size - size % lot
    least = _least(instrument, price)
    near = [max(below, least)]
    if below >= least:
        near.append(below + lot)
    if most is not None:
        near = [n for n in near if n <= most] or [most]
    if len(near) == 1:
        return f'the nearest is {digits(near[0])}'
    return f'the nearest are {" and ".join(map(digits, near))}'


def _least(instrument: Instrument, price: Decimal | None) -> Decimal:
    """The least size of an order at a price; a lot where it has none."""
    lot = instrument.lot_size
    if not price or price < 0:
        return lot
    lots = -(-instrument.min_notional // (price * lot))
    if lots * price * lot < instrument.min_notional:
        lots += 1
    return max(lots, Decimal(1)) * lot


def _check_times(request: OrderRequest, now_ns: int) -> None:
    if request.tif is Tif.GTD:
        if request.good_till_ns <= now_ns:
            raise BadInput(
                f'good_till_ns {request.good_till_ns} is not in the future '
                f'(it is {now_ns})'
            )
    elif request.good_till_ns:
        raise BadInput(
            f'good_till_ns is for tif gtd, not {request.tif}'
        )


def _check_flags(request: OrderRequest) -> None:
    if request.dark and request.type is OrderType.MARKET:
        raise BadInput('a market order has nothing to wait for (dark)')
    if request.price is None:
        if request.post_only or request.display is not None:
            raise BadInput(
                'post_only and display are for orders with a price'
            )
    elif request.post_only and request.tif in {Tif.IOC, Tif.FOK}:
        raise BadInput(f'post_only cannot be {request.tif}')
    if request.oco and request.type is OrderType.MARKET:
        raise BadInput('a market order waits for no other (oco)')
    if request.parent == request.oid:
        raise BadInput(
            f'an order cannot be its own parent ({request.oid})'
        )


def check_abilities(request: OrderRequest, abilities: Abilities) -> None:
    """Raise `BadInput` for what the venue lacks and cannot be done here."""
    venue = f'account {request.account}: the venue'
    kind = _sent_type(request, dark=goes_dark(request, abilities))
    if kind not in abilities.types:
        raise BadInput(
            f'{venue} has no {kind} orders; it has '
            f'{", ".join(sorted(abilities.types))}'
        )
    if request.tif is not Tif.GTD and request.tif not in abilities.tifs:
        raise BadInput(
            f'{venue} has no {request.tif} orders; it has '
            f'{", ".join(sorted(abilities.tifs))}'
        )
    if request.post_only and not abilities.post_only:
        raise BadInput(f'{venue} has no post-only orders')
    if request.display is not None and not abilities.iceberg:
        raise BadInput(f'{venue} has no orders that show a part')


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
