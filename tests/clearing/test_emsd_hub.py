"""
Clients of emsd: who does not read is dropped, and delays nobody.
"""
from __future__ import annotations

from typing import Any

import pytest
import trio

from piker.clearing.eventstream import MOST_WAITING, EventStream
from piker.clearing.hub import Hub, Member
from piker.clearing.wire import unpack_event
from piker.errors import BadMessage, DaemonError
from piker.orders import Notice


def notice(n: int) -> Notice:
    return Notice(time_ns=n, text=f'notice {n}')


async def test_all_are_told_in_order() -> None:
    hub = Hub()
    with hub.joined('a') as a, hub.joined('b') as b:
        for n in range(5):
            hub.publish([notice(n)])
        for member in (a, b):
            batch = await member.batch()
            assert [unpack_event(m) for m in batch] == [
                notice(n) for n in range(5)
            ]
        assert hub.clients == ['a', 'b']
    assert hub.clients == []
    assert list(hub.notices) == [notice(n) for n in range(5)]


async def test_who_does_not_read_is_dropped() -> None:
    slow, fast = Member('slow', most=3), Member('fast', most=3)
    for n in range(10):
        for member in (slow, fast):
            member.put([n])
        fast.sent(len(await fast.batch()))
    with trio.fail_after(5):
        with pytest.raises(DaemonError, match='slow was dropped: 3 messages'):
            await slow.raise_when_dropped()
    with trio.move_on_after(0) as still_there:
        await fast.raise_when_dropped()
    assert still_there.cancelled_caught


async def test_an_unread_stream_of_events() -> None:
    """Ends with an error; the others do not notice."""
    streams: Any = set()
    unread, read = EventStream(streams), EventStream(streams)
    for n in range(MOST_WAITING + 1):
        for stream in list(streams):
            stream.put(notice(n))
        assert await anext(read) == notice(n)
    for n in range(MOST_WAITING):
        assert await anext(unread) == notice(n)
    with pytest.raises(DaemonError, match='events waited to be read'):
        await anext(unread)
    assert streams == {read}


def test_what_is_no_event() -> None:
    with pytest.raises(BadMessage):
        unpack_event({'is': 'nonsense', 'body': {}})
