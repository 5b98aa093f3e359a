"""
Orders at the venue while everything is killed; and a venue in doubt.

The torture is a short run of ``python -m bench soak-ems``.
"""
from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from e2e_tools import get
from ems_tools import PATIENCE_S, SYMBOL, in_thread, last_price, wait_for
from suite import Daemon

from bench.soak_ems import Torture
from bench.soak_ems_truth import Books, Compared, compare_fills, compare_orders
from piker.clearing import EmsClient, open_ems
from piker.orders import OrderStatus

ACCOUNT = 'sim'
KILLS = 8


def torture(daemon: Daemon, seed: int) -> dict[str, Any]:
    base = Path(os.environ['PIKER_DATA_DIR'])
    return Torture(
        daemon.tree.record_file, base / 'ems.sqlite', base, os.environ,
        operations=210, kills=KILLS, seed=seed, rate=14.0,
    ).run()


@pytest.mark.parametrize('seed', [1, 2])
@pytest.mark.timeout(240)
def test_books_agree_whatever_is_killed(daemon: Daemon, seed: int) -> None:
    found = torture(daemon, seed)
    assert not found['failed'], '\n'.join(found['failed'])
    assert sum(found['kills'].values()) >= KILLS
    assert found['figures']['fills'] > 10
    assert found['figures']['doubts'] > 0
    compared = {what: count for what, count, _ in found['compared']}
    assert compared['orders by cid'] > 50
    assert compared['acknowledged'] > 50
    assert compared['placed once'] > 50


def misbehave(daemon: Daemon, **faults: Any) -> None:
    request = urllib.request.Request(
        f'{daemon.venue()}/sim/v1/faults', json.dumps(faults).encode(),
        {'Content-Type': 'application/json'}, method='POST',
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        answer.read()


@pytest.mark.parametrize('answer', ['timeout', 'silence', 'unavailable'])
async def test_a_submission_in_doubt(
    start_daemon: Callable[..., Daemon], answer: str
) -> None:
    """Taken or not: the dialog ends right, with one order at most."""
    daemon = start_daemon('--set=ems.answer_within_s=2')
    async with open_ems() as ems:
        with trio.fail_after(PATIENCE_S):
            await ems.buy(SYMBOL, '0.001', account=ACCOUNT, oid='before')
            await ems.closed('before', account=ACCOUNT)
            last = await last_price()
            for executed in (True, False):
                for kind in ('market', 'rests'):
                    await in_thread(lambda done=executed: misbehave(
                        daemon, order_answer=answer, order_executed=done,
                        order_kind='place',
                    ))
                    await place(ems, f'{kind}-{executed}', last)
            for oid in ('market-True', 'market-False', 'rests-False'):
                await ems.closed(oid, account=ACCOUNT)
            await wait_for(lambda: (
                ems.dialogs[ACCOUNT, 'rests-True'].status is OrderStatus.OPEN
            ))
        check(ems)
        await ems.cancel('rests-True', account=ACCOUNT)
        ended = await ems.closed('rests-True', account=ACCOUNT)
        assert ended.status is OrderStatus.CANCELLED
    await in_thread(check_books, daemon)


async def place(ems: EmsClient, oid: str, last: Decimal) -> None:
    price = None if oid.startswith('market') else str(last // 2)
    await ems.buy(SYMBOL, '0.001', account=ACCOUNT, oid=oid, price=price)
    # not before this one has used the fault up
    await wait_for(lambda: (
        (view := ems.dialogs[ACCOUNT, oid]).in_doubt or view.venue_id
        or view.status.final
    ))


def check(ems: EmsClient) -> None:
    views = {oid: view for (_, oid), view in ems.dialogs.items()}
    assert not any(view.in_doubt for view in views.values())
    assert views['market-True'].status is OrderStatus.CLOSED
    assert views['market-True'].filled == Decimal('0.001')
    for oid in ('market-False', 'rests-False'):
        assert views[oid].status is OrderStatus.REJECTED
        assert 'never reached the venue' in views[oid].reason
    filled = sum(f.size for f in ems.fills if f.account == ACCOUNT)
    assert filled == Decimal('0.002')
    assert ems.positions[ACCOUNT, SYMBOL].size == filled


def check_books(daemon: Daemon) -> None:
    """The venue has three orders: two were never taken, none twice."""
    venue = get(daemon.venue(), '/sim/v1/books', account='sim')
    assert len(venue['orders']) == 3
    books = Books(Path(os.environ['PIKER_DATA_DIR']) / 'ems.sqlite')
    found = Compared()
    compare_orders(found, books, venue, {})
    compare_fills(found, books, venue, [])
    assert not found.wrong
    assert found.counts['states'] == 3
    assert found.counts['fills'] >= 2
    assert books.kinds['doubted'] >= 2
