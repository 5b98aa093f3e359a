"""
The columns of each panel, and what it says while it is empty.
"""
from __future__ import annotations

from .table import Column

__all__ = ['COLUMNS', 'EMPTY']

_C = Column

COLUMNS: dict[str, list[Column]] = {
    'quotes': [
        _C('symbol', least=12), _C('last', True, least=10),
        _C('bid size', True, 4), _C('bid', True, 1, 10),
        _C('ask', True, 1, 10), _C('ask size', True, 4),
        _C('spread', True, 3), _C('volume', True, 5),
        _C('age', True, 2, 6), _C('state', most=60),
    ],
    'orders': [
        _C('oid', rank=3, most=16), _C('account', rank=2),
        _C('symbol', least=12), _C('side', least=4),
        _C('type', rank=1, least=6), _C('size', True, least=7),
        _C('price', True, least=9), _C('trigger', True, 1, 7),
        _C('filled', True, 1, 6), _C('average', True, 6),
        _C('status', least=9), _C('time', rank=7, least=8),
        _C('by', rank=8), _C('note', rank=4, most=60),
    ],
    'positions': [
        _C('account', rank=5), _C('symbol', least=12),
        _C('size', True, least=9), _C('average', True, 1, 10),
        _C('mark', True, 1, 10), _C('unrealised', True, least=10),
        _C('realised', True, 2, 9), _C('fees', True, 4),
        _C('net', True, 3, 9), _C('state', rank=6, most=12),
    ],
    'fills': [
        _C('time', least=8), _C('account', rank=4), _C('symbol', least=12),
        _C('side', least=4), _C('size', True), _C('price', True, least=10),
        _C('fee', True, 2), _C('', rank=2), _C('maker', rank=3),
        _C('oid', rank=5, most=16),
    ],
    'alerts': [
        _C('symbol', least=12), _C('side', least=5), _C('price', True),
        _C('away', True, least=7), _C('note', rank=1, most=60),
    ],
    'log': [_C('time', least=8), _C('', most=400)],
    'balances': [
        _C('account'), _C('asset'), _C('free', True), _C('locked', True, 1),
        _C('total', True, 2), _C('state', rank=3, most=40),
    ],
}

EMPTY = {
    'quotes': 'no symbols: w watches one',
    'orders': 'no open orders: b buys, s sells',
    'positions': 'no positions',
    'fills': 'no fills yet',
    'alerts': 'no alerts: a adds one',
    'log': '',
    'balances': 'not known before the account is used',
}
