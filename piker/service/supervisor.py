"""
One daemon kept alive: spawned, entered, watched, restarted, ended.
"""
from __future__ import annotations

import logging
import math
import time
from collections import deque
from typing import Any, Protocol

import psutil
import trio

from ..errors import ActorDied, DaemonError, PikerError, from_wire
from ..messages import DaemonInfo, DaemonStatus
from .daemons import DAEMONS
from .ground import remote, tractor
from .tree import Tree
from .watch import kill, raise_if_dies, started_ticks, wait_exit

__all__ = ['Supervised', 'process_status']

log = logging.getLogger(__name__)

_SPAWN_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 3.0
_BACKOFF_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
# Giving up: this many deaths within this time.
_MOST_DEATHS = 6
_DEATHS_WITHIN_S = 60.0
# Modules every child imports before it starts to listen.
_CHILD_MODULES = ('piker.service.ground', 'piker.service.child')


class Root(Protocol):
    """What a supervisor asks of the tree; `Services` is it."""

    tree: Tree
    kept_ports: dict[str, int]

    def wants(self, name: str) -> bool: ...

    def ensure(self, name: str) -> Supervised: ...

    def for_children(self) -> dict[str, Any]: ...

    def forget(self, uid: tuple[str, str]) -> None: ...

    def note_children(self) -> None: ...


class Supervised:
    """
    One daemon, its supervisor and its state.

    Run `run` in a task.  A daemon that dies is restarted with back-off, and
    given up loudly when that does not help.
    """

    def __init__(self, root: Root, name: str) -> None:
        self._root = root
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
        self._root.note_children()

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
        root = self._root
        need = self.spec.requires.get(self.part.partition('.')[0])
        helper = None
        if need and root.wants(need):
            # Both processes start side by side.
            helper = root.ensure(need)
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
                    root.forget(uid)
        except PikerError:
            raise
        except trio.MultiError as err:
            raise ActorDied(f'{self.name} failed: {err!r}') from err
        finally:
            if pid:
                root.tree.sweep(pid)

    async def _serve(self, portal: Any, pid: int) -> None:
        started = started_ticks(pid)
        entry = remote(self.spec.module, self.spec.entry)
        kwargs: dict[str, Any] = {'root': self._root.for_children()}
        if self.spec.needs_part:
            kwargs['part'] = self.part
        if self.spec.requires:
            kwargs['upstream'] = self._upstream
        if self.spec.keeps_port:
            kwargs['port'] = self._root.kept_ports.get(self.name, 0)
        try:
            async with (
                raise_if_dies(pid, started, self.name),
                portal.open_context(entry, **kwargs) as (ctx, first),
            ):
                if 'error' in first:
                    raise from_wire(first)
                if self.spec.keeps_port:
                    self._root.kept_ports[self.name] = first['port']
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
