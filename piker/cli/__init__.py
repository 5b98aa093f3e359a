"""
The command line: ``pikerd`` and ``piker``.

Runs in the terminal's own process.  Commands are loaded when they are named,
so that ``piker search`` never waits for Qt; whatever they print for people
has a ``--json`` form for programs.
"""
from .main import piker
from .pikerd import pikerd

__all__ = ['piker', 'pikerd']
