"""
The line that is typed at the desk: the words of ``piker ems``, parsed alike.
"""
from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import click

from ...errors import BadInput, did_you_mean
from ...orders import OrderRequest, OrderSide
from ..ems.orders import ACCOUNT, CHANGES, ORDER, order_requests
from ..ems.words import NUMBER, amount, terms_text

__all__ = ['WORDS', 'Parsed', 'brief', 'complete', 'describe', 'parse']

_ANY_ACCOUNT = click.Option(['-a', '--account'], default='')
_OIDS = click.Argument(['oids'], nargs=-1, required=True, metavar='OID...')
_SYMBOLS = click.Argument(
    ['symbols'], nargs=-1, required=True, metavar='SYMBOL...'
)

_WORDS: dict[str, list[click.Parameter]] = {
    'buy': ORDER,
    'sell': ORDER,
    'modify': [
        click.Argument(['oid'], metavar='OID'), *CHANGES, _ANY_ACCOUNT,
    ],
    'cancel': [_OIDS, _ANY_ACCOUNT],
    'cancel-all': [_ANY_ACCOUNT, click.Option(['--symbol'], default='')],
    'halt': [
        _ANY_ACCOUNT, click.Option(['--reason'], default='halted by hand'),
    ],
    'resume': [_ANY_ACCOUNT],
    'alert': [
        click.Argument(['symbol'], metavar='SYMBOL'),
        click.Argument(['price'], type=NUMBER, metavar='PRICE'),
        click.Option(['--above'], is_flag=True),
        click.Option(['--below'], is_flag=True),
        click.Option(['--note'], default=''),
    ],
    'watch': [_SYMBOLS],
    'unwatch': [_SYMBOLS],
    'account': [click.Argument(['account'], metavar='ACCOUNT')],
}
WORDS: dict[str, click.Command] = {
    name: click.Command(name, params=params, add_help_option=False)
    for name, params in _WORDS.items()
}


@dataclass(frozen=True, slots=True)
class Parsed:
    """A word, its values, and whether an account was named in the line."""

    name: str
    values: dict[str, Any]

    def requests(self) -> list[OrderRequest]:
        """Of ``buy`` and ``sell``; raises `BadInput`."""
        return order_requests(OrderSide(self.name), self.values)


def parse(line: str, account: str) -> Parsed:
    """
    What a line says; an order that names no account gets ``account``.

    Raises `BadInput`.
    """
    try:
        word, *rest = shlex.split(line) or ['']
    except ValueError as err:
        raise BadInput(f'{err}: close the quotation mark') from err
    command = WORDS.get(word)
    if command is None:
        raise BadInput(
            f'{word!r} is no command.{did_you_mean(word, WORDS)}'
        )
    context = click.Context(command, info_name=word)
    try:
        command.parse_args(context, rest)
    except click.UsageError as err:
        raise BadInput(f'{word}: {err.format_message()}') from err
    values = dict(context.params)
    source = context.get_parameter_source('account')
    if (
        ACCOUNT in command.params
        and source is click.core.ParameterSource.DEFAULT
    ):
        values['account'] = account
    return Parsed(word, values)


def brief(request: OrderRequest) -> str:
    """An order in few words."""
    words = [
        request.side.value, amount(request.size), request.symbol,
        request.type.value,
    ]
    if request.price is not None:
        words.append(amount(request.price))
    if request.stop is not None:
        words.append(f'at {amount(request.stop)}')
    if request.trail is not None:
        words.append(amount(request.trail))
    return ' '.join(words)


def describe(request: OrderRequest, last: Decimal | None, quote: str) -> str:
    """An order in words, with what it is worth and how far it is away."""
    words = (brief(request), terms_text(request))
    text = f'{" ".join(filter(None, words))} · {request.account}'
    price = request.price or request.stop or last
    if price is not None:
        text += f' · ≈ {price * request.size:,.2f} {quote.lower()}'.rstrip()
    if last and price is not None and price != last:
        text += f' · {(price - last) / last:+.2%} away'
    return text


def complete(
    line: str, symbols: Iterable[str], oids: Iterable[str]
) -> tuple[str, list[str]]:
    """
    The line with its last word gone on with, and what that may become.

    A word that can only be one is finished with a space.
    """
    head, _, last = line.rpartition(' ')
    words = head.split()
    if not words:
        known: Iterable[str] = WORDS
    elif words[0] not in WORDS:
        return line, []
    elif last.startswith('-'):
        known = [
            option for param in WORDS[words[0]].params
            if isinstance(param, click.Option) for option in param.opts
            if option.startswith('--')
        ]
    elif words[0] in {'cancel', 'modify'} or words[-1] == '--parent':
        known = oids
    else:
        known = symbols
    found = sorted(name for name in known if name.startswith(last.lower()))
    if not found:
        return line, []
    common = found[0]
    while not all(name.startswith(common) for name in found):
        common = common[:-1]
    if len(found) == 1:
        common += ' '
    return f'{head} {common}' if words else common, found
