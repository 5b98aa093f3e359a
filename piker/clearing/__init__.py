"""
Clearing: orders, dark orders, alerts, risk and positions, apart from windows.

Will run in ``emsd``.  It offers nothing yet: no order can be placed, live or
on paper.
"""
