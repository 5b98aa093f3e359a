"""
Who may connect, and what happens to names that are stale.
"""
from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys

import pytest
from suite import Daemon, wait_until

NOBODY = 65534
# Every Debian-like machine has a bash that anybody may run.
STRANGER = (
    'exec 3<>/dev/tcp/127.0.0.1/$0 && echo hello >&3; '
    'timeout 5 head -c 1 <&3 | wc -c'
)


def ports_of(daemon: Daemon) -> list[int]:
    """The registry's port and those of every child actor."""
    import psutil

    found = [daemon.tree.port]
    for name in ('brokerd.sim', 'simd'):
        process = psutil.Process(daemon.pid_of(name))
        found += [
            c.laddr.port for c in process.net_connections('tcp')
            if c.status == 'LISTEN'
        ]
    return found


@pytest.mark.skipif(os.getuid() != 0, reason='needs root to become another')
def test_other_user_is_refused(daemon: Daemon) -> None:
    """Refused at the root's port and at each child's, and logged."""
    daemon.piker('watch', 'btcusdt.sim', '--count', '1')
    venue_port = int(daemon.venue().rpartition(':')[2])
    ports = [p for p in ports_of(daemon) if p != venue_port]
    assert len(ports) == 3
    for port in ports:
        done = subprocess.run(
            ['bash', '-c', STRANGER, str(port)],
            capture_output=True, text=True, check=False, cwd='/',
            user=NOBODY, group=NOBODY, extra_groups=[],
        )
        assert done.stdout.strip() == '0', done.stderr
    wait_until(
        lambda: daemon.log.count('refused a connection from user id 65534')
        == len(ports)
    )
    # the same user is served as before
    assert daemon.services()['tree']['address'] == str(daemon.tree)


def test_garbage_from_the_same_user(daemon: Daemon) -> None:
    """Bytes that are no message end that connection, not the daemon."""
    with socket.create_connection(daemon.tree.address, 5) as sock:
        sock.sendall(b'GET / HTTP/1.1\r\n\r\n' + bytes(range(256)))
        sock.settimeout(1)
        with contextlib.suppress(OSError):
            sock.recv(100)
    assert daemon.services()['tree']['daemons'][0]['state'] == 'up'


def test_ten_at_once_get_one(daemon: Daemon) -> None:
    """Ten clients that ask together get the same daemon."""
    clients = [
        subprocess.Popen(
            [sys.executable, '-m', 'piker.cli.main', 'watch', 'btcusdt.sim',
             '--count', '1', '--json'],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(10)
    ]
    for client in clients:
        out, err = client.communicate(timeout=90)
        assert json.loads(out)['last'] > 0, err
    assert daemon.log.count('brokerd.sim is up') == 1
    assert daemon.log.count('simd is up') == 1
