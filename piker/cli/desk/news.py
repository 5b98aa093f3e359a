"""
What ``emsd`` tells of, as lines for whoever sits at the desk.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...orders import Alert, DialogView, Fill, Notice, OrderStatus
from ..ems.words import amount

__all__ = ['News', 'news_of']


@dataclass(frozen=True, slots=True)
class News:
    """
    ``time_ns`` is 0 for what is new now; ``told`` is said above the line as
    well as in the log, ``rings`` is also heard; news of the same ``once`` are
    told once.
    """

    text: str
    attr: str
    time_ns: int = 0
    told: bool = False
    rings: bool = False
    once: tuple[str, ...] = ()


def _end_of(view: DialogView) -> News:
    r = view.request
    once = r.account, r.oid, view.status.value
    if view.status is OrderStatus.REJECTED:
        return News(
            f'{r.oid} was rejected: {view.reason}', 'error', told=True,
            once=once,
        )
    text = f'{r.oid}: {r.side} {amount(r.size)} {r.symbol} {view.status}'
    if view.filled:
        text += f', {amount(view.filled)} at {amount(view.average)}'
    if view.reason:
        text += f': {view.reason}'
    return News(text, '', told=True, once=once)


def news_of(event: Any) -> News | None:
    """What an event says; ``None`` if only the tables show it."""
    match event:
        case Notice():
            return News(event.text, 'warn', event.time_ns)
        case Fill():
            return News(
                f'{event.account}: {event.side} {amount(event.size)} '
                f'{event.symbol} filled at {amount(event.price)}',
                event.side.value, event.time_ns,
            )
        case DialogView() if event.status.final:
            return _end_of(event)
        case Alert() if event.fired_ns:
            note = f': {event.note}' if event.note else ''
            return News(
                f'ALERT {event.symbol} {event.side} '
                f'{amount(event.price)}{note}', 'warn', told=True,
                rings=True,
            )
    return None
