"""What an input to the core leads to."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..gateway import Command
from .records import Record

__all__ = ['Effects']


@dataclass(slots=True)
class Effects:
    """
    What to do after an input, in this order.

    Journal ``records`` in one transaction; once they are on the disk hand
    ``commands`` (account, command) to gateways and ``news`` (`DialogView`,
    `Fill`, `PositionView`, `Alert`, `Notice`, balances) to clients.
    ``urgent``: a trigger has fired, so commands do not wait for the disk.
    They never overtake those of earlier effects.  The core has applied the
    records already: if they cannot be journalled, it must not be used any
    more.
    """

    records: list[Record] = field(default_factory=list)
    urgent: bool = False
    commands: list[tuple[str, Command]] = field(default_factory=list)
    news: list[Any] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.records or self.commands or self.news)
