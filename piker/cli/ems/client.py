"""
The way to ``emsd`` for commands, and what they look for there.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import click
import trio

from ...clearing import EmsClient, open_ems
from ...errors import BadInput, DaemonError, NoDaemon, did_you_mean
from ...orders import DialogView
from ...service import Tree
from ..common import own_pikerd, run

__all__ = [
    'SETTLE_S',
    'any_account',
    'check_account',
    'check_over',
    'find_dialog',
    'newest',
    'open_existing',
    'open_for_listing',
    'settled',
    'with_ems',
]

# How long a command looks at what becomes of an order before it ends.
SETTLE_S = 2.0
_LOOK_S = 0.02

any_account = click.option(
    '-a', '--account', metavar='A', default='', help='Only this account.'
)


def open_for_listing(
    registry: str,
) -> AbstractAsyncContextManager[EmsClient]:
    """``emsd`` as a client, in a tree of our own where none runs."""
    address = str(Tree.parse(registry))
    return open_ems(address, 'cli', start=own_pikerd(address, []))


def open_existing(
    registry: str, client: str = 'cli'
) -> AbstractAsyncContextManager[EmsClient]:
    """
    ``emsd`` of a tree that runs already, as a client.

    `NoDaemon` without one: a tree of our own would end with us, and nobody
    would look after what we leave behind.
    """
    tree = Tree.parse(registry)

    def refuse() -> list[str]:
        raise NoDaemon(
            f'no pikerd runs at {tree}, and orders need one that stays: '
            'start it with `pikerd` in another terminal, or name another '
            'address with --registry or PIKER_REGISTRY'
        )

    return open_ems(str(tree), client, start=refuse)


def find_dialog(ems: EmsClient, oid: str, account: str = '') -> DialogView:
    """
    An order by its oid, or by the beginning of it if it is open.

    ``account`` may be left out as long as only one can be meant.  Raises
    `BadInput`.
    """
    known = [
        view for view in ems.dialogs.values()
        if account in {'', view.request.account}
    ]
    found = [view for view in known if view.request.oid == oid] or [
        view for view in known
        if view.request.oid.startswith(oid) and not view.status.final
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise BadInput(
            f'there is no order {oid!r}'
            f'{f" in account {account!r}" if account else ""}: see '
            '`piker ems orders`'
        )
    names = ', '.join(sorted(
        f'{v.request.oid} ({v.request.account})' for v in found[:5]
    ))
    raise BadInput(
        f'{oid!r} may be any of {len(found)} orders: {names}; write more of '
        'it, or name the account'
    )


def with_ems(
    registry: str, work: Callable[[EmsClient], Awaitable[Any]]
) -> Any:
    """Run ``work`` with a client of a tree that runs already."""

    async def main() -> Any:
        async with open_existing(registry) as client:
            return await work(client)

    return run(main)


def check_account(client: EmsClient, account: str) -> None:
    """`BadInput` for one that is not there; none is all of them."""
    if account and account not in client.accounts:
        raise BadInput(
            f'there is no account {account!r}.'
            f'{did_you_mean(account, client.accounts)} Accounts: '
            f'{", ".join(sorted(client.accounts))}.'
        )


def newest(
    client: EmsClient, views: Sequence[DialogView]
) -> list[DialogView]:
    """The same orders as they are by now."""
    found = []
    for view in views:
        key = view.request.account, view.request.oid
        known = client.dialogs.get(key, view)
        found.append(known if known.version > view.version else view)
    return found


async def settled(
    client: EmsClient,
    views: Sequence[DialogView],
    wished: Callable[[DialogView], bool],
) -> None:
    """Until all are as wished, or time is up."""
    with trio.move_on_after(SETTLE_S):
        while not all(map(wished, newest(client, views))):
            await trio.sleep(_LOOK_S)


def check_over(views: Sequence[DialogView]) -> None:
    """`DaemonError` for orders that should be cancelled and still are not."""
    left = [view for view in views if not view.status.final]
    if left:
        orders = 'order is' if len(left) == 1 else 'orders are'
        raise DaemonError(
            f'{len(left)} {orders} not cancelled yet: see `piker ems orders`'
        )
