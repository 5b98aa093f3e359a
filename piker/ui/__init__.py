"""
The desktop chart.

Importing this package does not load Qt, `run_chart` does.
"""
from .app import run_chart

__all__ = ['run_chart']
