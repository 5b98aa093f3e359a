"""
Pages on top of the desk: help, details, questions.
"""
from __future__ import annotations

import textwrap
from typing import Any

from ...clock import format_ns
from ...ui.commands import Commands
from .line import WORDS
from .panels import Page
from .table import Line, clean

__all__ = ['details_page', 'help_page', 'question_page']

_WIDTH = 70
_SHOWN = {
    'page up': 'PgUp', 'page down': 'PgDn', 'shift tab': 'Shift-Tab',
    'ctrl c': 'Ctrl-C', 'ctrl l': 'Ctrl-L', 'enter': 'Enter',
    'delete': 'Del', 'tab': 'Tab', 'up': '↑', 'down': '↓', 'home': 'Home',
    'end': 'End', 'f1': 'F1',
}


def help_page(commands: Commands) -> Page:
    """Every command with its keys, and the words of the line."""
    lines: list[Line] = []
    for group, members in commands.groups().items():
        lines += [[]] if lines else []
        lines.append([('title', group)])
        for command in members:
            keys = ' '.join(_SHOWN.get(k, k) for k in command.keys)
            first, *rest = textwrap.wrap(command.help, 44)
            lines.append([
                ('key', f'  {keys:<10}'), ('label', f'{command.name:<18} '),
                ('', first),
            ])
            lines += [[('', ' ' * 31 + more)] for more in rest]
    lines += [[], [('title', 'the line')]]
    lines += [
        [('', text)] for text in textwrap.wrap(
            'As after `piker ems`, or a name from above. Tab completes, '
            '↑ and ↓ recall, Enter does it, Esc leaves it.', _WIDTH,
        )
    ]
    lines += [
        [('label', f'  {name:<12}'), ('', _usage(name))] for name in WORDS
    ]
    return Page('commands and their keys', lines, '↑ ↓ scroll, Esc closes')


def _usage(name: str) -> str:
    command = WORDS[name]
    words = []
    for param in command.params:
        if param.param_type_name == 'argument':
            words.append(param.metavar or '')
        elif param.name != 'oid':
            words.append(f'[{param.opts[-1]}]')
    text = ' '.join(words)
    return text if len(text) < _WIDTH - 12 else (
        textwrap.shorten(text, _WIDTH - 14, placeholder=' …')
    )


def details_page(title: str, fields: dict[str, Any]) -> Page:
    """Every field that says something."""
    lines: list[Line] = []
    for name, value in fields.items():
        if value in ('', None, [], {}, 0, False):
            continue
        if name.endswith('_ns'):
            name, value = name[:-3], format_ns(value)
        elif isinstance(value, dict):
            value = ', '.join(f'{v} {k}' for k, v in value.items())
        label = f'{name.replace("_", " "):<15}'
        for text in textwrap.wrap(clean(str(value)), 55) or ['']:
            lines.append([('label', label), ('', text)])
            label = ' ' * 15
    return Page(title, lines, 'Esc closes')


def question_page(question: str, about: list[str]) -> Page:
    """Something to say yes to."""
    lines: list[Line] = [[('title', question)], []]
    for text in about:
        lines += [[('', part)] for part in textwrap.wrap(clean(text), _WIDTH)]
    lines += [[], [('key', 'y'), ('', ' yes    '), ('key', 'n'), ('', ' no')]]
    return Page('are you sure', lines, 'y or n', 'error')
