"""What the programs refuse at once: exit code, and words that help."""
from __future__ import annotations

import socket
from functools import partial
from pathlib import Path

import pytest
from cli_tools import PROGRAMS, invoke

from piker.cli.common import Failure, run
from piker.cli.main import COMMANDS
from piker.errors import DaemonError
from piker.service import Tree

CASES = {
    'no command': (
        2, ('serch',), "No such command 'serch'. Did you mean 'search'",
    ),
    'no option': (2, ('bars', 'btcusdt.sim', '--cout', '3'), '--count'),
    'no argument': (2, ('watch',), "Missing argument 'SYMBOL...'"),
    'no provider': (
        2, ('watch', 'btcusdt.simm'),
        ("no provider is called 'simm'. Did you mean 'sim'? The providers are "
         'binance, sim.'),
    ),
    'no provider for a chart': (
        2, ('chart', 'btcusdt.binanc', '--screenshot', 'x.png'),
        "Did you mean 'binance'?",
    ),
    'no provider to search': (
        2, ('search', 'btc', '--provider', 'simm'), "Did you mean 'sim'?",
    ),
    'symbol without provider': (
        2, ('bars', 'btcusdt'),
        ("'btcusdt' is not an instrument id: write SYMBOL.PROVIDER, for "
         'example btcusdt.sim'),
    ),
    'malformed symbol': (
        2, ('watch', 'btc usdt.sim'), "'btc usdt' is not a name of letters",
    ),
    'second symbol malformed': (
        2, ('watch', 'btcusdt.sim', 'ethusdt'), "'ethusdt' is not an instr",
    ),
    'malformed registry': (
        2, ('services', '--registry', 'here'),
        ("'here' is not a registry address: write HOST:PORT, for example "
         '127.0.0.1:6116'),
    ),
    'registry port': (
        2, ('services', '--registry', '127.0.0.1:70000'), 'write HOST:PORT',
    ),
    'registry elsewhere': (
        2, ('watch', 'btcusdt.sim', '--registry', '10.0.0.1:6116'),
        ("'10.0.0.1:6116' is not on this machine: the registry listens on "
         'loopback only, write 127.0.0.1:PORT'),
    ),
    'log level': (
        2, ('services', '-l', 'inof'),
        "'inof' is not a log level. Did you mean 'info'? The levels are",
    ),
    'period of bars': (
        2, ('bars', 'btcusdt.sim', '--period', '7'),
        'bars of 7 s are not to be had: the period must divide a day',
    ),
    'period of a chart': (
        2, ('chart', 'btcusdt.sim', '--period', '-60'),
        'the period must divide a day, or be a week (604800 s)',
    ),
    'count': (2, ('bars', 'btcusdt.sim', '--count', '0'), '--count'),
    'size': (
        2, ('chart', 'btcusdt.sim', '--size', '10'),
        "'10' is not a size: write it like 1600x900",
    ),
    'setting without value': (
        3, ('watch', 'btcusdt.sim', '--set', 'speed'),
        "'speed' is not KEY=VALUE",
    ),
    'no folder for a screenshot': (
        2, ('chart', 'btcusdt.sim', '--screenshot', '/no/such/place.png'),
        '/no/such does not exist, so /no/such/place.png cannot be written',
    ),
    'screenshot into a folder': (
        2, ('chart', 'btcusdt.sim', '--screenshot', '/'),
        '/ is a directory; name a file to write',
    ),
    'no recording': (
        2, ('venue', '--replay', '/no/such.gz'),
        'cannot read the recording /no/such.gz',
    ),
}


@pytest.mark.parametrize('case', CASES)
@pytest.mark.usefixtures('tree')
def test_refused(case: str) -> None:
    """No tree runs, and none is started for it."""
    code, args, words = CASES[case]
    done = invoke('piker', *args)
    assert done.exit_code == code, done.output
    assert words in done.stderr
    assert 'starting one' not in done.stderr
    assert not done.stdout


def test_no_tree(tree: Tree) -> None:
    done = invoke('piker', 'services')
    assert done.exit_code == 5
    assert done.stderr == (
        f'piker: no pikerd runs at {tree}: start one with `pikerd`, or name '
        'another address with --registry or PIKER_REGISTRY\n'
    )


@pytest.mark.usefixtures('tree')
def test_a_connection_that_breaks_as_well() -> None:
    """Says no more than the error that it came with; alone it is a bug."""
    ours = DaemonError('the tree is shutting down')

    async def fails(*errors: Exception) -> None:
        raise ExceptionGroup('', [ExceptionGroup('', list(errors))])

    with pytest.raises(Failure, match='shutting down') as caught:
        run(partial(fails, ours, ConnectionResetError()))
    assert caught.value.exit_code == 5
    for bug in (ConnectionResetError(), ValueError()):
        with pytest.raises(ExceptionGroup):
            run(partial(fails, bug))
    with pytest.raises(ExceptionGroup):
        run(partial(fails, ours, ValueError()))


def test_no_display() -> None:
    nowhere = {
        'DISPLAY': None, 'WAYLAND_DISPLAY': None, 'QT_QPA_PLATFORM': None,
    }
    done = invoke('piker', 'chart', 'btcusdt.sim', env=nowhere)
    assert done.exit_code == 4
    assert 'neither DISPLAY nor WAYLAND_DISPLAY is set' in done.stderr
    assert '--screenshot' in done.stderr


def test_port_in_use(tree: Tree) -> None:
    with socket.socket() as other:
        other.bind(tree.address)
        other.listen()
        done = invoke('pikerd')
    assert done.exit_code == 5
    assert done.stderr.startswith(
        f'pikerd: port {tree.port} is in use by another program'
    )
    assert '--registry' in done.stderr


@pytest.mark.usefixtures('tree')
@pytest.mark.parametrize(('text', 'words'), [
    ('[providers.sim]\nsede = 3\n', [
        'providers.sim.sede is not a setting', "Did you mean 'seed'",
    ]),
    ('[feed]\nring = 1000\n', ['feed.ring = 1000', 'power of two']),
    ('[feed\n', ['not valid TOML']),
    ('[feed]\nring = 10\n[providers.sim]\nport = "x"\n', [
        'feed.ring = 10', "providers.sim.port = 'x'",
    ]),
])
def test_settings_file(tmp_path: Path, text: str, words: list[str]) -> None:
    """Each line of the message names the file, the key and the value."""
    path = tmp_path / 'piker.toml'
    path.write_text(text)
    for done in (
        invoke('pikerd', env={'PIKER_CONFIG_DIR': str(tmp_path)}),
        invoke('pikerd', '--config', str(path)),
    ):
        assert done.exit_code == 3
        for line in done.stderr.splitlines():
            assert line.startswith(f'pikerd: {path}: ')
        for word in words:
            assert word in done.stderr


@pytest.mark.usefixtures('tree')
@pytest.mark.parametrize(('item', 'words'), [
    ('providers.sim.sed=7', "sed is not a setting. Did you mean 'seed'"),
    ('feed.ring=many', "feed.ring = 'many'"),
    ('feed.ring.size=1', 'feed.ring'),
    ('seed', "'seed' is not KEY=VALUE"),
])
def test_set(item: str, words: str) -> None:
    done = invoke('pikerd', '--set', item)
    assert done.exit_code == 3
    assert words in done.stderr


@pytest.mark.parametrize('flag', ['-h', '--help'])
@pytest.mark.parametrize('command', ['pikerd', 'piker', *COMMANDS])
def test_help(command: str, flag: str) -> None:
    """Everywhere, and every option of it is explained."""
    args = () if command in PROGRAMS else (command,)
    program = command if command in PROGRAMS else 'piker'
    done = invoke(program, *args, flag)
    assert done.exit_code == 0
    assert done.stdout.startswith(f'Usage: {" ".join((program, *args))}')
    assert not done.stderr


def test_version() -> None:
    from piker import __version__

    done = invoke('piker', '--version')
    assert done.stdout == f'piker, version {__version__}\n'
