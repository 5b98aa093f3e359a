"""
What goes over the stream between a client and ``emsd``.

A client sends calls, ``[number, function, arguments]``; it is sent batches of
events, ``{'is': kind, 'body': …}``, and replies, ``{'to': number, …}``, in
one order: what a call has brought about comes before its reply.
"""
from __future__ import annotations

from typing import Any

import msgspec

from ..errors import BadMessage
from ..messages import pack, unpack
from ..orders import (
    AccountView,
    Alert,
    AlertGone,
    DialogView,
    Fill,
    Notice,
    PositionView,
)

__all__ = ['EmsSnapshot', 'Event', 'pack_event', 'unpack_event']

Event = (
    DialogView | Fill | PositionView | AccountView | Alert | AlertGone | Notice
)

_KINDS: dict[str, type[Any]] = {
    'dialog': DialogView, 'fill': Fill, 'position': PositionView,
    'account': AccountView, 'alert': Alert, 'alert-gone': AlertGone,
    'notice': Notice,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class EmsSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a client is told first.

    Every dialog that is open and the newest of those that are over, the
    newest fills, all positions and accounts, alerts that wait, notices.
    ``providers`` is where each account trades, empty for one on paper;
    ``live`` names the accounts whose orders leave this machine.
    """

    dialogs: list[DialogView]
    fills: list[Fill]
    positions: list[PositionView]
    accounts: list[AccountView]
    alerts: list[Alert]
    notices: list[Notice]
    providers: dict[str, str] = {}
    live: list[str] = []


def pack_event(event: Event) -> dict[str, Any]:
    return {'is': _NAMES[type(event)], 'body': pack(event)}


def unpack_event(message: dict[str, Any]) -> Event:
    """Raises `BadMessage` for what is none."""
    kind = _KINDS.get(message.get('is', ''))
    if kind is None:
        raise BadMessage(f'not an event: {message!r}')
    event: Event = unpack(kind, message['body'])
    return event
