"""
Binance Spot: public market data, and orders.

Runs in ``brokerd.binance``, and in ``brokerd.sim`` against the embedded
venue, which speaks the same protocol.  Source of the protocol: Binance Spot
API documentation, "REST API", "WebSocket Streams" and "User Data Streams".
"""
from .gateway import BinanceGateway, open_gateway
from .provider import Binance, open_backend

__all__ = ['Binance', 'BinanceGateway', 'open_backend', 'open_gateway']
