"""
The messages a websocket client sends: subscribing and its kin.

Answers and errors as documented on
https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from .hub import Client
from .wire import encode

__all__ = ['answer']

_METHODS = ('SUBSCRIBE', 'UNSUBSCRIBE', 'LIST_SUBSCRIPTIONS', 'SET_PROPERTY',
            'GET_PROPERTY')
_MAX_STREAMS = 1024

Act = Callable[[Client, str], None]


class _RefusedError(Exception):
    def __init__(self, code: int, msg: str) -> None:
        super().__init__(msg)
        self.code = code


def answer(
    text: str | bytes, client: Client, subscribe: Act, unsubscribe: Act
) -> bytes:
    """
    Do what a client's message asks and return the reply.

    ``subscribe`` and ``unsubscribe`` are called with the client and a stream
    name; names that stand for nothing are accepted, as Binance does.
    """
    request_id: Any = None
    try:
        try:
            message = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _RefusedError(
                3, 'Invalid JSON: expected value at line 1 column 1'
            ) from None
        if not isinstance(message, dict):
            raise _RefusedError(2, 'Invalid request: missing field `method`')
        request_id = _request_id(message)
        result = _do(message, client, subscribe, unsubscribe)
    except _RefusedError as refused:
        return encode(
            {'error': {'code': refused.code, 'msg': str(refused)},
             'id': request_id}
        )
    return encode({'result': result, 'id': request_id})


def _request_id(message: dict[str, Any]) -> Any:
    found = message.get('id')
    if isinstance(found, str) and len(found) <= 36 and found.isascii():
        return found
    if found is None or type(found) is int:
        return found
    raise _RefusedError(
        2, 'Invalid request: request ID must be an unsigned integer'
    )


def _do(
    message: dict[str, Any],
    client: Client,
    subscribe: Act,
    unsubscribe: Act,
) -> Any:
    method = message.get('method')
    if method is None:
        raise _RefusedError(
            2, 'Invalid request: missing field `method` at line 1 column 1'
        )
    params = message.get('params', [])
    if method in {'SUBSCRIBE', 'UNSUBSCRIBE'}:
        if not isinstance(params, list) or not all(
            isinstance(name, str) for name in params
        ):
            raise _RefusedError(
                2, 'Invalid request: stream names must be strings'
            )
        if method == 'UNSUBSCRIBE':
            for name in params:
                unsubscribe(client, name)
            return None
        if len(client.streams.keys() | set(params)) > _MAX_STREAMS:
            raise _RefusedError(2, 'Invalid request: too many streams')
        for name in params:
            subscribe(client, name)
        return None
    if method == 'LIST_SUBSCRIPTIONS':
        return list(client.streams)
    if method in {'SET_PROPERTY', 'GET_PROPERTY'}:
        return _property(method, params, client)
    expected = ', '.join(f'`{name}`' for name in _METHODS)
    raise _RefusedError(
        2,
        f'Invalid request: unknown variant `{method}`, expected one of '
        f'{expected} at line 1 column 1',
    )


def _property(method: str, params: Any, client: Client) -> Any:
    count = 2 if method == 'SET_PROPERTY' else 1
    if not isinstance(params, list) or not params or not isinstance(
        params[0], str
    ):
        raise _RefusedError(
            2, 'Invalid request: property name must be a string'
        )
    if len(params) > count:
        raise _RefusedError(2, 'Invalid request: too many parameters')
    if params[0] != 'combined':
        raise _RefusedError(0, 'Unknown property')
    if method == 'GET_PROPERTY':
        return client.combined
    if len(params) < count or not isinstance(params[1], bool):
        raise _RefusedError(1, 'Invalid value type: expected Boolean')
    client.combined = params[1]
    return None
