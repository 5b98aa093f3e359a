"""
One instrument's live data in ``brokerd``: the only writer of its memory.

`LiveFeed` takes ticks from a provider, has them checked and written
(`intake`) without a hole (`healing`), and wakes sleeping readers.  What no
healing brings back is seen to in the bars (`repair`).
"""
from __future__ import annotations

import logging
import math
from contextlib import ExitStack

import trio

from ..clock import NS_PER_S, Clock
from ..errors import PikerError, VenueError, VenueRefused
from ..instruments import Instrument
from ..messages import FeedStatus, FlumeInfo
from .backfill import History, backfill_bars, load_start
from .bars import BarWriter
from .healing import Healer
from .intake import Intake
from .repair import Repairer
from .sampling import BarBuilder, Sampler
from .source import BarSource
from .ticks import FeedState, TickColumns, TickRow, TickWriter
from .turns import uncounted
from .wake import WakerHub

__all__ = ['LiveFeed']

log = logging.getLogger(__name__)

PERIODS_S = (1, 60)
# How long a venue without any history may take to send its first tick.
_FIRST_PRICE_S = 15.0
_HEALING = 'trades are missing and are being fetched'


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
        self._repairer = Repairer(
            instrument, backend, self._builders, self.ring
        )
        self._healer = Healer(
            backend, self._intake, self._be_live, self._waker.wake
        )
        self.ready = self._healer.joined
        # That it ended, and why; set by whoever keeps it.
        self.closed = trio.Event()
        self.error: PikerError | None = None
        self.subscribers: dict[int, str] = {}
        self.unused_since_ns = clock.now_ns()
        self._linked = False
        self._refused = trio.Event()
        self._extending = {p: trio.Lock() for p in PERIODS_S}
        self._loading = 0
        self._rate = 0.0
        self._rate_at = (clock.now_ns(), 0)

    # what the provider calls

    def rows(self, rows: list[TickRow]) -> None:
        """Take ticks in the order of arrival."""
        if rows:
            self.ring.heard(rows[-1][1])
        healer = self._healer
        if healer.held is None:
            healer.take(rows)
        else:
            healer.hold(rows)

    def columns(self, ticks: TickColumns) -> None:
        """`rows` for many; whatever is out of the ordinary goes by rows."""
        if self._healer.held is None and self._intake.take_columns(ticks):
            self.ring.heard(int(ticks.recv[-1]))
            self._waker.wake()
        else:
            self.rows(ticks.rows())

    def refused(self, count: int) -> None:
        self.ring.count('refused', count)

    def _note_hole(self, missing: int, start_ns: int, end_ns: int) -> None:
        self._repairer.note(start_ns, end_ns)

    def link_up(self) -> None:
        """The stream runs (again): whatever was missed is fetched first."""
        self._linked = True
        self._intake.new_link()
        self.ring.heard(self._clock.now_ns())
        if self._reader.state == FeedState.RECONNECTING:
            self.ring.set_reason(_HEALING)
        self._healer.heal()

    def link_down(self, reason: str) -> None:
        self._linked = False
        self.ring.count('reconnects')
        self._set_state(FeedState.RECONNECTING, reason)
        log.warning('%s: %s', self.instrument.id, reason)

    def link_refused(self, reason: str) -> None:
        """
        The venue will not send ticks: a start fails, a running feed waits.
        """
        self._linked = False
        self._refused.set()
        self._set_state(FeedState.RECONNECTING, reason)
        log.error('%s: %s', self.instrument.id, reason)

    def link_alive(self) -> None:
        self.ring.heard(self._clock.now_ns())
        stale = self._reader.state == FeedState.STALE
        if stale and self._healer.held is None:
            self._set_state(FeedState.LIVE)

    # the life of a feed

    @property
    def problem(self) -> str:
        """What keeps it from being live, as far as is known."""
        if self._linked:
            return 'the venue does not give its history'
        return self._reader.reason

    async def run(self) -> None:
        """
        Live until cancelled; raises `VenueError` if it cannot even start.

        The memory's names are gone when it ends.
        """
        try:
            async with (
                trio.open_nursery() as nursery,
                self._backend.subscribe(self.instrument, self),
            ):
                nursery.start_soon(self._fail_if_refused)
                start = await load_start(
                    self._source, self.instrument, PERIODS_S
                )
                await self._ensure_price(start)
                with ExitStack() as stack:
                    self._open_buffers(start, stack)
                    await self._live()
        finally:
            self._set_state(FeedState.CLOSED)
            self._hub.drop_ring(self.ring.segment.name)
            self.ring.unlink()

    async def _live(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._healer.run)
            nursery.start_soon(self._repairer.run)
            nursery.start_soon(self._backfill)
            nursery.start_soon(self._beat)
            nursery.start_soon(self._record)

    async def _fail_if_refused(self) -> None:
        """A feed that never was live has nothing to wait with."""
        await self._refused.wait()
        if not self.ready.is_set():
            raise VenueRefused(f'{self.instrument.id}: {self._reader.reason}')

    async def _ensure_price(self, start: History) -> None:
        """
        Take the first live tick's price where the venue listed none.

        Raises `VenueError` if that does not come either.
        """
        if math.isfinite(start.last):
            return
        with trio.move_on_after(_FIRST_PRICE_S):
            await self._healer.arrived.wait()
        prices = [row[4] for row in self._healer.held or () if row[4] > 0]
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
                # A start does not wait for this.
                with uncounted():
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

    async def _beat(self) -> None:
        """Show readers that this writer lives, and whether the venue does."""
        while True:
            now = self._clock.now_ns()
            self.ring.beat(now)
            amended = sum(b.amended for b in self._builders.values())
            self.ring.set_count('amended', amended)
            self._be_stale(now)
            since, ticks = self._rate_at
            if now - since > NS_PER_S:
                written = self._reader.written
                self._rate = (written - ticks) * NS_PER_S / (now - since)
                self._rate_at = now, written
            await trio.sleep(0.5)

    def _be_stale(self, now_ns: int) -> None:
        """Where nothing new was shown for too long, for either reason."""
        if self._reader.state != FeedState.LIVE:
            return
        most_ns = self._stale_after_ns
        if now_ns - self._reader.heard_ns > most_ns:
            self._set_state(FeedState.STALE, 'nothing is heard of the venue')
        elif self._healer.held_s * NS_PER_S > most_ns:
            self._set_state(FeedState.STALE, _HEALING)

    def _be_live(self) -> None:
        if self._linked:
            self._set_state(FeedState.LIVE)

    def _set_state(self, state: FeedState, reason: str = '') -> None:
        self.ring.set_reason(reason)
        if self._reader.state != state:
            log.info('%s is %s', self.instrument.id, state.label)
            self.ring.set_state(state)
            self._waker.wake()

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
            reason=reader.reason,
        )
