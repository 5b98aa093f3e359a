"""
Clearing: orders, dark orders, alerts, risk and positions, apart from windows.

`core` decides, without I/O; it runs in ``emsd``, where `ems` joins it with
the market, the gateways, the journal and the clients, and `calls` is what
those may ask for.  `open_ems` is how a client takes part.
"""
from .client import EmsClient, EventStream, open_ems

__all__ = ['EmsClient', 'EventStream', 'open_ems']
