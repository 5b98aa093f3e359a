"""
Life inside a daemon's process: start, end, and the death of the parent.

`daemon_life` wraps every daemon's entry point.  The root sends the tree's
address, the log level and the settings along.
"""
from __future__ import annotations

import logging
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import trio

from .. import log as logging_setup
from . import ground
from .tree import Tree
from .watch import started_ticks, wait_exit

__all__ = ['actor_state', 'daemon_life']

log = logging.getLogger(__name__)

# How long a daemon may take to end once its root is gone: more than storage
# takes to write what is left, less than the next root waits before it kills.
_ORPHAN_GRACE_S = 2.5


def actor_state() -> dict[str, Any]:
    """
    What the tasks of this actor share, by name.

    Tasks that the runtime starts for a remote caller have no other way to
    reach the objects of the daemon's main task.
    """
    actor = ground.tractor.current_actor()
    if not hasattr(actor, 'piker_state'):
        actor.piker_state = {}
    state: dict[str, Any] = actor.piker_state
    return state


@asynccontextmanager
async def daemon_life(
    name: str, root: dict[str, Any]
) -> AsyncGenerator[Tree, None]:
    """
    The frame of a daemon's persistent task.

    Sets up logging, leaves signals to the root, and ends the process if the
    root dies: the body is cancelled, and 2.5 seconds later the process exits
    hard.  Whatever is left in shared memory then is unlinked here, since no
    one else will before the tree's next start.
    """
    logging_setup.set_up(name, root['loglevel'])
    # A terminal sends Ctrl-C, and a service manager SIGTERM, to all processes
    # of the tree at once; it is the root that takes it down, in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tree = Tree(root['host'], root['port'])
    pid, started = os.getppid(), root['started']

    async def follow_root() -> None:
        await wait_exit(pid, started)
        log.error('the root (pid %d) is gone: ending', pid)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.sleep(_ORPHAN_GRACE_S)
            _leave(tree)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow_root)
        try:
            yield tree
        finally:
            if not started_ticks(pid):
                # tractor would wait for its registrar on the way out
                _leave(tree)
        nursery.cancel_scope.cancel()


def _leave(tree: Tree) -> None:
    tree.sweep(os.getpid())
    os._exit(1)
