"""
Orders as one writes them down in a script.
"""
from __future__ import annotations

import uuid
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from ..errors import BadInput
from ..orders import OrderRequest, OrderSide, OrderType

__all__ = ['Number', 'exact', 'request_of']

Number = Decimal | str | int


def request_of(
    side: OrderSide, symbol: str, size: Number, options: Mapping[str, Any]
) -> OrderRequest:
    """
    An order of ``options``, the fields of `OrderRequest`.

    Those that are ``None`` count as not given.  The type goes by which of
    ``price``, ``stop`` and ``trail`` there are; without an ``oid`` it gets a
    name that nothing else has.  Raises `BadInput`.
    """
    values = {k: v for k, v in options.items() if v is not None}
    values['size'] = size
    for name in ('size', 'price', 'stop', 'trail', 'display'):
        if name in values:
            values[name] = exact(name, values[name])
    values.setdefault('oid', uuid.uuid4().hex)
    values.setdefault('type', _type_of(values))
    try:
        return OrderRequest(symbol=symbol, side=side, **values)
    except TypeError as err:
        raise BadInput(f'not an option of an order: {err}') from err


def _type_of(values: dict[str, Any]) -> OrderType:
    if 'trail' in values:
        return OrderType.TRAILING_STOP
    if 'stop' in values:
        return OrderType.STOP
    return OrderType.LIMIT if 'price' in values else OrderType.MARKET


def exact(name: str, value: Number) -> Decimal:
    """Raises `BadInput`; a float is refused, since it is rarely exact."""
    if not isinstance(value, float):
        try:
            found = Decimal(value)
        except (InvalidOperation, TypeError, ValueError):
            pass
        else:
            if found.is_finite():
                return found
    raise BadInput(
        f'{name} = {value!r} is not an exact number: write a text, as in '
        f"{name}='0.01', or a Decimal"
    )
