"""
`open_pikerd`: the root of a tree, and `serve`, its life as a program.
"""
from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import trio

from ..errors import DaemonError, PortInUse
from .awake import cores_awake
from .ground import tractor
from .services import Services
from .tree import Record, Tree
from .watch import kill, wait_exit

__all__ = ['open_pikerd', 'serve']

log = logging.getLogger(__name__)

# How long orphans of a killed root may take to end by themselves.
_ORPHANS_S = 3.0
# How long an ordered shutdown may take before it is forced.
_SHUTDOWN_S = 15.0
# Signals that come this close together are taken for one.
_SAME_SIGNAL_S = 0.5


def _check_port(tree: Tree) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(tree.address)
        except OSError as err:
            raise PortInUse(
                f'port {tree.port} is in use by another program '
                f'({err.strerror}): stop it, or name another address with '
                '--registry or PIKER_REGISTRY'
            ) from err


async def _clean_up(tree: Tree, record: Record) -> None:
    """After a root that was killed: its children, then their segments."""
    log.warning('the last pikerd here (pid %d) was killed', record.pid)
    for name, (pid, started) in record.children.items():
        with trio.move_on_after(_ORPHANS_S):
            await wait_exit(pid, started)
        if kill(pid, started):
            log.warning('killed %s (pid %d), left over from it', name, pid)


@asynccontextmanager
async def open_pikerd(
    tree: Tree,
    settings: dict[str, Any] | None = None,
    loglevel: str = 'info',
) -> AsyncGenerator[Services, None]:
    """
    Become the root of ``tree``: the actor runtime, then `Services`.

    Raises `DaemonError` if a root runs here already, `PortInUse` if
    something else has the port.  What an earlier, killed root left behind is
    swept first.  On exit every daemon has ended, in order, and no process,
    segment or file of the tree is left.  Raises `ConfigError` where the
    machine does not allow what the settings ask of it.
    """
    record = tree.read_record()
    if record and record.alive:
        raise DaemonError(
            f'pikerd already runs at {tree} (pid {record.pid}): use it, stop '
            'it, or name another address with --registry or PIKER_REGISTRY'
        )
    _check_port(tree)
    if record:
        await _clean_up(tree, record)
    if swept := tree.sweep():
        log.warning('swept %d segments of an earlier tree', len(swept))
    stack = ExitStack()
    if (settings or {}).get('service', {}).get('keep_cores_awake'):
        stack.enter_context(cores_awake())
    try:
        async with (
            tractor.open_root_actor(
                name='pikerd',
                arbiter_addr=tree.address,
                enable_modules=['piker.service.endpoints'],
                loglevel='critical',
            ),
            Services(tree, settings or {}, loglevel) as services,
        ):
            yield services
    finally:
        stack.close()
        tree.sweep()
        tree.drop_record()


async def serve(
    tree: Tree,
    settings: dict[str, Any],
    loglevel: str = 'info',
    *,
    until_idle: bool = False,
    daemons: tuple[str, ...] = (),
) -> None:
    """
    Run a root until SIGINT or SIGTERM, or until its last client has left.

    ``daemons`` are started right away, and so is ``emsd`` if orders wait for
    it.  A second signal, or a shutdown that
    takes longer than 15 s, ends everything hard.
    """
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(_take_signals, tree, stop)
        async with open_pikerd(tree, settings, loglevel) as services:
            log.info('pikerd is up at %s (pid %d)', tree, os.getpid())
            for name in daemons:
                services.ensure(name)
            if _orders_wait(settings):
                services.ensure('emsd')
            if until_idle:
                nursery.start_soon(_stop_when_idle, services, stop)
            await stop.wait()
        nursery.cancel_scope.cancel()
    log.info('pikerd has ended')


def _orders_wait(settings: dict[str, Any]) -> bool:
    """
    Whether the journal of orders may have some to look after.

    ``emsd`` leaves a mark beside it while it has none.
    """
    # Clients import this module too, and have no use for pydantic.
    from ..paths import data_dir

    own = settings.get('ems', {}).get('journal', '')
    journal = Path(own) if own else data_dir() / 'ems.sqlite'
    idle = journal.with_name(f'{journal.name}.idle')
    return journal.exists() and not idle.exists()


async def _stop_when_idle(services: Services, stop: trio.Event) -> None:
    await services.idle.wait()
    log.info('the last client has left: ending')
    stop.set()


async def _take_signals(
    tree: Tree,
    stop: trio.Event,
    task_status: Any = trio.TASK_STATUS_IGNORED,
) -> None:
    # The tree is asked to end by an event: a cancellation would reach the
    # runtime's own tasks first and leave nobody to carry the farewells.
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        number = await signals.__anext__()
        log.info('%s: ending in order', signal.Signals(number).name)
        stop.set()
        began = trio.current_time()
        with trio.move_on_after(_SHUTDOWN_S):
            # A wrapper may pass on what the terminal has sent us already.
            while trio.current_time() - began < _SAME_SIGNAL_S:
                await signals.__anext__()
        _force(tree)


def _force(tree: Tree) -> None:
    """End everything now."""
    log.critical('forced to end at once')
    record = tree.read_record()
    if record:
        for pid, started in record.children.values():
            with suppress(OSError):
                kill(pid, started)
    tree.sweep()
    tree.drop_record()
    os._exit(130)
