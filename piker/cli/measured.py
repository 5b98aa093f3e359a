"""
``piker bars --by``: bars of so many trades, so much volume or turnover.

They are made of trades, and so range over those that are there: stored ones,
and those in the ring of the live feed that have not been stored yet.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import click
import numpy as np
import numpy.typing as npt
import trio

from ..clock import NS_PER_S, format_ns
from ..data import Flume, Kind, Ticks
from ..data.resample import bars_by_measure
from ..data.status import report
from ..data.ticks import TICK_DTYPE
from ..errors import did_you_mean
from ..service import TreeClient
from .common import counted

__all__ = [
    'MEASURE',
    'Measure',
    'MeasuredBars',
    'Trades',
    'load_measured',
    'measured_bars',
]

_DAY_NS = 86_400 * NS_PER_S
# A tree that has just been started takes a while to begin to record.
_RECORDED_WITHIN_S = 2.0
_LOOK_S = 0.1
# The newest tick is there when it is waited for; should it be gone, go on.
_RING_WITHIN_S = 1.0

_Kind = Literal['ticks', 'volume', 'dollars']
# What a person may write, and what `bars_by_measure` calls it.
_MEASURES: dict[str, _Kind] = {
    'trades': 'ticks', 'volume': 'volume', 'turnover': 'dollars',
    'ticks': 'ticks', 'dollars': 'dollars',
}
_Rows = npt.NDArray[Any]
# Stored trades of ``[start_ns, end_ns)``, `TICK_DTYPE` rows.
_Read = Callable[[int, int], _Rows]


@dataclass(frozen=True, slots=True)
class Measure:
    """What ends a bar: so much of what."""

    kind: _Kind
    size: float


class _MeasureParam(click.ParamType[Measure]):
    name = 'measure'

    def convert(self, value: Any, param: Any, ctx: Any) -> Measure:
        if isinstance(value, Measure):
            return value
        name, mark, text = value.partition('=')
        kind = _MEASURES.get(name.strip().lower())
        if kind is None:
            self.fail(
                f'{name!r} is no measure.'
                f'{did_you_mean(name.lower(), _MEASURES)} Write trades=500, '
                'volume=10 or turnover=1000000', param, ctx,
            )
        if not mark:
            self.fail(
                f'{value!r} does not say how much: write {name}=500',
                param, ctx,
            )
        size = self._size(value, text, param, ctx)
        if kind == 'ticks' and size % 1:
            self.fail(
                f'{value!r}: trades are counted in whole numbers', param, ctx
            )
        return Measure(kind, float(size))

    def _size(self, value: str, text: str, param: Any, ctx: Any) -> Decimal:
        try:
            size = Decimal(text.strip())
        except ArithmeticError:
            size = Decimal('nan')
        if not size.is_finite() or not np.isfinite(float(size)):
            self.fail(f'{value!r}: {text!r} is not a number', param, ctx)
        if not float(size) > 0:
            self.fail(f'{value!r}: {text} is not above 0', param, ctx)
        return size


MEASURE = _MeasureParam()


@dataclass(frozen=True, slots=True)
class MeasuredBars:
    """
    ``rows`` are `BAR_DTYPE`, the newest last.

    ``since_ns`` is the time of the oldest trade that was looked at; of the
    time of ``rows``, ``missing`` trades in ``holes`` places are not there,
    by the venue's ids.
    """

    rows: _Rows
    since_ns: int
    missing: int
    holes: int


class Trades:
    """
    What is stored, by ``read``, and what of the ring is not, day by day.

    A trade that is in both counts once.
    """

    def __init__(self, read: _Read | None, oldest_ns: int, ring: _Rows):
        self._read = read
        self._ring = ring[ring['kind'] == int(Kind.TRADE)]
        if len(self._ring):
            oldest_ns = min(oldest_ns, int(self._ring['time'].min()))
        self.oldest_ns = oldest_ns

    def days(self, now_ns: int) -> Iterator[_Rows]:
        """Trades of each day (UTC) in their order, the newest day first."""
        # The venue's clock may be ahead of ours.
        start = (now_ns // _DAY_NS + 1) * _DAY_NS
        while start + _DAY_NS > self.oldest_ns:
            yield self._of(start, start + _DAY_NS)
            start -= _DAY_NS

    def _of(self, start_ns: int, end_ns: int) -> _Rows:
        times = self._ring['time']
        rows = self._ring[(times >= start_ns) & (times < end_ns)]
        if self._read is not None:
            stored = self._read(start_ns, end_ns)
            stored = stored[stored['kind'] == int(Kind.TRADE)]
            rows = np.concatenate((stored, rows))
        rows = rows[np.lexsort((rows['id'], rows['time']))]
        again = np.zeros(len(rows), bool)
        again[1:] = (
            (rows['id'][1:] == rows['id'][:-1])
            & (rows['time'][1:] == rows['time'][:-1])
            & (rows['id'][1:] > 0)
        )
        found: _Rows = rows[~again]
        return found


def measured_bars(
    trades: Trades, measure: Measure, count: int, now_ns: int
) -> MeasuredBars:
    """
    The newest ``count`` bars, or as many as there are trades for.

    Each day begins a new bar, so days are read until there are enough bars.
    """
    bars: list[_Rows] = []
    used: list[_Rows] = []
    for rows in trades.days(now_ns):
        if not len(rows):
            continue
        used.insert(0, rows)
        bars.insert(0, bars_by_measure(
            _ticks(rows), measure.kind, measure.size
        ))
        if sum(map(len, bars)) >= count:
            break
    if not used:
        return MeasuredBars(
            bars_by_measure(_ticks(np.zeros(0, TICK_DTYPE)), 'ticks', 1),
            0, 0, 0,
        )
    shown = np.concatenate(bars)[-count:]
    all_ = np.concatenate(used)
    after = all_[all_['time'] >= shown['time'][0]]
    steps = np.diff(after['id'])
    holes = steps[(steps > 1) & (after['id'][:-1] > 0)]
    return MeasuredBars(
        shown, int(all_['time'][0]), int((holes - 1).sum()), len(holes)
    )


def _ticks(rows: _Rows) -> Ticks:
    columns: Any = {field: rows[field] for field in TICK_DTYPE.names or ()}
    return Ticks(seq=np.arange(len(rows), dtype=np.uint64), **columns)


async def load_measured(
    tree: TreeClient, flume: Flume, measure: Measure, count: int, now_ns: int
) -> MeasuredBars:
    """
    The bars of a live feed; says on stderr what they cannot range over.

    Raises `StorageError`.
    """
    symbol = flume.instrument.id
    # The ring first: what goes out of it meanwhile has then been stored.
    ring = await _ring_of(flume)
    root = await _root_of(tree, symbol)

    def work() -> MeasuredBars:
        read, oldest_ns = None, now_ns
        if root is not None:
            # These take a while to load.
            from ..config import load_settings
            from ..data.storage import Store

            store = Store(root, load_settings().storage.options)
            bounds = store.bounds(symbol, 'ticks')
            if bounds is not None:
                oldest_ns = bounds[0]

                def read(start_ns: int, end_ns: int) -> _Rows:
                    return store.read_ticks(symbol, start_ns, end_ns)

        trades = Trades(read, oldest_ns, ring)
        return measured_bars(trades, measure, count, now_ns)

    found = await trio.to_thread.run_sync(
        work, abandon_on_cancel=True  # type: ignore[call-arg]
    )
    for note in _notes(symbol, found, count, stored=root is not None):
        click.echo(f'piker: {note}', err=True)
    return found


def _notes(
    symbol: str, found: MeasuredBars, count: int, *, stored: bool
) -> Iterator[str]:
    if not stored:
        yield (
            f'this tree stores nothing of {symbol}: only the trades in its '
            'memory are looked at'
        )
    if not len(found.rows):
        yield f'no trade of {symbol} has been seen yet'
    elif len(found.rows) < count:
        yield (
            f'no more than {counted(len(found.rows), "bar")}: trades of '
            f'{symbol} are kept since {format_ns(found.since_ns)[:19]}'
        )
    if found.missing:
        yield (
            f'{counted(found.missing, "trade")} in '
            f'{counted(found.holes, "place")} not there, by their ids: '
            'nobody listened then, and a bar may reach across'
        )


async def _ring_of(flume: Flume) -> _Rows:
    """All trades that the ring holds now."""
    newest_ns = flume.quote().recv
    runs: list[_Rows] = []
    with trio.move_on_after(_RING_WITHIN_S):
        async for run in flume.ticks(from_start=True):
            trades = run.trades
            rows = np.zeros(len(trades), TICK_DTYPE)
            for field in TICK_DTYPE.names or ():
                rows[field] = getattr(trades, field)
            runs.append(rows)
            if run.recv[-1] >= newest_ns:
                break
    return np.concatenate([np.zeros(0, TICK_DTYPE), *runs])


async def _root_of(tree: TreeClient, symbol: str) -> str | None:
    """Where the tree stores a symbol; ``None`` if it does not."""
    end = trio.current_time() + _RECORDED_WITHIN_S
    while trio.current_time() < end:
        store = (await report(tree)).store
        if store is not None and symbol in store.recording:
            return store.root
        await trio.sleep(_LOOK_S)
    return None
