"""
From the core's effects to the outside: the disk first, all in order.
"""
from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import trio

from ..clock import NS_PER_MS
from ..gateway import Command
from ..service import give_way
from .effects import Effects
from .journal import Journal
from .wire import Event

__all__ = ['Outbox']


class Outbox:
    """
    Writes what effects record, then has them sent and told.

    ``send`` hands a command to an account's gateway, ``tell`` news to
    clients; neither may wait.  Run `run` in a task.
    """

    def __init__(
        self,
        journal: Journal,
        send: Callable[[str, Command], None],
        tell: Callable[[list[Event]], None],
    ) -> None:
        self._journal = journal
        self._send = send
        self._tell = tell
        # What waits for the disk, in order.
        self._waiting: deque[Effects | trio.Event] = deque()
        self._unsynced = trio.Event()
        self._commit_ns = 0
        self._sync_ns = 0
        self.triggers = 0

    def put(self, effects: Effects) -> None:
        """
        Into the journal at once; out once the disk has it, in turn.

        Commands of an urgent one go out first, once a kill cannot lose them,
        and so do those of all before it: none overtakes another, whatever it
        is about.
        """
        if effects.urgent:
            self.triggers += 1
            self._journal.note(effects.records)
            for earlier in self._waiting:
                if isinstance(earlier, Effects):
                    self._send_all(earlier)
            self._send_all(effects)
            give_way()
        if effects.records:
            began = time.perf_counter_ns()
            self._journal.append(effects.records)
            self._commit_ns = time.perf_counter_ns() - began
            self._unsynced.set()
        effects.complete()
        if self._waiting or (effects.records and not effects.urgent):
            self._waiting.append(effects)
        else:
            self._let_go(effects)

    async def written(self) -> None:
        """
        Until all that was put so far is on the disk and told of.

        It will be, whether or not somebody waits for it.
        """
        if self._waiting:
            written = trio.Event()
            self._waiting.append(written)
            await written.wait()

    async def run(self) -> None:
        """
        Have what was written flushed, one flush for all that has come.

        Raises `DataError` if the disk fails; what waits then never goes out.
        """
        while True:
            await self._unsynced.wait()
            self._unsynced = trio.Event()
            covered = len(self._waiting)
            began = time.perf_counter_ns()
            await trio.to_thread.run_sync(self._journal.sync)
            self._sync_ns = time.perf_counter_ns() - began
            for _ in range(covered):
                self._let_go(self._waiting.popleft())
            if self._waiting:
                # Perhaps with nothing to flush, but behind what had.
                self._unsynced.set()

    def status(self) -> dict[str, Any]:
        """How long the last write and flush took, and what was triggered."""
        return {
            'triggers': self.triggers,
            'commit_ms': self._commit_ns / NS_PER_MS,
            'sync_ms': self._sync_ns / NS_PER_MS,
        }

    def _send_all(self, effects: Effects) -> None:
        commands, effects.commands = effects.commands, []
        for account, command in commands:
            self._send(account, command)

    def _let_go(self, effects: Effects | trio.Event) -> None:
        if isinstance(effects, trio.Event):
            effects.set()
            return
        self._send_all(effects)
        self._tell(effects.news)
