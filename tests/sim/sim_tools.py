"""Users of the venue: over HTTP, and on its floor without a server."""
from __future__ import annotations

import hashlib
import hmac
import json
from contextlib import asynccontextmanager
from itertools import groupby
from urllib.parse import urlencode

import trio
from sim_clients import Rest

from piker.brokers.sim.accounts import AGENTS, HOUSE, Account
from piker.brokers.sim.desk import make_desk
from piker.brokers.sim.engine import Side, Stp, Tif
from piker.brokers.sim.generated import GeneratedExchange
from piker.brokers.sim.hub import Hub
from piker.brokers.sim.listings import all_listings
from piker.brokers.sim.orders import Order, OrderList, need_of
from piker.brokers.sim.params import ApiError
from piker.brokers.sim.state import State
from piker.brokers.sim.wire import agg_rows, fill_rows, fixed
from piker.clock import NS_PER_MS


class Trader(Rest):
    """Signs its requests; the answers' headers are in ``headers``."""

    def __init__(self, venue, clock, key='sim-key', secret='sim-secret'):
        super().__init__(venue)
        self.clock = clock
        self.key = key
        self.secret = secret
        self.headers = {}

    def sign(self, text):
        return hmac.new(self.secret.encode(), text.encode(),
                        hashlib.sha256).hexdigest()

    def query(self, **params):
        params.setdefault('timestamp', self.clock.now_ns() // NS_PER_MS)
        text = urlencode(params)
        return f'{text}&signature={self.sign(text)}'

    async def send(self, method, target, body=b''):
        """Status and decoded body of a request that is signed already."""
        stream = await trio.open_tcp_stream(self.venue.host, self.venue.port)
        async with stream:
            await stream.send_all(
                f'{method} /api/v3/{target} HTTP/1.1\r\nHost: x\r\n'
                f'X-MBX-APIKEY: {self.key}\r\nConnection: close\r\n'
                f'Content-Length: {len(body)}\r\n\r\n'.encode() + body
            )
            raw = b''.join([part async for part in stream])
        head, _, text = raw.partition(b'\r\n\r\n')
        lines = head.decode().split('\r\n')
        self.headers = dict(line.lower().split(': ', 1) for line in lines[1:])
        return int(lines[0].split()[1]), json.loads(text)

    async def ask(self, method, path, **params):
        """Status and answer of a signed request."""
        return await self.send(method, f'{path}?{self.query(**params)}')

    async def ok(self, method, path, **params):
        status, answer = await self.ask(method, path, **params)
        assert status == 200, answer
        return answer

    async def refused(self, code, method, path, **params):
        """The text of a refusal with ``code``."""
        status, answer = await self.ask(method, path, **params)
        assert status >= 400, answer
        assert answer['code'] == code, answer
        return answer['msg']

    async def limit(self, side, quantity, price, **params):
        return await self.ok(
            'POST', 'order', side=side, type='LIMIT', quantity=quantity,
            price=price,
            **{'symbol': 'LTCUSDT', 'timeInForce': 'GTC'} | params,
        )

    async def balance(self, asset):
        """(free, locked) as strings."""
        account = await self.ok('GET', 'account')
        row = next(b for b in account['balances'] if b['asset'] == asset)
        return row['free'], row['locked']

    async def touch(self, symbol='LTCUSDT'):
        """Best bid and ask as strings."""
        depth = await self.get(f'/api/v3/depth?symbol={symbol}&limit=5')
        return depth['bids'][0][0], depth['asks'][0][0]


class LoudHub(Hub):
    """A hub to which everything is worth saying."""

    def wanted(self, stream):
        return True


class Floor:
    """A generated exchange with its desk, and what it has published."""

    def __init__(self, clock, path='', symbols=('LTCUSDT',), seed=1,
                 quote_rate=1.0):
        self.clock = clock
        self.published = {}
        self.told = []
        self.state = State(str(path), f'seed {seed}')
        self.exchange = GeneratedExchange(
            clock, LoudHub(), self._emit, seed=seed, symbols=symbols,
            quote_rate=quote_rate, edits=self.state.edits(),
        )
        specs = {listing.symbol: listing for listing in all_listings()}
        self.desk = make_desk(self.exchange, specs, self.state, self._tell)
        self.books = self.desk.books
        self.accounts = self.books.accounts

    def _emit(self, stream, payload):
        self.published.setdefault(stream, []).append(json.loads(payload))

    def _tell(self, stream, payload):
        self.told.append(json.loads(payload))

    def open_account(self, name, fee=100_000, **amounts):
        account = Account(name, f'{name}-key', 'secret', maker=fee // 2,
                          taker=fee, uid=0)
        with self.desk.turn():
            self.accounts.add(account)
            for asset, amount in amounts.items():
                self.accounts.deposit(account, asset, amount * 10**8)

    async def place(self, account, side, size, price=0, **more):
        """An order in lots and ticks; the order, or why it was refused."""
        fields = {'type': 'LIMIT' if price else 'MARKET', 'symbol': 'LTCUSDT',
                  'client_id': '', 'stp': Stp.EXPIRE_MAKER} | more
        order = Order(id=0, account=account, side=Side(side), size=size,
                      price=price, **fields)
        await self.exchange.settle(order.symbol)
        try:
            with self.desk.turn():
                self.desk.check([order])
                self.desk.place([order])
        except ApiError as err:
            return err.msg
        return order

    async def place_pair(self, account, side, size, limit, stop, price):
        """A sale or purchase at ``limit``, or a stop-limit order."""
        fields = {'account': account, 'side': Side(side), 'size': size,
                  'symbol': 'LTCUSDT', 'client_id': '', 'id': 0}
        legs = [
            Order(type='LIMIT_MAKER', price=limit, **fields),
            Order(type='STOP_LOSS_LIMIT', price=price, stop=stop,
                  tif=Tif.GTC, **fields),
        ]
        pair = OrderList(id=-1, account=account, symbol='LTCUSDT',
                         client_id='', orders=(0, 0), made_ms=0)
        await self.exchange.settle('LTCUSDT')
        try:
            with self.desk.turn():
                self.desk.check(legs)
                self.desk.place(legs, pair)
        except ApiError as err:
            return err.msg
        return pair

    async def cancel(self, order):
        await self.exchange.settle(order.symbol)
        with self.desk.turn():
            return self.desk.cancel(order, '')

    async def pass_time(self, ms, symbol='LTCUSDT'):
        self.clock.advance_ns(ms * NS_PER_MS)
        await self.exchange.settle(symbol)

    def market(self, symbol='LTCUSDT'):
        return self.exchange.markets[symbol]

    def totals(self):
        """Per asset the sum over everybody."""
        found = {}
        for account in self.accounts.by_name.values():
            for asset in account.assets():
                found[asset] = found.get(asset, 0) + account.total(asset)
        return found

    def audit(self):
        """Check every rule that balances must keep."""
        for account in self.accounts.by_name.values():
            needs = {}
            mine = self.books.open_orders(account.name)
            for _, group in groupby(
                sorted(mine, key=lambda o: o.group), key=lambda o: o.group
            ):
                legs = list(group)
                spec = self.books.specs[legs[0].symbol]
                asset = spec.base if legs[0].side is Side.SELL else spec.quote
                needs[asset] = needs.get(asset, 0) + max(
                    need_of(spec, leg) for leg in legs
                )
            for asset in account.assets():
                assert account.locked[asset] == needs.get(asset, 0), asset
                assert account.free[asset] >= 0 or account.name == AGENTS
        assert all(a >= 0 for a in self.accounts.by_name[HOUSE].free.values())
        self._audit_fills()

    def _audit_fills(self):
        sides = {}
        for e in self.books.executions:
            sides.setdefault((e.symbol, e.trade_id), []).append(e)
        for found in sides.values():
            if len(found) == 1:
                assert found[0].counter == 0
                continue
            one, two = found
            assert (one.counter, two.counter) == (two.order_id, one.order_id)
            assert one.side is two.side.other
            assert one.maker != two.maker
            assert (one.price, one.size, one.quote) == (
                two.price, two.size, two.quote
            )
        for order in self.books.orders.values():
            fills = self.books.fills_of(order)
            assert sum(e.size for e in fills) == order.filled
            assert sum(e.quote for e in fills) == order.spent

    def assert_tape_is_history(self, symbol='LTCUSDT'):
        """What was published is what history answers, ids included."""
        market = self.market(symbol)
        digits = market.spec.price_digits, market.spec.size_digits
        now = market.position_ms
        low = symbol.lower()
        aggs = self.published.get(f'{low}@aggTrade', [])
        if not aggs:
            return 0
        first = aggs[0]['a']
        rows = agg_rows(market.history.aggs_from(first, 10**6, now), digits)
        told = [{k: a[k] for k in ('a', 'p', 'q', 'f', 'l', 'T', 'm', 'M')}
                for a in aggs]
        assert told == rows
        fills = self.published[f'{low}@trade']
        rows = fill_rows(
            market.history.fills_from(fills[0]['t'], 10**6, now), digits
        )
        assert [(t['t'], t['p'], t['q'], t['T'], t['m']) for t in fills] == [
            (r['id'], r['price'], r['qty'], r['time'], r['isBuyerMaker'])
            for r in rows
        ]
        return len(aggs)

    def assert_fills_are_on_the_tape(self, symbol='LTCUSDT'):
        """Every user's fill is a public trade of the same price and size."""
        market = self.market(symbol)
        digits = market.spec.price_digits, market.spec.size_digits
        for e in self.books.executions:
            if e.symbol != symbol:
                continue
            row = fill_rows(market.history.fills_from(
                e.trade_id, 1, market.position_ms), digits)[0]
            assert (row['id'], row['price'], row['qty'], row['time']) == (
                e.trade_id, fixed(e.price, digits[0]),
                fixed(e.size, digits[1]), e.time_ms,
            )
            sells = (e.side is Side.SELL) != e.maker
            assert row['isBuyerMaker'] is sells


@asynccontextmanager
async def open_floor(clock, path='', symbols=('LTCUSDT',), quote_rate=1.0):
    floor = Floor(clock, path, symbols, quote_rate=quote_rate)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(floor.exchange.run)
        await floor.exchange.ready.wait()
        yield floor
        nursery.cancel_scope.cancel()
    floor.state.close()
