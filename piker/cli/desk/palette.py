"""
Colours that read on dark and on light terminals.

Text keeps the terminal's own foreground and background where it can; what
must be seen brings its own background along.  Green and red are the dark
ones: the bright ones vanish on white.
"""
from __future__ import annotations

__all__ = ['PALETTE']

# Name, foreground, background, and what a terminal without colours gets.
PALETTE: list[tuple[str, str, str, str]] = [
    ('', 'default', 'default', 'default'),
    ('label', 'dark cyan', 'default', 'default'),
    ('faint', 'dark cyan', 'default', 'default'),
    ('title', 'default,bold', 'default', 'bold'),
    ('title-active', 'white,bold', 'dark blue', 'standout'),
    ('header', 'white,bold', 'dark blue', 'standout'),
    ('header-off', 'light gray', 'dark blue', 'standout'),
    ('selected', 'standout', 'default', 'standout'),
    ('up', 'dark green', 'default', 'default'),
    ('down', 'dark red', 'default', 'bold'),
    ('buy', 'dark green', 'default', 'default'),
    ('sell', 'dark red', 'default', 'default'),
    ('warn', 'black', 'brown', 'standout'),
    ('error', 'white,bold', 'dark red', 'standout'),
    ('live', 'white,bold', 'dark red', 'standout'),
    ('key', 'default,bold', 'default', 'bold'),
    ('prompt', 'default,bold', 'default', 'bold'),
    ('frame', 'default', 'default', 'default'),
]
