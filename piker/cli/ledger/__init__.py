"""
``piker ledger``: what was traded and what came of it.
"""
from .group import ledger

__all__ = ['ledger']
