"""
Slow reading work, off the event loop.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

__all__ = ['in_thread']

T = TypeVar('T')


async def in_thread(
    work: Callable[..., T],
    *args: object,
    limiter: trio.CapacityLimiter | None = None,
) -> T:
    """
    Run ``work(*args)`` in a worker thread.

    When cancelled it is left to finish by itself and its result dropped, so
    it must not change anything but caches.
    """
    return await trio.to_thread.run_sync(  # type: ignore[call-arg, unused-ignore]
        work, *args, limiter=limiter, abandon_on_cancel=True
    )
