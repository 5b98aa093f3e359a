"""
The whole tree with its feeds, as ``piker services`` shows it.
"""
from __future__ import annotations

from typing import Any

import msgspec
import trio

from ..errors import DaemonError
from ..messages import (
    BookStatus,
    DaemonInfo,
    DaemonStatus,
    FeedStatus,
    StoreStatus,
    TreeStatus,
    unpack,
)
from ..service import TreeClient

__all__ = ['TreeReport', 'report']


class TreeReport(msgspec.Struct):
    """
    The tree, its feeds and books, and each provider's counters.

    ``store`` is what ``stored`` says of itself and ``ems`` what ``emsd``
    does, ``None`` unless it runs.
    """

    tree: TreeStatus
    feeds: list[FeedStatus]
    providers: dict[str, Any]
    books: list[BookStatus] = []
    store: StoreStatus | None = None
    ems: dict[str, Any] | None = None


async def report(client: TreeClient) -> TreeReport:
    """
    Ask the root, every ``brokerd``, ``stored`` and ``emsd`` that are up.

    One that dies meanwhile is left out.
    """
    found = TreeReport(await client.status(), [], {})

    async def ask(daemon: DaemonStatus) -> None:
        try:
            info: DaemonInfo = await client.find(daemon.name)
            answer = await client.call(
                info, 'piker.data.endpoints', 'feed_status'
            )
        except DaemonError:
            return
        found.feeds += [unpack(FeedStatus, f) for f in answer['feeds']]
        found.books += [unpack(BookStatus, b) for b in answer['books']]
        found.providers[daemon.name.partition('.')[2]] = answer['provider']

    async def ask_store() -> None:
        try:
            info = await client.find('stored')
            answer = await client.call(
                info, 'piker.data.storage.endpoints', 'status'
            )
        except DaemonError:
            return
        found.store = unpack(StoreStatus, answer)

    async def ask_ems() -> None:
        try:
            info = await client.find('emsd')
            answer = await client.call(
                info, 'piker.clearing.endpoints', 'ems_status'
            )
        except DaemonError:
            return
        found.ems = answer['ems']

    async with trio.open_nursery() as nursery:
        for daemon in found.tree.daemons:
            if daemon.state != 'up':
                continue
            if daemon.name.startswith('brokerd.'):
                nursery.start_soon(ask, daemon)
            elif daemon.name == 'stored':
                nursery.start_soon(ask_store)
            elif daemon.name == 'emsd':
                nursery.start_soon(ask_ems)
    found.feeds.sort(key=lambda feed: feed.symbol)
    return found
