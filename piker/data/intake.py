"""
Taking ticks in: what every tick goes through on its way into memory.

Pure but for the memory it writes: checks, order, bars, the ring, the latest
quote.  This is the hot path's inner loop, so the checks stand in line and
counters are written once a batch.
"""
from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..clock import NS_PER_S, Clock
from ..instruments import Instrument
from .backfill import History
from .numbering import DROP, MOST_ID, REFUSE, RESET, Numbering
from .sampling import BarBuilder
from .ticks import Kind, TickColumns, TickRow, TickWriter

__all__ = ['Intake']

log = logging.getLogger(__name__)

_TRADE, _BID, _ASK = int(Kind.TRADE), int(Kind.BID), int(Kind.ASK)
_INF = float('inf')
_DAY_NS = 86400 * NS_PER_S
# What the ring's field can hold.
_MOST_COUNT = 1 << 32
# Trades of columns are summed as int64; nobody trades as much at once.
_MOST_LOTS = 1 << 45
# A trade older than its predecessor by more than this is refused.
_BACKWARDS_NS = NS_PER_S
# A trade further ahead of the venue's clock than this is refused: a bar for
# each second up to it would be made otherwise.  What is fetched while a
# recording is played fast may be ahead of what the clock was told by.
_AHEAD_NS = 10 * NS_PER_S
_FETCHED_AHEAD_NS = 3600 * NS_PER_S
_NO_QUOTE: TickRow = (0, 0, 0, 0, 0.0, 0.0, 0, 0)

# Told of trades that are gone for good: how many, 0 where that is not known,
# and from when to when in ns.
OnHole = Callable[[int, int, int], None]


class Intake:
    """
    One instrument's way into memory.

    ``next_id`` is the id that the next trade must have, ``None`` before the
    first; ``last_ns`` the newest trade's time.  ``builders`` get every trade
    from ``seam_ns`` on: what is older is in the bars that the venue gave.
    """

    def __init__(
        self,
        instrument: Instrument,
        ring: TickWriter,
        venue_clock: Clock,
        on_hole: OnHole,
    ) -> None:
        self.instrument = instrument
        self.ring = ring
        self.builders: dict[int, BarBuilder] = {}
        self.next_id: int | None = None
        self.last_ns = 0
        self.seam_ns = 0
        self._clock = venue_clock
        self._numbering = Numbering(instrument.id, venue_clock)
        self._on_hole = on_hole
        self._inverse_tick = 1 / float(instrument.tick_size)
        self._bid = self._ask = _NO_QUOTE
        self._last_update = 0
        self._ahead_ns = _AHEAD_NS
        # of the day, as an integer of the smallest size, as bars have it
        self._lots = 0
        self._scale = 10 ** instrument.size_digits
        self._day = 0

    def begin(self, start: History, recv_ns: int) -> None:
        """Where bars are built from, and the first quote."""
        self.seam_ns = self.last_ns = start.seam_ns
        self._day = start.read_ns // _DAY_NS
        self._lots = round(start.day_volume * self._scale)
        self.ring.begin_day(self._day)
        at, (bid, bid_size, ask, ask_size) = start.read_ns, start.top
        self._bid = (at, recv_ns, _BID, 0, bid, bid_size, 0, 0)
        self._ask = (at, recv_ns, _ASK, 0, ask, ask_size, 0, 0)
        self.ring.set_quote(
            last=start.last,
            time=start.last_ns,
            bid=bid,
            bid_size=bid_size,
            ask=ask,
            ask_size=ask_size,
            volume=start.day_volume,
            quote_time=start.read_ns,
            recv=recv_ns,
        )

    def new_link(self) -> None:
        """The connection is another: its updates may count anew."""
        self._last_update = 0

    def take(
        self, rows: list[TickRow], *, final: bool = False
    ) -> list[TickRow]:
        """
        Write ``rows`` up to the first trade that does not follow on.

        Returns what was not written: that trade and all after it.  With
        ``final`` the rows are the venue's last word: holes in them stay, and
        everything is written.  The caller wakes readers.
        """
        self._ahead_ns = _FETCHED_AHEAD_NS if final else _AHEAD_NS
        out: list[TickRow] = []
        left: list[TickRow] = []
        trade = quote = None
        refused = known = late = quotes = fills = 0
        for at, row in enumerate(rows):
            if row[2] == _TRADE:
                if row[6] != self.next_id:
                    what = self._numbering.place(
                        row, self.next_id, self.last_ns
                    )
                    if what < 0:
                        refused += what == REFUSE
                        known += what == DROP
                        if what != RESET:
                            continue
                        stray = self._take_stray()
                        refused -= 1
                        if self._trade(stray):
                            out.append(stray)
                            trade = stray
                            fills += stray[7]
                        else:
                            refused += 1
                    elif what:
                        if not final:
                            self.ring.count('gaps')
                            left = rows[at:]
                            break
                        self._hole(what, row)
                self.next_id = row[6] + 1
                if not self._trade(row):
                    refused += 1
                    continue
                trade = row
                fills += row[7]
            else:
                _, _, kind, _, price, size, update, _ = row
                # NaN fails every comparison
                if not (
                    0 <= price < _INF
                    and 0 <= size < _INF
                    and 0 <= update < MOST_ID
                ):
                    refused += 1
                    continue
                if update < self._last_update:
                    late += 1
                    continue
                self._last_update = update
                quote = row
                quotes += 1
                if kind == _BID:
                    self._bid = row
                else:
                    self._ask = row
            out.append(row)
        count = self.ring.count
        if trade:
            for builder in self.builders.values():
                builder.flush()
        if fills:
            count('trades', fills)
        if quotes:
            count('quotes', quotes)
        if refused:
            count('refused', refused)
        if known:
            count('duplicates', known)
        if late:
            count('late', late)
        if out:
            self.ring.write(out)
            self._show(out[-1][1], trade, touched=quote is not None)
        return left

    def take_columns(self, ticks: TickColumns) -> bool:
        """
        `take` for many ticks at once, as long as nothing is odd about them.

        Every trade follows on in id and time and is of the current day, no
        quote is late, and nothing has to be refused: then all are written.
        Otherwise returns ``False`` and has changed nothing, and it is up to
        `take`, which holds the rules; this is only quicker.
        """
        is_trade = ticks.kind == _TRADE
        at = np.flatnonzero(is_trade)
        times, ids, counts = ticks.time[at], ticks.id[at], ticks.count[at]
        prices, sizes = ticks.price[at], ticks.size[at]
        # as bars have them: whole numbers of the smallest size
        lots = np.rint(sizes * self._scale)
        updates = ticks.id[~is_trade]
        if not (
            _usable(ticks)
            and (not len(updates) or self._in_time(updates))
            and (not len(at) or (
                self._follow_on(ids, times)
                and self._on_grid(prices)
                and sizes.min() > 0
                and lots.max() < _MOST_LOTS
                and 0 < counts.min() <= counts.max() < _MOST_COUNT
            ))
        ):
            return False
        trade = None
        if len(at):
            trade = ticks.row(int(at[-1]))
            self.next_id, self.last_ns = trade[6] + 1, trade[0]
            self._build(times, prices, sizes, lots, counts)
            self.ring.count('trades', int(counts.sum()))
        if len(updates):
            self._last_update = int(updates[-1])
            self._set_touch(ticks)
            self.ring.count('quotes', len(updates))
        self.ring.write_columns(ticks)
        self._show(int(ticks.recv[-1]), trade, touched=len(updates) > 0)
        return True

    def _in_time(self, updates: npt.NDArray[np.int64]) -> bool:
        """Whether none of these quotes is late."""
        return bool(
            updates[0] >= self._last_update
            and (updates[1:] >= updates[:-1]).all()
        )

    def _follow_on(
        self, ids: npt.NDArray[np.int64], times: npt.NDArray[np.int64]
    ) -> bool:
        """Whether these trades are the next ones, and of the current day."""
        newest = int(times[-1])
        return bool(
            ids[0] == self.next_id
            and (ids[1:] - ids[:-1] == 1).all()
            and times[0] >= self.last_ns
            and (times[1:] >= times[:-1]).all()
            and int(times[0]) // _DAY_NS == newest // _DAY_NS == self._day
            and newest < self._clock.now_ns() + _AHEAD_NS
        )

    def _on_grid(self, prices: npt.NDArray[np.float64]) -> bool:
        steps = prices * self._inverse_tick
        return bool(
            prices.min() > 0 and (abs(steps - np.rint(steps)) < 1e-4).all()
        )

    def _build(
        self,
        times: npt.NDArray[np.int64],
        prices: npt.NDArray[np.float64],
        sizes: npt.NDArray[np.float64],
        lots: npt.NDArray[np.float64],
        counts: npt.NDArray[np.int64],
    ) -> None:
        """Put trades into the bars and the day's volume."""
        lots_ = lots.astype(np.int64).tolist()
        self._lots += sum(lots_)
        columns: Any = (
            prices.tolist(), (prices * sizes).tolist(), lots_,
            counts.tolist(),
        )
        for builder in self.builders.values():
            builder.collect_many(times, *columns)
            builder.flush()

    def _set_touch(self, ticks: TickColumns) -> None:
        """Keep the newest bid and the newest ask."""
        for kind in (_BID, _ASK):
            at = np.flatnonzero(ticks.kind == kind)
            if not len(at):
                continue
            row = ticks.row(int(at[-1]))
            if kind == _BID:
                self._bid = row
            else:
                self._ask = row

    def is_far(self, row: TickRow) -> bool:
        """Whether an id is further ahead than trades can have been missed."""
        return self._numbering.is_far(row, self.next_id, self.last_ns)

    def _take_stray(self) -> TickRow:
        """The trade that was the first with new numbers."""
        stray = self._numbering.take_stray()
        self.ring.count('resets')
        # Whether any are missing in between cannot be told from ids.
        self._on_hole(0, *self._span(stray))
        return stray

    def skip_to(self, row: TickRow) -> None:
        """Go on with this trade, whatever is missing before it."""
        if self.next_id is None or row[6] <= self.next_id or self.is_far(row):
            return
        self._hole(row[6] - self.next_id, row)
        self.next_id = row[6]

    def _trade(self, row: TickRow) -> bool:
        """Put a trade into the bars; whether it could be used at all."""
        time, _, _, _, price, size, _, count = row
        ticks = price * self._inverse_tick
        if not (
            0 < price < _INF
            and 0 < size < _INF
            and 0 < count < _MOST_COUNT
            and abs(ticks - round(ticks)) < 1e-4
            and (
                time > self.last_ns - _BACKWARDS_NS or self._was_ahead(time)
            )
            and (
                time <= self.last_ns
                or time < self._clock.now_ns() + self._ahead_ns
            )
        ):
            log.debug('%s: refused the trade %s', self.instrument.id, row)
            return False
        self.last_ns = max(self.last_ns, time)
        if time >= self.seam_ns:
            for builder in self.builders.values():
                builder.collect(time, price, size, count)
            day = time // _DAY_NS
            if day > self._day:
                self._day, self._lots = day, 0
                self.ring.begin_day(day)
            if day == self._day:
                self._lots += round(size * self._scale)
        return True

    def _was_ahead(self, time: int) -> bool:
        """
        Whether it is the newest trade's time that is wrong, not this one.

        Else all that follow would be refused until that time has come.
        """
        now = self._clock.now_ns()
        if self.last_ns <= now + 2 * _BACKWARDS_NS or time < now - _AHEAD_NS:
            return False
        self.last_ns = time
        return True

    def _hole(self, missing: int, first: TickRow) -> None:
        """Mark ``missing`` trades before this one as gone for good."""
        log.warning(
            '%s: %d trades are missing before id %d and the venue does not '
            'give them', self.instrument.id, missing, first[6],
        )
        self.ring.count('missed', missing)
        self._on_hole(missing, *self._span(first))

    def _span(self, row: TickRow) -> tuple[int, int]:
        """From the newest trade to this one, whose time may be anything."""
        start = self.last_ns
        return start, max(start, min(row[0], self._clock.now_ns()))

    def _show(
        self, recv_ns: int, trade: TickRow | None, *, touched: bool
    ) -> None:
        """Bring the latest quote up to what has been written."""
        self.ring.set_latest(
            recv_ns,
            trade,
            self._lots / self._scale,
            (self._bid, self._ask) if touched else None,
        )


def _usable(ticks: TickColumns) -> bool:
    """Whether all is finite and not negative; NaN fails comparisons."""
    return bool(
        ticks.price.min() >= 0
        and ticks.price.max() < _INF
        and ticks.size.min() >= 0
        and ticks.size.max() < _INF
        and ticks.id.min() >= 0
    )
