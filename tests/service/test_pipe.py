"""
Pipes between processes: whole messages, in order, and who gets in.
"""
from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
import trio
import trio.testing

from piker.errors import ActorDied
from piker.service import Pipe, connect_pipe, open_door
from piker.service import pipe as module

CONNECT = '''
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(10)
s.connect('\\0' + sys.argv[1])
assert s.recv(1) == b'', 'let in'
'''


@pytest.fixture
def ends():
    one, other = (Pipe(s) for s in socket.socketpair())
    with one, other:
        yield one, other


async def take(pipe: Pipe, count: int) -> list[bytes]:
    found: list[bytes] = []
    with trio.fail_after(30):
        while len(found) < count:
            found += await pipe.receive()
    return found


async def test_messages_come_whole_and_in_order(ends):
    one, other = ends
    sent = [b'', b'a', b'b' * 300_000, b'c', os.urandom(2_000_000), b'd']
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.run)
        for message in sent:
            one.send(message)
        assert await take(other, len(sent)) == sent
        other.send(b'back')
        assert await take(one, 1) == [b'back']
        nursery.cancel_scope.cancel()


async def test_it_is_with_the_kernel_when_send_returns(ends):
    one, other = ends
    one.send(b'last words')
    one.close()
    assert await other.receive() == [b'last words']
    with pytest.raises(ActorDied, match='has closed it'):
        await other.receive()


async def test_what_is_cut_in_the_middle_is_not_handed_over(ends):
    one, other = ends
    one._socket.send(b'\x05\0\0\0abc')
    one.close()
    with pytest.raises(ActorDied):
        await other.receive()


async def test_without_another_side(ends):
    one, other = ends
    other.close()
    for _ in range(3):
        one.send(b'x')
    with pytest.raises(ActorDied):
        await one.receive()


async def test_one_that_does_not_read(ends, monkeypatch):
    monkeypatch.setattr(module, '_MOST_WAITING', 1 << 20)
    one, _ = ends
    for _ in range(3):
        one.send(bytes(1 << 20))
    with pytest.raises(ActorDied, match='1 MB were not read'):
        await one.receive()


async def test_only_the_expected_process_gets_in():
    with open_door() as door:
        stranger = subprocess.Popen(
            [sys.executable, '-c', CONNECT, door.address]
        )
        async with trio.open_nursery() as nursery:
            found: list[Pipe] = []

            async def accept() -> None:
                found.append(await door.accept(os.getpid()))

            nursery.start_soon(accept)
            status = await trio.to_thread.run_sync(stranger.wait, 20)
            assert status == 0
            assert not found
            ours = connect_pipe(door.address)
    with ours, found[0] as theirs:
        ours.send(b'hello')
        assert await theirs.receive() == [b'hello']


async def test_a_door_that_is_shut():
    with open_door() as door:
        pass
    with pytest.raises(ActorDied, match='nobody'):
        connect_pipe(door.address)
