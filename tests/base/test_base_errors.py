"""The error tree, between actors and out to the shell."""
from __future__ import annotations

import logging

import pytest

from piker import errors
from piker.errors import (
    ActorDied,
    BadInput,
    ConfigError,
    DaemonError,
    DataError,
    NoDisplay,
    PikerError,
    SegmentGone,
    VenueDown,
    VenueError,
    as_piker_error,
    did_you_mean,
    from_wire,
    to_wire,
)
from piker.log import LEVELS, level_number, set_up

CLASSES = [
    value for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, PikerError)
]


@pytest.mark.parametrize('cls', CLASSES)
def test_an_error_crosses_between_actors(cls):
    there = from_wire(to_wire(cls('what went wrong')))
    assert type(there) is cls
    assert str(there) == 'what went wrong'
    assert cls.__name__ in errors.__all__


def test_unknown_errors_become_the_base():
    there = from_wire({'error': 'ErrorOfTomorrow', 'message': 'm'})
    assert type(there) is PikerError
    assert str(there) == 'm'
    assert type(from_wire({})) is PikerError
    # the name of something else in Python is no way in
    assert type(from_wire({'error': 'SystemExit'})) is PikerError


def test_exit_codes_tell_the_branches_apart():
    branches = [
        PikerError, BadInput, ConfigError, NoDisplay, DaemonError,
        VenueError, DataError,
    ]
    codes = {cls.exit_code for cls in branches}
    assert len(codes) == len(branches)
    assert all(0 < code < 64 for code in codes)
    assert VenueDown.exit_code == VenueError.exit_code
    assert ActorDied.exit_code == DaemonError.exit_code
    assert SegmentGone.exit_code == DataError.exit_code


def test_an_error_is_found_in_groups_of_ours_only():
    ours = VenueDown('x')
    assert as_piker_error(ours) is ours
    inner = ExceptionGroup('', [ours, BadInput('y')])
    assert as_piker_error(ExceptionGroup('', [inner, DataError('z')])) is ours
    assert as_piker_error(ValueError()) is None
    mixed = ExceptionGroup('', [ValueError(), ours])
    assert as_piker_error(mixed) is None
    assert as_piker_error(ExceptionGroup('', [ours, mixed])) is None
    stop = BaseExceptionGroup('', [ours, KeyboardInterrupt()])
    assert as_piker_error(stop) is None


def test_did_you_mean():
    known = ['btcusdt', 'ethusdt', 'btcusdt']
    assert did_you_mean('btcusd', known).startswith(" Did you mean 'btcusdt'")
    assert did_you_mean('eth', known) == " Did you mean 'ethusdt'?"
    assert did_you_mean('qqq', known) == ''
    assert did_you_mean('', known) == ''
    assert did_you_mean('x', []) == ''


def test_levels_of_the_log():
    for name in LEVELS:
        assert level_number(name.upper()) == getattr(logging, name.upper())
    with pytest.raises(BadInput, match=r"'warn'.*Did you mean 'warning'"):
        level_number('warn')


@pytest.fixture
def plain_logging():
    names = (None, 'piker', 'tractor', 'trio-websocket', 'hypercorn',
             'asyncio')
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    handlers = loggers[0].handlers[:]
    yield
    loggers[0].handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.mark.usefixtures('plain_logging')
def test_records_go_to_stderr_one_line_each(capsys):
    set_up('brokerd.sim', 'info')
    logging.getLogger('piker.x').info('hello %s', 'you')
    logging.getLogger('piker.x').debug('hidden')
    logging.getLogger('elsewhere').info('hidden')
    logging.getLogger('elsewhere').warning('loud')
    set_up('brokerd.sim', 'info')
    logging.getLogger('piker.x').info('once')
    out, err = capsys.readouterr()
    assert not out
    assert 'hidden' not in err
    lines = err.splitlines()
    assert [line.split()[-1] for line in lines] == ['you', 'loud', 'once']
    assert all('brokerd.sim' in line for line in lines)
    assert '\x1b' not in err
