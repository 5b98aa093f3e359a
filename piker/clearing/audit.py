"""
Our books against the venue's.

Fills are compared one by one, balances by their totals: what an open order
locks moves with every order.  What was traded within `SETTLE_NS` before we
looked may be on its way to us still; it and the balances that it moves are
left out, and said to be.
"""
from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from ..gateway import FillReport
from ..orders import Balance, Fill
from .ledger import Ledger
from .money import plain
from .probe import VenueBooks

__all__ = ['SETTLE_NS', 'Audit', 'Difference', 'compare', 'fills_from_ns']

SETTLE_NS = 5_000_000_000

_NOTHING = Balance(Decimal(0))
_COMPARED = ('side', 'price', 'size', 'fee', 'fee_asset')


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """
    What stands otherwise here than at the venue.

    ``kind`` is ``fill`` or ``balance``, ``of`` the symbol or the asset;
    ``ours`` or ``venue`` is empty where it is not there at all.
    """

    kind: str
    of: str
    ours: str
    venue: str
    trade_id: str = ''


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """How many fills and balances were compared, and with what result."""

    account: str
    fills: int
    balances: int
    differences: list[Difference]
    unsettled: list[str]


def fills_from_ns(ledger: Ledger, account: str) -> int:
    """
    From when on to ask for an account's fills.

    That is when it was first reached, or the time of the oldest fill, which
    may be older where an order was found at the venue.
    """
    times = [f.time_ns for f in ledger.fills if f.account == account]
    return min([ledger.since_ns.get(account, 0), *times])


def compare(ledger: Ledger, books: VenueBooks, asked_ns: int) -> Audit:
    """
    What ``ledger`` has of an account against ``books``.

    The ledger was read at ``asked_ns`` and the venue asked afterwards, with
    `fills_from_ns` and the account's ``symbols``.
    """
    account = books.account
    ours = {
        (f.symbol, f.trade_id): f
        for f in ledger.fills if f.account == account
    }
    venue = {(f.symbol, f.trade_id): f for f in books.fills}
    settled_ns = asked_ns - SETTLE_NS
    since_ns = ledger.since_ns.get(account, 0)
    differences, compared = [], 0
    times = {key: f.time_ns for key, f in venue.items()}
    times |= {key: f.time_ns for key, f in ours.items()}
    for key in sorted(times, key=lambda key: (times[key], key)):
        mine, theirs = ours.get(key), venue.get(key)
        if mine is None and theirs is not None and not (
            since_ns <= theirs.time_ns < settled_ns
        ):
            # not ours to know, or not yet
            continue
        compared += 1
        if not _same(mine, theirs):
            differences.append(Difference(
                kind='fill', of=key[0], trade_id=key[1], ours=_said(mine),
                venue=_said(theirs),
            ))
    every: list[Fill | FillReport] = [*ours.values(), *venue.values()]
    unsettled = _moved_by(
        ledger, (f for f in every if f.time_ns >= settled_ns)
    )
    known = ledger.balances.get(account, {})
    assets = sorted({*known, *books.balances} - unsettled)
    for asset in assets:
        mine_total = known.get(asset, _NOTHING).total
        their_total = books.balances.get(asset, _NOTHING).total
        if mine_total != their_total:
            differences.append(Difference(
                kind='balance', of=asset, ours=f'{plain(mine_total):f}',
                venue=f'{plain(their_total):f}',
            ))
    return Audit(
        account=account, fills=compared, balances=len(assets),
        differences=differences, unsettled=sorted(unsettled),
    )


def _same(mine: Fill | None, theirs: FillReport | None) -> bool:
    if mine is None or theirs is None:
        return False
    if mine.fee == theirs.fee == 0:
        # of nothing it does not matter in what
        theirs = replace(theirs, fee_asset=mine.fee_asset)
    return all(
        getattr(mine, name) == getattr(theirs, name) for name in _COMPARED
    )


def _said(fill: Fill | FillReport | None) -> str:
    if fill is None:
        return ''
    fee = f', fee {plain(fill.fee):f} {fill.fee_asset}' if fill.fee else ''
    return (
        f'{fill.side} {plain(fill.size):f} at {plain(fill.price):f}{fee}'
    )


def _moved_by(
    ledger: Ledger, fills: Iterable[Fill | FillReport]
) -> set[str]:
    """The assets whose balances fills change."""
    found: set[str] = set()
    for fill in fills:
        found |= {*ledger.currencies(fill.symbol), fill.fee_asset.lower()}
    return found - {''}
