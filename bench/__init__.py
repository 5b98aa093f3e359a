"""
Benchmarks of piker: ``python -m bench NAME...``, see README.rst.

Nothing here is a test: a figure never passes or fails.
"""
