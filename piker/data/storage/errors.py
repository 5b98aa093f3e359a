"""
What the libraries and the OS raise, as errors that name a way out.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from deltalake.exceptions import TableNotFoundError

from ...errors import PikerError, StorageError
from .names import is_remote

__all__ = ['translated']

# Faults of a program, which should show as such.
_BUGS = (AttributeError, TypeError, NameError, LookupError, AssertionError)


@contextmanager
def translated(where: str, doing: str) -> Iterator[None]:
    """Errors of the libraries and the OS become `StorageError`."""
    try:
        yield
    except (PikerError, *_BUGS):
        raise
    except TableNotFoundError as err:
        raise StorageError(
            f'{where}: there is no table; `piker store ls` lists those there '
            'are'
        ) from err
    except Exception as err:
        first = (str(err).strip() or repr(err)).splitlines()[0]
        raise StorageError(
            f'{where}: cannot {doing}: {first}. {_way_out(first, where)}'
        ) from err


def _way_out(text: str, where: str) -> str:
    lower = text.lower()
    if 'no space' in lower or 'quota' in lower:
        return 'Free some space there; what is in memory is tried again.'
    if 'permission' in lower or 'read-only' in lower:
        return 'Make the directory writable or set storage.root to another.'
    if is_remote(where):
        return (
            'Check storage.root, storage.options, the credentials and '
            'whether the object store can be reached.'
        )
    return '`piker store info` shows what can be read.'
