"""
Who sends a request: the API key, and the signature over what was sent.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/request-security
"""
from __future__ import annotations

import hashlib
import hmac
import re
from typing import NamedTuple

from .accounts import Account, Accounts
from .params import ApiError, Params

__all__ = ['SIGNED_PARAMS', 'Request', 'account_of', 'check_signature']

SIGNED_PARAMS = frozenset({'timestamp', 'recvWindow', 'signature'})
_KEY = re.compile(r'[A-Za-z0-9_-]{1,64}\Z')
_SIGNATURE = re.compile(rb'(^|&)signature=[^&]*')
_WINDOW_MS = 5000
_LONGEST_WINDOW_MS = 60_000
_AHEAD_MS = 1000


class Request(NamedTuple):
    """An HTTP request as it came; ``key`` is its ``X-MBX-APIKEY``."""

    method: str
    name: str
    query: bytes
    body: bytes
    key: str


def account_of(request: Request, accounts: Accounts) -> Account:
    """The account of the request's key."""
    if not _KEY.match(request.key):
        raise ApiError(-2014, 'API-key format invalid.', 401)
    account = accounts.by_key.get(request.key)
    if account is None:
        raise ApiError(
            -2015, 'Invalid API-key, IP, or permissions for action.', 401
        )
    return account


def check_signature(
    request: Request, params: Params, account: Account, now_ms: int
) -> None:
    """
    Check ``timestamp``, ``recvWindow`` and ``signature``.

    The signature is the HMAC-SHA256, in hex, of query string and body, one
    right after the other, without the signature itself.
    """
    timestamp = params.number('timestamp')
    if timestamp is None:
        params.text('timestamp')
        return
    window = params.number('recvWindow')
    if window is None:
        window = _WINDOW_MS
    if window > _LONGEST_WINDOW_MS:
        raise ApiError(
            -1131, f'recvWindow must be less than {_LONGEST_WINDOW_MS}.'
        )
    if timestamp >= now_ms + _AHEAD_MS:
        raise ApiError(
            -1021, 'Timestamp for this request was 1000ms ahead of the '
                   "server's time."
        )
    if now_ms - timestamp > window:
        raise ApiError(
            -1021, 'Timestamp for this request is outside of the recvWindow.'
        )
    signed = b''.join(
        _SIGNATURE.sub(b'', part).lstrip(b'&')
        for part in (request.query, request.body)
    )
    made = hmac.new(account.secret.encode(), signed, hashlib.sha256)
    given = params.text('signature')
    if not hmac.compare_digest(made.hexdigest().encode(),
                               given.lower().encode()):
        raise ApiError(-1022, 'Signature for this request is not valid.')
