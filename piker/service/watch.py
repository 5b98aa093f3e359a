"""
Watching processes, because a dead peer is silent.

When a process is killed, whoever waits for a message from it would wait for
ever.  On one host a pidfd tells: it becomes readable when the process ends.
Source: pidfd_open(2).
"""
from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import trio

from ..errors import ActorDied

__all__ = [
    'is_alive',
    'kill',
    'raise_if_dies',
    'started_ticks',
    'wait_exit',
]


def started_ticks(pid: int) -> int:
    """Start time of a process in clock ticks since boot, 0 if it is gone."""
    try:
        stat = Path(f'/proc/{pid}/stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    # The name may hold spaces and brackets; the fields after it do not.
    fields = stat.rpartition(')')[2].split()
    return 0 if fields[0] in 'ZX' else int(fields[19])


def is_alive(pid: int, started: int = 0) -> bool:
    """Whether the process lives and, given ``started``, is that one."""
    now = started_ticks(pid)
    return now != 0 and started in (0, now)


def _open(pid: int, started: int) -> int | None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if not is_alive(pid, started):
        os.close(fd)
        return None
    return fd


async def wait_exit(pid: int, started: int = 0) -> None:
    """Return once the process has ended, at once if it has already."""
    fd = _open(pid, started)
    if fd is None:
        await trio.lowlevel.checkpoint()
        return
    try:
        await trio.lowlevel.wait_readable(fd)
    finally:
        os.close(fd)


@asynccontextmanager
async def raise_if_dies(
    pid: int, started: int, name: str
) -> AsyncGenerator[None, None]:
    """
    Run the body; if the process ends first, cancel it, raise `ActorDied`.

    Open it *around* whatever talks to the peer, so that the waits of its
    teardown are cancelled as well.
    """
    died = False

    async def watch() -> None:
        nonlocal died
        await wait_exit(pid, started)
        died = True
        nursery.cancel_scope.cancel()

    error: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        try:
            yield
        except trio.Cancelled:
            raise
        except Exception as err:
            # What breaks while the peer dies is only the symptom.
            error = err
        if not died and error is not None and not is_alive(pid, started):
            died = True
        nursery.cancel_scope.cancel()
    if died:
        raise ActorDied(f'{name} (pid {pid}) died') from error
    if error is not None:
        raise error


def kill(pid: int, started: int, how: int = signal.SIGKILL) -> bool:
    """Signal exactly this process; says whether it was still there."""
    fd = _open(pid, started)
    if fd is None:
        return False
    try:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, how)
            return True
        return False
    finally:
        os.close(fd)
