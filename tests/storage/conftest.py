"""
Fixtures of the storage tests: a store on disk and one on an object store.

The object store is moto's server on loopback: it honours ``If-None-Match``,
which is what makes commits atomic there, as S3 itself does.
"""
from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from piker.data.bars import BAR_DTYPE
from piker.data.storage import Store
from piker.data.ticks import TICK_DTYPE

S = 1_000_000_000
SYMBOL = 'btcusdt.sim'
BARS, TICKS = 'bars_1s', 'ticks'


def bars(indices: Any, base: float = 100.0) -> np.ndarray:
    """1 s bars at these indices, told apart by ``base``."""
    indices = np.asarray(indices, 'i8')
    rows = np.zeros(len(indices), BAR_DTYPE)
    rows['time'] = indices * S
    for at, field in enumerate(('open', 'low', 'close', 'vwap', 'high')):
        rows[field] = base + indices % 97 + at
    rows['low'] -= 10
    rows['volume'] = indices % 7 / 4
    rows['trades'] = indices % 5
    return rows


def trades(ids: Any, per_s: int = 4) -> np.ndarray:
    """Trades of these ids, several a second."""
    ids = np.asarray(ids, 'i8')
    rows = np.zeros(len(ids), TICK_DTYPE)
    rows['id'] = ids
    rows['time'] = 1_000_000 * S + ids * (S // per_s)
    rows['recv'] = rows['time'] + 5
    rows['kind'] = 1
    rows['side'] = np.where(ids % 2, 1, -1)
    rows['price'] = 100 + ids % 13 / 100
    rows['size'] = 1 + ids % 3
    rows['count'] = 1 + ids % 4
    return rows


@pytest.fixture(scope='session')
def s3_server() -> Iterator[dict[str, str]]:
    """Options that reach a bucket ``tables`` on a server of our own."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger('werkzeug').setLevel(logging.ERROR)
    server = ThreadedMotoServer('127.0.0.1', 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f'http://{host}:{port}'
    boto3.client(
        's3', endpoint_url=url, aws_access_key_id='key',
        aws_secret_access_key='secret', region_name='us-east-1',
    ).create_bucket(Bucket='tables')
    yield {
        'AWS_ENDPOINT_URL': url,
        'AWS_ACCESS_KEY_ID': 'key',
        'AWS_SECRET_ACCESS_KEY': 'secret',
        'AWS_REGION': 'us-east-1',
        'AWS_ALLOW_HTTP': 'true',
    }
    server.stop()


@pytest.fixture(params=['local', 's3'])
def place(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[str, dict[str, str]]:
    """Root and options of an empty store, of either kind."""
    if request.param == 'local':
        return str(tmp_path / 'tables'), {}
    name = ''.join(c if c.isalnum() else '-' for c in request.node.name)
    return (
        f's3://tables/{name}', request.getfixturevalue('s3_server')
    )


@pytest.fixture
def store(place: tuple[str, dict[str, str]]) -> Store:
    return Store(*place)


@pytest.fixture
def local(tmp_path: Path) -> Store:
    return Store(tmp_path / 'tables')


@pytest.fixture
def fresh_store(
    tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Store]:
    """For property tests: a new empty store each time."""
    return lambda: Store(tmp_path_factory.mktemp('store'))
