"""
The venue's REST API: one session, errors translated, limits honoured.

Source: Binance Spot API documentation, "General API Information".
"""
from __future__ import annotations

import logging
import warnings
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec
import trio

# asks needs anyio 3, which reaches for what trio 0.23 deprecates, some of it
# only once it is used.
warnings.filterwarnings('ignore', category=FutureWarning, module='anyio')

import asks  # noqa: E402

from ...data.turns import Places, queueing  # noqa: E402
from ...errors import (  # noqa: E402
    BadMessage,
    VenueDown,
    VenueError,
    VenueRefused,
)
from .limits import Limiter, weight_of  # noqa: E402

__all__ = ['Rest']

log = logging.getLogger(__name__)

_TIMEOUT_S = 10.0
# Requests that are under way at once, and those of them that may be of the
# background: these can hold their places for long, for want of limits.
_CONNECTIONS = 8
_BACKGROUND = 4
_DEFAULT_RETRY_AFTER_S = 5.0
_MOST_RETRY_AFTER_S = 3600.0
# A request that is turned away waits out pauses up to this, this often.
_LONGEST_PAUSE_S = 30.0
_LIMITED_TRIES = 3


class _Limited(VenueDown):
    """The venue asked for a pause of ``pause_s`` seconds."""


class Rest:
    """
    GET requests to ``base_url``; any number may be asked for at once.

    A few of them are under way at a time and the others wait their turn:
    ``waiting`` says how many.  ``share`` is what this process may use of the
    venue's limits.
    """

    def __init__(self, base_url: str, share: float = 1.0) -> None:
        self.base_url = base_url.rstrip('/')
        self._session = asks.Session(connections=_CONNECTIONS)
        self.limiter = Limiter(share=share, on_pause=self._be_paused)
        self._places = Places(_CONNECTIONS, _BACKGROUND)
        # What ends each wait for a turn as one.
        self._turns: set[Callable[[], None]] = set()
        self.requests = 0
        self.failures = 0

    @property
    def waiting(self) -> int:
        return self._places.waiting

    async def get(
        self, path: str, *, background: bool = False, **params: Any
    ) -> Any:
        """
        The decoded JSON answer of ``path``.

        Waits its turn, and until the venue's limits allow it; with
        ``background`` it leaves room for others.  The venue's time to answer
        begins after that.  Raises `VenueDown` if the venue cannot be reached
        or fails, `VenueRefused` if it will not answer this request,
        `BadMessage` if the answer is not JSON.
        """
        weight = weight_of(path, params.get('limit'))
        query = {k: v for k, v in params.items() if v is not None}
        # The limits come last: their minute begins when a request is sent.
        async with self._place(background):
            for attempt in range(_LIMITED_TRIES):
                with self._queueing():
                    await self.limiter.take(weight, background=background)
                try:
                    return await self._try(f'{self.base_url}{path}', query)
                except _Limited as err:
                    last = attempt == _LIMITED_TRIES - 1
                    if last or err.pause_s > _LONGEST_PAUSE_S:
                        raise
        raise AssertionError('unreachable')

    @asynccontextmanager
    async def _place(self, background: bool) -> AsyncGenerator[None, None]:
        with self._queueing():
            await self._places.take(background=background)
        try:
            yield
        finally:
            self._places.give_back(background=background)

    @contextmanager
    def _queueing(self) -> Iterator[None]:
        """A pause that the venue asks for is the venue's doing, however."""
        if self.limiter.blocked:
            yield
            return
        with queueing() as end:
            self._turns.add(end)
            try:
                yield
            finally:
                self._turns.remove(end)

    def _be_paused(self, seconds: float) -> None:
        """Short ones are waited out, by those who wait already."""
        if seconds > _LONGEST_PAUSE_S:
            for end in self._turns:
                end()

    async def _try(self, url: str, query: dict[str, Any]) -> Any:
        self.requests += 1
        answer = None
        try:
            with trio.move_on_after(_TIMEOUT_S):
                answer = await self._session.get(url, params=query)
        except Exception as err:
            # asks raises what its transport and parser raise, of all kinds
            self.failures += 1
            raise VenueDown(f'{url} cannot be reached: {err!r}') from err
        if answer is None:
            self.failures += 1
            raise VenueDown(f'{url} did not answer within {_TIMEOUT_S:.0f} s')
        return self._read(url, answer)

    def _read(self, url: str, answer: Any) -> Any:
        headers = {k.lower(): v for k, v in answer.headers.items()}
        weight = headers.get('x-mbx-used-weight-1m', '')
        if weight.isdigit():
            self.limiter.report(int(weight))
        status = int(answer.status_code)
        if status == 200:
            try:
                return msgspec.json.decode(answer.content)
            except msgspec.DecodeError as err:
                raise BadMessage(f'{url}: not JSON: {err}') from err
        self.failures += 1
        raise self._failure(url, status, headers, answer.content)

    def _failure(
        self, url: str, status: int, headers: dict[str, str], body: bytes
    ) -> VenueError:
        text = body[:200].decode(errors='replace')
        if status in (418, 429):
            try:
                pause = float(headers['retry-after'])
            except (KeyError, ValueError):
                pause = _DEFAULT_RETRY_AFTER_S
            pause = min(max(pause, 0.0), _MOST_RETRY_AFTER_S)
            self.limiter.back_off(pause)
            limited = _Limited(
                f'{url}: the venue asks for a pause of {pause:.0f} s (status '
                f'{status})'
            )
            limited.pause_s = pause
            return limited
        if status >= 500:
            return VenueDown(f'{url}: status {status}: {text}')
        return VenueRefused(f'{url}: status {status}: {text}')

    async def aclose(self) -> None:
        await self._session.close()
