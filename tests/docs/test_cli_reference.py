"""docs/cli.rst against the programs themselves."""
from __future__ import annotations

import re

import click
import pytest
from docs_tools import ROOT, sections

from piker.cli.main import piker
from piker.cli.pikerd import pikerd
from piker.errors import PikerError

PAGE = (ROOT / 'docs' / 'cli.rst').read_text()
BODIES = {title: body for title, _, body in sections(PAGE)}
_OPTION = re.compile(r'^((?:``-[\w-]+``(?:, )?)+)(?: (.+))?$')


def _command(name: str) -> click.Command:
    program, *parts = name.split()
    command: click.Command = {'pikerd': pikerd, 'piker': piker}[program]
    for part in parts:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), part)
        assert found
        command = found
    return command


def _below(name: str) -> list[str]:
    """This command and, if it is a group, all that are in it."""
    command = _command(name)
    if not isinstance(command, click.Group):
        return [name]
    parts = command.list_commands(click.Context(command))
    return [name, *(n for part in parts for n in _below(f'{name} {part}'))]


NAMES = ['pikerd', *_below('piker')]


def _documented(body: str) -> dict[frozenset[str], str]:
    """The options of a section and the text under each."""
    found: dict[frozenset[str], str] = {}
    current = None
    for line in body.splitlines():
        if match := _OPTION.match(line):
            current = frozenset(re.findall(r'``(-[\w-]+)``', match[1]))
            assert current not in found, line
            found[current] = ''
        elif current is not None and (line.startswith('    ') or not line):
            found[current] += line.strip() + ' '
        else:
            current = None
    return found


def _params(name: str) -> tuple[click.Context, list[click.Parameter]]:
    command = _command(name)
    context = click.Context(command, **command.context_settings)
    return context, command.get_params(context)


@pytest.mark.parametrize('name', NAMES)
def test_options(name: str) -> None:
    """The same options as ``--help``, the same defaults."""
    options = {
        frozenset(param.opts): param for param in _params(name)[1]
        if isinstance(param, click.Option)
    }
    documented = _documented(BODIES[name])
    assert set(documented) == set(options)
    for names, param in options.items():
        if param.show_default:
            default = f'Default: {param.default}.'
            assert default in documented[names], names
        else:
            assert 'Default:' not in documented[names], names
        if isinstance(param.type, click.Choice):
            choices = f'[{"|".join(param.type.choices)}]'
            assert choices in BODIES[name]


@pytest.mark.parametrize('name', NAMES)
def test_usage(name: str) -> None:
    pieces = _command(name).collect_usage_pieces(_params(name)[0])
    assert f'    {" ".join((name, *pieces))}\n' in BODIES[name]


def test_nothing_else() -> None:
    """No section, and no mention, of what does not exist."""
    known = {'Command line', 'What is common', *NAMES}
    assert set(BODIES) == known
    options = {
        option for name in NAMES for param in _params(name)[1]
        for option in param.opts
    }
    for name in re.findall(r'``(--[\w-]+)', PAGE):
        assert name in options


def test_exit_codes() -> None:
    """Each code of the error tree is in the table, and no other."""

    def codes(kind: type[PikerError]) -> set[int]:
        below = (codes(sub) for sub in kind.__subclasses__())
        return {kind.exit_code}.union(*below)

    listed = re.findall(r'^(\d+) {2,}', BODIES['What is common'], re.MULTILINE)
    assert set(map(int, listed)) == codes(PikerError) | {0, 130}
