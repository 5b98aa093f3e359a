"""
The order desk: a window on ``emsd`` in a terminal.

`desk` has what it can do, `rows` what it shows, `layout` where; the rest is
the terminal.  Importing this package loads the terminal library.
"""
from .run import run_desk

__all__ = ['run_desk']
