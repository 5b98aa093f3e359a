"""From a symbol's name to its chart: the one start-up sequence."""
from __future__ import annotations

import trio

from ..errors import PikerError
from .feeds import FlumeLike, OpenFeed
from .history import Pager
from .window import ChartWindow

__all__ = ['Session']


class Session:
    """
    Keeps at most one symbol loading or live in a window.

    `load` may be called from any Qt or trio callback of the main thread; it
    cancels what was there and starts anew.  With ``strict``, errors end the
    session instead of being shown: for when nobody looks at the window.
    """

    def __init__(
        self, window: ChartWindow, open_feed: OpenFeed, *, strict: bool = False
    ) -> None:
        self.window = window
        self.flume: FlumeLike | None = None
        self.live = trio.Event()
        self._open_feed = open_feed
        self._strict = strict
        self._nursery: trio.Nursery | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope: trio.CancelScope | None = None
        window.load_requested.connect(self.load)

    async def run(self, symbol: str) -> None:
        """Serve the window, beginning with ``symbol``, until cancelled."""
        self._token = trio.lowlevel.current_trio_token()
        try:
            async with trio.open_nursery() as self._nursery:
                self._start(symbol)
                await trio.sleep_forever()
        finally:
            self._nursery = None
            self.window.load_requested.disconnect(self.load)

    def load(self, symbol: str) -> None:
        """Show ``symbol`` instead of what is shown now."""
        if self._token is not None and self._nursery is not None:
            # Qt's callbacks run between trio's steps, not inside a task.
            self._token.run_sync_soon(self._start, symbol)

    def _start(self, symbol: str) -> None:
        if self._nursery is None:
            return
        if self._scope is not None:
            self._scope.cancel()
        self._scope = trio.CancelScope()
        self._nursery.start_soon(self.load_symbol, symbol, self._scope)

    async def load_symbol(
        self, symbol: str, scope: trio.CancelScope
    ) -> None:
        """
        Open the feed of ``symbol`` and keep it on screen until cancelled.

        What goes wrong on the way or later is shown in the window.
        """
        failed: PikerError | None = None
        with scope:
            self.window.show_loading(symbol)
            try:
                async with self._open_feed([symbol]) as feed:
                    # The former feed's end and ours may overlap.
                    await trio.lowlevel.checkpoint()
                    self.flume = feed[symbol]
                    self.window.show_flume(self.flume)
                    self.live.set()
                    # Loads older history until the chart goes.
                    await Pager(self.window, self.flume).run()
            except* PikerError as group:
                failed = _first(group)
        if failed is None or scope.cancel_called:
            return
        if self._strict:
            raise failed
        self.window.show_error(f'{symbol} cannot be shown', failed)


def _first(group: BaseExceptionGroup[PikerError]) -> PikerError:
    # Nurseries wrap what their tasks raise, sometimes more than once.
    err: BaseException = group
    while isinstance(err, BaseExceptionGroup):
        err = err.exceptions[0]
    assert isinstance(err, PikerError)
    return err
