"""
Building bars: trades in by the venue's time, flat bars in by the clock.

A bar is bucketed by the venue's own trade time.  When a period passes
without a trade the clock appends a flat bar; a trade that arrives later for
a bar that has closed by the clock amends it, and the flat bars after it take
on its close.  So the bars equal a resample of the venue's tape at all times,
however late the tape is.
"""
from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import trio

from ..clock import NS_PER_S, Clock
from .bars import BarWriter

__all__ = ['BarBuilder', 'Sampler']

log = logging.getLogger(__name__)

_LEAST_SLEEP_S = 0.001


class BarBuilder:
    """
    Keeps one buffer's newest bars true to the tape.

    Volumes are summed as integers of ``10**-size_digits``, so that they come
    out the same whatever the order of the trades.  ``seed`` is the close
    before the first bar.
    """

    def __init__(
        self, writer: BarWriter, size_digits: int, seed: float
    ) -> None:
        self.writer = writer
        self.period_ns = writer.period_ns
        self._scale = 10 ** size_digits
        self._close = seed
        # the bar that trades go into at the moment, -1 for none yet
        self._index = -1
        self._open = self._high = self._low = seed
        self._lots = 0
        self._turnover = 0.0
        self._trades = 0
        self._last = seed
        self._dirty = False
        self.amended = 0

    def advance(self, now_ns: int) -> int:
        """
        Append flat bars up to the one that holds ``now_ns``.

        Returns the newest index.
        """
        writer, close = self.writer, self._close
        newest = now_ns // self.period_ns
        while writer.next <= newest:
            writer.append(close, close, close, close)
        return writer.next - 1

    def put(self, time_ns: int, price: float, size: float, count: int) -> bool:
        """
        `collect` one trade and `flush`.
        """
        placed = self.collect(time_ns, price, size, count)
        self.flush()
        return placed

    def collect(
        self, time_ns: int, price: float, size: float, count: int
    ) -> bool:
        """
        Take a trade of ``count`` fills; ``False`` if it is too old to place.

        Trades must come in the tape's order.  They are in the buffer after
        the next `flush`, which comes once a batch: writing a bar costs more
        than all the sums.
        """
        index = time_ns // self.period_ns
        if index != self._index and not self._turn_to(index):
            return False
        self._lots += round(size * self._scale)
        self._turnover += price * size
        if not self._trades:
            self._open = self._high = self._low = price
        elif price > self._high:
            self._high = price
        elif price < self._low:
            self._low = price
        self._trades += count
        self._last = price
        self._dirty = True
        return True

    def collect_many(
        self,
        times: npt.NDArray[np.int64],
        prices: list[float],
        turnovers: list[float],
        lots: list[int],
        counts: list[int],
    ) -> None:
        """
        `collect` trades whose times do not fall, a bar at a time.

        A turnover is price × size, ``lots`` the sizes as volumes are summed.
        """
        index = times // self.period_ns
        cuts = np.flatnonzero(index[1:] != index[:-1]) + 1
        for low, high in pairwise((0, *cuts.tolist(), len(prices))):
            bar = int(index[low])
            if bar != self._index and not self._turn_to(bar):
                continue
            part = prices[low:high]
            most, least = max(part), min(part)
            if not self._trades:
                self._open, self._high, self._low = part[0], most, least
            else:
                self._high = max(self._high, most)
                self._low = min(self._low, least)
            # One by one, as `collect` adds them: sums of floats depend on it.
            for turnover in turnovers[low:high]:
                self._turnover += turnover
            self._lots += sum(lots[low:high])
            self._trades += sum(counts[low:high])
            self._last = part[-1]
            self._dirty = True

    def _turn_to(self, index: int) -> bool:
        """Have trades go into this bar from now on; ``False`` if too old."""
        self.flush()
        if index >= self.writer.next:
            self.advance(index * self.period_ns)
        elif index < self.writer.first:
            return False
        self._load(index)
        return True

    def flush(self) -> None:
        """Write the bar that trades went into, if there were any."""
        if not self._dirty:
            return
        self._dirty = False
        index, price = self._index, self._last
        volume = self._lots / self._scale
        self.writer.update(
            index, self._open, self._high, self._low, price, volume,
            self._turnover / volume if volume else price, self._trades,
        )
        newest = self.writer.next - 1
        if index == newest:
            self._close = price
        else:
            self._amend_after(index, newest, price)

    def _load(self, index: int) -> None:
        """Go on with a bar that exists."""
        _, self._open, self._high, self._low, _, volume, vwap, self._trades = (
            self.writer.values(index)
        )
        self._index = index
        self._lots = round(volume * self._scale)
        self._turnover = vwap * volume

    def repair(self, rows: npt.NDArray[Any]) -> int:
        """
        Put the venue's own closed bars (`BAR_DTYPE`) in place of ours.

        Bars that are not there, or not closed yet, are left out; returns
        how many changed.
        """
        writer, changed = self.writer, 0
        for row in rows.tolist():
            time, *values = row
            index = time // self.period_ns
            if not writer.first <= index < writer.next - 1:
                continue
            if writer.values(index) == row:
                continue
            writer.update(index, *values)
            changed += 1
            self._amend_after(index, writer.next - 1, values[3])
        self._load(writer.next - 1)
        return changed

    def _amend_after(self, index: int, newest: int, close: float) -> None:
        """Carry a late close through the flat bars after it."""
        self.amended += 1
        for later in range(index + 1, newest + 1):
            if self.writer.values(later)[-1]:
                return
            self.writer.update(
                later, close, close, close, close, 0.0, close, 0
            )
        self._close = close


class Sampler:
    """
    The clock of all bars: one loop, however many buffers.

    Buffers are registered by whoever fills them; followers learn the newest
    index of each period as it steps.  A follower that is slow gets the newest
    step and misses those in between.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._builders: dict[str, BarBuilder] = {}
        self._followers: dict[
            trio.MemorySendChannel[dict[int, int]],
            trio.MemoryReceiveChannel[dict[int, int]],
        ] = {}
        self._steps: dict[int, int] = {}

    @contextmanager
    def registered(self, builder: BarBuilder) -> Iterator[None]:
        """Keep this buffer in step with the clock."""
        name = builder.writer.segment_name
        self._builders[name] = builder
        try:
            yield
        finally:
            del self._builders[name]

    @contextmanager
    def followed(self) -> Iterator[trio.MemoryReceiveChannel[dict[int, int]]]:
        """Steps as ``{period_s: index}``, only the periods that stepped."""
        send, receive = trio.open_memory_channel[dict[int, int]](16)
        self._followers[send] = receive
        try:
            yield receive
        finally:
            del self._followers[send]
            send.close()
            receive.close()

    def step(self) -> dict[int, int]:
        """Bring every buffer up to now; returns the periods that stepped."""
        now = self._clock.now_ns()
        changed: dict[int, int] = {}
        for builder in self._builders.values():
            builder.advance(now)
            period = builder.writer.period_s
            index = now // builder.period_ns
            if self._steps.get(period, -1) < index:
                changed[period] = index
        self._steps.update(changed)
        return changed

    async def run(self) -> None:
        """Step at each whole second of the clock, without drift."""
        while True:
            now = self._clock.now_ns()
            rest = (NS_PER_S - now % NS_PER_S) / NS_PER_S
            # A venue's clock may stand still while ours catches up.
            await trio.sleep(max(rest, _LEAST_SLEEP_S))
            changed = self.step()
            if not changed:
                continue
            for send, receive in self._followers.items():
                _tell(send, receive, changed)


def _tell(
    send: trio.MemorySendChannel[dict[int, int]],
    receive: trio.MemoryReceiveChannel[dict[int, int]],
    changed: dict[int, int],
) -> None:
    """Send a step; where there is no room it takes in the oldest one."""
    try:
        try:
            send.send_nowait(changed)
        except trio.WouldBlock:
            log.debug('a follower of the sampler missed a step')
            send.send_nowait({**receive.receive_nowait(), **changed})
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        log.debug('a follower of the sampler has left')
