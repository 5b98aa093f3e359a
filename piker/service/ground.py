"""
What tractor 0.1.0a5 leaves to us, in one place.

Importing this module changes five things of the runtime, in every process
of a tree (it heads the list of modules that each child imports before it
starts to listen):

- an inbound connection is checked against the kernel's socket table, and
  refused unless it comes from a process of this very user;
- a child does not re-import its parent's ``__main__``: daemons are named by
  module, and importing a command line would cost each start 0.3 s;
- modules and functions of another actor are named without being imported
  here, so that the root knows its daemons by name only;
- a connection is closed when whoever opened it is done or cancelled, not
  whenever the garbage collector comes by;
- a connection that breaks, or brings what is no message, ends that channel
  and not the actor.
"""
from __future__ import annotations

import logging
import os
import socket
import struct
import warnings
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

# tractor uses trio.MultiError, which trio 0.23 deprecates; children import it
# before any code of ours, hence the environment.
warnings.filterwarnings(
    'ignore', category=FutureWarning, module='tractor'
)
os.environ.setdefault('PYTHONWARNINGS', 'ignore::FutureWarning:tractor')

import tractor  # noqa: E402
from tractor import (  # noqa: E402
    _actor,
    _discovery,
    _ipc,
    _mp_fixup_main,
    _root,
    msg,
)
from tractor._exceptions import TransportClosed  # noqa: E402

__all__ = ['TransportClosed', 'peer_uid', 'remote', 'tractor']

log = logging.getLogger(__name__)

_ESTABLISHED = '01'
_LOOKS = 3


def peer_uid(sock: Any) -> int | None:
    """
    User id of the process at the other end of a loopback TCP connection.

    ``None`` if the kernel knows no such local socket, as for a peer that is
    gone already or on another machine.  Source: proc_net_tcp in the Linux
    kernel's documentation.
    """
    family = sock.family
    ours, theirs = sock.getsockname(), sock.getpeername()
    table = 'tcp6' if family == socket.AF_INET6 else 'tcp'
    want = (_hex_address(family, theirs), _hex_address(family, ours))
    for line in Path(f'/proc/net/{table}').read_text().splitlines()[1:]:
        parts = line.split()
        if (parts[1], parts[2]) == want and parts[3] == _ESTABLISHED:
            return int(parts[7])
    return None


def _hex_address(family: int, address: tuple[Any, ...]) -> str:
    packed = socket.inet_pton(family, address[0])
    words = struct.unpack(f'={len(packed) // 4}I', packed)
    return ''.join(f'{w:08X}' for w in words) + f':{address[1]:04X}'


_plain_handler = _actor.Actor._stream_handler


async def _look_up(stream: trio.SocketStream) -> int | None:
    # The kernel's table is not read at one moment: while others connect and
    # leave, an entry can be passed over.
    for _ in range(_LOOKS):
        try:
            uid = peer_uid(stream.socket)
        except OSError:
            return None
        if uid is not None:
            return uid
        await trio.sleep(0.001)
    return None


async def _checked_handler(actor: Any, stream: trio.SocketStream) -> None:
    uid = await _look_up(stream)
    if uid != os.getuid():
        # A probe that has hung up by now is no news, but has no business.
        log.log(
            logging.DEBUG if uid is None else logging.WARNING,
            'refused a connection from user id %s to %s: only user id %d '
            'may connect', uid, actor.name, os.getuid(),
        )
        await trio.aclose_forcefully(stream)
        return
    try:
        await _plain_handler(actor, stream)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        log.debug('a connection to %s broke off', actor.name)
    except Exception as err:
        # A peer killed in the middle of a message, or no actor at all: it
        # costs that connection, not this process.
        log.warning('dropped a connection to %s: %r', actor.name, err)
    finally:
        stream.socket.close()


_actor.Actor._stream_handler = _checked_handler


@asynccontextmanager
async def _closing_connect(host: str, port: int) -> AsyncGenerator[Any, None]:
    channel = _ipc.Channel((host, port))
    await channel.connect()
    try:
        yield channel
    finally:
        channel.msgstream.stream.socket.close()


_discovery._connect_chan = _closing_connect
_root._connect_chan = _closing_connect


_plain_init = _actor.Actor.__init__
_import_root = Path(__file__).parents[2] / 'piker'


def _init_by_name(
    actor: Any, *args: Any, enable_modules: Sequence[str] = (), **kwargs: Any
) -> None:
    _plain_init(actor, *args, enable_modules=[], **kwargs)
    # The path's directory goes on the child's sys.path.
    actor.enable_modules |= dict.fromkeys(enable_modules, str(_import_root))


_actor.Actor.__init__ = _init_by_name


def _no_main() -> dict[str, str]:
    return {}


_mp_fixup_main._mp_figure_out_main = _no_main


def _named_only(path: Any) -> tuple[str, str]:
    module, _, name = str(path).partition(':')
    return module, name


# The runtime would import a module just to learn the name it was given.
msg.NamespacePath.to_tuple = _named_only


def remote(module: str, name: str) -> Any:
    """
    A stand-in for ``module.name`` of another actor, which imports nothing.

    Give it to ``portal.run`` or ``portal.open_context``.
    """

    async def stub(**kwargs: Any) -> None:
        raise AssertionError(f'{module}.{name} runs in another actor')

    stub.__module__ = module
    stub.__name__ = name
    return stub
