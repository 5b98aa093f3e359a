"""
The one error tree.

Every failure a person or a program can meet derives from `PikerError`; what
comes from below (sockets, HTTP, TOML, the OS) is translated where it crosses
into our code, with the original as ``__cause__``.  A message holds the
offending value and the way out.  The command line maps each class to an exit
code through `PikerError.exit_code`; messages between actors carry the class
name and the text, see `to_wire` and `from_wire`.
"""
from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    'ActorDied',
    'BadInput',
    'BadMessage',
    'ConfigError',
    'DaemonError',
    'DataError',
    'NoDaemon',
    'NoDisplay',
    'NoSuchPeriod',
    'NoSuchProvider',
    'NoSuchSymbol',
    'PeerRefused',
    'PikerError',
    'PortInUse',
    'RiskRefused',
    'SegmentGone',
    'StorageError',
    'TreeEnding',
    'VenueDown',
    'VenueError',
    'VenueRefused',
    'as_piker_error',
    'did_you_mean',
    'from_wire',
    'to_wire',
]


class PikerError(Exception):
    """Base of every error piker raises on purpose."""

    exit_code = 1


class BadInput(PikerError):
    """A value given by a person or a program cannot be used."""

    exit_code = 2


class ConfigError(BadInput):
    """The configuration names something that cannot be used."""

    exit_code = 3


class NoSuchProvider(BadInput):
    """No provider goes by this name."""


class NoSuchSymbol(BadInput):
    """The provider has no instrument of this name."""


class NoSuchPeriod(BadInput):
    """Bars of this period are not to be had."""


class RiskRefused(BadInput):
    """An order goes beyond a limit, or trading is halted."""


class NoDisplay(PikerError):
    """A window was asked for where no display can be reached."""

    exit_code = 4


class DaemonError(PikerError):
    """The daemon tree is not in a state to do what was asked."""

    exit_code = 5


class NoDaemon(DaemonError):
    """No daemon answers at the registry address."""


class PortInUse(DaemonError):
    """Another program listens on the port asked for."""


class ActorDied(DaemonError):
    """The process on the other end of a wait is gone."""


class PeerRefused(DaemonError):
    """A connection came from somebody who may not connect."""


class TreeEnding(DaemonError):
    """The tree is shutting down and starts nothing any more."""


class VenueError(PikerError):
    """The venue answered with an error or not at all."""

    exit_code = 6


class VenueDown(VenueError):
    """The venue cannot be reached; trying again later may help."""

    # For how long it wants to be left alone, where it said so.
    pause_s = 0.0


class VenueRefused(VenueError):
    """The venue understood and refused; the same again will not help."""


class DataError(PikerError):
    """Data cannot be used as it is."""

    exit_code = 7


class BadMessage(DataError):
    """A message from a venue or peer does not fit its schema."""


class SegmentGone(DataError):
    """A shared-memory segment is gone: its owner ended or dropped it."""


class StorageError(DataError):
    """A table cannot be read or written, or what it is given is refused."""


def did_you_mean(value: str, known: Iterable[str], limit: int = 3) -> str:
    """
    A clause naming the nearest of ``known``, or an empty string.

    Starts with a space so that it can be appended to a sentence.
    """
    names = sorted(set(known))
    near = get_close_matches(value, names, n=limit, cutoff=0.5)
    if not near:
        near = [name for name in names if value and value in name][:limit]
    if not near:
        return ''
    return ' Did you mean ' + ' or '.join(repr(name) for name in near) + '?'


def _tree(cls: type[PikerError]) -> dict[str, type[PikerError]]:
    found = {cls.__name__: cls}
    for sub in cls.__subclasses__():
        found.update(_tree(sub))
    return found


def to_wire(err: PikerError) -> dict[str, str]:
    """The error as plain data, for a message to another actor."""
    public = next(c for c in type(err).__mro__ if c.__name__[0] != '_')
    return {'error': public.__name__, 'message': str(err)}


def from_wire(msg: dict[str, str]) -> PikerError:
    """The error that `to_wire` packed; an unknown class becomes the base."""
    cls = _tree(PikerError).get(msg.get('error', ''), PikerError)
    return cls(msg.get('message', ''))


def as_piker_error(err: BaseException) -> PikerError | None:
    """
    The error itself, or the first one in a group of nothing but ours.

    ``None`` for anything else, which is a bug and should surface as one.
    """
    if isinstance(err, PikerError):
        return err
    if isinstance(err, BaseExceptionGroup):
        inner = [as_piker_error(e) for e in err.exceptions]
        if all(inner):
            return inner[0]
    return None
