"""
The command line: ``pikerd`` and ``piker``.

Runs in the terminal's own process.  The entry points are
`piker.cli.main.piker` and `piker.cli.pikerd.pikerd`; commands are loaded when
they are named, so that ``piker search`` never waits for Qt.  Whatever they
print for people has a ``--json`` form for programs.
"""
