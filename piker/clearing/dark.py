"""
The dark book: orders that wait here for their trigger.

Triggers look at trades, the last price, and not at quotes: a quote may be
wide or gone for a moment without anybody having been able to deal there,
while a trade is a price that somebody has paid; it is also what venues' own
stop orders go by.  What fires is a fact of the tape alone and comes out the
same however the tape is cut into runs.

The cost of a run does not grow with the number of orders unless one fires:
levels are kept sorted, and trailing stops, which each have the extreme since
they were added, are arrays that are looked at only where a run goes beyond
the nearest of them.
"""
from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import numpy as np

from ..data.ticks import Ticks
from ..errors import BadInput
from ..instruments import Instrument
from ..orders import OrderSide, OrderType
from .levels import Grid, Hit, Levels, Run, Whole

__all__ = ['DarkBook', 'Trigger']

_FAR = 1 << 62  # a level that no price reaches


class Trigger(NamedTuple):
    """
    An order's trigger has fired: ``price`` is the trade's, on the tick grid,
    and ``time_ns`` the venue's time of it.
    """

    key: str
    price: Decimal
    time_ns: int


class _Trails:
    """
    Trailing stops that fire on a rise of ``distance`` above the lowest.

    For those that fire on a fall, everything is handed over negated.
    """

    def __init__(self) -> None:
        self._keys: list[tuple[int, str]] = []
        self._low: Whole = np.empty(0, np.int64)
        self._distance: Whole = np.empty(0, np.int64)
        self._look()

    def _look(self) -> None:
        """Note what a run must go beyond to change anything."""
        stops = self._low + self._distance
        self._nearest = int(stops.min(initial=_FAR))
        self._least = int(self._distance.min(initial=_FAR))
        self._top = int(self._low.max(initial=-_FAR))

    def add(self, seq: int, key: str, low: int, distance: int) -> None:
        self._keys.append((seq, key))
        self._low = np.append(self._low, low)
        self._distance = np.append(self._distance, distance)
        self._look()

    def remove(self, seq: int, key: str) -> None:
        self._drop([self._keys.index((seq, key))])

    def _drop(self, which: list[int]) -> None:
        gone = set(which)
        self._keys = [k for i, k in enumerate(self._keys) if i not in gone]
        self._low = np.delete(self._low, which)
        self._distance = np.delete(self._distance, which)
        self._look()

    def set_low(self, seq: int, key: str, low: int) -> None:
        self._low[self._keys.index((seq, key))] = low
        self._look()

    def lows(self) -> dict[str, int]:
        keys = (key for _, key in self._keys)
        return dict(zip(keys, self._low.tolist(), strict=True))

    def take(
        self, levels: Whole | list[int], lowest: int, highest: int
    ) -> list[Hit]:
        """Take out what a run reaches; the others follow its lowest."""
        hits: list[Hit] = []
        if highest >= self._nearest or highest - lowest >= self._least:
            hits = self._fire(np.asarray(levels, np.int64), highest)
        if lowest < self._top:
            self._low = np.minimum(self._low, lowest)
            self._look()
        return hits

    def _fire(self, levels: Whole, highest: int) -> list[Hit]:
        so_far = np.minimum.accumulate(levels)
        rise = int((levels - so_far).max())
        reached = self._low + self._distance <= highest
        reached |= self._distance <= rise
        which = np.flatnonzero(reached).tolist()
        hits = []
        for i in which:
            stops = np.minimum(so_far, self._low[i]) + self._distance[i]
            hits.append(Hit(int((levels >= stops).argmax()), *self._keys[i]))
        if which:
            self._drop(which)
        return hits


class _Watch:
    """What waits for a rise, or, with ``sign`` -1, for a fall."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.levels = Levels()
        self.trails = _Trails()

    def take(self, run: Run) -> list[Hit]:
        levels: Whole | list[int]
        if isinstance(run.levels, list):
            levels = [level * self.sign for level in run.levels]
            lowest, highest = min(levels), max(levels)
        else:
            levels = run.levels * self.sign
            lowest, highest = int(levels.min()), int(levels.max())
        hits = self.levels.take(levels, highest)
        hits += self.trails.take(levels, lowest, highest)
        return hits


class _Order(NamedTuple):
    seq: int
    side: OrderSide
    type: OrderType
    stop: Decimal | None
    trail: Decimal | None
    reference: Decimal | None  # known: it waits in a watch

    @property
    def needs_reference(self) -> bool:
        return self.type in {OrderType.THROUGH, OrderType.TRAILING_STOP}

    @property
    def rising(self) -> bool:
        """Whether it waits for a rise."""
        if self.type is OrderType.THROUGH:
            assert self.reference is not None
            assert self.stop is not None
            return self.reference <= self.stop
        good = self.type in {OrderType.TAKE_PROFIT, OrderType.LIMIT}
        return (self.side is OrderSide.BUY) is not good


class DarkBook:
    """The orders in one instrument that wait for a trigger, by key."""

    def __init__(self, instrument: Instrument) -> None:
        self._grid = Grid(instrument)
        self._orders: dict[str, _Order] = {}
        self._unsettled: dict[str, _Order] = {}
        self._rise = _Watch(1)
        self._fall = _Watch(-1)
        self._seq = 0

    def __len__(self) -> int:
        return len(self._orders)

    def __contains__(self, key: str) -> bool:
        return key in self._orders

    def add(
        self,
        key: str,
        side: OrderSide,
        type: OrderType,  # noqa: A002
        stop: Decimal | None = None,
        trail: Decimal | None = None,
        reference: Decimal | None = None,
    ) -> None:
        """
        Wait for an order's trigger, see `OrderType`; a known key starts anew.

        A level is reached by a trade at or beyond it.  A dark ``LIMIT`` waits
        like a take-profit for its limit, given as ``stop``.  ``reference``
        is the market's price at placement: a trailing stop measures from it,
        and it tells from which side ``THROUGH`` must be reached (at the stop
        itself counts as below).  Without one, the next trade is it.
        """
        if type is OrderType.TRAILING_STOP:
            if trail is None or trail <= 0:
                raise BadInput(
                    f'a trailing stop cannot trail by {trail}: give a '
                    'distance above 0'
                )
        elif type is OrderType.MARKET:
            raise BadInput('a market order has no trigger to wait for')
        elif stop is None:
            raise BadInput(f'a {type} order needs a price to wait for')
        self.remove(key)
        self._seq += 1
        order = _Order(self._seq, side, type, stop, trail, reference)
        self._orders[key] = order
        if order.needs_reference and reference is None:
            self._unsettled[key] = order
        else:
            self._place(key, order)

    def remove(self, key: str) -> None:
        """Wait no more; of no effect for a key that is not here."""
        order = self._orders.pop(key, None)
        if order is None:
            return
        if key in self._unsettled:
            del self._unsettled[key]
            return
        watch = self._watch(order)
        if order.type is OrderType.TRAILING_STOP:
            watch.trails.remove(order.seq, key)
        else:
            watch.levels.remove(self._level(order), order.seq, key)

    def on_ticks(self, ticks: Ticks) -> list[Trigger]:
        """
        What fires on a run of the tape, in the order of its ticks.

        Orders reached by one tick come in the order in which they were added.
        What has fired is not in the book any more.
        """
        if not self._orders:
            return []
        run = self._grid.trades(ticks)
        return self._take(run) if run else []

    def on_price(self, price: Decimal, time_ns: int) -> list[Trigger]:
        """`on_ticks` with one trade: the first price after a gap."""
        return self._take(self._grid.one(price, time_ns))

    def peaks(self) -> dict[str, Decimal]:
        """
        What each order measures from, as far as it has a first price.

        Of a trailing stop the best price since it was added, of ``THROUGH``
        the one that told its side.  `set_peak` takes it back after a restart.
        """
        found = {
            key: order.reference
            for key, order in self._orders.items()
            if order.type is OrderType.THROUGH and order.reference is not None
        }
        for watch in (self._rise, self._fall):
            for key, low in watch.trails.lows().items():
                found[key] = self._grid.price(low * watch.sign)
        return found

    def set_peak(self, key: str, price: Decimal) -> None:
        """Let an order measure from ``price``; `KeyError` if it isn't here."""
        order = self._orders[key]
        if not order.needs_reference:
            return
        if order.type is OrderType.TRAILING_STOP and (
            key not in self._unsettled
        ):
            watch = self._watch(order)
            low = self._grid.nearest(price) * watch.sign
            watch.trails.set_low(order.seq, key, low)
            return
        self.remove(key)
        order = order._replace(reference=price)
        self._orders[key] = order
        self._place(key, order)

    def _watch(self, order: _Order) -> _Watch:
        return self._rise if order.rising else self._fall

    def _level(self, order: _Order) -> int:
        """Its stop in the watch's direction, never short of it."""
        assert order.stop is not None
        if order.rising:
            return self._grid.above(order.stop)
        return -self._grid.below(order.stop)

    def _place(self, key: str, order: _Order) -> None:
        watch = self._watch(order)
        if order.type is not OrderType.TRAILING_STOP:
            watch.levels.add(self._level(order), order.seq, key)
            return
        assert order.trail is not None
        assert order.reference is not None
        low = self._grid.nearest(order.reference) * watch.sign
        distance = self._grid.above(order.trail)
        watch.trails.add(order.seq, key, low, distance)

    def _settle(self, first: int) -> None:
        price = self._grid.price(first)
        for key in list(self._unsettled):
            self.set_peak(key, price)

    def _take(self, run: Run) -> list[Trigger]:
        if self._unsettled:
            self._settle(int(run.levels[0]))
        hits = sorted([*self._rise.take(run), *self._fall.take(run)])
        for hit in hits:
            del self._orders[hit.key]
        return [
            Trigger(
                hit.key,
                self._grid.price(int(run.levels[hit.at])),
                int(run.times[hit.at]),
            )
            for hit in hits
        ]
