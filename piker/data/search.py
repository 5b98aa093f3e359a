"""
Finding instruments by what a person types, over any providers.
"""
from __future__ import annotations

import trio
from rapidfuzz import fuzz, process, utils

from ..instruments import Instrument
from ..messages import unpack
from ..service import TreeClient

__all__ = ['rank', 'search_instruments']

# Below this a match is no resemblance any more (rapidfuzz scores 0..100).
_LEAST_SCORE = 55.0


def rank(
    instruments: list[Instrument], text: str, limit: int
) -> list[Instrument]:
    """The instruments that resemble ``text``, the best match first."""
    names = [f'{i.id} {i.description}' for i in instruments]
    query = utils.default_process(text)
    exact = [
        at for at, i in enumerate(instruments)
        if query and query in utils.default_process(i.id).replace(' ', '')
    ]
    exact.sort(key=lambda at: (len(instruments[at].id), instruments[at].id))
    fuzzy = process.extract(
        text,
        names,
        scorer=fuzz.WRatio,
        processor=utils.default_process,
        limit=limit,
        score_cutoff=_LEAST_SCORE,
    )
    order = dict.fromkeys([*exact, *(at for _, _, at in fuzzy)])
    return [instruments[at] for at in list(order)[:limit]]


async def search_instruments(
    client: TreeClient, providers: list[str], text: str, limit: int = 20
) -> list[Instrument]:
    """
    Ask every provider side by side, starting those that do not run.

    Raises `NoSuchProvider`, `VenueError`, `ActorDied`.
    """
    found: list[Instrument] = []

    async def ask(provider: str) -> None:
        daemon = await client.find(f'brokerd.{provider}')
        answer = await client.call(
            daemon, 'piker.data.endpoints', 'list_instruments'
        )
        found.extend(unpack(Instrument, i) for i in answer['instruments'])

    async with trio.open_nursery() as nursery:
        for provider in dict.fromkeys(providers):
            nursery.start_soon(ask, provider)
    return rank(found, text, limit)
