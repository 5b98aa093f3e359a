"""
The desktop chart.

`piker.ui.app.run_chart` is the way in; it is the only part of the program
that needs Qt, and importing this package does not load it.
"""
