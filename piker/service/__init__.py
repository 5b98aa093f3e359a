"""
The tree of daemons: the root, its supervisor, and how clients join.

Runs in ``pikerd`` (`open_pikerd`, `Services`), in every daemon's process
(`daemon_life`) and in every client's (`open_tree`).  Knows daemons only by
name; imports none of them.
"""
from .child import actor_state, daemon_life
from .client import TreeClient, open_tree, raise_error
from .collector import calm_collector
from .ground import remote, tractor
from .pikerd import open_pikerd, serve
from .pipe import Pipe, connect_pipe, open_door
from .services import Services
from .slices import WRITER_NS, give_way, shorten_slice
from .tree import DEFAULT_REGISTRY, Tree
from .watch import is_alive, raise_if_dies, started_ticks, wait_exit

__all__ = [
    'DEFAULT_REGISTRY',
    'Pipe',
    'Services',
    'Tree',
    'TreeClient',
    'WRITER_NS',
    'actor_state',
    'calm_collector',
    'connect_pipe',
    'daemon_life',
    'give_way',
    'is_alive',
    'open_door',
    'open_pikerd',
    'open_tree',
    'raise_error',
    'raise_if_dies',
    'remote',
    'serve',
    'shorten_slice',
    'started_ticks',
    'tractor',
    'wait_exit',
]
