"""
Questions to ``stored`` over one connection that stays.

A call of the runtime opens three connections, some 20 ms of a short answer.
A `Line` opens them once, and a pipe beside (`service.Pipe`); a question is one
message there, and so is its answer.

Messages are msgpack arrays: ``[ref, what, given]`` asks, ``[ref]`` says that
the asker is done with the answer or does not want it any more, and
``[ref, answer]`` answers.  Answers may come in any order.
"""
from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec
import trio

from ...errors import ActorDied, BadMessage, PikerError, to_wire
from ...service import Pipe, TreeClient, connect_pipe

__all__ = ['Answers', 'Line', 'Lend', 'serve_line']

Answers = Mapping[str, Callable[..., Awaitable[dict[str, Any]]]]
# An answer that holds something for as long as its asker wants it.
Lend = Callable[..., AbstractAsyncContextManager[dict[str, Any]]]

_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], list[Any]] = msgspec.msgpack.Decoder(
    list[Any]
).decode


class _Link:
    """One connection, from its first try to its end."""

    def __init__(self) -> None:
        self.pipe: Pipe | None = None
        self.error: PikerError | None = None
        self.tried = trio.Event()
        self._asked: dict[int, trio.Event] = {}
        self._answers: dict[int, dict[str, Any]] = {}

    async def answer(
        self, ref: int, what: str, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        assert self.pipe is not None
        self._asked[ref] = answered = trio.Event()
        try:
            self.pipe.send(_encode([ref, what, given]))
            await answered.wait()
        finally:
            del self._asked[ref]
        if ref in self._answers:
            return self._answers.pop(ref)
        raise self.error or ActorDied('the line was closed')

    def done(self, ref: int) -> None:
        if self.pipe is not None:
            self.pipe.send(_encode([ref]))

    def take(self, data: bytes) -> None:
        ref, answer = _decode(data)
        if ref in self._asked:
            self._answers[ref] = answer
            self._asked[ref].set()

    def end(self, error: PikerError | None) -> None:
        self.error = error or self.error
        self.pipe = None
        self.tried.set()
        for answered in self._asked.values():
            answered.set()


class Line:
    """
    A connection to ``daemon``, opened at the first question.

    It breaks with the daemon, which each question under way then raises as
    `ActorDied`; the next question opens another.  ``nursery`` has its tasks.
    """

    def __init__(
        self, tree: TreeClient, daemon: str, module: str,
        nursery: trio.Nursery,
    ) -> None:
        self._tree = tree
        self._daemon = daemon
        self._module = module
        self._nursery = nursery
        self._link: _Link | None = None
        self._refs = itertools.count()

    @asynccontextmanager
    async def asked(
        self, what: str, **given: Any
    ) -> AsyncGenerator[dict[str, Any], None]:
        """
        An answer; what it lends is given back when the body ends.

        Raises what kept the daemon from answering, `ActorDied` if it died.
        """
        link = await self._linked()
        ref = next(self._refs)
        try:
            yield await link.answer(ref, what, given)
        finally:
            link.done(ref)

    async def _linked(self) -> _Link:
        link = self._link
        if link is None:
            link = self._link = _Link()
            self._nursery.start_soon(self._hold, link)
        await link.tried.wait()
        if link.error is not None:
            raise link.error
        return link

    async def _hold(self, link: _Link) -> None:
        error: PikerError | None = None
        try:
            async with self._tree.context(
                await self._tree.find(self._daemon), self._module,
                'open_line',
            ) as (_, first):
                with connect_pipe(first['pipe']) as pipe:
                    link.pipe = pipe
                    link.tried.set()
                    await _read(pipe, link.take)
        except PikerError as err:
            error = err
        finally:
            if self._link is link:
                self._link = None
            link.end(error or ActorDied(f'{self._daemon} is gone'))


async def _read(pipe: Pipe, take: Callable[[bytes], None]) -> None:
    """Hand over messages until the other side closes: `ActorDied`."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pipe.run)
        try:
            while True:
                for data in await pipe.receive():
                    take(data)
        finally:
            nursery.cancel_scope.cancel()


async def serve_line(pipe: Pipe, answers: Answers, lend: Lend) -> None:
    """
    Answer until the other side closes the pipe; then nothing stays lent.

    ``lend`` is what ``load_bars`` asks for, ``answers`` the rest, by name.
    An error that a person can act on is an answer, see `errors.to_wire`.
    """
    scopes: dict[int, trio.CancelScope] = {}

    async def reply(
        ref: int, what: str, given: dict[str, Any], scope: trio.CancelScope
    ) -> None:
        try:
            with scope:
                try:
                    if what == 'load_bars':
                        async with lend(**given) as found:
                            pipe.send(_encode([ref, found]))
                            await trio.sleep_forever()
                    else:
                        pipe.send(_encode([ref, await answers[what](**given)]))
                except PikerError as err:
                    pipe.send(_encode([ref, to_wire(err)]))
        finally:
            del scopes[ref]

    def take(data: bytes) -> None:
        try:
            ref, *question = _decode(data)
        except (msgspec.DecodeError, ValueError) as err:
            raise BadMessage(f'not a question: {err}') from err
        if question:
            scopes[ref] = scope = trio.CancelScope()
            nursery.start_soon(reply, ref, *question, scope)
        elif ref in scopes:
            scopes[ref].cancel()

    async with trio.open_nursery() as nursery:
        try:
            await _read(pipe, take)
        except ActorDied:
            nursery.cancel_scope.cancel()
