"""Runs of ticks made by hand, and the instruments they are of."""
from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from piker.data.ticks import Kind, Ticks
from piker.instruments import Instrument

BTC = Instrument(
    id='btcusdt.sim', raw_symbol='BTCUSDT', base='btc', quote='usdt',
    tick_size=Decimal('0.01'), lot_size=Decimal('0.00001'),
)

ETH = Instrument(
    id='ethusdt.sim', raw_symbol='ETHUSDT', base='eth', quote='usdt',
    tick_size=Decimal('0.01'), lot_size=Decimal('0.0001'),
)


def run_of(
    prices: Sequence[float | str],
    kinds: Sequence[Kind] = (),
    start_ns: int = 0,
) -> Ticks:
    """A run of trades, or of ``kinds``, one ns apart from ``start_ns``."""
    many = len(prices)
    zeros = np.zeros(many, np.int64)
    return Ticks(
        seq=np.arange(many, dtype=np.uint64),
        time=start_ns + np.arange(many, dtype=np.int64),
        recv=zeros,
        kind=np.array(kinds or [Kind.TRADE] * many, np.uint8),
        side=zeros.astype(np.int8),
        price=np.array([float(p) for p in prices], np.float64),
        size=np.ones(many),
        id=zeros,
        count=np.ones(many, np.uint32),
    )
