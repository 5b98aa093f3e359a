"""
The venue as an ASGI application: routes, websocket sessions, statistics.
"""
from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Protocol
from urllib.parse import parse_qs

import msgspec
import trio

from ...errors import BadInput, did_you_mean
from .backoffice import BackOffice
from .config import FaultConfig, VenueConfig
from .control import answer
from .desk import UserDesk
from .faults import Faults, NeverAnswered
from .hub import Client, Hub, ping_frame, text_frame
from .limits import Limits
from .market import Exchange
from .matching import Matcher
from .params import ApiError, Params
from .rest import Endpoint, RestApi
from .signed import SignedApi
from .signing import Request
from .threads import in_thread
from .wire import encode

__all__ = ['App', 'RunningExchange']

log = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_API = '/api/v3/'
_SIM = '/sim/v1/'
_EXPIRE_EVERY_S = 1.0
_NOT_FOUND = b'<html><h2>404 Not found</h2></html>'


class RunningExchange(Exchange, Matcher, Protocol):
    """An exchange that a venue can run."""

    ready: trio.Event

    async def run(self) -> None: ...

    def replay_state(self) -> dict[str, Any] | None:
        """The replay's state for the statistics, None if there is none."""

    def start_replay(self) -> bool:
        """Let a waiting replay begin; False if there is none."""


class App:
    """Everything a client can reach."""

    def __init__(
        self,
        config: VenueConfig,
        exchange: RunningExchange,
        hub: Hub,
        faults: Faults,
        desk: UserDesk,
    ) -> None:
        self.requests: Counter[str] = Counter()
        self._config = config
        self._exchange = exchange
        self._hub = hub
        self._faults = faults
        self._started = trio.current_time()
        self._desk = desk
        self._office = BackOffice(desk)
        self._limits = Limits(config.weight_limit, *config.order_limits)
        self._endpoints = RestApi(exchange, self._limits).endpoints()
        self._signed = SignedApi(exchange, exchange, desk, faults,
                                 self._limits)
        self._log: deque[dict[str, Any]] = deque(maxlen=config.log_requests)
        self._window = (0, 0)  # minute, weight used in it
        self._threads = trio.CapacityLimiter(4)

    async def run(self) -> None:
        """End listen keys that nobody keeps alive, until cancelled."""
        while True:
            await trio.sleep(_EXPIRE_EVERY_S)
            with self._desk.turn():
                self._desk.userdata.expire(self._exchange.now_ms())

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope['type'] == 'websocket':
            await self._websocket(scope, receive, send)
        elif scope['type'] == 'http':
            await self._http(scope, receive, send)

    def stats(self) -> dict[str, Any]:
        """Counters and state, as ``/sim/v1/stats`` gives them."""
        return {
            'uptime_s': trio.current_time() - self._started,
            'clock_ms': self._exchange.now_ms(),
            'seed': self._config.seed,
            'symbols': list(self._exchange.markets),
            'connections': len(self._hub.clients),
            'subscribers': self._hub.streams(),
            'sent': dict(self._hub.sent),
            'cut_off': self._hub.cut_off,
            'requests': dict(self.requests),
            'used_weight': self._window[1],
            'faults': dict(self._faults.counts),
            'replay': self._exchange.replay_state(),
        }

    async def _http(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        body = b''
        while True:
            event = await receive()
            if event['type'] != 'http.request':
                return
            body += event.get('body', b'')
            if not event.get('more_body'):
                break
        key = next((value.decode('latin-1') for name, value
                    in scope['headers'] if name == b'x-mbx-apikey'), '')
        request = Request(scope['method'], scope['path'],
                          scope['query_string'], body, key)
        try:
            status, headers, answered = await self._respond(request)
        except NeverAnswered:
            while (await receive())['type'] != 'http.disconnect':
                pass
            return
        kind = 'text/html' if answered is _NOT_FOUND else 'application/json'
        raw = [(name.lower().encode(), value.encode())
               for name, value in headers.items()]
        raw += [
            (b'content-type', f'{kind};charset=UTF-8'.encode()),
            (b'content-length', str(len(answered)).encode()),
        ]
        await send({'type': 'http.response.start', 'status': status,
                    'headers': raw})
        await send({'type': 'http.response.body', 'body': answered})

    async def _respond(
        self, request: Request
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a request; its name is the path."""
        headers: dict[str, str] = {}
        path = request.name
        try:
            if path.startswith(_SIM):
                found = self._control(
                    request._replace(name=path.removeprefix(_SIM))
                )
            elif path.startswith(_API):
                found = await self._api(
                    request._replace(name=path.removeprefix(_API)), headers
                )
            else:
                found = None
        except ApiError as err:
            return err.status, headers | err.headers, encode(err.body())
        except BadInput as err:
            return 400, headers, encode({'code': -1130, 'msg': str(err)})
        if found is None:
            return 404, headers, _NOT_FOUND
        return 200, headers, encode(found)

    async def _api(self, request: Request, headers: dict[str, str]) -> Any:
        """The answer of an endpoint, None if there is no such one."""
        now, name = self._exchange.now_ms(), request.name
        self.requests[name] += 1
        self._log.append({
            'time': now, 'method': request.method, 'path': _API + name,
            'query': b'&'.join(filter(None, (request.query, request.body)))
            .decode('latin-1'),
        })
        spoiled = self._faults.rest_error(now)
        if spoiled is not None:
            raise spoiled
        if self._signed.knows(request):
            return await self._signed.answer(
                request, lambda weight: self._charge(now, weight, headers),
                headers,
            )
        endpoint = self._endpoints.get(name)
        if endpoint is None or request.method != 'GET':
            return None
        params = Params(request.query)
        self._charge(now, _weight(endpoint, params), headers)
        params.expect(endpoint.known)
        if endpoint.book:
            await self._exchange.ready.wait()
        if not endpoint.slow:
            return endpoint.handle(params)
        return await in_thread(
            endpoint.handle, params, limiter=self._threads
        )

    def _charge(
        self, now: int, weight: int, headers: dict[str, str]
    ) -> None:
        """Count the request's weight; refuse it when the minute is used up."""
        minute, used = self._window
        if minute != now // 60_000:
            minute, used = now // 60_000, 0
        used += weight
        self._window = minute, used
        headers['x-mbx-used-weight'] = str(used)
        headers['x-mbx-used-weight-1m'] = str(used)
        if used > self._limits.weight_1m:
            raise ApiError(
                -1003,
                'Too much request weight used; current limit is '
                f'{self._limits.weight_1m} request weight per 1 MINUTE. '
                'Please use WebSocket Streams for live updates to avoid '
                'polling the API.',
                429,
                {'Retry-After': str(60 - now // 1000 % 60)},
            )

    def _control(self, request: Request) -> Any:
        """The venue's own endpoints under ``/sim/v1/``."""
        match request.method, request.name:
            case 'GET', 'stats':
                return self.stats()
            case 'GET', 'requests':
                return list(self._log)
            case 'POST', 'replay/start':
                if not self._exchange.start_replay():
                    raise BadInput('this venue does not replay a recording')
                return self._exchange.replay_state()
            case 'POST', 'faults':
                try:
                    given = msgspec.json.decode(request.body or b'{}')
                except msgspec.DecodeError as err:
                    raise BadInput(f'not JSON: {err}') from err
                self._faults.set(FaultConfig.parse(given))
                return dict(self._faults.counts)
            case 'POST', 'limits':
                return self._set_limits(request.body)
            case 'GET', 'accounts':
                return self._office.listed()
            case 'POST', 'accounts':
                return self._office.open_account(request.body)
            case 'POST', 'balances':
                return self._office.transfer(request.body,
                                             self._exchange.now_ms())
            case 'GET', 'books':
                return self._office.books(
                    Params(request.query).values.get('account', '')
                )
        return None

    def _set_limits(self, body: bytes) -> dict[str, int]:
        """Change the limits that are named; the others stay."""
        try:
            given = msgspec.json.decode(body or b'{}', type=dict[str, int])
        except msgspec.DecodeError as err:
            raise BadInput(f'not an object of whole numbers: {err}') from err
        known = asdict(self._limits)
        for name, value in given.items():
            if name not in known:
                raise BadInput(
                    f'there is no limit {name!r}.' + did_you_mean(name, known)
                )
            if value < 0:
                raise BadInput(f'{name} = {value} is below zero')
        for name, value in given.items():
            setattr(self._limits, name, value)
        return asdict(self._limits)

    async def _websocket(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        await receive()
        path = scope['path']
        names: list[str] = []
        if path == '/stream':
            query = parse_qs(scope['query_string'].decode('latin-1'))
            names = '/'.join(query.get('streams', [])).split('/')
        elif path == '/ws' or path.startswith('/ws/'):
            names = path.removeprefix('/ws').split('/')
        else:
            await send({'type': 'websocket.close'})
            return
        client = Client(
            scope['state']['connection'],
            name='{}:{}'.format(*scope['client'][:2]),
            combined=path == '/stream',
            max_queue=self._config.max_queue,
            max_bytes=self._config.max_queue_bytes,
        )
        await send({'type': 'websocket.accept'})
        self._hub.add(client)
        try:
            for name in filter(None, names):
                self._hub.subscribe(client, name)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.send_queued, self._faults.gate)
                nursery.start_soon(self._ping, client)
                await self._listen(client, receive)
                nursery.cancel_scope.cancel()
        finally:
            self._hub.remove(client)

    async def _listen(self, client: Client, receive: Receive) -> None:
        """Answer what the client sends until it is gone."""
        while True:
            event = await receive()
            if event['type'] != 'websocket.receive':
                return
            text = event.get('text')
            reply = answer(
                text if text is not None else event.get('bytes') or b'',
                client, self._hub.subscribe, self._hub.unsubscribe,
            )
            client.push(text_frame(reply))

    async def _ping(self, client: Client) -> None:
        while not client.gone:
            await trio.sleep(self._config.ping_interval_s)
            client.push(ping_frame(str(self._exchange.now_ms()).encode()))


def _weight(endpoint: Endpoint, params: Params) -> int:
    """What a request weighs; one that is to be refused weighs 1."""
    try:
        return endpoint.weigh(params)
    except ApiError:
        return 1
