"""
What clearing asks of a gateway: the whole contract, in one file.

A gateway carries the orders of one account to one venue.  Live ones run in
the provider's ``brokerd`` and are reached over the actor tree, the paper one
runs in ``emsd``; both are this to it.  Commands and messages are the structs
of `orders`.
"""
from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from .orders import Abilities, Command, GatewayMessage

__all__ = ['Gateway', 'GatewayFactory']


class Gateway(Protocol):
    """
    One account at one venue.

    Every command ends in exactly one `Answer` with its ``ref``, unless the
    gateway itself dies first; then each command without an answer is in
    doubt.  A command is tried once: what a time-out leaves open is said so
    (`Outcome.DOUBT`), never tried again.  Commands that concern one order
    are carried out in the order they were sent; others side by side.
    Reports come as the venue sends them: perhaps late, twice, or out of
    order.
    """

    abilities: Abilities

    def send(self, command: Command) -> None:
        """Hand over a command; does not wait.  `ActorDied` if it is gone."""

    async def receive(self) -> list[GatewayMessage]:
        """
        What has come since the last call, at least one message.

        Raises `ActorDied` once the gateway is gone.
        """


class GatewayFactory(Protocol):
    """
    How a provider offers live gateways: ``open_gateway`` in its package.

    ``account`` is the account's name and ``settings`` its table in the
    configuration, checked; ``backend`` the provider's open `Backend`.
    Raises `ConfigError` for keys that are missing, `VenueRefused` for those
    that the venue does not take.
    """

    def __call__(
        self, account: str, settings: dict[str, Any], backend: Any
    ) -> AbstractAsyncContextManager[Gateway]: ...
