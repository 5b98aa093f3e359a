"""What an input to the core leads to."""
from __future__ import annotations

from collections.abc import Callable
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
    ``urgent``: a trigger has fired, so commands do not wait for the disk, nor
    for ``news``, which are whole after `complete`.  They never overtake those
    of earlier effects.  The core has applied the records already: if they
    cannot be journalled, it must not be used any more.
    """

    records: list[Record] = field(default_factory=list)
    urgent: bool = False
    commands: list[tuple[str, Command]] = field(default_factory=list)
    news: list[Any] = field(default_factory=list)
    late: Callable[[], object] | None = None

    def complete(self) -> None:
        """Have ``news`` whole; before the core's next input."""
        late, self.late = self.late, None
        if late is not None:
            late()

    def __bool__(self) -> bool:
        return bool(self.records or self.commands or self.news)
