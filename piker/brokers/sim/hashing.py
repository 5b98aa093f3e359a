"""
Random numbers that are looked up, not drawn.

Everything the venue makes up is a pure function of a key and an index, so
that any stretch of it can be made at any time, in any order, twice the same.
The mixer is the finaliser of splitmix64 (Steele, Lea, Flood: *Fast Splittable
Pseudorandom Number Generators*, OOPSLA 2014); the scalar and the vectorised
form give the same bits.
"""
from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

__all__ = ['bits', 'bits_at', 'key_of', 'normal', 'uniform', 'uniform_at']

_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_MASK = (1 << 64) - 1

# Irwin–Hall: the sum of four 16-bit uniforms has this mean and deviation.
_SUM_MEAN = 2 * 65535.0
_SUM_SD = 37836.94


def key_of(*parts: object) -> int:
    """A 64-bit key that depends on every part, for `bits`."""
    text = '\x1f'.join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def bits(key: int, index: NDArray[np.int64]) -> NDArray[np.uint64]:
    """64 random bits for each ``index``."""
    x = index.astype(np.uint64) * np.uint64(_GOLDEN)
    x += np.uint64(key)
    x ^= x >> np.uint64(30)
    x *= np.uint64(_MIX_1)
    x ^= x >> np.uint64(27)
    x *= np.uint64(_MIX_2)
    x ^= x >> np.uint64(31)
    return x


def bits_at(key: int, index: int) -> int:
    """What `bits` gives at one ``index``."""
    x = (index * _GOLDEN + key) & _MASK
    x = ((x ^ (x >> 30)) * _MIX_1) & _MASK
    x = ((x ^ (x >> 27)) * _MIX_2) & _MASK
    return x ^ (x >> 31)


def uniform(raw: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Uniform in [0, 1)."""
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53


def uniform_at(key: int, index: int) -> float:
    """What `uniform` of `bits` gives at one ``index``."""
    return (bits_at(key, index) >> 11) * 2.0**-53


def normal(raw: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Nearly standard normal, bounded at ±3.5."""
    parts = raw.view(np.uint16).reshape(-1, 4)
    total = parts[:, 0].astype(np.int32)
    for column in range(1, 4):
        total += parts[:, column]
    return (total.astype(np.float64) - _SUM_MEAN) / _SUM_SD
