"""
Processes that others wait for get the processor soon after they are woken.

The kernel's scheduler (EEVDF) lets a process that wakes up go before one that
runs at once if its slice is shorter.  Slices are 3 ms without asking, and a
tick's or an order's way through a process takes a tenth of that.  It takes no
rights, gives nobody more time in all, and costs some switches.

Who waits for ticks has a shorter one than who writes them: on a machine whose
cores are few both are often on the same one while another is idle, and in a
burst the writer has more to read before it would sleep.  And whoever has sent
what cannot wait gives way (`give_way`), as what it does next can.

Source: sched_setattr(2); Documentation/scheduler/sched-eevdf.rst of the
kernel, which knows slices of ordinary processes from 6.12 on.
"""
from __future__ import annotations

import ctypes
import logging
import os
import struct

__all__ = ['WRITER_NS', 'give_way', 'shorten_slice']

log = logging.getLogger(__name__)

_READER_NS = 100_000  # the least there is
WRITER_NS = 500_000
_NUMBERS = {'x86_64': 314, 'aarch64': 274}  # of the system call
# size, policy, flags, nice, priority, runtime, deadline, period, two clamps
_ATTRIBUTES = struct.Struct('=IIQiIQQQII')


def give_way() -> None:
    """Let those run that wait for this core; it takes no time if none do."""
    os.sched_yield()


def shorten_slice(slice_ns: int = _READER_NS) -> None:
    """
    Ask for it for the calling thread; of no effect where it is not known.
    """
    number = _NUMBERS.get(os.uname().machine)
    if number is None:
        return
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = _ATTRIBUTES.pack(
        _ATTRIBUTES.size, os.SCHED_OTHER, 0, nice, 0, slice_ns, 0, 0, 0, 0
    )
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, 0, attributes, 0):
        log.debug('no short slices: %s', os.strerror(ctypes.get_errno()))
