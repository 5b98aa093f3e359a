"""
What keys do with the row that is selected.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ...errors import BadInput
from ..ems.words import amount
from .doing import cancel
from .line import brief
from .pages import details_page

if TYPE_CHECKING:
    from .desk import Desk

__all__ = [
    'close_position',
    'modify',
    'remove',
    'show_details',
    'start',
    'unwatch',
]


def start(desk: Desk, word: str) -> None:
    """Open the line with the beginning of a command."""
    text = f'{word} ' if word else ''
    if word in {'buy', 'sell', 'alert'}:
        key = desk.panels['quotes'].selected
        symbol = _symbol_at_hand(desk) or (key[0] if key else '')
        text += f'{symbol} ' if symbol else ''
    desk.open_line(text)


def _symbol_at_hand(desk: Desk) -> str:
    key = desk.panels[desk.active].selected
    if key is None:
        return ''
    match desk.active:
        case 'quotes':
            return key[0]
        case 'positions' | 'fills':
            return key[1]
        case 'orders':
            view = desk.ems.dialogs.get((key[0], key[1]))
            return view.request.symbol if view else ''
        case 'alerts':
            alert = desk.ems.alerts.get(key[0])
            return alert.symbol if alert else ''
    return ''


def close_position(desk: Desk) -> None:
    """Open the line with the order that closes a position."""
    key = desk.panels['positions'].selected
    if key is None:
        desk.tell('there is no position to close', 'error')
        return
    position = desk.ems.positions[key[0], key[1]]
    side = 'sell' if position.size > 0 else 'buy'
    desk.open_line(
        f'{side} {position.symbol} {amount(abs(position.size))} '
        f'--account {position.account} '
    )


def modify(desk: Desk) -> None:
    """Open the line with an order and what it has now."""
    key = desk.panels['orders'].selected
    view = desk.ems.dialogs.get((key[0], key[1])) if key else None
    if view is None or view.status.final:
        desk.tell('select an open order first', 'error')
        return
    r = view.request
    words = [f'modify {r.oid} --account {r.account}']
    for name in ('trail', 'stop', 'price'):
        value = getattr(r, name)
        if value is not None:
            words.append(f'--{name} {amount(value)}')
            break
    desk.open_line(' '.join(words))


def remove(desk: Desk) -> None:
    """Cancel an order, after asking, or drop an alert."""
    name = 'alerts' if desk.active == 'alerts' else 'orders'
    key = desk.panels[name].selected
    if key is None:
        desk.tell(f'nothing is selected in {name}', 'error')
    elif name == 'orders':
        # Without its stop a position is on its own: not by a slip.
        view = desk.ems.dialogs.get((key[0], key[1]))
        if view is None or view.status.final:
            desk.tell('this order is over', 'error')
            return
        desk.ask(
            'Cancel this order?', [f'{brief(view.request)}, {key[1]}'],
            lambda: cancel(desk, key[0], key[1]),
        )
    else:
        async def work() -> str:
            await desk.ems.drop_alert(key[0])
            return 'alert dropped'

        desk.call(work)


def unwatch(desk: Desk) -> None:
    key = desk.panels['quotes'].selected
    if key is None:
        return
    try:
        desk.unwatch([key[0]])
    except BadInput as err:
        desk.tell(str(err), 'error')


def show_details(desk: Desk) -> None:
    """All about it, as a page."""
    key = desk.panels[desk.active].selected
    found = _struct(desk, key) if key else None
    if found is None:
        return
    fields: dict[str, Any] = {'': found}
    if not isinstance(found, str):
        fields = msgspec.to_builtins(found)
        fields = {**fields.pop('request', {}), **fields}
    desk.page_on_top = details_page(desk.active.rstrip('s'), fields)


def _struct(desk: Desk, key: tuple[str, ...]) -> Any:
    ems = desk.ems
    match desk.active:
        case 'orders':
            return ems.dialogs.get((key[0], key[1]))
        case 'positions':
            return ems.positions.get((key[0], key[1]))
        case 'alerts':
            return ems.alerts.get(key[0])
        case 'fills':
            return next((
                f for f in ems.fills
                if (f.account, f.symbol, f.trade_id) == key
            ), None)
        case 'quotes':
            watched = desk.quotes[key[0]]
            return watched and watched.instrument
        case 'log':
            return desk.log_text(key[0])
    return None
