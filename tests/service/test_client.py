"""
Joining and leaving a tree: what the runtime says on the way out.
"""
from __future__ import annotations

import pytest
import trio

from piker.errors import ActorDied, NoDaemon
from piker.service import Tree
from piker.service.client import _unheard_goodbyes
from piker.service.ground import TransportClosed

TREE = Tree('127.0.0.1', 1)
DIED = ActorDied('pikerd has died')


async def leave(how: str, joined: bool = True) -> None:
    """The runtime's end, as it comes out of `open_root_actor`."""
    async with _unheard_goodbyes(TREE) as event:
        if joined:
            event.set()
        if how == 'alone':
            raise TransportClosed('gone')
        if how == 'instead':
            try:
                raise DIED
            finally:
                raise TransportClosed('gone')
        if how == 'beside':
            raise BaseExceptionGroup('', [TransportClosed('gone'), DIED])
        if how == 'only':
            raise BaseExceptionGroup('', [TransportClosed('gone')])


@pytest.mark.parametrize('how', ['instead', 'beside'])
async def test_what_ended_a_client_is_not_lost(how: str) -> None:
    with pytest.raises(ActorDied) as caught:
        await leave(how)
    assert caught.value is DIED


@pytest.mark.parametrize('how', ['alone', 'only', ''])
async def test_a_root_that_is_gone_first_is_no_error(how: str) -> None:
    await leave(how)


async def test_a_root_that_goes_while_one_joins_is_none() -> None:
    with pytest.raises(NoDaemon):
        await leave('alone', joined=False)


async def test_other_errors_stay_as_they_are() -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with _unheard_goodbyes(TREE):
            raise BaseExceptionGroup('', [
                TransportClosed('gone'), ValueError('a'), ValueError('b'),
            ])
    assert [str(e) for e in caught.value.exceptions] == ['a', 'b']
    with trio.CancelScope() as scope:
        scope.cancel()
        async with _unheard_goodbyes(TREE):
            await trio.sleep_forever()
    assert scope.cancelled_caught
