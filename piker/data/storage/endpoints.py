"""
What ``stored`` answers to ``brokerd`` and to clients.

Errors that a person can act on travel as data (`errors.to_wire`).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import PikerError, to_wire
from ...messages import FlumeInfo, unpack
from ...service import actor_state, tractor, wait_exit
from ..bars import BAR_DTYPE
from .keeper import KEEPER, Keeper

__all__ = [
    'add_bars',
    'find_gaps',
    'load_bars',
    'missing_bars',
    'note_absent',
    'record',
    'status',
    'stored_bounds',
]


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
async def load_bars(
    ctx: Any,
    symbol: str,
    period_s: int,
    start_ns: int,
    end_ns: int,
    pid: int,
    started: int,
) -> None:
    """
    Lend stored bars in shared memory until the caller is done with them.

    Starts with ``segment`` (empty without any), ``rows`` and ``next_ns``, or
    with the error.
    """
    try:
        async with _keeper().lent_bars(
            symbol, period_s, start_ns, end_ns
        ) as found:
            await ctx.started(found)
            if found['segment']:
                await wait_exit(pid, started)
    except PikerError as err:
        await ctx.started(to_wire(err))


async def find_gaps(
    symbol: str, period_s: int, start_ns: int, end_ns: int
) -> dict[str, Any]:
    """``gaps``: the ranges of ``[start_ns, end_ns)`` that are not stored."""
    try:
        gaps = await _keeper().gaps(symbol, period_s, start_ns, end_ns)
    except PikerError as err:
        return to_wire(err)
    return {'gaps': [list(gap) for gap in gaps]}


async def missing_bars(
    symbol: str, period_s: int, end_ns: int
) -> dict[str, Any]:
    """
    ``gaps``: what is missing from the oldest stored bar up to ``end_ns``.

    Without what `note_absent` was told of.
    """
    try:
        gaps = await _keeper().missing(symbol, period_s, end_ns)
    except PikerError as err:
        return to_wire(err)
    return {'gaps': [list(gap) for gap in gaps]}


async def add_bars(symbol: str, period_s: int, bars: bytes) -> dict[str, Any]:
    """Store bars of the past; ``bars`` are `BAR_DTYPE` rows as they are."""
    try:
        rows = np.frombuffer(bars, BAR_DTYPE)
        await _keeper().add_bars(symbol, period_s, rows)
    except PikerError as err:
        return to_wire(err)
    return {}


async def note_absent(
    symbol: str, period_s: int, ranges: list[list[int]]
) -> dict[str, Any]:
    """The venue has no bars in these ``[start_ns, end_ns)``."""
    try:
        await _keeper().note_absent(
            symbol, period_s, [(int(a), int(b)) for a, b in ranges]
        )
    except PikerError as err:
        return to_wire(err)
    return {}


async def stored_bounds(symbol: str, kind: str) -> dict[str, Any]:
    """``bounds``: oldest and newest stored time, or ``None``."""
    try:
        bounds = await _keeper().bounds(symbol, kind)
    except PikerError as err:
        return to_wire(err)
    return {'bounds': list(bounds) if bounds else None}


async def status() -> dict[str, Any]:
    """Counters of each recorder, and of the whole."""
    return _keeper().status()
