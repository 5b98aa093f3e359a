"""
Processor cores that do not fall asleep between two ticks.

A core that has had nothing to do for a millisecond sleeps, on a virtual
machine along with its share of the real one.  What then wakes it finds cold
caches and a low clock, and takes two to five times as long as it would on a
core that has kept running.  The kernel takes requests of how long waking up
may take, which hold while a file is open; none of them lets cores sleep less
than one of 0.

It costs power and heat, of every core of the machine: so only on request.
Source: "PM Quality Of Service Interface" of the kernel's documentation.
"""
from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ConfigError

__all__ = ['cores_awake']

log = logging.getLogger(__name__)

_DEVICE = Path('/dev/cpu_dma_latency')
_LATENCY_US = struct.pack('=i', 0)


@contextmanager
def cores_awake(device: Path = _DEVICE) -> Iterator[None]:
    """
    Keep all cores from sleeping while the body runs.

    Raises `ConfigError` where that cannot be had.  It ends with the process,
    however that ends.
    """
    try:
        file = os.open(device, os.O_WRONLY | os.O_CLOEXEC)
    except OSError as err:
        raise ConfigError(
            f'service.keep_cores_awake = true: {device} cannot be opened '
            f'({err.strerror}): give yourself the right to write to it, say '
            'by the udev rule KERNEL=="cpu_dma_latency", GROUP="users", '
            'MODE="0660", or leave the setting out'
        ) from err
    try:
        os.write(file, _LATENCY_US)
        log.warning('no core of this machine sleeps while this runs')
        yield
    finally:
        os.close(file)
