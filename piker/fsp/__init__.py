"""
Financial signal processing: tasks that read one shared array, write another.

Will run in ``fspd``.  It offers nothing yet.
"""
