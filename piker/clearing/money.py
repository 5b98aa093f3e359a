"""
Arithmetic that loses nothing.

The default context of `decimal` keeps 28 digits, which a sum of products of
long prices and sizes outgrows: 8 digits after the point in each make 16 in a
product, and a turnover of a few million millions brings another 13.  `EXACT`
keeps 100 and raises `decimal.Inexact` rather than round.  Where a quotient
has to be rounded, it is rounded to `QUANTUM`, halves to even, at one named
place.
"""
from __future__ import annotations

from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)

__all__ = ['EXACT', 'QUANTUM', 'plain', 'ratio']

_DIGITS = 100

QUANTUM = Decimal('1E-18')

EXACT = Context(
    prec=_DIGITS,
    rounding=ROUND_HALF_EVEN,
    traps=[Inexact, InvalidOperation, DivisionByZero, Overflow],
)
_ROUNDING = Context(
    prec=_DIGITS,
    rounding=ROUND_HALF_EVEN,
    traps=[InvalidOperation, DivisionByZero, Overflow],
)


def ratio(a: Decimal, b: Decimal, by: Decimal) -> Decimal:
    """``a × b / by`` to the nearest `QUANTUM`, halves to the even one."""
    quotient = _ROUNDING.divide(EXACT.multiply(a, b), by)
    return quotient.quantize(QUANTUM, context=_ROUNDING)


def plain(value: Decimal) -> Decimal:
    """The same number without zeros at its end and without an exponent."""
    short = _ROUNDING.normalize(value)
    exponent = short.as_tuple().exponent
    if isinstance(exponent, int) and exponent > 0:
        return short.quantize(Decimal(1), context=_ROUNDING)
    return short
