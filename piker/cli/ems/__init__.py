"""
``piker ems``: trade, as one-shot commands; the desk is loaded when it is
asked for.
"""
from .group import ems

__all__ = ['ems']
