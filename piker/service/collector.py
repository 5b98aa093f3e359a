"""
The garbage collector of a process that others wait for.
"""
from __future__ import annotations

import gc

__all__ = ['calm_collector']


def calm_collector() -> None:
    """
    Keep it off what lives as long as the process, once all of that is there.

    A full collection of a daemon takes some 20 ms, which every tick behind it
    waits for; the hot path itself makes no cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
