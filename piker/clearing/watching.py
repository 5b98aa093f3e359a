"""
Prices as the core sees them: marks, the dark books, alerts.

A book of an instrument is made at its first ticks, from what waits in it, so
that nothing has to be kept while records are replayed.  What a run of ticks
costs does not depend on how many orders wait, see `dark`.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from ..data.ticks import Kind, Ticks
from ..errors import BadInput
from ..instruments import Instrument
from ..orders import Alert, OrderRequest, OrderStatus, OrderType
from .alerts import AlertBook, Reached
from .dark import DarkBook, Trigger
from .dialog import Dialog
from .positions import day_of

__all__ = ['Market', 'Passed']

_TRADE = int(Kind.TRADE)
_PEAKS_EVERY_NS = 1_000_000_000


@dataclass(slots=True)
class _Watched:
    """An instrument: its books, and the last price it traded at."""

    instrument: Instrument | None = None
    dark: DarkBook | None = None
    alerts: AlertBook | None = None
    live: bool = False
    last: float | None = None
    day_ns: int = 0
    opening: Decimal | None = None
    peaks_ns: int = 0
    terms: dict[str, tuple[object, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Passed:
    """
    What a run of ticks has set off.

    ``opening`` is the price at which a day has begun with this run, ``first``
    whether no price was known before it.
    """

    triggers: list[Trigger]
    alerts: list[Reached]
    settled: list[Alert]
    peaks: dict[str, Decimal]
    opening: Decimal | None
    first: bool


def dark_key(dialog: Dialog) -> str:
    return f'{dialog.account}/{dialog.oid}'


class Market:
    """Every instrument that something is known of."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}

    def _of(self, symbol: str) -> _Watched:
        found = self._watched.get(symbol)
        if found is None:
            found = self._watched[symbol] = _Watched()
        return found

    def know(self, instrument: Instrument) -> None:
        self._of(instrument.id).instrument = instrument

    def set_live(self, symbol: str, live: bool) -> bool:
        """Whether that is news."""
        watched = self._of(symbol)
        changed = watched.live is not live
        watched.live = live
        return changed

    # prices

    def mark(self, symbol: str) -> tuple[Decimal | None, bool]:
        """The last price, ``None`` if none is known; whether it is stale."""
        watched = self._watched.get(symbol)
        if watched is None:
            return None, True
        return _decimal(watched, watched.last), not watched.live

    def opening(self, symbol: str) -> Decimal | None:
        """The price at which the UTC day began, if that was seen."""
        watched = self._watched.get(symbol)
        return watched.opening if watched else None

    def set_opening(self, symbol: str, day_ns: int, price: Decimal) -> None:
        """At which price a UTC day began, seen in an earlier life."""
        watched = self._of(symbol)
        watched.day_ns, watched.opening = day_ns, price

    # books

    def place(self, dialog: Dialog) -> None:
        """Have a dialog in its dark book while it is dark, and only then."""
        watched = self._watched.get(dialog.symbol)
        if watched is None or watched.dark is None:
            return
        key = dark_key(dialog)
        if dialog.status is not OrderStatus.DARK:
            if watched.terms.pop(key, None):
                watched.dark.remove(key)
            return
        terms = _terms(dialog.request)
        if watched.terms.get(key) != terms:
            # Where it has a peak already, it goes on from there.
            reference = watched.dark.peaks().get(key, dialog.reference)
            watched.terms[key] = terms
            watched.dark.add(
                key, dialog.request.side, dialog.request.type, *terms,
                reference,
            )

    def place_alert(self, alert: Alert) -> None:
        watched = self._watched.get(alert.symbol)
        if watched is None or watched.alerts is None:
            return
        if alert.fired_ns:
            watched.alerts.remove(alert.aid)
        else:
            watched.alerts.add(alert)

    def remove_alert(self, alert: Alert) -> None:
        watched = self._watched.get(alert.symbol)
        if watched is not None and watched.alerts is not None:
            watched.alerts.remove(alert.aid)

    def pass_ticks(
        self,
        symbol: str,
        ticks: Ticks,
        now_ns: int,
        waiting: Callable[[str], tuple[Iterable[Dialog], Iterable[Alert]]],
    ) -> Passed:
        """
        Run ticks through the books; ``waiting`` tells what to fill them with.
        """
        watched = self._of(symbol)
        watched.live = True
        if watched.dark is None or watched.alerts is None:
            self._fill_books(symbol, watched, waiting)
            assert watched.dark is not None
            assert watched.alerts is not None
        triggers = watched.dark.on_ticks(ticks)
        for trigger in triggers:
            watched.terms.pop(trigger.key, None)
        alerts = watched.alerts.on_ticks(ticks)
        settled = watched.alerts.take_settled()
        peaks: dict[str, Decimal] = {}
        if watched.terms and now_ns >= watched.peaks_ns:
            watched.peaks_ns = now_ns + _PEAKS_EVERY_NS
            peaks = watched.dark.peaks()
        blind = watched.last is None
        opening = self._set_last(watched, ticks, now_ns)
        first = blind and watched.last is not None
        return Passed(triggers, alerts, settled, peaks, opening, first)

    def _fill_books(
        self,
        symbol: str,
        watched: _Watched,
        waiting: Callable[[str], tuple[Iterable[Dialog], Iterable[Alert]]],
    ) -> None:
        if watched.instrument is None:
            raise BadInput(
                f'{symbol}: ticks of an instrument that is not known; '
                'add_instrument comes first'
            )
        watched.dark = DarkBook(watched.instrument)
        watched.alerts = AlertBook(watched.instrument)
        dialogs, alerts = waiting(symbol)
        for dialog in dialogs:
            self.place(dialog)
        for alert in alerts:
            self.place_alert(alert)

    def _set_last(
        self, watched: _Watched, ticks: Ticks, now_ns: int
    ) -> Decimal | None:
        """Returns the price of before, if this is the first of a day."""
        # the newest trade, which is mostly among the last few
        kinds = ticks.kind[::-1].tolist()
        if _TRADE not in kinds:
            return None
        newest = len(kinds) - 1 - kinds.index(_TRADE)
        opened = None
        today = day_of(now_ns)
        if watched.day_ns != today:
            opened = _decimal(watched, watched.last)
            watched.opening = opened
            watched.day_ns = today
        watched.last = float(ticks.price[newest])
        return opened


def _terms(
    request: OrderRequest,
) -> tuple[Decimal | None, Decimal | None]:
    """The stop and the trail that a dark order waits with."""
    if request.type is OrderType.LIMIT:
        return request.price, None
    return request.stop, request.trail


def _decimal(watched: _Watched, price: float | None) -> Decimal | None:
    if price is None or watched.instrument is None:
        return None
    return watched.instrument.round_price(Decimal(repr(price)))
