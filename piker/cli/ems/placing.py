"""
``piker ems buy`` and ``sell``.
"""
from __future__ import annotations

from functools import partial
from typing import Any

import click

from ...clearing import EmsClient
from ...errors import VenueRefused
from ...orders import OrderRequest, OrderSide, OrderStatus
from ..common import guarded
from ..options import CONTEXT, client_options, given
from .client import SETTLE_S, check_account, newest, settled, with_ems
from .lists import show_orders
from .orders import ORDER, order_requests

__all__ = ['COMMANDS']


def _placing(side: OrderSide) -> click.Command:
    @click.command(
        side.value, context_settings=CONTEXT,
        short_help=f'{side.value.capitalize()} SIZE of SYMBOL.',
        help=f'{side.value.capitalize()} SIZE of SYMBOL, in its base '
        'currency.\n\nReturns once the order is journalled and, for up to '
        f'{SETTLE_S:.0f} seconds, the venue has answered; an order that is '
        'rejected is an error.',
    )
    @given(ORDER)
    @click.option(
        '--wait', is_flag=True, help='Return once the order is over.'
    )
    @client_options
    @guarded
    def place(
        registry: str, as_json: bool, wait: bool, **values: Any
    ) -> None:
        requests = order_requests(side, values)
        with_ems(registry, partial(
            _place, requests=requests, wait=wait, as_json=as_json
        ))

    return place


async def _place(
    client: EmsClient,
    requests: list[OrderRequest],
    wait: bool,
    as_json: bool,
) -> None:
    order = requests[0]
    check_account(client, order.account)
    views = await client.submit_all(requests)
    if wait:
        await client.closed(order.oid, account=order.account)
    await settled(client, views, lambda view: view.status not in {
        OrderStatus.PENDING, OrderStatus.TRIGGERED,
    })
    views = newest(client, views)
    show_orders(views, as_json)
    for view in views:
        if view.status is OrderStatus.REJECTED:
            raise VenueRefused(
                f'order {view.request.oid} was rejected: {view.reason}'
            )


COMMANDS = tuple(_placing(side) for side in OrderSide)
