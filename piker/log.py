"""
Logging: one line a record, UTC, to stderr, the same in every process.

Every module logs to ``logging.getLogger(__name__)``; only process entry
points call `set_up`.  Values of secrets never reach a record: they are
`pydantic.SecretStr` until the moment they are used.
"""
from __future__ import annotations

import logging
import os
import sys
import time

from .errors import BadInput, did_you_mean

__all__ = ['LEVELS', 'level_number', 'set_up']

LEVELS = ('debug', 'info', 'warning', 'error', 'critical')

_FORMAT = '%(asctime)s.%(msecs)03d %(levelname)-7s %(actor)s %(message)s'
_COLORS = {
    logging.DEBUG: '\x1b[2m',
    logging.WARNING: '\x1b[33m',
    logging.ERROR: '\x1b[31m',
    logging.CRITICAL: '\x1b[1;31m',
}


class _Formatter(logging.Formatter):
    """Adds the actor's name, and colour where stderr is a terminal."""

    def __init__(self, actor: str, color: bool) -> None:
        super().__init__(_FORMAT, '%H:%M:%S')
        self.converter = time.gmtime
        self._actor = actor
        self._color = color

    def format(self, record: logging.LogRecord) -> str:
        record.actor = f'{self._actor:<14}'
        text = super().format(record)
        code = _COLORS.get(record.levelno) if self._color else None
        return f'{code}{text}\x1b[0m' if code else text


def level_number(name: str) -> int:
    """The stdlib's number of a level; raises `BadInput` for unknown names."""
    key = name.lower()
    if key not in LEVELS:
        raise BadInput(
            f'{name!r} is not a log level.{did_you_mean(key, LEVELS)} '
            f'The levels are {", ".join(LEVELS)}.'
        )
    return int(getattr(logging, key.upper()))


def set_up(actor: str, level: str = 'info') -> None:
    """
    Send this process's records at ``level`` and above to stderr.

    Libraries speak from ``warning`` upward unless ``level`` is ``debug``.
    """
    number = level_number(level)
    handler = logging.StreamHandler(sys.stderr)
    color = sys.stderr.isatty() and 'NO_COLOR' not in os.environ
    handler.setFormatter(_Formatter(actor, color))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))
    logging.getLogger('piker').setLevel(number)
    for noisy in ('trio-websocket', 'hypercorn', 'asyncio'):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    # tractor logs each peer that is gone as a crash; errors of remote calls
    # reach their caller, and deaths are logged by our own supervisor.
    runtime = logging.getLogger('tractor')
    runtime.handlers[:] = []
    runtime.setLevel(
        logging.DEBUG if number <= logging.DEBUG else logging.CRITICAL
    )
