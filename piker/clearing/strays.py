"""
What was done on an account elsewhere, and does not come by itself.

A fill that belongs to no order we know is asked about until it is known whose
it is.  Of trades that were made while nobody listened the venue tells only by
instrument; where no order of ours has been in one, balances that have changed
say which to ask for.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import combinations

from ..gateway import OrderReport, Outcome, QueryOrder, Snapshot, VenueStatus
from ..instruments import InstrumentId
from ..orders import OrderType
from . import records as rec
from .reports import adopt
from .turn import Ask, Turn

__all__ = ['adopt_fills', 'look_for', 'on_searched', 'suspect']

_STRAY_TRIES = 3
_SEARCH_TRIES = 5
_ZERO = Decimal(0)
# Assets that may have changed before it is no use to guess what was traded.
_MOST_ASSETS = 8


def look_for(turn: Turn, account: str) -> None:
    """Ask for what is not known of an account."""
    if turn.runtime.link(account).up:
        _ask_for_owners(turn, account)
        _search(turn, account)


# fills whose order is not known

def _ask_for_owners(turn: Turn, account: str) -> None:
    runtime = turn.runtime
    for key, fills in turn.state.unclaimed.items():
        if key[0] != account:
            continue
        _, symbol, venue_id = key
        ask = runtime.strays.setdefault(key, Ask())
        asked = (account, venue_id) in runtime.asking
        if asked or turn.now_ns < ask.due_ns or not fills:
            continue
        ask.put_off(turn.now_ns)
        runtime.wake_at(ask.due_ns, account)
        turn.send(account, QueryOrder(
            ref=turn.next_ref(), cid='', symbol=symbol, venue_id=venue_id,
        ))


def adopt_fills(turn: Turn, account: str, query: QueryOrder) -> None:
    """The venue does not tell whose fills these are: make them an order."""
    key = account, query.symbol, query.venue_id
    ask = turn.runtime.strays.get(key)
    fills = turn.state.unclaimed.get(key)
    if ask is None or not fills:
        return
    ask.unknown += 1
    if ask.unknown >= _STRAY_TRIES:
        size = sum((fill.size for fill in fills), _ZERO)
        adopt(turn, account, OrderReport(
            cid='', venue_id=query.venue_id, symbol=query.symbol,
            side=fills[0].side, size=size, filled=size,
            type=OrderType.MARKET, status=VenueStatus.FILLED,
            time_ns=fills[-1].time_ns,
        ))


# trades in instruments that nothing was known to be done in

def suspect(turn: Turn, account: str, assets: Iterable[str]) -> None:
    """
    These balances have changed while nobody listened: ask what by.

    Trades between two of them are asked for, unless that is done anyway.
    """
    found = sorted(assets)
    if len(found) > _MOST_ASSETS:
        turn.notice(
            f'the balances of {len(found)} assets have changed meanwhile: '
            'trades in instruments without an order here are not looked for',
            account,
        )
        return
    known = turn.state.symbols.get(account, {})
    waiting = turn.state.account(account).suspects
    symbols = [
        symbol
        for pair in combinations(found, 2)
        for symbol in _names(turn, account, *pair)
        if symbol not in known and symbol not in waiting
    ]
    if symbols:
        turn.record(rec.Suspected(
            time_ns=turn.now_ns, account=account, symbols=symbols,
        ))


def _names(turn: Turn, account: str, one: str, two: str) -> Iterator[str]:
    """What the pair may be called where the account trades."""
    settings = turn.runtime.accounts.get(account)
    provider = settings.provider if settings else ''
    if not provider:
        return  # on paper nobody else trades
    listed = [
        id_ for id_, instrument in turn.runtime.instruments.items()
        if {instrument.base.lower(), instrument.quote.lower()} == {one, two}
        and InstrumentId.parse(id_).provider == provider
    ]
    if listed:
        yield from listed
    elif one.isalnum() and two.isalnum():
        # Binance's names; it says so if there is no such instrument.
        yield str(InstrumentId(one + two, provider))
        yield str(InstrumentId(two + one, provider))


def _search(turn: Turn, account: str) -> None:
    """Ask for the fills of suspects, of one after the other."""
    runtime, known = turn.runtime, turn.state.account(account)
    link = runtime.link(account)
    if link.searching or not link.had_snapshot:
        return
    for symbol in known.suspects:
        ask = runtime.searches.setdefault((account, symbol), Ask())
        if turn.now_ns >= ask.due_ns:
            link.searching = turn.next_ref()
            turn.send(account, Snapshot(
                ref=link.searching, symbols=[symbol],
                since_ns=known.since_ns,
            ))
            return


def on_searched(
    turn: Turn, account: str, asked: Snapshot, outcome: Outcome
) -> None:
    """
    The venue has told of a suspect, or not, and then it is asked again.

    What was not even sent, time after time while the venue was there, is no
    instrument.
    """
    runtime, known = turn.runtime, turn.state.account(account)
    link = runtime.link(account)
    if link.searching != asked.ref:
        return
    link.searching = 0
    symbol, = asked.symbols
    ask = runtime.searches.setdefault((account, symbol), Ask())
    ask.unknown += known.synced and outcome is not Outcome.DOUBT
    if outcome is Outcome.DONE or ask.unknown >= _SEARCH_TRIES:
        del runtime.searches[account, symbol]
        turn.record(rec.Searched(
            time_ns=turn.now_ns, account=account, symbol=symbol,
        ))
        return
    ask.put_off(turn.now_ns)
    runtime.wake_at(ask.due_ns, account)
