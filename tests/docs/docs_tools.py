"""Reading our own documentation."""
from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / 'README.rst', *sorted((ROOT / 'docs').glob('*.rst'))]
_RULE = re.compile(r'([=\-~])\1*\Z')


def sections(text: str) -> list[tuple[str, str, str]]:
    """``(title, underline, body)`` of each section, in order."""
    lines = text.splitlines()
    heads = [
        at for at in range(len(lines) - 1)
        if lines[at] and not lines[at].startswith(' ')
        and (at == 0 or not lines[at - 1])
        and _RULE.match(lines[at + 1]) and not _RULE.match(lines[at])
    ]
    found = []
    for at, after in zip(heads, [*heads[1:], len(lines)], strict=True):
        body = '\n'.join(lines[at + 2:after])
        found.append((lines[at], lines[at + 1], body))
    return found


def blocks(text: str, language: str) -> list[str]:
    """
    The indented blocks after ``.. code-block:: language``; with an empty
    language those after ``::``.
    """
    marker = f'.. code-block:: {language}' if language else '::'
    found, block, inside = [], [], False
    for line in [*text.splitlines(), 'end']:
        if inside and line and not line.startswith('    '):
            found.append('\n'.join(block).strip('\n'))
            block, inside = [], False
        if inside:
            block.append(line[4:])
        inside = inside or (
            line == marker
            or (not language and line.endswith('::') and line[:2] != '..')
        )
    return found
