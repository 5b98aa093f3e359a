"""
The embedded venue: an exchange in a box that speaks Binance Spot's protocol.

Runs in the ``simd`` daemon, or alone as ``piker venue``.  A matching engine,
a seeded order flow, history that agrees with the live tape, and a real HTTP
and WebSocket server; or, instead of the flow, a recorded stream.
"""
