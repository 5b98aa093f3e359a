"""
Orders in words and numbers: how they are written, and how they are shown.
"""
from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import click
import msgspec

from ...clock import NS_PER_S, SystemClock, format_ns, parse_time
from ...orders import DialogView, OrderRequest

__all__ = [
    'NUMBER',
    'TILL',
    'amount',
    'dialog_object',
    'even',
    'money',
    'new_oid',
    'note_text',
    'state_text',
    'terms_text',
]

# Letters and digits that are not taken for one another.
_LETTERS = '23456789abcdefghjkmnpqrstuvwxyz'
_CENT, _SATOSHI = Decimal('0.01'), Decimal('0.00000001')
_SPANS_S = {'s': 1, 'm': 60, 'h': 3600, 'd': 86_400}


def new_oid() -> str:
    """A name that a person can read out: 12 letters, 59 bits."""
    return ''.join(secrets.choice(_LETTERS) for _ in range(12))


class _Number(click.ParamType[Decimal]):
    name = 'number'

    def convert(self, value: Any, param: Any, ctx: Any) -> Decimal:
        if isinstance(value, Decimal):
            return value
        try:
            found = Decimal(value)
        except InvalidOperation:
            found = Decimal('nan')
        if not found.is_finite():
            self.fail(f'{value!r} is not a number', param, ctx)
        if found <= 0:
            self.fail(f'{value} is not above 0', param, ctx)
        return found


class _Till(click.ParamType[int]):
    """A time, or how long from now (``+15m``), as ns UTC."""

    name = 'time'

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, int):
            return value
        try:
            if value[:1] != '+':
                return parse_time(value)
            span_s = float(value[1:-1]) * _SPANS_S[value[-1]]
            return SystemClock().now_ns() + int(span_s * NS_PER_S)
        except (ValueError, KeyError, OverflowError):
            self.fail(
                f'{value!r} is not a time: write 2026-07-01T12:00:00 (UTC), '
                'or +90s, +15m, +2h, +1d from now', param, ctx,
            )


NUMBER = _Number()
TILL = _Till()


def dialog_object(view: DialogView) -> dict[str, Any]:
    """A dialog as one flat object for programs."""
    whole = msgspec.to_builtins(view)
    return {**whole.pop('request'), **whole}


def amount(value: Decimal | None) -> str:
    """A size or price: exact up to eight places, without empty ones."""
    if value is None:
        return ''
    text = f'{value.quantize(_SATOSHI):f}' if _fine(value) else f'{value:f}'
    return text.rstrip('0').rstrip('.') if '.' in text else text


def even(values: Sequence[Decimal], groups: Sequence[str]) -> list[str]:
    """`amount` of each, with as many places as others of its group have."""
    texts = [amount(value) for value in values]
    places: dict[str, int] = {}
    for text, group in zip(texts, groups, strict=True):
        have = len(text.partition('.')[2])
        places[group] = max(have, places.get(group, 0))
    return [
        f'{Decimal(text):.{places[group]}f}'
        for text, group in zip(texts, groups, strict=True)
    ]


def _fine(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent < -8


def money(value: Decimal) -> str:
    """An amount of profit or loss: two places, more of a small one."""
    if abs(value) >= _CENT or abs(value) < _SATOSHI:
        return f'{value.quantize(_CENT):,f}'
    return amount(Decimal(f'{value:.4g}'))


def state_text(view: DialogView) -> str:
    """Where an order stands, and what is under way."""
    return ' '.join(_states(view))


def _states(view: DialogView) -> Iterator[str]:
    yield view.status.value
    if view.in_doubt:
        yield 'in doubt'
    if view.cancelling and not view.status.final:
        yield 'cancelling'
    if view.changing:
        yield 'changing'
    if view.foreign:
        yield 'foreign'


def note_text(view: DialogView) -> str:
    """What else an order says, and why it stands where it does."""
    terms = terms_text(view.request)
    if view.reason.startswith(terms):
        return view.reason
    return ': '.join(filter(None, (terms, view.reason)))


def terms_text(request: OrderRequest) -> str:
    """What else an order says: ``till 12:00:00 post-only oco x``."""
    words = [] if request.tif == 'gtc' else [request.tif.value]
    if request.good_till_ns:
        till = format_ns(request.good_till_ns)[:19]
        today = format_ns(SystemClock().now_ns())[:11]
        words = [f'till {till.removeprefix(today)}']
    if request.post_only:
        words.append('post-only')
    if request.dark:
        words.append('dark')
    if request.display is not None:
        words.append(f'shows {amount(request.display)}')
    if request.parent:
        words.append(f'after {request.parent}')
    if request.oco:
        words.append(f'oco {request.oco}')
    return ' '.join(words)
