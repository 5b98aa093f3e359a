"""
A feed that looks for ``stored`` while the tree ends.
"""
from __future__ import annotations

import logging
from typing import Any

import pytest
import trio

from piker.data.storage import StoreClient
from piker.errors import DaemonError, PikerError, TreeEnding


@pytest.mark.parametrize(
    ('error', 'told'),
    [(TreeEnding('it ends'), []),
     (DaemonError('broken'), ['not recording for now: broken'])],
)
async def test_only_a_fault_is_worth_a_warning(
    error: PikerError, told: list[str], autojump_clock: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Tree:
        asked = 0

        async def find(self, name: str) -> Any:
            assert name == 'stored'
            self.asked += 1
            raise error

        def context(self, *args: Any, **given: Any) -> Any:
            raise AssertionError('there is nobody to talk to')

    tree: Any = Tree()
    line: Any = None
    with caplog.at_level(logging.WARNING):
        async with StoreClient(tree, line, 1.0).record(list):
            await trio.sleep(10)
    assert tree.asked > 3
    assert [record.getMessage() for record in caplog.records] == told
    caplog.clear()
