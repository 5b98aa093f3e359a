"""
``piker store``: what is kept on disk.
"""
from .group import store

__all__ = ['store']
