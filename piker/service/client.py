"""
How a client joins a tree: `open_tree`.

A client is an actor of its own.  It holds a lease on the root while it is
attached, and every wait of its on another actor ends when that one dies.
"""
from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import trio

from ..errors import (
    ActorDied,
    DaemonError,
    NoDaemon,
    PikerError,
    PortInUse,
    from_wire,
)
from ..messages import DaemonInfo, TreeStatus, unpack
from .ground import TransportClosed, remote, tractor
from .tree import Record, Tree
from .watch import raise_if_dies, started_ticks, wait_exit

__all__ = ['TreeClient', 'open_tree', 'raise_error', 'spawn_pikerd']

log = logging.getLogger(__name__)

_ENDPOINTS = 'piker.service.endpoints'
_START_TIMEOUT_S = 15.0
# How long a client that started the tree waits for it to end.
_END_TIMEOUT_S = 10.0


class TreeClient:
    """A client's handle on a running tree."""

    def __init__(self, tree: Tree, record: Record) -> None:
        self.tree = tree
        self._record = record

    @classmethod
    def of(cls, tree: Tree) -> TreeClient:
        """
        For an actor that is part of the tree; `NoDaemon` without its root.
        """
        record = tree.read_record()
        if record is None:
            raise NoDaemon(_nobody(tree))
        return cls(tree, record)

    @property
    def pikerd_pid(self) -> int:
        return self._record.pid

    async def _ask(self, endpoint: str, **kwargs: Any) -> dict[str, Any]:
        record = self._record
        async with (
            remote_errors('pikerd'),
            raise_if_dies(record.pid, record.started, 'pikerd'),
            connect(self.tree.address) as portal,
        ):
            answer: dict[str, Any] = await portal.run(
                remote(_ENDPOINTS, endpoint), **kwargs
            )
        raise_error(answer)
        return answer

    async def find(self, name: str) -> DaemonInfo:
        """
        A daemon by name, started if it does not run.

        Raises what kept it from starting, `ActorDied` without a root.
        """
        answer = await self._ask('find_daemon', name=name)
        return unpack(DaemonInfo, answer['info'])

    async def feed_daemons(self, symbols: list[str]) -> dict[str, str]:
        """Symbol → name of the daemon that carries its feed."""
        answer = await self._ask('feed_daemons', symbols=symbols)
        return dict(zip(symbols, answer['names'], strict=True))

    async def stop(self, name: str) -> None:
        """End a daemon."""
        await self._ask('stop_daemon', name=name)

    async def status(self) -> TreeStatus:
        """The tree as it is now."""
        answer = await self._ask('tree_status')
        return unpack(TreeStatus, answer['status'])

    @asynccontextmanager
    async def portal(self, info: DaemonInfo) -> AsyncGenerator[Any, None]:
        """
        A connection to a daemon.

        `ActorDied` if it dies meanwhile or ends what we asked for,
        `DaemonError` if a call of ours fails in it.
        """
        async with (
            remote_errors(info.name),
            raise_if_dies(info.pid, info.started, info.name),
            AsyncExitStack() as stack,
        ):
            try:
                portal = await stack.enter_async_context(
                    tractor.find_actor(
                        info.name, arbiter_sockaddr=self.tree.address
                    )
                )
            except (OSError, TransportClosed) as err:
                # Its last connections are reset before a process is gone.
                raise ActorDied(f'{info.name} does not answer') from err
            if portal is None:
                raise ActorDied(f'{info.name} is not registered')
            yield portal

    async def call(
        self, info: DaemonInfo, module: str, function: str, **kwargs: Any
    ) -> dict[str, Any]:
        """
        What a daemon's endpoint answers; raises the error it answers with.
        """
        async with self.portal(info) as portal:
            answer: dict[str, Any] = await portal.run(
                remote(module, function), **kwargs
            )
        raise_error(answer)
        return answer

    @asynccontextmanager
    async def context(
        self, info: DaemonInfo, module: str, function: str, **kwargs: Any
    ) -> AsyncGenerator[tuple[Any, dict[str, Any]], None]:
        """
        A task of ours in a daemon, ended with the body: (context, answer).

        It is told our process, as ``pid`` and ``started``, which it watches
        as we watch its.  Raises the error it answers with.
        """
        pid = os.getpid()
        async with (
            self.portal(info) as portal,
            portal.open_context(
                remote(module, function),
                pid=pid, started=started_ticks(pid), **kwargs,
            ) as (ctx, first),
        ):
            raise_error(first)
            yield ctx, first
            await ctx.cancel()


def raise_error(answer: dict[str, Any]) -> None:
    """Raise what `errors.to_wire` has packed, if that is the answer."""
    if 'error' in answer and 'message' in answer:
        raise from_wire(answer)


@asynccontextmanager
async def remote_errors(name: str) -> AsyncGenerator[None, None]:
    """
    Failures of calls to another actor, in the words of our own tree.

    The runtime raises them alone or in groups, together with cancellations.
    """
    try:
        yield
    except tractor.RemoteActorError as err:
        raise _ours(name, err) from err
    except BaseExceptionGroup as group:
        remote_part, rest = group.split(tractor.RemoteActorError)
        if remote_part is None:
            raise
        if rest is not None:
            # Our own end, or an error of ours: theirs came of that.
            raise rest from None
        first: BaseException = remote_part
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise _ours(name, first) from group


def _ours(name: str, err: BaseException) -> DaemonError:
    if isinstance(err, tractor.ContextCancelled):
        return ActorDied(f'{name} has ended what was asked of it')
    return DaemonError(f'{name}: {err}')


@asynccontextmanager
async def connect(address: tuple[str, int]) -> AsyncGenerator[Any, None]:
    """A portal to the registrar itself."""
    async with AsyncExitStack() as stack:
        try:
            portal = await stack.enter_async_context(
                tractor.get_arbiter(*address)
            )
        except (OSError, TransportClosed) as err:
            raise NoDaemon(_nobody(Tree(*address))) from err
        yield portal


def _nobody(tree: Tree) -> str:
    return (
        f'no pikerd runs at {tree}: start one with `pikerd`, or name '
        'another address with --registry or PIKER_REGISTRY'
    )


@asynccontextmanager
async def open_tree(
    tree: Tree,
    name: str = 'client',
    *,
    start: Callable[[], list[str]] | None = None,
) -> AsyncGenerator[TreeClient, None]:
    """
    Attach to the tree at this address as an actor.

    Within an actor of the process that is attached already, that one is
    used.  Without a running tree: `NoDaemon`, or with ``start`` a ``pikerd``
    of our own is started by the command line that it returns; it ends when
    its last client has left, and we wait for that.  `PortInUse` if something
    else listens there.
    """
    record = tree.read_record()
    if record and record.alive:
        async with _join(tree, record, name) as client:
            yield client
        return
    if start is None:
        raise NoDaemon(_nobody(tree))
    async with (
        spawn_pikerd(tree, start()) as record,
        _join(tree, record, name) as client,
    ):
        yield client


@asynccontextmanager
async def _join(
    tree: Tree, record: Record, name: str
) -> AsyncGenerator[TreeClient, None]:
    actor = tractor.current_actor(err_on_no_runtime=False)
    if actor is not None:
        yield TreeClient(tree, record)
        return
    pid = os.getpid()
    lease = {'name': name, 'pid': pid, 'started': started_ticks(pid)}
    async with (
        _unheard_goodbyes(tree) as joined,
        tractor.open_root_actor(
            name=f'{name}.{pid}',
            arbiter_addr=tree.address,
            loglevel='critical',
        ) as actor,
    ):
        if actor.is_arbiter:
            # The runtime made us the root because nobody listened.
            raise NoDaemon(_nobody(tree))
        # A root that takes our lease back is on its way out.
        async with (
            remote_errors(f'pikerd (pid {record.pid})'),
            raise_if_dies(record.pid, record.started, 'pikerd'),
            connect(tree.address) as portal,
            portal.open_context(
                remote(_ENDPOINTS, 'attach'), **lease
            ) as (ctx, _),
        ):
            joined.set()
            yield TreeClient(tree, record)
            await ctx.cancel()


@asynccontextmanager
async def _unheard_goodbyes(
    tree: Tree,
) -> AsyncGenerator[trio.Event, None]:
    """
    Leave out that the runtime could not sign off at a root that is gone.

    It says so beside, or instead of, what ended the body.  The event is to
    be set once there is somebody to sign off.
    """
    joined = trio.Event()
    try:
        yield joined
    except TransportClosed as err:
        if isinstance(err.__context__, PikerError):
            raise err.__context__ from None
        if not joined.is_set():
            raise NoDaemon(_nobody(tree)) from err
    except BaseExceptionGroup as group:
        rest = group.split(TransportClosed)[1]
        if rest is not None and len(rest.exceptions) == 1:
            raise rest.exceptions[0] from None
        if rest is not None:
            raise rest from None


@asynccontextmanager
async def spawn_pikerd(
    tree: Tree, options: list[str]
) -> AsyncGenerator[Record, None]:
    """
    Start a ``pikerd`` that ends with its last client, and wait for its end.

    It goes into a session of its own, so that Ctrl-C in our terminal leaves
    it to us to let go of it; other clients may keep it.
    """
    command = [
        sys.executable, '-m', 'piker.cli.pikerd',
        '--registry', str(tree), '--until-idle', *options,
    ]
    process = await trio.lowlevel.open_process(
        command, start_new_session=True
    )
    record = None
    with trio.move_on_after(_START_TIMEOUT_S) as starting:
        record = await _wait_until_up(tree, process)
    if starting.cancelled_caught or record is None:
        process.kill()
        raise NoDaemon(
            f'a pikerd of our own did not come up within '
            f'{_START_TIMEOUT_S:.0f} s'
        )
    try:
        yield record
    finally:
        with trio.CancelScope(shield=True):
            await _let_go(process, record)


async def _wait_until_up(tree: Tree, process: trio.Process) -> Record:
    while True:
        record = tree.read_record()
        if record and record.alive:
            return record
        if process.poll() is not None:
            error = PortInUse if process.returncode == 5 else PikerError
            raise error('a pikerd of our own could not start: see above')
        await trio.sleep(0.02)


async def _let_go(process: trio.Process, record: Record) -> None:
    with trio.move_on_after(_END_TIMEOUT_S) as ending:
        await wait_exit(record.pid, record.started)
        await process.wait()
    if ending.cancelled_caught:
        log.info('pikerd (pid %d) is kept by other clients', record.pid)
