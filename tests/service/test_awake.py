"""
Keeping the machine's cores awake: asked for, held, and given back.
"""
from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from suite import Daemon, free_port

from piker.config import ServiceSettings
from piker.errors import ConfigError
from piker.service import Tree, open_pikerd
from piker.service.awake import cores_awake


def holds(device: Path) -> bool:
    files = Path('/proc/self/fd')
    return any(os.path.realpath(fd) == str(device) for fd in files.iterdir())


def test_held_for_as_long_as_the_body_runs(tmp_path: Path) -> None:
    device = (tmp_path / 'latency').resolve()
    device.touch()
    with cores_awake(device):
        assert struct.unpack('=i', device.read_bytes()) == (0,)
        assert holds(device)
    assert not holds(device)


@pytest.mark.parametrize('device', ['absent', '.'])
def test_what_cannot_be_had_is_an_error(tmp_path: Path, device: str) -> None:
    with (
        pytest.raises(ConfigError, match=r'keep_cores_awake = true.*udev'),
        cores_awake(tmp_path / device),
    ):
        raise AssertionError('it is not held')


async def test_a_root_without_the_right_to_it_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        'piker.service.pikerd.cores_awake',
        lambda: cores_awake(tmp_path / 'absent'),
    )
    tree = Tree('127.0.0.1', free_port())
    settings = ServiceSettings(keep_cores_awake=True)
    with pytest.raises(ConfigError, match='keep_cores_awake'):
        async with open_pikerd(tree, {'service': settings.model_dump()}):
            raise AssertionError('it started')
    assert tree.read_record() is None


def test_it_is_off_by_default(daemon: Daemon) -> None:
    files = Path(f'/proc/{daemon.process.pid}/fd')
    names = {os.path.realpath(fd) for fd in files.iterdir()}
    assert '/dev/cpu_dma_latency' not in names
