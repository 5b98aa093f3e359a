"""
One instrument's live data in ``brokerd``: the only writer of its memory.

`LiveFeed` takes ticks from a provider, has them checked and written
(`intake`), and wakes sleeping readers.  Trades carry
consecutive ids; wherever one is missing (at the start, after a reconnect, in
the middle of the stream) the ticks that follow are held back, the missing
trades are fetched from the venue, and both are joined in the tape's order.
"""
from __future__ import annotations

import logging
import math
from contextlib import ExitStack, suppress

import trio

from ..clock import NS_PER_S, Clock, format_ns
from ..errors import BadMessage, PikerError, VenueError
from ..instruments import Instrument
from ..messages import FeedStatus, FlumeInfo
from .backfill import History, backfill_bars, load_start
from .bars import BarWriter
from .intake import Intake, first_trade, in_order, is_trade
from .sampling import BarBuilder, Sampler
from .source import BarSource
from .ticks import FeedState, TickColumns, TickRow, TickWriter
from .wake import WakerHub

__all__ = ['LiveFeed']

log = logging.getLogger(__name__)

PERIODS_S = (1, 60)
# Held-back ticks are bounded; beyond this the hole is left and counted.
_MOST_HELD = 500_000
# How long a venue without any history may take to send its first tick.
_FIRST_PRICE_S = 15.0
_HEAL_FOR_S = 30.0
_HEAL_PAUSE_S = 0.25
_MOST_HEAL_PAUSE_S = 5.0
# Messages that overtake each other on their way are this close together.
_REORDER_S = 0.02
# The venue's own bars are final this long after their period.
_SETTLE_NS = 2 * NS_PER_S


class LiveFeed:
    """
    The writer of one instrument; satisfies `backend.Subscription`.

    Run `run` in a task; `ready` is set once readers may map the memory.
    """

    def __init__(
        self,
        instrument: Instrument,
        source: BarSource,
        *,
        prefix: str,
        hub: WakerHub,
        sampler: Sampler,
        clock: Clock,
        history: dict[int, int],
        ring: int,
        stale_after_s: float,
    ) -> None:
        self.instrument = instrument
        self._source = source
        self._backend = backend = source.backend
        self._stem = f'{prefix}{instrument.id}'
        self._hub = hub
        self._sampler = sampler
        self._clock = clock
        self._history = history
        self._stale_after_ns = int(stale_after_s * NS_PER_S)
        self.ring = TickWriter(
            f'{self._stem}.ticks', instrument.id, capacity=ring
        )
        self._reader = self.ring.reader()
        self._waker = hub.ring(self.ring.segment.name)
        self._intake = Intake(
            instrument, self.ring, backend.clock, self._note_hole
        )
        self._builders = self._intake.builders
        self.ready = trio.Event()
        self.closed = trio.Event()
        # Why it ended, where it did not just end; set by whoever runs it.
        self.error: PikerError | None = None
        self.subscribers: dict[int, str] = {}
        self.unused_since_ns = clock.now_ns()
        # Held-back ticks while trades are missing, else None.
        self._held: list[TickRow] | None = []
        self._arrived = trio.Event()
        self._heal = trio.Event()
        self._linked = False
        self._holes_in, self._holes_out = trio.open_memory_channel[
            tuple[int, int]
        ](1000)
        self._extending = {p: trio.Lock() for p in PERIODS_S}
        self._loading = 0
        self._rate = 0.0
        self._rate_at = (clock.now_ns(), 0)

    # what the provider calls

    def rows(self, rows: list[TickRow]) -> None:
        """Take ticks in the order of arrival."""
        if rows:
            self.ring.heard(rows[-1][1])
        if self._held is not None:
            self._held += rows
            self._arrived.set()
            return
        self._take(rows)

    def columns(self, ticks: TickColumns) -> None:
        """`rows` for many; whatever is out of the ordinary goes by rows."""
        if self._held is None and self._intake.take_columns(ticks):
            self.ring.heard(int(ticks.recv[-1]))
            self._waker.wake()
        else:
            self.rows(ticks.rows())

    def refused(self, count: int) -> None:
        self.ring.count('refused', count)

    def link_up(self) -> None:
        """The stream runs (again): whatever was missed is fetched first."""
        self._linked = True
        self._intake.new_link()
        if self._held is None:
            self._held = []
        self.ring.heard(self._clock.now_ns())
        self._heal.set()

    def link_down(self, reason: str) -> None:
        self._linked = False
        self.ring.count('reconnects')
        self._set_state(FeedState.RECONNECTING)
        log.warning('%s: %s', self.instrument.id, reason)

    def link_alive(self) -> None:
        self.ring.heard(self._clock.now_ns())
        if self._reader.state == FeedState.STALE and self._held is None:
            self._set_state(FeedState.LIVE)

    def _take(self, rows: list[TickRow], *, final: bool = False) -> None:
        """Write ticks; from the first missing trade on, hold them back."""
        left = self._intake.take(rows, final=final)
        if left:
            self._held = left
            self._heal.set()
        self._waker.wake()

    # the life of a feed

    async def run(self) -> None:
        """
        Live until cancelled; raises `VenueError` if it cannot even start.

        The memory's names are gone when it ends.
        """
        try:
            async with self._backend.subscribe(self.instrument, self):
                start = await load_start(
                    self._source, self.instrument, PERIODS_S
                )
                await self._ensure_price(start)
                with ExitStack() as stack:
                    self._open_buffers(start, stack)
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._heal_forever)
                        nursery.start_soon(self._repair_forever)
                        nursery.start_soon(self._backfill)
                        nursery.start_soon(self._beat)
                        nursery.start_soon(self._record)
        finally:
            self._set_state(FeedState.CLOSED)
            self.closed.set()
            self.unlink()

    async def _ensure_price(self, start: History) -> None:
        """
        Take the first live tick's price where the venue listed none.

        Raises `VenueError` if that does not come either.
        """
        if math.isfinite(start.last):
            return
        with trio.move_on_after(_FIRST_PRICE_S):
            await self._arrived.wait()
        prices = [row[4] for row in self._held or () if row[4] > 0]
        if not prices:
            raise VenueError(
                f'{self.instrument.id}: the venue knows no price: neither a '
                'trade nor an order; try again when it has one'
            )
        start.last = prices[0]

    def _open_buffers(self, start: History, stack: ExitStack) -> None:
        for period_s in PERIODS_S:
            writer = BarWriter(
                f'{self._stem}.{period_s}s',
                self.instrument.id,
                period_s,
                start.seam_ns // (period_s * NS_PER_S),
            )
            stack.callback(writer.unlink)
            writer.prepend(start.bars[period_s])
            builder = BarBuilder(
                writer, self.instrument.size_digits, start.last
            )
            builder.advance(start.seam_ns)
            self._builders[period_s] = builder
            stack.enter_context(self._sampler.registered(builder))
        self._intake.begin(start, self._clock.now_ns())

    async def _backfill(self) -> None:
        async def load(period_s: int) -> None:
            try:
                await self.extend(period_s, self._history[period_s])
            except VenueError as err:
                log.warning('%s', err)

        async with trio.open_nursery() as nursery:
            for period_s in self._builders:
                nursery.start_soon(load, period_s)

    async def _record(self) -> None:
        """Have what is made here stored; by another process, not by us."""
        if self._source.store is None:
            return
        await self.ready.wait()
        async with self._source.store.record(lambda: [self.info()]):
            await trio.sleep_forever()

    async def extend(self, period_s: int, depth: int) -> int:
        """
        Load older bars until there are ``depth``; returns how many there are.

        Fewer mean that the venue has no more.  Requests for the same buffer
        queue up.  Raises `VenueError` if the venue goes on failing.
        """
        writer = self._builders[period_s].writer
        self._loading += 1
        self.ring.set_backfilling(True)
        try:
            async with self._extending[period_s]:
                await backfill_bars(
                    self._source, self.instrument, writer, depth
                )
        finally:
            self._loading -= 1
            self.ring.set_backfilling(self._loading > 0)
        return len(writer)

    async def _heal_forever(self) -> None:
        while True:
            await self._heal.wait()
            self._heal = trio.Event()
            await self._join_tape()
            if not self.ready.is_set():
                self.ready.set()

    async def _join_tape(self) -> None:
        """Fetch what is missing before the held-back ticks; then go on."""
        if self.ready.is_set():
            # Messages that only overtook each other are all here soon.
            await trio.sleep(_REORDER_S)
        with trio.move_on_after(_HEAL_FOR_S) as healing:
            pause = _HEAL_PAUSE_S
            while not self._is_whole():
                try:
                    await self._fetch_missing()
                    break
                except (VenueError, BadMessage) as err:
                    log.warning(
                        '%s: fetching trades: %s', self.instrument.id, err
                    )
                if len(self._held or ()) > _MOST_HELD:
                    break
                await trio.sleep(pause)
                pause = min(2 * pause, _MOST_HEAL_PAUSE_S)
        if healing.cancelled_caught:
            log.warning(
                '%s: no missing trades within %.0f s: going on without',
                self.instrument.id, _HEAL_FOR_S,
            )
        held, self._held = in_order(self._held or []), None
        intake = self._intake
        expected = intake.next_id
        if expected is not None:
            # What was fetched may reach into what was held: no duplicates.
            held = [
                row for row in held
                if not is_trade(row)
                or row[6] >= expected
                or row[0] > intake.last_ns
            ]
            first = first_trade(held)
            if first and first[6] > expected:
                intake.hole(first[6] - expected, first)
                intake.next_id = first[6]
        if self._linked:
            self._set_state(FeedState.LIVE)
        self._take(held)

    def _is_whole(self) -> bool:
        """Whether nothing is missing before or within the held-back ticks."""
        expected = self._intake.next_id
        if expected is None or self._reader.state != FeedState.LIVE:
            return False
        ids = {row[6] for row in self._held or () if is_trade(row)}
        return bool(ids) and ids.issuperset(range(expected, max(ids) + 1))

    async def _fetch_missing(self) -> None:
        intake = self._intake
        while True:
            expected = intake.next_id
            page = await self._backend.trades_since(
                self.instrument,
                after_id=None if expected is None else expected - 1,
                time_ns=intake.seam_ns if expected is None else None,
            )
            if expected is None and page:
                intake.next_id = page[0][6]
            held = first_trade(self._held or [])
            fresh = [
                row for row in page
                if row[6] >= (intake.next_id or 0)
                and (held is None or row[6] < held[6])
            ]
            if not fresh:
                return
            self._take(fresh, final=True)
            self.ring.count('filled', len(fresh))

    def _note_hole(self, missing: int, start_ns: int, end_ns: int) -> None:
        """See to the bars around trades that are gone."""
        with suppress(trio.WouldBlock):
            self._holes_in.send_nowait((start_ns, end_ns))

    async def _repair_forever(self) -> None:
        """
        Take the bars around each hole from the venue, once they are closed.

        The missing ticks stay missing, and counted.
        """
        async for start_ns, end_ns in self._holes_out:
            try:
                await self._repair(start_ns, end_ns)
            except (VenueError, BadMessage) as err:
                log.warning(
                    '%s: bars from %s to %s stay wrong: %s',
                    self.instrument.id, format_ns(start_ns),
                    format_ns(end_ns), err,
                )

    async def _repair(self, start_ns: int, end_ns: int) -> None:
        for builder in self._builders.values():
            period_ns = builder.period_ns
            first = start_ns // period_ns
            stop = end_ns // period_ns + 1
            settled_ns = stop * period_ns + _SETTLE_NS
            while (now := self._backend.clock.now_ns()) < settled_ns:
                await trio.sleep((settled_ns - now) / NS_PER_S)
            rows = await self._backend.bars(
                self.instrument,
                builder.writer.period_s,
                first * period_ns,
                stop * period_ns,
            )
            self.ring.count('repaired', builder.repair(rows))

    async def _beat(self) -> None:
        """Show readers that this writer lives, and whether the venue does."""
        while True:
            now = self._clock.now_ns()
            self.ring.beat(now)
            amended = sum(b.amended for b in self._builders.values())
            self.ring.set_count('amended', amended)
            silent = now - self._reader.heard_ns
            live = self._reader.state == FeedState.LIVE
            if live and silent > self._stale_after_ns:
                self._set_state(FeedState.STALE)
            since, ticks = self._rate_at
            if now - since > NS_PER_S:
                written = self._reader.written
                self._rate = (written - ticks) * NS_PER_S / (now - since)
                self._rate_at = now, written
            await trio.sleep(0.5)

    def _set_state(self, state: FeedState) -> None:
        if self._reader.state != state:
            log.info('%s is %s', self.instrument.id, state.label)
            self.ring.set_state(state)
            self._waker.wake()

    def unlink(self) -> None:
        self._hub.drop_ring(self.ring.segment.name)
        self.ring.unlink()

    # what is said of it

    def info(self) -> FlumeInfo:
        return FlumeInfo(
            self.instrument,
            self.ring.segment.name,
            {p: b.writer.segment_name for p, b in self._builders.items()},
            self._hub.address,
        )

    def status(self) -> FeedStatus:
        reader = self._reader
        quote = reader.quote()
        return FeedStatus(
            self.instrument.id,
            reader.state.label,
            len(self.subscribers),
            reader.written,
            self._rate,
            (self._clock.now_ns() - quote.recv) / NS_PER_S,
            {str(p): len(b.writer) for p, b in self._builders.items()},
            reader.backfilling,
            reader.counters,
        )
