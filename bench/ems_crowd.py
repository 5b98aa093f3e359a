"""
Many symbols and an account: ``python -m bench.ems_crowd``, its own process.
"""
from __future__ import annotations

from .crowd import Crowd, main
from .ems_venue import OrderVenue


class CrowdVenue(Crowd, OrderVenue):
    """The symbols of the one, the account of the other."""


if __name__ == '__main__':
    main(CrowdVenue)
