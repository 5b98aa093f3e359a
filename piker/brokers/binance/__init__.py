"""
Binance Spot's public market data, over REST and combined streams.

Runs in ``brokerd.binance``, and in ``brokerd.sim`` against the embedded
venue, which speaks the same protocol.  Source of the protocol: Binance Spot
API documentation, "REST API" and "WebSocket Streams".
"""
from .provider import Binance, open_backend

__all__ = ['Binance', 'open_backend']
