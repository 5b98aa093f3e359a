"""Everything the window can do has a name, and help knows all names."""
import pytest

from piker.errors import BadInput
from piker.ui.commands import Commands


def test_a_key_runs_a_command_by_name():
    ran = []
    commands = Commands()
    commands.add('view.a', 'Do a', lambda: ran.append('a'), 'A', 'Ctrl+A')
    assert commands.press('Ctrl+A')
    assert not commands.press('B')
    commands.run('view.a')
    assert ran == ['a', 'a']


def test_names_and_keys_are_taken_once():
    commands = Commands()
    commands.add('view.a', 'Do a', print, 'A')
    with pytest.raises(ValueError, match=r"command 'view\.a' already"):
        commands.add('view.a', 'Again', print)
    with pytest.raises(ValueError, match=r"A runs 'view\.a' already"):
        commands.add('view.b', 'Do b', print, 'A')


def test_an_unknown_name_says_what_is_near():
    commands = Commands()
    commands.add('view.live', 'Live', print)
    with pytest.raises(BadInput, match=r"Did you mean 'view\.live'"):
        commands.run('view.life')


def test_all_keys_are_keys_and_resolve(window):
    from PyQt5.QtGui import QKeySequence

    for key, name in window.commands.keys.items():
        assert QKeySequence(key).toString() == key
        assert window.commands[name].run


def test_help_lists_every_command(window):
    text = '\n'.join(window.help.lines)
    for command in window.commands:
        assert command.help in text
        assert all(key in text for key in command.keys)
    shown = [name for column in window.help.columns() for name in column]
    assert sorted(shown) == sorted(window.commands.groups())


def test_every_command_runs_without_and_with_data(window, flume, app):
    skip = {'window.close', 'window.fullscreen'}
    names = [c.name for c in window.commands if c.name not in skip]
    for name in names:
        window.commands.run(name)
    window.show_flume(flume)
    for name in names:
        window.commands.run(name)
        app.processEvents()
