"""
Orders as a command line writes them, for the shell and for the desk.
"""
from __future__ import annotations

from decimal import Decimal
from typing import Any

import click

from ...errors import BadInput
from ...orders import OrderRequest, OrderSide, OrderType, Tif
from ..common import check_symbols
from .words import NUMBER, TILL, new_oid

__all__ = ['ACCOUNT', 'CHANGES', 'ORDER', 'order_requests']

_TRIGGERS = {
    'stop': OrderType.STOP,
    'take_profit': OrderType.TAKE_PROFIT,
    'through': OrderType.THROUGH,
}


class _Pair(click.ParamType[tuple[Decimal, Decimal]]):
    name = 'pair'

    def convert(
        self, value: Any, param: Any, ctx: Any
    ) -> tuple[Decimal, Decimal]:
        if isinstance(value, tuple):
            return value
        parts = value.split(',')
        if len(parts) != 2:
            self.fail(
                f'{value!r} is not TP,SL: write the price that takes the '
                'profit, a comma, and the stop', param, ctx,
            )
        first, second = (NUMBER.convert(p, param, ctx) for p in parts)
        return first, second


ACCOUNT = click.Option(
    ['-a', '--account'], metavar='A', default='paper', show_default=True,
    help='The account that trades.',
)

# What follows `buy` and `sell`.
ORDER: list[click.Parameter] = [
    click.Argument(['symbol'], metavar='SYMBOL'),
    click.Argument(['size'], type=NUMBER, metavar='SIZE'),
    click.Option(
        ['-p', '--price'], type=NUMBER, metavar='P',
        help='Limit price; without one it is a market order.',
    ),
    click.Option(
        ['-s', '--stop'], type=NUMBER, metavar='P',
        help='Wait for a price at least as bad as this.',
    ),
    click.Option(
        ['--take-profit'], type=NUMBER, metavar='P',
        help='Wait for a price at least as good as this.',
    ),
    click.Option(
        ['--through'], type=NUMBER, metavar='P',
        help='Wait for the price to trade through this.',
    ),
    click.Option(
        ['-t', '--trail'], type=NUMBER, metavar='D',
        help='Wait for a move of D back from the best price.',
    ),
    click.Option(
        ['--tif'], type=click.Choice([t.value for t in Tif]), default='gtc',
        show_default=True,
        help='Until cancelled, at once or not, all or nothing, or till a '
        'time.',
    ),
    click.Option(
        ['--till'], type=TILL, metavar='TIME',
        help='Expire then: 2026-07-01T12:00:00 (UTC) or +15m; means gtd.',
    ),
    click.Option(
        ['--post-only'], is_flag=True, help='Never take, only rest.'
    ),
    click.Option(
        ['--display'], type=NUMBER, metavar='SIZE',
        help='Show only so much of it.',
    ),
    click.Option(
        ['--dark'], is_flag=True,
        help='Keep a trigger here, whatever the venue could hold.',
    ),
    click.Option(
        ['--oco'], metavar='GROUP', default='',
        help='A fill of one order of the group takes its size off the '
        'others.',
    ),
    click.Option(
        ['--parent'], metavar='OID', default='',
        help='Hold it until this order fills.',
    ),
    click.Option(
        ['--bracket'], type=_Pair(), metavar='TP,SL',
        help='Once filled, leave again at either of these prices.',
    ),
    ACCOUNT,
    click.Option(
        ['--oid'], metavar='OID', default='',
        help='A name of your own: the same order again is no second one.',
    ),
]

# What `modify` may give.
CHANGES: list[click.Parameter] = [
    click.Option(
        ['-p', '--price'], type=NUMBER, metavar='P', help='Limit price.'
    ),
    click.Option(
        ['--size'], type=NUMBER, metavar='SIZE',
        help='The whole size, what is filled included.',
    ),
    click.Option(['-s', '--stop'], type=NUMBER, metavar='P', help='Trigger.'),
    click.Option(
        ['-t', '--trail'], type=NUMBER, metavar='D',
        help='Distance of a trailing stop.',
    ),
]


def order_requests(
    side: OrderSide, values: dict[str, Any]
) -> list[OrderRequest]:
    """
    The order, and the two after it for a bracket, from values of `ORDER`.

    Raises `BadInput` for what does not go together.
    """
    symbol = values['symbol'].lower()
    check_symbols([symbol])
    type_, trigger = _type(values)
    till = values['till']
    tif = Tif.GTD if till is not None else Tif(values['tif'])
    if till is not None and values['tif'] not in {'gtc', 'gtd'}:
        raise BadInput(f'--till is for gtd, not for --tif {values["tif"]}')
    if tif is Tif.GTD and till is None:
        raise BadInput('--tif gtd needs --till, the time it expires at')
    order = OrderRequest(
        oid=values['oid'] or new_oid(),
        symbol=symbol,
        side=side,
        size=values['size'],
        account=values['account'],
        type=type_,
        price=values['price'],
        stop=trigger,
        trail=values['trail'],
        tif=tif,
        good_till_ns=till or 0,
        post_only=values['post_only'],
        display=values['display'],
        dark=values['dark'],
        oco=values['oco'],
        parent=values['parent'],
    )
    if values['bracket'] is None:
        return [order]
    return [order, *_bracket(order, *values['bracket'])]


def _type(values: dict[str, Any]) -> tuple[OrderType, Decimal | None]:
    given = [
        name for name in (*_TRIGGERS, 'trail') if values[name] is not None
    ]
    if len(given) > 1:
        names = ' and '.join(f'--{n.replace("_", "-")}' for n in given)
        raise BadInput(f'{names}: an order has one trigger at most')
    if not given:
        limit = values['price'] is not None
        return OrderType.LIMIT if limit else OrderType.MARKET, None
    if given == ['trail']:
        return OrderType.TRAILING_STOP, None
    return _TRIGGERS[given[0]], values[given[0]]


def _bracket(
    order: OrderRequest, profit: Decimal, loss: Decimal
) -> list[OrderRequest]:
    if (profit - loss) * order.side.sign <= 0:
        where = 'above' if order.side is OrderSide.BUY else 'below'
        raise BadInput(
            f'--bracket {profit},{loss}: after a {order.side} the profit is '
            f'taken {where} the stop; write TP,SL'
        )

    def leave(suffix: str, **values: Any) -> OrderRequest:
        return OrderRequest(
            oid=f'{order.oid}-{suffix}', symbol=order.symbol,
            side=order.side.other, size=order.size, account=order.account,
            parent=order.oid, oco=f'{order.oid}-exit', **values,
        )

    return [
        leave('tp', type=OrderType.LIMIT, price=profit),
        leave('sl', type=OrderType.STOP, stop=loss),
    ]
