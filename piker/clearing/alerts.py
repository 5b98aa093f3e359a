"""
Alerts: prices to be told of, once.

They look at trades, like the dark book, and for the same reason.
"""
from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from ..data.ticks import Ticks
from ..instruments import Instrument
from ..orders import Alert, AlertSide
from .levels import Grid, Levels, Run

__all__ = ['AlertBook', 'Reached']


class Reached(NamedTuple):
    """An alert has gone off: at which trade's price, and when (venue)."""

    aid: str
    price: Decimal
    time_ns: int


class AlertBook:
    """The alerts of one instrument that have not gone off yet."""

    def __init__(self, instrument: Instrument) -> None:
        self._grid = Grid(instrument)
        self._alerts: dict[str, tuple[int, Alert]] = {}
        self._unsettled: dict[str, Alert] = {}
        self._settled: list[Alert] = []
        self._rise = Levels()
        self._fall = Levels()
        self._seq = 0

    def __len__(self) -> int:
        return len(self._alerts)

    def __contains__(self, aid: str) -> bool:
        return aid in self._alerts

    def add(self, alert: Alert, reference: Decimal | None = None) -> Alert:
        """
        Wait for an alert's price; a known ``aid`` starts anew.

        It is reached by a trade at or beyond it.  ``either`` is settled by
        ``reference``, the market's price now, or else by the next trade: from
        there the price has to come (at the price itself counts as below).
        Returns the alert with its side as far as it is settled.
        """
        self.remove(alert.aid)
        self._seq += 1
        if alert.side is AlertSide.EITHER and reference is not None:
            alert = _settle(alert, reference)
        self._alerts[alert.aid] = self._seq, alert
        if alert.side is AlertSide.EITHER:
            self._unsettled[alert.aid] = alert
        else:
            self._place(alert)
        return alert

    def remove(self, aid: str) -> None:
        """Wait no more; of no effect for an alert that is not here."""
        seq, alert = self._alerts.pop(aid, (0, None))
        if alert is None:
            return
        if aid in self._unsettled:
            del self._unsettled[aid]
            return
        levels, level = self._where(alert)
        levels.remove(level, seq, aid)

    def on_ticks(self, ticks: Ticks) -> list[Reached]:
        """What goes off on a run of the tape, in the order of its ticks."""
        if not self._alerts:
            return []
        run = self._grid.trades(ticks)
        return self._take(run) if run else []

    def on_price(self, price: Decimal, time_ns: int) -> list[Reached]:
        """`on_ticks` with one trade: the first price after a gap."""
        return self._take(self._grid.one(price, time_ns))

    def take_settled(self) -> list[Alert]:
        """
        Alerts whose side a trade has settled since this was last asked.

        Those that went off at that trade are among them.
        """
        settled, self._settled = self._settled, []
        return settled

    def _where(self, alert: Alert) -> tuple[Levels, int]:
        if alert.side is AlertSide.ABOVE:
            return self._rise, self._grid.above(alert.price)
        return self._fall, -self._grid.below(alert.price)

    def _place(self, alert: Alert) -> None:
        levels, level = self._where(alert)
        levels.add(level, self._alerts[alert.aid][0], alert.aid)

    def _settle(self, first: Decimal) -> None:
        for aid, alert in self._unsettled.items():
            seq, _ = self._alerts[aid]
            settled = _settle(alert, first)
            self._alerts[aid] = seq, settled
            self._settled.append(settled)
            self._place(settled)
        self._unsettled.clear()

    def _take(self, run: Run) -> list[Reached]:
        if self._unsettled:
            self._settle(self._grid.price(int(run.levels[0])))
        levels = np.asarray(run.levels)
        hits = sorted([
            *self._rise.take(levels, int(levels.max())),
            *self._fall.take(-levels, -int(levels.min())),
        ])
        for hit in hits:
            del self._alerts[hit.key]
        return [
            Reached(
                hit.key,
                self._grid.price(int(levels[hit.at])),
                int(run.times[hit.at]),
            )
            for hit in hits
        ]


def _settle(alert: Alert, price: Decimal) -> Alert:
    below = price <= alert.price
    side = AlertSide.ABOVE if below else AlertSide.BELOW
    return replace(alert, side=side)
