"""
Parameters of REST requests, checked as Binance checks them.

Codes and texts: https://developers.binance.com/docs/binance-spot-api-docs/errors
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec

__all__ = ['ApiError', 'Params', 'illegal']

_SYMBOL = re.compile(r'[A-Z0-9\-_.]{1,20}\Z')
_NUMBER = re.compile(r'[0-9]{1,20}\Z')
_SYMBOL_RANGE = '^[A-Z0-9-_.]{1,20}$'
_LIST_RANGE = (
    r'^\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\]$'
)


class ApiError(Exception):
    """An answer other than 200, in Binance's form."""

    def __init__(
        self,
        code: int,
        msg: str,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
        data: object = None,
    ) -> None:
        super().__init__(msg)
        self.code = code
        self.msg = msg
        self.status = status
        self.headers = dict(headers or {})
        self.data = data

    def body(self) -> dict[str, object]:
        """The answer's body; ``data`` only where there is some."""
        found: dict[str, object] = {'code': self.code, 'msg': self.msg}
        return found if self.data is None else found | {'data': self.data}


def illegal(name: str, legal: str) -> ApiError:
    """The refusal of a value that does not match ``legal``."""
    return ApiError(
        -1100,
        f"Illegal characters found in parameter '{name}'; "
        f"legal range is '{legal}'.",
    )


class Params:
    """A query string; every reader raises `ApiError` for a bad value."""

    def __init__(self, query: bytes) -> None:
        pairs = parse_qsl(query.decode('latin-1'), keep_blank_values=True)
        self.values = dict(pairs)
        if len(self.values) < len(pairs):
            raise ApiError(-1101, 'Duplicate values for a parameter detected.')

    def expect(self, known: frozenset[str]) -> None:
        """Refuse parameters that the endpoint doesn't know."""
        read = sum(name in known for name in self.values)
        if read == len(self.values):
            return
        if not known:
            raise ApiError(
                -1101,
                "Too many parameters; expected '0' and received "
                f"'{len(self.values)}'.",
            )
        raise ApiError(
            -1104,
            f"Not all sent parameters were read; read '{read}' parameter(s) "
            f"but was sent '{len(self.values)}'.",
        )

    def text(self, name: str) -> str:
        """A mandatory text."""
        value = self.values.get(name, '')
        if not value:
            raise ApiError(
                -1102,
                f"Mandatory parameter '{name}' was not sent, was empty/null, "
                'or malformed.',
            )
        return value

    def symbol(self) -> str:
        value = self.text('symbol')
        if not _SYMBOL.match(value):
            raise illegal('symbol', _SYMBOL_RANGE)
        return value

    def symbols(self) -> list[str] | None:
        """``symbol`` or ``symbols``, whichever is there; None for neither."""
        if 'symbol' in self.values and 'symbols' in self.values:
            raise ApiError(-1128, 'Combination of optional parameters '
                                  'invalid.')
        if 'symbol' in self.values:
            return [self.symbol()]
        if 'symbols' not in self.values:
            return None
        try:
            found = msgspec.json.decode(
                self.values['symbols'], type=list[str]
            )
        except msgspec.DecodeError:
            raise illegal('symbols', _LIST_RANGE) from None
        if not all(_SYMBOL.match(symbol) for symbol in found):
            raise illegal('symbols', _LIST_RANGE)
        if len(set(found)) < len(found):
            raise ApiError(
                -1151, 'Symbol is present multiple times in the list.'
            )
        return found

    def number(self, name: str) -> int | None:
        """An optional whole number, as ids and times in ms are."""
        value = self.values.get(name)
        if value is None:
            return None
        if value == '':
            raise ApiError(-1105, f"Parameter '{name}' was empty.")
        if not _NUMBER.match(value):
            raise illegal(name, '^[0-9]{1,20}$')
        number = int(value)
        if number >= 1 << 63:
            raise ApiError(-1108, f"Parameter '{name}' overflowed.")
        return number

    def limit(self, default: int, most: int) -> int:
        """How many rows to give; more than ``most`` means ``most``."""
        value = self.number('limit')
        if value is None:
            return default
        if not value:
            raise ApiError(
                -1130, "Data sent for parameter 'limit' is not valid."
            )
        return min(value, most)
