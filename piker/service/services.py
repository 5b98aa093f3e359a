"""
`Services`: the daemons of a tree, kept alive by the root.

Each daemon is a child actor whose persistent entry point is a
``@tractor.context``.  A supervisor task a daemon (`supervisor`) enters it and
restarts it when it dies.  They are torn down in the reverse order of their
start.
"""
from __future__ import annotations

import os
import time
from contextlib import AsyncExitStack
from typing import Any, ClassVar, Self
from zlib import crc32

import trio

from ..errors import (
    DaemonError,
    NoSuchProvider,
    TreeEnding,
    did_you_mean,
)
from ..instruments import InstrumentId
from ..messages import ClientInfo, DaemonInfo, DaemonStatus, TreeStatus
from .daemons import DAEMONS
from .ground import tractor
from .supervisor import Supervised, process_status
from .tree import Tree
from .watch import started_ticks

__all__ = ['Services']


class Services:
    """
    The nursery container of the root actor; there is one a process.

    Enter it inside the root actor; leaving it ends every daemon, those that
    use others first, and else in the reverse order of their start.
    """

    _the: ClassVar[Services | None] = None

    def __init__(
        self, tree: Tree, settings: dict[str, Any], loglevel: str = 'info'
    ) -> None:
        self.tree = tree
        self.kept_ports: dict[str, int] = {}
        self._settings = settings
        self._loglevel = loglevel
        self._daemons: dict[str, Supervised] = {}
        self._clients: dict[int, ClientInfo] = {}
        self._leases = 0
        self.idle = trio.Event()
        self._stack = AsyncExitStack()
        self._closing = False
        self._since = time.monotonic()

    @classmethod
    def current(cls) -> Services:
        """The one of this process; raises outside the root actor."""
        if cls._the is None:
            raise DaemonError('this process is not the root of a tree')
        return cls._the

    async def __aenter__(self) -> Self:
        assert Services._the is None, 'one Services a process'
        Services._the = self
        self._tasks = await self._stack.enter_async_context(
            trio.open_nursery()
        )
        self.note_children()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._closing = True
        try:
            with trio.CancelScope(shield=True):
                for daemon in self._in_order_of_end():
                    await daemon.stop()
            await self._stack.aclose()
        finally:
            Services._the = None

    def _in_order_of_end(self) -> list[Supervised]:
        """Who uses others before those, then the newest first."""
        return sorted(
            self._daemons.values(),
            key=lambda d: (d.spec.rank, d.first_up),
            reverse=True,
        )

    def for_children(self) -> dict[str, Any]:
        """What the root tells each daemon."""
        return {
            'host': self.tree.host,
            'port': self.tree.port,
            'started': started_ticks(os.getpid()),
            'loglevel': self._loglevel,
            'settings': self._settings,
        }

    def wants(self, name: str) -> bool:
        """Whether the settings ask for this helper daemon at all."""
        sim = self._settings.get('providers', {}).get('sim', {})
        return not (name == 'simd' and sim.get('url'))

    def feed_daemon(self, symbol: str) -> str:
        """
        The daemon that carries a symbol's feed; raises `BadInput`.

        With ``feed.workers`` above 1 the symbols of a provider are spread
        over so many processes, each symbol always to the same one.
        """
        name = InstrumentId.parse(symbol)
        workers = self._settings.get('feed', {}).get('workers', 1)
        worker = crc32(str(name).encode()) % workers
        suffix = f'.{worker}' if worker else ''
        return f'brokerd.{name.provider}{suffix}'

    async def find_or_spawn(self, name: str) -> DaemonInfo:
        """
        The daemon of this name, started if need be; safe to race.

        Raises what `ensure` does, and what the daemon itself said when it
        could not start.
        """
        return await self.ensure(name).ready()

    def ensure(self, name: str) -> Supervised:
        """
        Start a daemon if need be, without waiting for it.

        One that was given up is tried anew.  Raises `NoSuchProvider` for a
        name that means nothing, `TreeEnding` while the tree ends.
        """
        kind, _, part = name.partition('.')
        spec = DAEMONS.get(kind)
        if spec is None or spec.needs_part != bool(part):
            raise NoSuchProvider(
                f'no daemon is called {name!r}.'
                f'{did_you_mean(kind, DAEMONS)}'
            )
        if self._closing:
            raise TreeEnding('the tree is shutting down')
        daemon = self._daemons.get(name)
        if daemon is None or daemon.state in ('failed', 'stopped'):
            # No checkpoint between look-up and entry: that is the lock.
            self._daemons.pop(name, None)
            daemon = self._daemons[name] = Supervised(self, name)
            self._tasks.start_soon(daemon.run)
        return daemon

    async def stop_daemon(self, name: str) -> None:
        """End one daemon in order; `DaemonError` if there is none."""
        daemon = self._daemons.get(name)
        if daemon is None:
            known = did_you_mean(name, self._daemons)
            raise DaemonError(f'no daemon {name!r} runs.{known}')
        await daemon.stop()

    def forget(self, uid: tuple[str, str]) -> None:
        """Drop a dead actor from the registrar's table."""
        actor = ground_actor()
        actor._registry.pop(tuple(uid), None)

    def note_children(self) -> None:
        """Keep the tree's record on disk true."""
        children = {
            d.name: (d.info.pid, d.info.started)
            for d in self._daemons.values()
            if d.info
        }
        self.tree.write_record(children)

    def attach(self, client: ClientInfo) -> int:
        """Note a client; returns the key to `detach` it by."""
        self._leases += 1
        self._clients[self._leases] = client
        return self._leases

    def detach(self, key: int) -> None:
        self._clients.pop(key, None)
        if not self._clients:
            self.idle.set()

    def status(self) -> TreeStatus:
        """The tree as it is now."""
        root = process_status(
            DaemonStatus('pikerd', 'up'), os.getpid(),
            time.monotonic() - self._since, {},
        )
        return TreeStatus(
            str(self.tree),
            [root, *(d.status() for d in self._daemons.values())],
            list(self._clients.values()),
        )


def ground_actor() -> Any:
    """The runtime's own actor object of this process."""
    return tractor.current_actor()
