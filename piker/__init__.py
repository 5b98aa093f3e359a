"""
piker: a tree of trading daemons and the clients that attach to it.

A root process, ``pikerd``, keeps sub-daemons alive; clients (the chart, the
command line, scripts) come and go.  Layers import only downward::

    cli
    ui                          the only place that imports Qt
    clearing  fsp  brokers      siblings
    data
    service
    errors log config clock instruments messages
"""
__version__ = '0.1.0'
__all__ = ['__version__']
