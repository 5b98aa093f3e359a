"""
Where a feed's history comes from: storage first, the venue for the rest.
"""
from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..clock import NS_PER_S
from ..errors import PikerError
from ..instruments import Instrument
from .backend import Backend
from .bars import BAR_DTYPE, flat_fill
from .storage import StoreClient, TableId
from .storage.names import bars_kind, is_remote

__all__ = ['PAGE', 'BarSource']

log = logging.getLogger(__name__)

# Bars that one request to a venue brings at most.
PAGE = 1000


class BarSource:
    """
    Bars of one provider, wherever they are kept.

    ``store`` is ``None`` where nothing is to be stored; ``root`` is the
    tables' root, which is looked at to spare a question where no table is.
    A store that fails is done without, with a line in the log.
    """

    def __init__(
        self, backend: Backend, store: StoreClient | None = None,
        root: str = '',
    ) -> None:
        self.backend = backend
        self.store = store
        self._root = root

    async def stored(
        self, instrument: Instrument, period_s: int, start_ns: int, end_ns: int
    ) -> npt.NDArray[Any]:
        """What storage has of ``start_ns <= time < end_ns``, by time."""
        nothing = np.zeros(0, BAR_DTYPE)
        if self.store is None or not self._has_table(instrument, period_s):
            return nothing
        try:
            return await self.store.load_bars(
                instrument.id, period_s, start_ns, end_ns
            )
        except PikerError as err:
            log.warning(
                '%s: going without stored bars: %s', instrument.id, err
            )
            return nothing

    def _has_table(self, instrument: Instrument, period_s: int) -> bool:
        if is_remote(self._root):
            return True
        table = TableId.of(instrument.id, bars_kind(period_s))
        return Path(self._root, *table.parts, '_delta_log').is_dir()

    async def page(
        self,
        instrument: Instrument,
        period_s: int,
        start: int,
        stop: int,
        *,
        background: bool = False,
    ) -> npt.NDArray[Any]:
        """
        The venue's bars of ``start <= index < stop``, without holes.

        At most `PAGE` of them, the newest; periods that the venue leaves out
        are flat.  Empty where its history has not begun.
        """
        period_ns = period_s * NS_PER_S
        start = max(start, stop - PAGE)
        rows = await self.backend.bars(
            instrument, period_s, start * period_ns, stop * period_ns,
            background=background,
        )
        if not len(rows):
            return np.zeros(0, BAR_DTYPE)
        first = int(rows['time'][0]) // period_ns
        return flat_fill(
            rows, first, stop, period_ns, float(rows['open'][0])
        )

    async def recent(
        self, instrument: Instrument, period_s: int, start: int, stop: int
    ) -> npt.NDArray[Any]:
        """
        Bars of ``start <= index < stop`` that join up with ``stop``.

        The venue is asked only for those that storage lacks at the end, in
        one request; older holes are left to backfilling.
        """
        period_ns = period_s * NS_PER_S
        kept = await self.stored(
            instrument, period_s, start * period_ns, stop * period_ns
        )
        newest = int(kept['time'][-1]) // period_ns + 1 if len(kept) else start
        if newest < stop:
            fresh = await self.page(instrument, period_s, newest, stop)
            kept = np.concatenate((kept, fresh))
        return joined(kept, stop, period_ns)

    async def total(
        self, instrument: Instrument, period_s: int, start: int, stop: int
    ) -> npt.NDArray[Any]:
        """Bars of ``start <= index < stop``; the venue fills the newest."""
        rows = await self.recent(instrument, period_s, start, stop)
        while len(rows) < stop - start:
            at = stop - len(rows)
            older = await self.page(instrument, period_s, start, at)
            if not len(older):
                break
            rows = np.concatenate((older, rows))
        return rows


def joined(
    rows: npt.NDArray[Any], stop: int, period_ns: int
) -> npt.NDArray[Any]:
    """The newest of ``rows`` (rising times) that reach ``stop`` unbroken."""
    if not len(rows) or rows['time'][-1] != (stop - 1) * period_ns:
        return rows[:0]
    breaks = np.flatnonzero(np.diff(rows['time']) != period_ns)
    return rows[breaks[-1] + 1:] if len(breaks) else rows
