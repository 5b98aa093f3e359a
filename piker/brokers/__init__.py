"""
Providers of market data, each behind `piker.data.backend.Backend`.

Runs in ``brokerd.<provider>``, which loads the one provider it runs and no
other; ``sim`` is the client of ``binance`` at the address of the embedded
venue.
"""
from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ..errors import NoSuchProvider, did_you_mean

if TYPE_CHECKING:
    # The command line asks only for names: it shall not wait for numpy.
    from ..data.backend import BackendFactory

__all__ = ['PROVIDERS', 'backend_factory']

# Provider → the package whose `open_backend` serves it.
PROVIDERS = {
    'binance': 'piker.brokers.binance',
    'sim': 'piker.brokers.binance',
}


def backend_factory(provider: str) -> BackendFactory:
    """Load a provider; raises `NoSuchProvider` with a hint."""
    package = PROVIDERS.get(provider)
    if package is None:
        raise NoSuchProvider(
            f'no provider is called {provider!r}.'
            f'{did_you_mean(provider, PROVIDERS)} '
            f'The providers are {", ".join(PROVIDERS)}.'
        )
    factory: BackendFactory = import_module(package).open_backend
    return factory
