"""
What a venue has of an account, asked for beside all else that goes on.

The question is a `Snapshot` as the core asks it, under a number that the core
never uses; what the gateway says goes to the core as ever, so whatever it
had missed it learns by the way.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import trio

from ..errors import VenueDown, VenueRefused
from ..gateway import (
    AccountReport,
    Answer,
    Command,
    FillReport,
    GatewayMessage,
    Outcome,
    Snapshot,
)
from ..orders import Balance

__all__ = ['Probes', 'VenueBooks']

_WITHIN_S = 60.0


class VenueBooks(msgspec.Struct, frozen=True, kw_only=True):
    """
    An account at its venue: fills of what was asked for, and all balances.

    ``journal`` is the file of the ``emsd`` that has asked.  There may be
    fills from before the time asked for.
    """

    account: str
    fills: list[FillReport]
    balances: dict[str, Balance]
    journal: str = ''


class _Probe:
    """One question and what has come of it."""

    def __init__(self, ref: int) -> None:
        self.ref = ref
        self.fills: dict[tuple[str, str], FillReport] = {}
        self.balances: dict[str, Balance] = {}
        self.answer: Answer | None = None
        self.done = trio.Event()

    def hear(self, message: GatewayMessage) -> None:
        match message:
            case FillReport():
                self.fills[message.symbol, message.trade_id] = message
            case AccountReport(whole=True):
                self.balances = message.balances
            case Answer(ref=self.ref):
                self.answer = message
                self.done.set()


class Probes:
    """All questions under way."""

    def __init__(self) -> None:
        self._probes: dict[str, list[_Probe]] = {}
        self._last_ref = 0

    def hear(self, account: str, messages: Sequence[GatewayMessage]) -> None:
        """Whatever a gateway says."""
        for probe in self._probes.get(account, ()):
            for message in messages:
                probe.hear(message)

    def lose(self, account: str) -> None:
        """The gateway is gone, and its answers with it."""
        for probe in self._probes.get(account, ()):
            probe.done.set()

    async def ask(
        self,
        account: str,
        send: Callable[[str, Command], None],
        symbols: Sequence[str],
        since_ns: int,
    ) -> VenueBooks:
        """
        Ask, by ``send``, for fills in ``symbols`` from ``since_ns`` on.

        Raises `VenueRefused`, or `VenueDown` without an answer.
        """
        self._last_ref -= 1  # the core's are positive
        probe = _Probe(self._last_ref)
        self._probes.setdefault(account, []).append(probe)
        try:
            send(account, Snapshot(
                ref=probe.ref, symbols=list(symbols), since_ns=since_ns,
            ))
            with trio.move_on_after(_WITHIN_S):
                await probe.done.wait()
        finally:
            self._probes[account].remove(probe)
        if probe.answer is None:
            raise VenueDown(
                f'account {account!r}: the gateway has not answered within '
                f'{_WITHIN_S:.0f} s, or has died; try again'
            )
        if probe.answer.outcome is not Outcome.DONE:
            raise VenueRefused(
                f'account {account!r}: the venue does not say how it '
                f'stands: {probe.answer.reason}'
            )
        return VenueBooks(
            account=account, fills=list(probe.fills.values()),
            balances=probe.balances,
        )
