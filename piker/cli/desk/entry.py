"""
The line while it is open: keys, completion, what it would do.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import BadInput
from ..ems.words import amount
from .line import complete, describe, parse
from .prompt import Prompt

if TYPE_CHECKING:
    from .desk import Desk

__all__ = ['press', 'preview']

_MOST_NAMED = 20


def press(desk: Desk, prompt: Prompt, key: str) -> None:
    """A key that goes to the line."""
    match prompt.press(key, desk.cols):
        case 'escape':
            desk.prompt = None
        case 'complete':
            _complete(desk, prompt)
        case 'enter':
            desk.enter(prompt.text.strip())


def _complete(desk: Desk, prompt: Prompt) -> None:
    oids = [
        v.request.oid for v in desk.ems.dialogs.values()
        if not v.status.final
    ]
    known = [w.symbol for w in desk.quotes.all()]
    text, found = complete(prompt.text, known, oids)
    prompt.set(text)
    if len(found) > 1:
        desk.log(f'may be: {" ".join(found[:_MOST_NAMED])}', 'faint')


def preview(desk: Desk, text: str) -> tuple[str, str]:
    """(attribute, text) of what the line says, or what is wrong with it."""
    try:
        parsed = parse(text, desk.account)
        if parsed.name not in {'buy', 'sell'}:
            return 'label', 'Enter does it, Esc leaves it'
        order, *more = parsed.requests()
    except BadInput as err:
        return 'faint', str(err)
    watched = desk.quotes[order.symbol]
    i = watched.instrument if watched else None
    said = describe(
        order, watched.last() if watched else None, i.quote if i else ''
    )
    if more:
        profit, loss = amount(more[0].price), amount(more[1].stop)
        said += f' · then out at {profit} or {loss}'
    if order.account in desk.ems.live:
        return 'live', f'REAL MONEY  {said}'
    return order.side.value, said
