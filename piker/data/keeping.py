"""
What a daemon keeps for its clients: feeds and books, each by one task.

Both are found by name, waited for until they are ready, ended by a failure
that is told to whoever waits, and dropped after nobody has used them for a
while.  Here is what that takes; `bus` and `livebook` say what is kept.
"""
from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import trio

from ..clock import NS_PER_S, Clock
from ..errors import DataError, PikerError, VenueDown, as_piker_error
from ..instruments import Instrument

__all__ = [
    'START_TIMEOUT_S',
    'Kept',
    'drop_unused',
    'failure_of',
    'wait_ready',
]

log = logging.getLogger(__name__)

_LINGER_CHECK_S = 1.0
# How long the first data of anything may take.
START_TIMEOUT_S = 20.0


class Kept(Protocol):
    """
    Something one task writes and any number of clients read.

    ``closed`` is set when it has ended, with ``error`` if it failed.
    """

    instrument: Instrument
    ready: trio.Event
    closed: trio.Event
    error: PikerError | None
    subscribers: dict[int, str]
    unused_since_ns: int


K = TypeVar('K', bound=Kept)


async def wait_ready(one: Kept, what: str, why: Callable[[], str]) -> None:
    """
    Wait until ``one`` is ready; raises why it ended, or `VenueDown`.

    ``why`` completes the sentence that it has not come in time.
    """
    name = one.instrument.id
    with trio.move_on_after(START_TIMEOUT_S):
        async with trio.open_nursery() as nursery:

            async def first(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(first, one.ready)
            nursery.start_soon(first, one.closed)
    if one.closed.is_set():
        # The same words for each who waits, in an exception of its own.
        err = one.error
        raise type(err)(str(err)) if err else VenueDown(
            f'{name}: the {what} ended'
        )
    if not one.ready.is_set():
        raise VenueDown(f'{name}: {why()}')


def failure_of(name: str, what: str, err: Exception) -> PikerError:
    """What to tell of an exception that ended it; logged here."""
    known = as_piker_error(err)
    if known is None:
        log.error('%s: the %s broke', name, what, exc_info=err)
        return DataError(f'{name}: the {what} broke: {err!r}')
    log.warning('%s: the %s failed: %s', name, what, known)
    return known


async def drop_unused(
    kept: Mapping[str, K],
    clock: Clock,
    linger_s: float,
    drop: Callable[[K], object],
) -> None:
    """End, for ever, what nobody has used for ``linger_s``."""
    linger_ns = int(linger_s * NS_PER_S)
    while True:
        await trio.sleep(_LINGER_CHECK_S)
        now = clock.now_ns()
        for name, one in list(kept.items()):
            unused = now - one.unused_since_ns
            if not one.ready.is_set():
                # somebody may be waiting for its start
                unused -= int(START_TIMEOUT_S * NS_PER_S)
            if not one.subscribers and unused > linger_ns:
                log.info('%s: unused, dropping it', name)
                drop(one)
