"""
`open_ems`: orders from a script, a desk, or a notebook.

A client mirrors what ``emsd`` holds.  It comes and goes as it likes: orders
stay, and a client that comes back finds them.
"""
from __future__ import annotations

import logging
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from ..errors import ActorDied, BadInput, as_piker_error, from_wire
from ..messages import pack, unpack
from ..orders import (
    Alert,
    AlertSide,
    DialogView,
    OrderChange,
    OrderRequest,
    OrderSide,
)
from ..service import Tree, TreeClient, open_tree
from .eventstream import EventStream
from .mirror import Mirror
from .wire import EmsSnapshot, unpack_event
from .written import Number, exact, request_of

__all__ = ['EmsClient', 'EventStream', 'open_ems']

log = logging.getLogger(__name__)

_ENDPOINTS = 'piker.clearing.endpoints'
_RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)
# How long a lost emsd is tried for before its clients give up.
_GIVE_UP_S = 60.0


class _CallOut:
    """A call and, once there is one, its reply."""

    def __init__(self, message: list[Any]) -> None:
        self.message = message
        self.done = trio.Event()
        self.reply: dict[str, Any] = {}


class EmsClient(Mirror):
    """
    What ``emsd`` holds, live, and what can be asked of it.

    The mirrors, see `Mirror`, are kept by a task in the background, and
    replaced by what a restarted ``emsd`` has.

    Calls raise `BadInput` for what cannot be done, `RiskRefused` beyond a
    limit, `DaemonError` without an ``emsd``.  A call whose answer was lost
    is asked again, which has no second effect.
    """

    def __init__(self, tree: TreeClient, client: str) -> None:
        super().__init__()
        self._tree = tree
        self._client = client
        self._calls: dict[int, _CallOut] = {}
        self._number = 0
        self._unsent: deque[list[Any]] = deque()
        self._stirred = trio.Event()
        self.attached = False

    # orders

    async def buy(
        self, symbol: str, size: Number, **options: Any
    ) -> DialogView:
        """
        Buy ``size`` of the base currency; returns once it is journalled.

        Options are the fields of `OrderRequest`; with a ``price`` it is a
        limit order, with a ``stop`` a stop order, with a ``trail`` a trailing
        stop, unless ``type`` says otherwise; numbers may be text.  Without
        an ``oid`` it gets a name that nothing else has.
        """
        return await self.submit(
            request_of(OrderSide.BUY, symbol, size, options)
        )

    async def sell(
        self, symbol: str, size: Number, **options: Any
    ) -> DialogView:
        """Sell, see `buy`."""
        return await self.submit(
            request_of(OrderSide.SELL, symbol, size, options)
        )

    async def submit(self, request: OrderRequest) -> DialogView:
        """Place one order."""
        return (await self.submit_all([request]))[0]

    async def submit_all(
        self, requests: Sequence[OrderRequest]
    ) -> list[DialogView]:
        """Place orders that belong together: all of them, or none."""
        found = await self._call(
            'submit', requests=[pack(request) for request in requests]
        )
        return [unpack(DialogView, view) for view in found]

    async def change(
        self,
        oid: str,
        *,
        account: str = 'paper',
        price: Number | None = None,
        size: Number | None = None,
        stop: Number | None = None,
        trail: Number | None = None,
    ) -> DialogView:
        """
        New values for an open order; returns once that is journalled.

        ``size`` is the whole size, what is filled included.  The venue may
        still say no: then the view's ``reason`` tells.
        """
        given = {'price': price, 'size': size, 'stop': stop, 'trail': trail}
        change = OrderChange(oid=oid, account=account, **{
            name: exact(name, value)
            for name, value in given.items() if value is not None
        })
        found = await self._call('change', change=pack(change))
        return unpack(DialogView, found)

    async def cancel(self, oid: str, *, account: str = 'paper') -> DialogView:
        """Cancel an order; `closed` waits for the end of it."""
        found = await self._call('cancel', account=account, oid=oid)
        return unpack(DialogView, found)

    async def cancel_all(self, account: str = '', symbol: str = '') -> None:
        """Cancel every order of an account and symbol (empty: of all)."""
        await self._call('cancel_all', account=account, symbol=symbol)

    async def halt(self, account: str = '', reason: str = '') -> None:
        """Cancel all and block new orders until `resume`, here and after."""
        await self._call('halt', account=account, reason=reason)

    async def resume(self, account: str = '') -> None:
        """Lift a halt."""
        await self._call('resume', account=account)

    async def alert(
        self, symbol: str, price: Number, *, side: str = 'either',
        note: str = '', aid: str | None = None,
    ) -> Alert:
        """Be told once when a price is reached."""
        try:
            from_side = AlertSide(side)
        except ValueError:
            raise BadInput(
                f'{side!r} is not a side of an alert: above, below or either'
            ) from None
        alert = Alert(
            aid=aid or uuid.uuid4().hex, symbol=symbol,
            price=exact('price', price), side=from_side, note=note,
        )
        return unpack(Alert, await self._call('add_alert', alert=pack(alert)))

    async def drop_alert(self, aid: str) -> None:
        """Forget an alert."""
        await self._call('drop_alert', aid=aid)

    # waiting

    async def closed(self, oid: str, *, account: str = 'paper') -> DialogView:
        """The dialog once it is over; `BadInput` if there is none."""
        asked = False
        while True:
            view = self.dialogs.get((account, oid))
            if view is None and not asked:
                asked = True
                view = unpack(DialogView, await self._call(
                    'dialog', account=account, oid=oid
                ))
            if view is not None and view.status.final:
                return view
            await self.changed()

    # the background

    async def hold(
        self, task_status: Any = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Stay attached, across restarts of ``emsd``."""
        first = True
        failures = 0
        lost_at = trio.current_time()
        while True:
            try:
                async with self._tree.context(
                    await self._tree.find('emsd'), _ENDPOINTS, 'attach',
                    client=self._client,
                ) as (ctx, found):
                    self._begin(unpack(EmsSnapshot, found))
                    failures = 0
                    async with ctx.open_stream(backpressure=True) as stream:
                        if first:
                            first = False
                            task_status.started()
                        await self._talk(stream)
                log.warning('emsd has ended the connection: asking again')
            except ActorDied as err:
                log.warning('%s: asking again', err)
            self.attached = False
            if failures == 0:
                lost_at = trio.current_time()
            elif trio.current_time() - lost_at > _GIVE_UP_S:
                raise ActorDied(
                    f'emsd did not come back within {_GIVE_UP_S:.0f} s'
                )
            await trio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
            failures += 1

    async def _talk(self, stream: Any) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send, stream)
                async for batch in stream:
                    self._take_batch(batch)
                nursery.cancel_scope.cancel()
        except (trio.ClosedResourceError, trio.BrokenResourceError) as err:
            raise ActorDied('the connection to emsd broke') from err

    async def _send(self, stream: Any) -> None:
        while True:
            while self._unsent:
                await stream.send(self._unsent.popleft())
            self._stirred = trio.Event()
            await self._stirred.wait()

    async def _call(self, function: str, **arguments: Any) -> Any:
        self._number += 1
        number = self._number
        call = _CallOut([number, function, arguments])
        self._calls[number] = call
        self._unsent.append(call.message)
        self._stirred.set()
        try:
            await call.done.wait()
        finally:
            del self._calls[number]
        if 'error' in call.reply:
            raise from_wire(call.reply)
        return call.reply['value']

    def _begin(self, snapshot: EmsSnapshot) -> None:
        """Mirror a (new) daemon; what was not answered is asked again."""
        self.reflect(snapshot)
        self._unsent = deque(call.message for call in self._calls.values())
        self.attached = True
        self.wake()

    def _take_batch(self, batch: list[dict[str, Any]]) -> None:
        for message in batch:
            if 'to' in message:
                call = self._calls.get(message['to'])
                if call is not None:
                    call.reply = message
                    call.done.set()
            else:
                self.follow(unpack_event(message))
        self.wake()


@asynccontextmanager
async def open_ems(
    registry: str | None = None,
    client: str = 'script',
    start: Callable[[], list[str]] | None = None,
) -> AsyncGenerator[EmsClient, None]:
    """
    Attach to the execution management system of a tree.

    Works in a plain `trio.run`; ``registry`` is ``HOST:PORT`` of the tree,
    by default that of ``PIKER_REGISTRY``.  ``client`` is the name that others
    see beside our orders.  Enters once all that is known has been mirrored.
    Raises `NoDaemon`, or what keeps ``emsd`` from starting; while it is open,
    `ActorDied` if the root dies or ``emsd`` does not come back, `DaemonError`
    if it has dropped us because we did not read.
    """
    try:
        async with (
            open_tree(Tree.parse(registry), client, start=start) as tree,
            trio.open_nursery() as nursery,
        ):
            ems = EmsClient(tree, client)
            await nursery.start(ems.hold)
            yield ems
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        known = as_piker_error(group)
        if known is None:
            raise
        raise known from group
