"""
Which daemons there are; the service layer imports none of them.
"""
from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ['DAEMONS', 'DaemonSpec']


@dataclass(frozen=True, slots=True)
class DaemonSpec:
    """
    A kind of daemon, by name.

    ``module`` and ``entry`` name its context; ``serves`` the modules whose
    functions clients may call in it.  ``requires`` maps what comes after the
    dot of a daemon's name to another daemon that must run first.  With
    ``keeps_port`` a restarted daemon listens where it did before.  Daemons
    of a higher ``rank`` use those of lower ones and end before them.
    """

    module: str
    entry: str
    serves: tuple[str, ...] = ()
    requires: dict[str, str] = field(default_factory=dict)
    needs_part: bool = False
    keeps_port: bool = False
    rank: int = 0


DAEMONS: dict[str, DaemonSpec] = {
    'brokerd': DaemonSpec(
        'piker.brokers.daemon',
        'brokerd',
        serves=('piker.data.endpoints', 'piker.brokers.endpoints'),
        requires={'sim': 'simd'},
        needs_part=True,
        rank=1,
    ),
    'emsd': DaemonSpec(
        'piker.clearing.daemon',
        'emsd',
        serves=('piker.clearing.endpoints',),
        rank=2,
    ),
    'stored': DaemonSpec(
        'piker.data.storage.daemon',
        'stored',
        serves=('piker.data.storage.endpoints',),
    ),
    'simd': DaemonSpec('piker.brokers.sim.daemon', 'simd', keeps_port=True),
}
