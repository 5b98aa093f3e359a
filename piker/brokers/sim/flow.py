"""
The seeded agents that turn a plan into orders.

Makers keep a ladder of resting orders around the planned touch and refresh
it; before each planned taker order they see to it that the levels it will
walk through hold the fills it is meant to have; then the order is submitted
and *matches*.  While nobody else trades, what the engine reports is the plan
to the last id.

Once there are guests, orders of users, the agents respect their place in the
queue, take those that their quotes would cross, and go on with the plan;
what comes of it is told in `Step`, which also says what was planned instead.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .engine import Book, Report, Side, Tif
from .hashing import bits_at, key_of, uniform_at
from .plan import DAY_MS, MAX_SWEEP
from .tape import Tape, day_of

__all__ = ['GUESTS', 'Flow', 'Step']

GUESTS = 1 << 60  # from here on order ids are users', below the agents'
NEVER = 1 << 62
_NEAR = 8  # ladder levels next to the touch, per side
_FAR = 60  # levels beyond them, one per price cell
_FLICKS = 4  # looks at the touch's sizes per slot
_SIDES = (Side.BUY, Side.SELL)


@dataclass(frozen=True, slots=True)
class Step:
    """
    Something happened to the book at ``time_ms``.

    ``taker`` is the report of a taker order, None when only quotes changed.
    It stands for the planned aggregate trades with ids from ``first`` up to
    ``last``, exclusive; for none of them if it was not planned.
    """

    time_ms: int
    taker: Report | None = None
    first: int = 0
    last: int = 0


class Flow:
    """
    The agents of one symbol; `advance` moves them through time.

    Starts at ``start_ms`` with a full book; ``quote_rate`` scales how often
    sizes at the touch flicker.  The book's ids are set from the tape, so the
    book must be new; it may hold orders of ``guests`` already.
    """

    def __init__(
        self,
        tape: Tape,
        book: Book,
        start_ms: int,
        quote_rate: float = 1.0,
        *,
        guests: bool = False,
    ) -> None:
        self.tape = tape
        self.book = book
        self.guests = guests
        listing = tape.listing
        self._gap_key, self._size_key, self._cell_key, self._flick_key = (
            key_of(tape.seed, listing.symbol, name)
            for name in ('gap', 'level', 'cell', 'flick')
        )
        self._slots = DAY_MS // listing.slot_ms
        self._median = max(1, int(listing.median_size / float(listing.lot)))
        self._cell = max(
            2, int(listing.price / float(listing.tick) * 1.2e-4)
        )
        self._flick_ms = (
            max(10, int(listing.slot_ms / _FLICKS / quote_rate))
            if quote_rate > 0 else NEVER
        )
        self._mine: dict[tuple[Side, int], list[int]] = {}
        self._far: dict[Side, tuple[int, dict[tuple[Side, int], int]]] = {}
        self._next_order_id = start_ms * 1000
        self._prepared = False
        self._refill_ms = NEVER
        self._next_flick_ms = start_ms + self._flick_ms
        self._crossed: list[Step] = []
        book.next_trade_id = tape.fills_until(start_ms)
        self._enter_day(day_of(start_ms), start_ms)

    @property
    def planned(self) -> int:
        """Id in the plan of the next aggregate trade."""
        return self._plan.first_agg_id + self._agg

    def disturbed(self, report: Report, now_ms: int) -> None:
        """A guest's order took what ``report`` says; quote anew soon."""
        for price in {fill.price for fill in report.fills}:
            self._tidy(report.side.other, price)
        self._prepared = False
        self._refill_after(now_ms)

    @property
    def next_ms(self) -> int:
        """When the next thing happens."""
        return min(
            self._epoch_ms(), self._trade_ms(), self._refill_ms,
            self._next_flick_ms, self._plan.start_ms + DAY_MS,
        )

    def advance(self, until_ms: int) -> Iterator[Step]:
        """
        Do everything up to and including ``until_ms``, in order of time.

        The book changes as the steps are taken from the iterator, which must
        be exhausted.
        """
        yield from self._take_crossed()
        while (now := self.next_ms) <= until_ms:
            first = self.planned
            if now == self._plan.start_ms + DAY_MS:
                self._enter_day(self._plan.day + 1, now)
                yield Step(now)
            elif now == self._epoch_ms():
                self._epoch += 1
                self._requote(now)
                yield Step(now)
            elif now == self._refill_ms:
                self._requote(now)
                yield Step(now)
            elif now == self._next_flick_ms:
                self._next_flick_ms += self._flick_ms
                if self._flicker(now):
                    yield Step(now)
            else:
                report = self._trade(now)
                yield from self._take_crossed()
                yield Step(now, report, first, self.planned)
            yield from self._take_crossed()

    def _take_crossed(self) -> Iterator[Step]:
        """The guests' orders that quotes have met, if any."""
        while self._crossed:
            yield self._crossed.pop(0)

    def _enter_day(self, day: int, now: int) -> None:
        plan = self._plan = self.tape.day(day)
        ms = now - plan.start_ms
        self._epoch = int(plan.touch_ms.searchsorted(ms, 'right')) - 1
        # trades of the very moment of entry are still to come at midnight,
        # and already past when the flow starts
        at_midnight = ms == 0
        self._agg = int(
            plan.time.searchsorted(ms, 'left' if at_midnight else 'right')
        )
        self._requote(now)

    def _epoch_ms(self) -> int:
        plan = self._plan
        if self._epoch + 1 >= len(plan.touch_ms):
            return NEVER
        return plan.start_ms + int(plan.touch_ms[self._epoch + 1])

    def _trade_ms(self) -> int:
        plan = self._plan
        if self._agg >= len(plan.time):
            return NEVER
        return plan.start_ms + int(plan.time[self._agg])

    def _requote(self, now: int) -> None:
        """Put the ladder where the plan wants it, and ready the next trade."""
        target: dict[tuple[Side, int], int] = {}
        for side in _SIDES:
            self._ladder(side, target)
        for place in [p for p in self._mine if p not in target]:
            self._clear(*place)
        for (side, price), size in target.items():
            if (side, price) not in self._mine:
                self._fill(side, price, (size,), now)
        # what met a guest may have been used up: there is more to come
        self._refill_ms = self._soon(now) if self._crossed else NEVER
        self._prepared = False
        if self._trade_ms() < self._epoch_ms():
            self._prepare(now)

    def _ladder(
        self, side: Side, target: dict[tuple[Side, int], int]
    ) -> None:
        plan, key = self._plan, self._size_key
        buy = side is Side.BUY
        price = int((plan.bid if buy else plan.ask)[self._epoch])
        away = -1 if buy else 1
        for level in range(_NEAR):
            if level:
                price += away * self._gap(buy, level)
            if price <= 0:
                return
            size = 1 + int(
                self._median * 12 * uniform_at(key, price * 2 + buy) ** 2
            )
            target[side, price] = size
        cell = price // self._cell
        if self._far.get(side, (0, {}))[0] != cell:
            self._far[side] = cell, self._far_levels(side, cell)
        target.update(self._far[side][1])

    def _far_levels(
        self, side: Side, cell: int
    ) -> dict[tuple[Side, int], int]:
        """Levels beyond price cell ``cell``; they only depend on it."""
        found: dict[tuple[Side, int], int] = {}
        buy = side is Side.BUY
        for _ in range(_FAR):
            cell += -1 if buy else 1
            price = cell * self._cell + (
                bits_at(self._cell_key, cell) % self._cell
            )
            if price <= 0:
                break
            u = uniform_at(self._cell_key, cell * 2 + buy)
            found[side, price] = 1 + int(self._median * 60 * u * u)
        return found

    def _gap(self, sell: bool, level: int) -> int:
        if level >= MAX_SWEEP:
            return 1 + level % self.tape.listing.step
        plan = self._plan
        slot = int(plan.touch_ms[self._epoch]) // self.tape.listing.slot_ms
        index = ((slot + plan.day * self._slots) * 2 + sell) * 16 + level
        return 1 + bits_at(self._gap_key, index) % self.tape.listing.step

    def _order_end(self) -> int:
        """Index one past the last aggregate of the next taker order."""
        head, end = self._plan.head, self._agg + 1
        while end < len(head) and not head[end]:
            end += 1
        return end

    def _prepare(self, now: int) -> None:
        """Make the levels that the next taker order walks hold its fills."""
        plan = self._plan
        end = self._order_end()
        side = Side.BUY if plan.sell[self._agg] else Side.SELL
        for agg in range(self._agg, end):
            fills = plan.fill_size[plan.first[agg] : plan.first[agg + 1]]
            sizes = fills.tolist()
            price = int(plan.price[agg])
            if agg == end - 1:
                rest = uniform_at(self._flick_key, plan.first_agg_id + agg)
                sizes.append(1 + int(self._median * 12 * rest**2))
            if self.guests and self._has_guest(side, price):
                self._top_up(side, price, sum(sizes), now)
                continue
            self._clear(side, price)
            self._fill(side, price, sizes, now)
        self._prepared = True

    def _has_guest(self, side: Side, price: int) -> bool:
        return any(i >= GUESTS for i, _ in self.book.queue(side, price))

    def _top_up(self, side: Side, price: int, need: int, now: int) -> None:
        """See to it that the agents have ``need`` lots in a guest's queue."""
        need -= sum(lots for i, lots in self.book.queue(side, price)
                    if i < GUESTS)
        if need > 0:
            mine = self._mine.setdefault((side, price), [])
            self._add(side, price, need, mine, now)

    def _trade(self, now: int) -> Report:
        if not self._prepared:
            self._prepare(now)
        plan = self._plan
        end = self._order_end()
        side = Side.SELL if plan.sell[self._agg] else Side.BUY
        report = self.book.submit(
            self._new_id(), side, int(plan.size[self._agg : end].sum()),
            int(plan.price[end - 1]), tif=Tif.IOC,
        )
        for agg in range(self._agg, end):
            self._tidy(side.other, int(plan.price[agg]))
        if self.guests:
            for price in {fill.price for fill in report.fills}:
                self._tidy(side.other, price)
        self._agg = end
        self._prepared = False
        self._refill_after(now)
        return report

    def _tidy(self, side: Side, price: int) -> None:
        """Forget our orders at a price that are no longer open."""
        left = [i for i in self._mine.get((side, price), ())
                if self.book.is_open(i)]
        if left:
            self._mine[side, price] = left
        else:
            self._mine.pop((side, price), None)

    def _refill_after(self, now: int) -> None:
        self._refill_ms = min(self._soon(now), max(now, self._trade_ms()))

    def _soon(self, now: int) -> int:
        return now + 8 + bits_at(self._flick_key, now) % 60

    def _flicker(self, now: int) -> bool:
        """Change the size of the last maker in one queue at the touch."""
        raw = bits_at(self._flick_key, now)
        if raw & 1:
            return False
        side = _SIDES[raw >> 1 & 1]
        best = self.book.best(side)
        if best is None:
            return False
        place = side, best[0]
        mine = self._mine.get(place, [])
        planned = (
            self._prepared and self._trade_side() is side
            and best[0] != int(self._plan.price[self._order_end() - 1])
        )
        if not mine or planned:
            return False
        self.book.cancel(mine.pop())
        size = 1 + int(self._median * 12 * uniform_at(raw, now) ** 2)
        self._add(side, best[0], size, mine, now)
        self._mine[place] = mine
        return True

    def _trade_side(self) -> Side:
        return Side.BUY if self._plan.sell[self._agg] else Side.SELL

    def _clear(self, side: Side, price: int) -> None:
        for order_id in self._mine.pop((side, price), ()):
            self.book.cancel(order_id)

    def _fill(
        self, side: Side, price: int, sizes: Sequence[int], now: int
    ) -> None:
        mine: list[int] = []
        for size in sizes:
            self._add(side, price, size, mine, now)
        if mine:
            self._mine[side, price] = mine

    def _add(
        self, side: Side, price: int, size: int, mine: list[int], now: int
    ) -> None:
        """Place a quote; it takes guests' orders that are in its way."""
        order_id = self._new_id()
        report = self.book.submit(
            order_id, side, size, price,
            post_only=not self.guests or not self._meets_guest(side, price),
        )
        if report.fills:
            for level in {fill.price for fill in report.fills}:
                self._tidy(side.other, level)
            self._crossed.append(
                Step(now, report, self.planned, self.planned)
            )
        if self.book.is_open(order_id):
            mine.append(order_id)

    def _meets_guest(self, side: Side, price: int) -> bool:
        """Whether a guest has the best price that a quote would cross."""
        best = self.book.best(side.other)
        if best is None or (
            best[0] > price if side is Side.BUY else best[0] < price
        ):
            return False
        return self._has_guest(side.other, best[0])

    def _new_id(self) -> int:
        self._next_order_id += 1
        return self._next_order_id
