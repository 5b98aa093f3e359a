"""The pages are well formed, and what they point at exists."""
from __future__ import annotations

import ast
import re
import shlex
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest
from docs_tools import PAGES, ROOT, blocks, sections

from piker.cli.main import COMMANDS
from piker.config import AccountSettings, Settings

pytestmark = pytest.mark.parametrize(
    'page', PAGES, ids=lambda page: page.name
)
_TABLE_RULE = re.compile(r'=+(  +=+)+\Z')


def test_titles(page: Path) -> None:
    """Every underline is as long as its title; one title a page."""
    found = sections(page.read_text())
    assert found[0][1].startswith('=')
    for title, rule, _ in found:
        assert len(rule) == len(title), title
    assert [rule[0] for _, rule, _ in found].count('=') == 1


def test_tables(page: Path) -> None:
    """Simple tables: same rules throughout, no cell across a column's edge."""
    lines = page.read_text().splitlines()
    rules = [at for at, line in enumerate(lines) if _TABLE_RULE.match(line)]
    assert len(rules) % 3 == 0
    for top, head, end in zip(*[iter(rules)] * 3, strict=True):
        rule = lines[top]
        assert lines[head] == lines[end] == rule
        assert not lines[top - 1]
        assert not lines[end + 1]
        gaps = [at for at, char in enumerate(rule) if char == ' ']
        for line in lines[top + 1:end]:
            crossed = [at for at in gaps if line[at:at + 1].strip()]
            assert line == rule or not crossed, line


def test_marks(page: Path) -> None:
    """Literals and links are closed, lines short, no tabs."""
    text = page.read_text()
    prose = '\n'.join(
        line for line in text.splitlines() if not line.startswith('    ')
    )
    for paragraph in re.split(r'\n\s*\n', prose):
        assert paragraph.count('``') % 2 == 0, paragraph
        bare = paragraph.replace('``', '')
        assert bare.count('`') % 2 == 0, paragraph
    assert '\t' not in text
    for line in prose.splitlines():
        assert len(line) < 80, line
        assert line == line.rstrip(), line


def test_links(page: Path) -> None:
    """Local targets exist; every link is to one of them or a web page."""
    text = page.read_text()
    targets = re.findall(r'`[^`<]+<([^>]+)>`_', text)
    targets += re.findall(r'^\.\. image:: (\S+)', text, re.MULTILINE)
    for target in targets:
        if not target.startswith('https://'):
            assert (page.parent / target).exists(), target


def test_python(page: Path) -> None:
    """Python compiles, also where it stands for part of a function."""
    for block in blocks(page.read_text(), 'python'):
        inside = textwrap.indent(block, '    ')
        code = ast.parse(f'async def example():\n{inside}\n')
        imports = [
            node for node in ast.walk(code)
            if isinstance(node, ast.ImportFrom)
        ]
        for node in imports:
            module = __import__(node.module or '', fromlist=['x'])
            for name in node.names:
                assert hasattr(module, name.name), name.name


def test_toml(page: Path) -> None:
    """
    The settings shown are all there are, with their defaults.

    TOML has no word for what is not set: that stands behind a ``#``, with a
    value that could be used.
    """
    for block in blocks(page.read_text(), 'toml'):
        default = Settings().model_dump(mode='json')
        # of an account that is there in any case, what it does not share
        assert Settings().accounts['sim'] == AccountSettings(provider='sim')
        default['accounts']['sim'] = {'provider': 'sim'}
        assert tomllib.loads(block) == _set(default)
        whole = re.sub(r'^# (?=[\w.]+ = |\[)', '', block, flags=re.MULTILINE)
        Settings.model_validate(tomllib.loads(whole))
        assert _names(tomllib.loads(whole)) >= _names(default)


def _set(settings: dict[str, Any]) -> dict[str, Any]:
    """Without what is not set."""
    return {
        key: _set(value) if isinstance(value, dict) else value
        for key, value in settings.items() if value is not None
    }


def _names(settings: dict[str, Any], above: str = '') -> set[str]:
    """The dotted names of all settings."""
    found = {f'{above}{key}' for key in settings}
    for key, value in settings.items():
        if isinstance(value, dict):
            found |= _names(value, f'{above}{key}.')
    return found


def test_commands(page: Path) -> None:
    """Programs and options in shell examples exist."""
    for block in blocks(page.read_text(), ''):
        for line in block.splitlines():
            if line.startswith('$ '):
                _check_command(shlex.split(line[2:]))
            elif line.startswith('scripts/'):
                assert (ROOT / line.split()[0]).is_file()


def _check_command(words: list[str]) -> None:
    program, *rest = words
    assert program in {'piker', 'pikerd', 'curl'}
    if program == 'piker':
        assert rest[0] in COMMANDS


def test_paths(page: Path) -> None:
    """Files of this project that are named in passing."""
    named = re.findall(
        r'``((?:piker|service|data|brokers|docs|tests|scripts|examples)'
        r'/[\w./]+?)/?``', page.read_text(),
    )
    for name in named:
        assert (ROOT / name).exists() or (ROOT / 'piker' / name).exists(), (
            name
        )
