"""The venue as a process, killed at any moment: its books and tape go on."""
from __future__ import annotations

import hashlib
import hmac
import json
import random
import subprocess
import sys
import time
import urllib.error
import urllib.request
from urllib.parse import urlencode

import pytest
from suite import free_port

BAND = 0.002


class Process:
    """``piker venue`` on a port and a state of its own."""

    def __init__(self, port, state):
        self.base = f'http://127.0.0.1:{port}'
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'piker.cli.main', 'venue',
             f'--port={port}', f'--state={state}', '--json'],
            stdout=subprocess.PIPE,
        )

    def wait(self):
        """Until it listens."""
        json.loads(self.process.stdout.readline())

    def get(self, path, **params):
        url = f'{self.base}{path}?{urlencode(params)}'
        with urllib.request.urlopen(url, timeout=20) as answer:
            return json.load(answer)

    def signed(self, method, path, **params):
        """Status and answer; None if the connection was lost."""
        query = urlencode(params | {'timestamp': time.time_ns() // 10**6,
                                    'recvWindow': 60_000})
        made = hmac.new(b'sim-secret', query.encode(), hashlib.sha256)
        request = urllib.request.Request(
            f'{self.base}/api/v3/{path}?{query}&signature={made.hexdigest()}',
            method=method, headers={'X-MBX-APIKEY': 'sim-key'},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as err:
            with err:
                return err.code, json.load(err)
        except (OSError, ValueError):
            return None, None

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def start(tmp_path):
    port, started = free_port(), []

    def begin():
        started.append(Process(port, tmp_path / 'state'))
        started[-1].wait()
        return started[-1]

    yield begin
    for process in started:
        process.kill()


def test_what_was_answered_is_there_after_a_kill(start):
    rng = random.Random(7)
    answered, since, seen = {}, None, {}
    for _ in range(4):
        venue = start()
        venue.get('/api/v3/depth', symbol='ETHUSDT')
        urllib.request.urlopen(urllib.request.Request(
            f'{venue.base}/sim/v1/limits', b'{"orders_10s": 100000}'
        )).close()
        since = since or time.time_ns() // 10**6
        book = venue.get('/api/v3/depth', symbol='ETHUSDT', limit=5)
        middle = float(book['bids'][0][0])
        end = time.monotonic() + 0.8 + rng.random()
        while time.monotonic() < end:
            price = middle * (1 + rng.uniform(-BAND, BAND))
            status, answer = venue.signed(
                'POST', 'order', symbol='ETHUSDT', type='LIMIT',
                side=rng.choice(['BUY', 'SELL']), timeInForce='GTC',
                quantity='0.0500', price=f'{price:.2f}',
            )
            if status == 200:
                answered[answer['orderId']] = answer
        seen |= {a['a']: a for a in venue.get(
            '/api/v3/aggTrades', symbol='ETHUSDT', startTime=since,
            limit=1000)}
        venue.kill()
    venue = start()
    books = venue.get('/sim/v1/books', account='sim')
    orders = {order['orderId']: order for order in books['orders']}
    assert len(answered) > 40
    assert answered.keys() <= orders.keys()
    for order_id, answer in answered.items():
        was, now = float(answer['executedQty']), orders[order_id]
        assert float(now['executedQty']) >= was
        fills = [f for f in books['fills'] if f['orderId'] == order_id]
        ids = [f['id'] for f in fills]
        assert ids[: len(answer['fills'])] == [
            f['tradeId'] for f in answer['fills']
        ]
        assert round(sum(float(f['qty']) for f in fills), 8) == float(
            now['executedQty']
        )
    now = {a['a']: a for a in venue.get(
        '/api/v3/aggTrades', symbol='ETHUSDT', startTime=since, limit=1000)}
    shared = now.keys() & seen.keys()
    assert len(shared) > 20
    assert all(now[i] == seen[i] for i in shared)
    for fill in books['fills'][:50]:
        public = venue.get('/api/v3/historicalTrades', symbol='ETHUSDT',
                           fromId=fill['id'], limit=1)[0]
        assert (public['id'], public['price'], public['qty']) == (
            fill['id'], fill['price'], fill['qty']
        )
