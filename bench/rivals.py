"""
Other libraries, each in an environment of its own outside of the project.

They are installed by pip from its ordinary index when they are first asked
for, and kept in the user's cache directory (``PIKER_BENCH_CACHE``).
"""
from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

from .common import BenchError, say

__all__ = ['DUCKDB', 'FINPLOT', 'ORDERS', 'RIVALS', 'Rival', 'environment']

_INSTALL_S = 600


@dataclass(frozen=True)
class Rival:
    """A library: what pip installs, the script that drives it."""

    name: str
    packages: tuple[str, ...]
    script: str
    pre: bool = False
    # newest interpreter first: some releases need a later one than piker
    pythons: tuple[str, ...] = ('3.13', '3.12', '3.11')


RIVALS = {
    rival.name: rival
    for rival in (
        Rival('ccxt.pro', ('ccxt',), 'ccxt_pro.py'),
        Rival('cryptofeed', ('cryptofeed',), 'cryptofeed_handler.py'),
        Rival('nautilus_trader', ('nautilus_trader',), 'nautilus_v1.py'),
        Rival(
            'nautilus_trader pre', ('nautilus_trader>=2.0.0rc0',),
            'nautilus_v2.py', pre=True,
        ),
    )
}
# Driven to place orders.  The pre-release reads accounts and orders in
# Binance's binary form only, which the bench server does not write.
ORDERS = {
    'nautilus_trader': replace(
        RIVALS['nautilus_trader'], script='nautilus_v1_orders.py'
    ),
}
FINPLOT = Rival('finplot', ('finplot', 'PyQt5'), '')
DUCKDB = Rival('duckdb', ('duckdb', 'numpy'), 'duckdb_bars.py')


def _cache() -> Path:
    given = os.environ.get('PIKER_BENCH_CACHE')
    return Path(given or Path(platformdirs.user_cache_dir('piker-bench')))


def _interpreter(versions: tuple[str, ...]) -> str:
    pyenv = Path(os.environ.get('PYENV_ROOT') or '~/.pyenv').expanduser()
    for version in versions:
        found = [shutil.which(f'python{version}')]
        found += sorted(
            str(path) for path in pyenv.glob(
                f'versions/{version}.*/bin/python{version}'
            )
        )
        for python in filter(None, found):
            works = subprocess.run(
                [python, '-c', 'import venv, ensurepip'],
                capture_output=True, check=False,
            )
            if not works.returncode:
                return python
    raise BenchError(f'no Python of {", ".join(versions)} with venv')


def environment(rival: Rival) -> Path:
    """
    The interpreter of a rival's environment, made if need be.

    Raises `BenchError` if it cannot be installed.
    """
    home = _cache() / rival.name.replace(' ', '-').replace('.', '-')
    python = home / 'bin' / 'python'
    if (home / 'complete').exists():
        return python
    say(f'installing {rival.name} into {home.name} of the cache')
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run(
        [_interpreter(rival.pythons), '-m', 'venv', home], check=True
    )
    command = [str(python), '-m', 'pip', 'install', '--quiet',
               '--disable-pip-version-check', '--prefer-binary']
    if rival.pre:
        command.append('--pre')
    try:
        subprocess.run(
            [*command, *rival.packages], check=True, capture_output=True,
            text=True, timeout=_INSTALL_S,
        )
    except subprocess.TimeoutExpired as err:
        raise BenchError(f'not installed within {_INSTALL_S} s') from err
    except subprocess.CalledProcessError as err:
        words = err.stderr.strip().splitlines()[-1:] or ['pip failed']
        raise BenchError(f'cannot be installed: {words[0][:200]}') from err
    (home / 'complete').touch()
    return python
