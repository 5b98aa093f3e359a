"""Everything that can be done at the desk, by name, with its keys."""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ...ui.commands import Commands
from . import selection
from .layout import NAMES

if TYPE_CHECKING:
    from .desk import Desk

__all__ = ['HINTS', 'desk_commands']

# What the last line says, as much of it as there is room for.
HINTS = (
    ('?', 'help'), ('b', 'buy'), ('s', 'sell'), ('m', 'modify'),
    ('c', 'cancel'), ('C', 'all'), ('H', 'halt'), ('Tab', 'panel'),
    ('q', 'quit'), ('a', 'alert'), ('w', 'watch'), ('x', 'close position'),
    ('↵', 'details'), ('z', 'zoom'), ('o', 'all orders'), ('n', 'account'),
    (':', 'command'),
)


def desk_commands(desk: Desk) -> Commands:
    """The registry; keys are named as the terminal library names them."""
    commands = Commands()
    add = commands.add

    def opens(word: str) -> Callable[[], object]:
        return partial(selection.start, desk, word)

    add('order.buy', 'Buy: opens the line', opens('buy'), 'b')
    add('order.sell', 'Sell: opens the line', opens('sell'), 's')
    add('order.close', 'Close the selected position: opens the line',
        partial(selection.close_position, desk), 'x')
    add('order.modify', 'Modify the selected order: opens the line',
        partial(selection.modify, desk), 'm')
    add('order.cancel', 'Cancel the selected order, after asking, or drop '
        'the alert',
        partial(selection.remove, desk), 'c', 'delete')
    add('order.cancel-all', 'Cancel every order, after asking',
        partial(desk.execute, 'cancel-all'), 'C')
    add('trading.halt', 'Kill switch: cancel all and refuse new orders, '
        'after asking', partial(desk.execute, 'halt'), 'H')
    add('trading.resume', 'Lift a halt, after asking',
        partial(desk.execute, 'resume'), 'R')
    add('trading.account', 'The next account for new orders',
        desk.next_account, 'n')
    add('alert.add', 'Add an alert: opens the line', opens('alert'), 'a')
    add('quotes.watch', 'Watch a symbol: opens the line',
        opens('watch'), 'w')
    add('quotes.unwatch', 'Watch the selected symbol no more',
        partial(selection.unwatch, desk), 'u')

    add('select.down', 'Next row', partial(desk.move, 1), 'down', 'j')
    add('select.up', 'Row before', partial(desk.move, -1), 'up', 'k')
    add('select.page-down', 'Next page', partial(desk.page, 1), 'page down')
    add('select.page-up', 'Page before', partial(desk.page, -1), 'page up')
    add('select.first', 'First row', partial(desk.move, -10**9), 'home', 'g')
    add('select.last', 'Last row', partial(desk.move, 10**9), 'end', 'G')
    add('select.details', 'All about the selected row',
        partial(selection.show_details, desk), 'enter')

    add('panel.next', 'Next panel', partial(desk.step, 1), 'tab')
    add('panel.before', 'Panel before', partial(desk.step, -1), 'shift tab')
    for number, name in enumerate(NAMES, 1):
        add(f'panel.{name}', f'Go to {name}', partial(desk.go, name),
            str(number))
    add('panel.zoom', 'This panel alone, or all', desk.zoom, 'z')
    add('panel.all-orders', 'Orders that are over as well, or not',
        desk.toggle_all, 'o')

    add('desk.line', 'Type any command', opens(''), ':')
    add('desk.redraw', 'Draw everything again', desk.redraw, 'ctrl l')
    add('desk.help', 'This list', desk.show_help, '?', 'f1')
    add('desk.quit', 'Leave; orders stay', desk.quit, 'q', 'ctrl c')
    return commands
