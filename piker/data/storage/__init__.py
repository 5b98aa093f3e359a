"""
Bars and ticks on disk: Delta Lake tables, one per instrument and kind.

`Store` is the library: no actor, no daemon, usable from any script.
`StoreClient` is how ``brokerd`` and clients talk to ``stored``, the daemon
that writes while data is made; it imports neither polars nor deltalake, which
come in with `Store` only.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .client import StoreClient, open_store_client
from .names import TableId, table_root

if TYPE_CHECKING:
    from .store import Store

__all__ = [
    'Store', 'StoreClient', 'TableId', 'open_store_client', 'table_root',
]


def __getattr__(name: str) -> Any:
    if name == 'Store':
        from .store import Store

        return Store
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
