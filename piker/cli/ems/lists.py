"""
``piker ems orders`` and the like: what there is, as tables or JSON.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import click

from ...clearing import EmsClient
from ...clock import format_ns
from ...orders import Alert, DialogView, Fill, PositionView
from ..common import check_symbols, emit, guarded, run
from ..options import CONTEXT, client_options
from ..table import print_table
from .client import any_account, check_account, open_for_listing
from .words import amount, dialog_object, even, money, note_text, state_text

__all__ = ['COMMANDS', 'print_alerts', 'show_orders']

# What a list is printed as for people, and as objects for programs.
_Printer = Callable[[Sequence[Any]], None]


def _list(
    registry: str,
    as_json: bool,
    take: Callable[[EmsClient], Iterable[Any]],
    print_: _Printer,
    empty: str,
    object_of: Callable[[Any], Any] = lambda item: item,
    account: str = '',
) -> None:
    """
    Print what ``take`` finds; ``empty`` is said where there is nothing.

    Raises `BadInput` if there is no ``account`` of that name.
    """
    found = run(partial(_ask, registry, account, take))
    if as_json:
        for item in found:
            emit(object_of(item))
    elif found:
        print_(found)
    else:
        click.echo(empty, err=True)


async def _ask(
    registry: str,
    account: str,
    take: Callable[[EmsClient], Iterable[Any]],
) -> list[Any]:
    async with open_for_listing(registry) as client:
        check_account(client, account)
        return list(take(client))


def show_orders(views: Sequence[DialogView], as_json: bool) -> None:
    if not as_json:
        _print_orders(views)
        return
    for view in views:
        emit(dialog_object(view))


def _print_orders(views: Sequence[DialogView]) -> None:
    print_table('', [
        ('oid', 'left'), ('account', 'left', 3), ('symbol', 'left'),
        ('side', 'left'), ('type', 'left', 2), ('size', 'right'),
        ('price', 'right'), ('trigger', 'right'), ('filled', 'right', 1),
        ('average', 'right', 4), ('status', 'left'), ('note', 'text', 5),
    ], [_order_row(view) for view in views])


def _order_row(view: DialogView) -> list[str]:
    r = view.request
    trigger = f'±{amount(r.trail)}' if r.trail else amount(r.stop)
    return [
        r.oid, r.account, r.symbol, r.side.value, r.type.value,
        amount(r.size), amount(r.price), trigger, amount(view.filled),
        amount(view.average) if view.filled else '', state_text(view),
        note_text(view),
    ]


@click.command(context_settings=CONTEXT)
@any_account
@click.option(
    '--all', 'everything', is_flag=True,
    help='Those that are over as well, as far back as emsd tells.',
)
@client_options
@guarded
def orders(
    account: str, everything: bool, registry: str, as_json: bool
) -> None:
    """List open orders: at the venue, dark, and held."""

    def take(client: EmsClient) -> list[DialogView]:
        return sorted(
            (
                view for view in client.dialogs.values()
                if account in {'', view.request.account}
                and (everything or not view.status.final)
            ),
            key=lambda view: view.made_ns,
        )

    _list(
        registry, as_json, take, _print_orders,
        'no orders' if everything else 'no open orders', dialog_object,
        account,
    )


def _print_positions(views: Sequence[PositionView]) -> None:
    print_table('', [
        ('account', 'left'), ('symbol', 'left'), ('size', 'right'),
        ('average', 'right', 1), ('mark', 'right', 2),
        ('unrealised', 'right'), ('realised', 'right', 3),
        ('fees', 'right', 4), ('', 'left'),
    ], [
        [
            p.account, p.symbol, amount(p.size), amount(p.average),
            amount(p.mark), money(p.unrealised), money(p.realised),
            money(p.fees_quote), 'stale' if p.stale else '',
        ]
        for p in views
    ])


@click.command(context_settings=CONTEXT)
@any_account
@click.option(
    '--all', 'everything', is_flag=True, help='Those that are closed as well.'
)
@client_options
@guarded
def positions(
    account: str, everything: bool, registry: str, as_json: bool
) -> None:
    """List positions with their profit and loss, in the quote currency."""

    def take(client: EmsClient) -> list[PositionView]:
        return [
            position for _, position in sorted(client.positions.items())
            if account in {'', position.account}
            and (everything or position.size)
        ]

    _list(
        registry, as_json, take, _print_positions, 'no positions',
        account=account,
    )


def _print_fills(fills_: Sequence[Fill]) -> None:
    symbols = [f.symbol for f in fills_]
    sizes = even([f.size for f in fills_], symbols)
    prices = even([f.price for f in fills_], symbols)
    print_table('', [
        ('time (UTC)', 'left'), ('account', 'left', 2), ('symbol', 'left'),
        ('side', 'left'), ('size', 'right'), ('price', 'right'),
        ('fee', 'right', 1), ('', 'left', 1), ('', 'left', 3),
        ('oid', 'left', 4),
    ], [
        [
            format_ns(f.time_ns), f.account, f.symbol, f.side.value,
            size, price, amount(f.fee), f.fee_asset.lower(),
            'maker' if f.maker else 'taker', f.oid,
        ]
        for f, size, price in zip(fills_, sizes, prices, strict=True)
    ])


@click.command(context_settings=CONTEXT)
@any_account
@click.option('--symbol', metavar='SYMBOL', default='', help='Only this one.')
@click.option('--oid', metavar='OID', default='', help='Only of this order.')
@click.option(
    '--count', type=click.IntRange(min=1), default=100, show_default=True,
    metavar='N', help='The newest N.',
)
@client_options
@guarded
def fills(
    account: str, symbol: str, oid: str, count: int, registry: str,
    as_json: bool,
) -> None:
    """List fills, the newest last."""
    if symbol:
        check_symbols([symbol])

    def take(client: EmsClient) -> list[Fill]:
        return [
            fill for fill in client.fills
            if account in {'', fill.account}
            and symbol.lower() in {'', fill.symbol}
            and oid in {'', fill.oid}
        ][-count:]

    _list(
        registry, as_json, take, _print_fills, 'no fills', account=account
    )


def _print_balances(rows: Sequence[dict[str, Any]]) -> None:
    print_table('', [
        ('account', 'left'), ('asset', 'left'), ('free', 'right'),
        ('locked', 'right'), ('total', 'right'),
    ], [
        [
            row['account'], row['asset'], amount(row['free']),
            amount(row['locked']), amount(row['total']),
        ]
        for row in rows
    ])


@click.command(context_settings=CONTEXT)
@any_account
@client_options
@guarded
def balances(
    account: str, registry: str, as_json: bool
) -> None:
    """
    List what each account has.

    An account's balances are known once it has been used.
    """

    def take(client: EmsClient) -> list[dict[str, Any]]:
        return [
            {
                'account': name, 'asset': asset, 'free': balance.free,
                'locked': balance.locked, 'total': balance.total,
            }
            for name, assets in sorted(client.balances.items())
            if account in {'', name}
            for asset, balance in sorted(assets.items()) if balance.total
        ]

    _list(
        registry, as_json, take, _print_balances, 'no balances are known',
        account=account,
    )


def _print_accounts(rows: Sequence[dict[str, Any]]) -> None:
    print_table('', [
        ('account', 'left'), ('trades', 'left'), ('money', 'left'),
        ('gateway', 'left'), ('halted', 'text'),
    ], [
        [
            row['account'], row['provider'] or 'on paper',
            'REAL' if row['live'] else 'play',
            'ready' if row['ready'] else '–', row['halted'] or '–',
        ]
        for row in rows
    ])


@click.command(context_settings=CONTEXT)
@client_options
@guarded
def accounts(registry: str, as_json: bool) -> None:
    """List accounts, where they trade, and whether they are halted."""

    def take(client: EmsClient) -> list[dict[str, Any]]:
        return [
            {
                'account': name, 'provider': client.providers.get(name, ''),
                'live': name in client.live, 'ready': view.ready,
                'halted': view.halted,
            }
            for name, view in sorted(client.accounts.items())
        ]

    _list(registry, as_json, take, _print_accounts, 'no accounts')


def print_alerts(alerts_: Sequence[Alert]) -> None:
    print_table('', [
        ('alert', 'left'), ('symbol', 'left'), ('side', 'left'),
        ('price', 'right'), ('state', 'left'), ('note', 'text'),
    ], [
        [
            a.aid, a.symbol, a.side.value, amount(a.price),
            f'fired {format_ns(a.fired_ns)} at {amount(a.fired_price)}'
            if a.fired_ns else 'waits', a.note,
        ]
        for a in alerts_
    ])


@click.command(context_settings=CONTEXT)
@client_options
@guarded
def alerts(registry: str, as_json: bool) -> None:
    """List alerts that wait."""

    def take(client: EmsClient) -> list[Alert]:
        return sorted(
            (a for a in client.alerts.values() if not a.fired_ns),
            key=lambda a: (a.symbol, a.price),
        )

    _list(registry, as_json, take, print_alerts, 'no alerts wait')


COMMANDS = (orders, positions, fills, balances, accounts, alerts)
