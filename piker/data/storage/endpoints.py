"""
What ``stored`` answers to ``brokerd`` and to clients.

Errors that a person can act on travel as data (`errors.to_wire`).  Questions
come over a `line`, see `_ANSWERS`.
"""
from __future__ import annotations

from typing import Any

import numpy as np
import trio

from ...errors import PikerError, to_wire
from ...messages import FlumeInfo, unpack
from ...service import actor_state, open_door, tractor, wait_exit
from ..bars import BAR_DTYPE
from .keeper import KEEPER, Keeper
from .line import Answers, serve_line

__all__ = ['open_line', 'record', 'status']


def _keeper() -> Keeper:
    keeper: Keeper = actor_state()[KEEPER]
    return keeper


@tractor.context  # type: ignore[untyped-decorator, unused-ignore]
async def record(
    ctx: Any, flumes: list[dict[str, Any]], pid: int, started: int
) -> None:
    """
    Record these `FlumeInfo` until the caller leaves or its process ends.

    ``pid`` and ``started`` name the process that writes them.  Starts with
    ``{}`` once all are mapped, or with the error.  What is left at the end
    is written in the background.
    """
    infos = [unpack(FlumeInfo, flume) for flume in flumes]
    try:
        with _keeper().recording(infos, str(started)):
            await ctx.started({})
            await wait_exit(pid, started)
    except PikerError as err:
        await ctx.started(to_wire(err))


@tractor.context  # type: ignore[untyped-decorator, unused-ignore]
async def open_line(ctx: Any, pid: int, started: int) -> None:
    """
    Answer questions over a pipe until the caller leaves or dies.

    Starts with the address of the ``pipe``; see `line`.
    """
    async with trio.open_nursery() as nursery:

        async def end_with_client() -> None:
            await wait_exit(pid, started)
            nursery.cancel_scope.cancel()

        nursery.start_soon(end_with_client)
        with open_door() as door:
            await ctx.started({'pipe': door.address})
            pipe = await door.accept(pid)
        with pipe:
            await serve_line(pipe, _ANSWERS, _keeper().lent_bars)
        nursery.cancel_scope.cancel()


async def _find_gaps(
    symbol: str, period_s: int, start_ns: int, end_ns: int
) -> dict[str, Any]:
    """``gaps``: the ranges of ``[start_ns, end_ns)`` that are not stored."""
    gaps = await _keeper().gaps(symbol, period_s, start_ns, end_ns)
    return {'gaps': [list(gap) for gap in gaps]}


async def _missing_bars(
    symbol: str, period_s: int, end_ns: int
) -> dict[str, Any]:
    """
    ``gaps``: what is missing from the oldest stored bar up to ``end_ns``.

    Without what `note_absent` was told of.
    """
    gaps = await _keeper().missing(symbol, period_s, end_ns)
    return {'gaps': [list(gap) for gap in gaps]}


async def _add_bars(symbol: str, period_s: int, bars: bytes) -> dict[str, Any]:
    """Store bars of the past; ``bars`` are `BAR_DTYPE` rows as they are."""
    rows = np.frombuffer(bars, BAR_DTYPE)
    await _keeper().add_bars(symbol, period_s, rows)
    return {}


async def _note_absent(
    symbol: str, period_s: int, ranges: list[list[int]]
) -> dict[str, Any]:
    """The venue has no bars in these ``[start_ns, end_ns)``."""
    await _keeper().note_absent(
        symbol, period_s, [(int(a), int(b)) for a, b in ranges]
    )
    return {}


async def _stored_bounds(symbol: str, kind: str) -> dict[str, Any]:
    """``bounds``: oldest and newest stored time, or ``None``."""
    bounds = await _keeper().bounds(symbol, kind)
    return {'bounds': list(bounds) if bounds else None}


async def status() -> dict[str, Any]:
    """Counters of each recorder, and of the whole."""
    return _keeper().status()


_ANSWERS: Answers = {
    'find_gaps': _find_gaps,
    'missing_bars': _missing_bars,
    'add_bars': _add_bars,
    'note_absent': _note_absent,
    'stored_bounds': _stored_bounds,
    'status': status,
}
