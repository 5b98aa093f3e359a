"""
`Services`: the daemons of a tree, kept alive by the root.

Each daemon is a child actor whose persistent entry point is a
``@tractor.context``.  A supervisor task a daemon enters it, restarts it with
back-off when it dies, and gives up loudly when that does not help.  They are
torn down in the reverse order of their start.
"""
from __future__ import annotations

import logging
import math
import os
import time
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self
from zlib import crc32

import psutil
import trio

from ..errors import (
    ActorDied,
    DaemonError,
    NoSuchProvider,
    PikerError,
    did_you_mean,
    from_wire,
)
from ..instruments import InstrumentId
from ..messages import ClientInfo, DaemonInfo, DaemonStatus, TreeStatus
from .ground import remote, tractor
from .tree import Tree
from .watch import kill, raise_if_dies, started_ticks, wait_exit

__all__ = ['DAEMONS', 'DaemonSpec', 'Services']

log = logging.getLogger(__name__)

_SPAWN_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 3.0
_BACKOFF_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
# Giving up: this many deaths within this time.
_MOST_DEATHS = 6
_DEATHS_WITHIN_S = 60.0
# Modules every child imports before it starts to listen.
_CHILD_MODULES = ('piker.service.ground', 'piker.service.child')


@dataclass(frozen=True, slots=True)
class DaemonSpec:
    """
    A kind of daemon, by name.

    ``module`` and ``entry`` name its context; ``serves`` the modules whose
    functions clients may call in it.  ``requires`` maps what comes after the
    dot of a daemon's name to another daemon that must run first.  With
    ``keeps_port`` a restarted daemon listens where it did before.  Daemons
    of a higher ``rank`` use those of lower ones and end before them.
    """

    module: str
    entry: str
    serves: tuple[str, ...] = ()
    requires: dict[str, str] = field(default_factory=dict)
    needs_part: bool = False
    keeps_port: bool = False
    rank: int = 0


# The service layer imports none of these.
DAEMONS: dict[str, DaemonSpec] = {
    'brokerd': DaemonSpec(
        'piker.brokers.daemon',
        'brokerd',
        serves=('piker.data.endpoints', 'piker.brokers.endpoints'),
        requires={'sim': 'simd'},
        needs_part=True,
        rank=1,
    ),
    'emsd': DaemonSpec(
        'piker.clearing.daemon',
        'emsd',
        serves=('piker.clearing.endpoints',),
        rank=2,
    ),
    'stored': DaemonSpec(
        'piker.data.storage.daemon',
        'stored',
        serves=('piker.data.storage.endpoints',),
    ),
    'simd': DaemonSpec('piker.brokers.sim.daemon', 'simd', keeps_port=True),
}


class _Daemon:
    """One daemon, its supervisor and its state."""

    def __init__(self, services: Services, name: str) -> None:
        self._services = services
        self.name = name
        self.kind, _, self.part = name.partition('.')
        self.spec = DAEMONS[self.kind]
        self.state = 'starting'
        self.error: PikerError | None = None
        self.info: DaemonInfo | None = None
        self.restarts = 0
        self.first_up = math.inf
        self._up_since = 0.0
        self._changed = trio.Event()
        self._stop = trio.Event()
        self._done = trio.Event()
        self._deaths: deque[float] = deque(maxlen=_MOST_DEATHS)
        self._upstream: dict[str, Any] = {}

    def _set(self, state: str) -> None:
        self.state = state
        self._changed.set()
        self._changed = trio.Event()
        self._services.note_children()

    async def ready(self) -> DaemonInfo:
        """Its address once it is up; raises what made it fail."""
        while True:
            if self.state == 'up' and self.info:
                return self.info
            if self.state == 'failed':
                assert self.error is not None
                raise self.error
            if self.state == 'stopped':
                raise DaemonError(f'{self.name} has been stopped')
            await self._changed.wait()

    async def stop(self) -> None:
        """End it in order; returns once its process is gone."""
        self._stop.set()
        with trio.CancelScope(shield=True):
            await self._done.wait()

    async def run(self) -> None:
        """Supervise until stopped; never raises for what a daemon does."""
        try:
            while not self._stop.is_set():
                try:
                    await self._live()
                except PikerError as err:
                    if not await self._after_failure(err):
                        return
        finally:
            if self.state != 'failed':
                self._set('stopped')
            self._done.set()

    async def _after_failure(self, err: PikerError) -> bool:
        """Wait before the next try; says whether there shall be one."""
        now = trio.current_time()
        was_up, self.info = self.info is not None, None
        if not was_up and not isinstance(err, ActorDied):
            # It said by itself why it cannot start; so it will again.
            self._fail(err)
            return False
        self._deaths.append(now)
        full = len(self._deaths) == _MOST_DEATHS
        if full and now - self._deaths[0] < _DEATHS_WITHIN_S:
            self._fail(DaemonError(
                f'{self.name} died {_MOST_DEATHS} times within '
                f'{_DEATHS_WITHIN_S:.0f} s and is given up; the last time: '
                f'{err}. Ask for it again to try anew.'
            ))
            return False
        recent = sum(now - t < _DEATHS_WITHIN_S for t in self._deaths)
        pause = _BACKOFF_S[min(recent, len(_BACKOFF_S)) - 1]
        self.restarts += 1
        log.error('%s: restarting it in %.2g s', err, pause)
        self._set('restarting')
        with trio.move_on_after(pause):
            await self._stop.wait()
        return True

    def _fail(self, err: PikerError) -> None:
        self.error = err
        log.critical('%s cannot be kept up: %s', self.name, err)
        self._set('failed')

    async def _live(self) -> None:
        """One life of the process, from spawn to reaping."""
        services = self._services
        need = self.spec.requires.get(self.part.partition('.')[0])
        helper = None
        if need and services.wants(need):
            # Both processes start side by side.
            helper = services.ensure(need)
        modules = [*_CHILD_MODULES, self.spec.module, *self.spec.serves]
        pid = 0
        try:
            async with tractor.open_nursery() as nursery:
                with trio.move_on_after(_SPAWN_TIMEOUT_S) as spawning:
                    portal = await nursery.start_actor(
                        self.name, enable_modules=modules
                    )
                if spawning.cancelled_caught:
                    raise ActorDied(
                        f'{self.name} did not start within '
                        f'{_SPAWN_TIMEOUT_S:.0f} s'
                    )
                uid = portal.channel.uid
                pid = nursery._children[uid][1].pid
                try:
                    if helper:
                        self._upstream = (await helper.ready()).details
                    await self._serve(portal, pid)
                finally:
                    await _end(portal, pid)
                    services.forget(uid)
        except PikerError:
            raise
        except trio.MultiError as err:
            raise ActorDied(f'{self.name} failed: {err!r}') from err
        finally:
            if pid:
                services.tree.sweep(pid)

    async def _serve(self, portal: Any, pid: int) -> None:
        started = started_ticks(pid)
        entry = remote(self.spec.module, self.spec.entry)
        kwargs: dict[str, Any] = {'root': self._services.for_children()}
        if self.spec.needs_part:
            kwargs['part'] = self.part
        if self.spec.requires:
            kwargs['upstream'] = self._upstream
        if self.spec.keeps_port:
            kwargs['port'] = self._services.kept_ports.get(self.name, 0)
        try:
            async with (
                raise_if_dies(pid, started, self.name),
                portal.open_context(entry, **kwargs) as (ctx, first),
            ):
                if 'error' in first:
                    raise from_wire(first)
                if self.spec.keeps_port:
                    self._services.kept_ports[self.name] = first['port']
                self.info = DaemonInfo(self.name, pid, started, first)
                self._up_since = time.monotonic()
                self.first_up = min(self.first_up, self._up_since)
                log.info('%s is up (pid %d)', self.name, pid)
                self._set('up')
                await self._until_stopped(ctx)
        except tractor.RemoteActorError as err:
            raise ActorDied(f'{self.name} failed: {err}') from err

    async def _until_stopped(self, ctx: Any) -> None:
        """Until asked to stop; raises if the context ends by itself."""

        async def watch_context() -> None:
            await ctx.result()
            raise ActorDied(f'{self.name} returned by itself')

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_context)
            await self._stop.wait()
            self._set('stopping')
            nursery.cancel_scope.cancel()
        await ctx.cancel()

    def status(self) -> DaemonStatus:
        """As ``piker services`` shows it."""
        base = DaemonStatus(
            self.name,
            self.state,
            restarts=self.restarts,
            error=str(self.error or ''),
        )
        if self.info is None:
            return base
        return process_status(
            base, self.info.pid, time.monotonic() - self._up_since,
            self.info.details,
        )


async def _end(portal: Any, pid: int) -> None:
    """Ask the actor to end, and kill it if it does not."""
    with trio.CancelScope(shield=True):
        if portal.channel.connected():
            with trio.move_on_after(_STOP_TIMEOUT_S):
                await portal.cancel_actor()
        with trio.move_on_after(_STOP_TIMEOUT_S) as waiting:
            await wait_exit(pid)
        if waiting.cancelled_caught and kill(pid, 0):
            log.warning('pid %d did not end when asked: killed it', pid)


def process_status(
    base: DaemonStatus, pid: int, uptime_s: float, details: dict[str, Any]
) -> DaemonStatus:
    """``base`` with what the OS says of the process."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            age = max(1e-3, time.time() - process.create_time())
            memory = process.memory_full_info().uss
    except psutil.Error:
        return base
    return DaemonStatus(
        base.name,
        base.state,
        pid=pid,
        uptime_s=uptime_s,
        restarts=base.restarts,
        cpu_percent=100 * (times.user + times.system) / age,
        memory=memory,
        error=base.error,
        details=details,
    )


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
        self._daemons: dict[str, _Daemon] = {}
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

    def _in_order_of_end(self) -> list[_Daemon]:
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

    def ensure(self, name: str) -> _Daemon:
        """
        Start a daemon if need be, without waiting for it.

        One that was given up is tried anew.  Raises `NoSuchProvider` for a
        name that means nothing, `DaemonError` while the tree ends.
        """
        kind, _, part = name.partition('.')
        spec = DAEMONS.get(kind)
        if spec is None or spec.needs_part != bool(part):
            raise NoSuchProvider(
                f'no daemon is called {name!r}.'
                f'{did_you_mean(kind, DAEMONS)}'
            )
        if self._closing:
            raise DaemonError('the tree is shutting down')
        daemon = self._daemons.get(name)
        if daemon is None or daemon.state in ('failed', 'stopped'):
            # No checkpoint between look-up and entry: that is the lock.
            self._daemons.pop(name, None)
            daemon = self._daemons[name] = _Daemon(self, name)
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
