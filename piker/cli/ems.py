"""
``piker ems``: the order desk, and orders as one-shot commands.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import click
import trio

from ..clearing import EmsClient
from ..errors import BadInput, DaemonError, VenueRefused
from ..orders import (
    AlertSide,
    DialogView,
    OrderRequest,
    OrderSide,
    OrderStatus,
)
from .common import (
    CONTEXT,
    check_symbols,
    emit,
    guarded,
    level_option,
    registry_option,
    run,
)
from .ems_lists import LISTS, print_alerts, print_orders
from .ems_orders import CHANGES, ORDER, order_requests
from .ems_tools import (
    NUMBER,
    dialog_object,
    ems_options,
    find_dialog,
    open_existing,
)

__all__ = ['ems']

# How long a command looks at what becomes of an order before it ends.
_SETTLE_S = 2.0
_LOOK_S = 0.02

one_account = click.option(
    '-a', '--account', metavar='A', default='',
    help='The account it is in, where the oid leaves that open.',
)
any_account = click.option(
    '-a', '--account', metavar='A', default='', help='Only this account.'
)


@click.group(context_settings=CONTEXT, invoke_without_command=True)
@registry_option
@level_option
@click.option(
    '-w', '--watch', 'watched', metavar='SYMBOL', multiple=True,
    help='Show its quotes; repeatable.',
)
@click.option(
    '-a', '--account', metavar='A', default='paper', show_default=True,
    help='The account that orders of the desk go to, unless they say '
    'otherwise.',
)
@click.pass_context
@guarded
def ems(
    ctx: click.Context,
    registry: str,
    loglevel: str,
    watched: tuple[str, ...],
    account: str,
) -> None:
    """
    Trade: without a command, the order desk in this terminal.

    The desk shows quotes, orders, positions, fills, alerts and the log, live;
    ? lists its keys.  Commands that trade, and the desk, need a pikerd that
    runs already, since orders outlive them.
    """
    if ctx.invoked_subcommand is not None:
        _refuse_misplaced(ctx)
        return
    check_symbols(watched)
    # The terminal library takes a while to load: only here.
    from .desk import run_desk

    run(partial(
        run_desk, registry, [s.lower() for s in watched], account
    ))


def _refuse_misplaced(ctx: click.Context) -> None:
    """
    Each command has options of its own.

    An account that was named and then not used would be a costly surprise.
    """
    for param in ctx.command.params:
        source = ctx.get_parameter_source(param.name or '')
        if source is click.core.ParameterSource.COMMANDLINE:
            raise BadInput(
                f'{param.opts[-1]} before {ctx.invoked_subcommand!r} is for '
                'the desk: write the options of a command after its name'
            )


def _given(params: Sequence[click.Parameter]) -> Callable[[Any], Any]:
    """These parameters, as a decorator."""

    def decorate(function: Any) -> Any:
        kept = getattr(function, '__click_params__', [])
        function.__click_params__ = [*kept, *reversed(params)]
        return function

    return decorate


# placing orders

def _placing(side: OrderSide) -> None:
    @ems.command(
        side.value, context_settings=CONTEXT,
        short_help=f'{side.value.capitalize()} SIZE of SYMBOL.',
        help=f'{side.value.capitalize()} SIZE of SYMBOL, in its base '
        'currency.\n\nReturns once the order is journalled and, for up to '
        f'{_SETTLE_S:.0f} seconds, the venue has answered; an order that is '
        'rejected is an error.',
    )
    @_given(ORDER)
    @click.option(
        '--wait', is_flag=True, help='Return once the order is over.'
    )
    @ems_options
    @guarded
    def place(
        registry: str, loglevel: str, as_json: bool, wait: bool,
        **values: Any,
    ) -> None:
        requests = order_requests(side, values)
        with_ems(registry, partial(
            _place, requests=requests, wait=wait, as_json=as_json
        ))


def with_ems(
    registry: str, work: Callable[[EmsClient], Awaitable[Any]]
) -> Any:
    """Run ``work`` with a client of a tree that runs already."""

    async def main() -> Any:
        async with open_existing(registry) as client:
            return await work(client)

    return run(main)


async def _place(
    client: EmsClient,
    requests: list[OrderRequest],
    wait: bool,
    as_json: bool,
) -> None:
    views = await client.submit_all(requests)
    order = requests[0]
    if wait:
        await client.closed(order.oid, account=order.account)
    await _settled(client, views, lambda view: view.status not in {
        OrderStatus.PENDING, OrderStatus.TRIGGERED,
    })
    _show(newest := _newest(client, views), as_json)
    for view in newest:
        if view.status is OrderStatus.REJECTED:
            raise VenueRefused(
                f'order {view.request.oid} was rejected: {view.reason}'
            )


def _newest(
    client: EmsClient, views: Sequence[DialogView]
) -> list[DialogView]:
    """The same orders as they are by now."""
    found = []
    for view in views:
        key = view.request.account, view.request.oid
        known = client.dialogs.get(key, view)
        found.append(known if known.version > view.version else view)
    return found


async def _settled(
    client: EmsClient,
    views: Sequence[DialogView],
    settled: Callable[[DialogView], bool],
) -> None:
    """Until all are as wished, or time is up."""
    with trio.move_on_after(_SETTLE_S):
        while not all(map(settled, _newest(client, views))):
            await trio.sleep(_LOOK_S)


def _show(views: Sequence[DialogView], as_json: bool) -> None:
    if not as_json:
        print_orders(views)
        return
    for view in views:
        emit(dialog_object(view))


_placing(OrderSide.BUY)
_placing(OrderSide.SELL)


# changing and cancelling

@ems.command(context_settings=CONTEXT)
@click.argument('oid')
@_given(CHANGES)
@one_account
@ems_options
@guarded
def modify(
    oid: str, account: str, registry: str, loglevel: str, as_json: bool,
    **values: Any,
) -> None:
    """
    Give an open order new values; what is not named stays.

    The beginning of an OID will do.  If the venue says no, the old order
    stands, and that is an error.
    """
    given = {k: v for k, v in values.items() if v is not None}
    if not given:
        raise BadInput(
            f'nothing to change in {oid!r}: name a --price, --size, --stop '
            'or --trail'
        )

    async def work(client: EmsClient) -> None:
        request = find_dialog(client, oid, account).request
        view = await client.change(
            request.oid, account=request.account, **given
        )
        await _settled(client, [view], lambda view: not view.changing)
        view, = _newest(client, [view])
        _show([view], as_json)
        if not view.changing and any(
            getattr(view.request, name) != value
            for name, value in given.items()
        ):
            raise VenueRefused(
                f'order {request.oid} stays as it was: '
                f'{view.reason or view.status}'
            )

    with_ems(registry, work)


@ems.command(context_settings=CONTEXT)
@click.argument('oids', nargs=-1, required=True, metavar='OID...')
@one_account
@ems_options
@guarded
def cancel(
    oids: tuple[str, ...], account: str, registry: str, loglevel: str,
    as_json: bool,
) -> None:
    """
    Cancel orders.

    The beginning of an OID will do.
    """

    async def work(client: EmsClient) -> None:
        requests = [find_dialog(client, o, account).request for o in oids]
        views = [
            await client.cancel(r.oid, account=r.account) for r in requests
        ]
        await _settled(client, views, lambda view: view.status.final)
        _show(_newest(client, views), as_json)

    with_ems(registry, work)


@ems.command('cancel-all', context_settings=CONTEXT)
@any_account
@click.option(
    '--symbol', metavar='SYMBOL', default='', help='Only this symbol.'
)
@ems_options
@guarded
def cancel_all(
    account: str, symbol: str, registry: str, loglevel: str, as_json: bool
) -> None:
    """Cancel every order: open, dark and held."""
    if symbol:
        check_symbols([symbol])

    async def work(client: EmsClient) -> None:
        views = [
            view for view in client.dialogs.values()
            if not view.status.final
            and account in {'', view.request.account}
            and symbol.lower() in {'', view.request.symbol}
        ]
        _check_account(client, account)
        await client.cancel_all(account, symbol.lower())
        await _settled(client, views, lambda view: view.status.final)
        if views or as_json:
            _show(_newest(client, views), as_json)
        else:
            click.echo('no order was open', err=True)

    with_ems(registry, work)


def _check_account(client: EmsClient, account: str) -> None:
    if account and account not in client.accounts:
        raise BadInput(
            f'there is no account {account!r}. Accounts: '
            f'{", ".join(sorted(client.accounts))}.'
        )


# the kill switch

@ems.command(context_settings=CONTEXT)
@any_account
@click.option(
    '--reason', metavar='TEXT', default='halted by hand', show_default=True,
    help='What to tell those who are refused.',
)
@ems_options
@guarded
def halt(
    account: str, reason: str, registry: str, loglevel: str, as_json: bool
) -> None:
    """
    Cancel everything and refuse new orders until `resume`.

    For every client, and across restarts.
    """

    async def work(client: EmsClient) -> None:
        _check_account(client, account)
        await client.halt(account, reason)
        views = [v for v in client.dialogs.values() if not v.status.final]
        _tell(client, as_json, f'{account or "all accounts"}: halted')
        mine = [v for v in views if account in {'', v.request.account}]
        await _settled(client, mine, lambda view: view.status.final)
        left = [v for v in _newest(client, mine) if not v.status.final]
        if left:
            raise DaemonError(
                f'{len(left)} orders are not cancelled yet: see `piker ems '
                'orders`'
            )

    with_ems(registry, work)


@ems.command(context_settings=CONTEXT)
@any_account
@ems_options
@guarded
def resume(
    account: str, registry: str, loglevel: str, as_json: bool
) -> None:
    """Lift a halt: orders are taken again."""

    async def work(client: EmsClient) -> None:
        _check_account(client, account)
        await client.resume(account)
        _tell(client, as_json, f'{account or "all accounts"}: resumed')

    with_ems(registry, work)


def _tell(client: EmsClient, as_json: bool, text: str) -> None:
    if not as_json:
        click.echo(text)
        return
    for view in client.accounts.values():
        emit({'account': view.account, 'halted': view.halted})


# alerts

@ems.command(context_settings=CONTEXT)
@click.argument('symbol')
@click.argument('price', type=NUMBER)
@click.option('--above', is_flag=True, help='Only when it comes from below.')
@click.option('--below', is_flag=True, help='Only when it comes from above.')
@click.option('--note', metavar='TEXT', default='', help='Why.')
@ems_options
@guarded
def alert(
    symbol: str, price: Any, above: bool, below: bool, note: str,
    registry: str, loglevel: str, as_json: bool,
) -> None:
    """
    Be told once when SYMBOL reaches PRICE.

    Without --above or --below, from whichever side it is on now.
    """
    check_symbols([symbol])
    side = alert_side(above, below)

    async def work(client: EmsClient) -> None:
        made = await client.alert(symbol.lower(), price, side=side, note=note)
        if as_json:
            emit(made)
        else:
            print_alerts([made])

    with_ems(registry, work)


def alert_side(above: bool, below: bool) -> str:
    """Raises `BadInput` for both."""
    if above and below:
        raise BadInput('--above and --below: name one, or neither for either')
    side = AlertSide.EITHER
    if above:
        side = AlertSide.ABOVE
    if below:
        side = AlertSide.BELOW
    return side.value


@ems.command('drop-alert', context_settings=CONTEXT)
@click.argument('aids', nargs=-1, required=True, metavar='ALERT...')
@ems_options
@guarded
def drop_alert(
    aids: tuple[str, ...], registry: str, loglevel: str, as_json: bool
) -> None:
    """
    Forget alerts.

    The beginning of an ALERT's name will do.
    """

    async def work(client: EmsClient) -> None:
        for name in aids:
            found = [aid for aid in client.alerts if aid.startswith(name)]
            if len(found) != 1:
                raise BadInput(
                    f'{name!r} is the beginning of {len(found)} alerts: see '
                    '`piker ems alerts`'
                )
            await client.drop_alert(found[0])
            if as_json:
                emit({'aid': found[0]})

    with_ems(registry, work)


for _list in LISTS:
    ems.add_command(_list)
