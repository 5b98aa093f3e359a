"""
Reading recorded Binance streams.

Two line formats are understood, plain or gzipped:

* ``<receive time, ns> <message>`` as in hftbacktest's examples;
* ``<receive time, s>: <message>`` as in cryptofeed's samples, where other
  lines that begin with a URL are headers.

A message is one of a combined stream, or a REST depth snapshot.
"""
from __future__ import annotations

import gzip
import re
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from ...errors import BadInput
from .listings import Listing

__all__ = ['Body', 'Message', 'Recording', 'load_recording']

_LINE = re.compile(rb'(\d+(?:\.\d+)?)(:?) (\{.*\})\s*\Z')
_HEAD = b'{"stream":"'
_DATA = b'","data":'
_KINDS = ('aggTrade', 'trade', 'bookTicker', 'depth', 'kline')
_QUOTES = ('USDT', 'USDC', 'FDUSD', 'TUSD', 'BUSD', 'BTC', 'ETH', 'BNB',
           'EUR', 'TRY', 'USD')


class Body(msgspec.Struct, gc=False):
    """The fields of any event that the replay itself looks at."""

    E: int = 0
    s: str = ''
    t: Any = 0
    p: str = ''
    q: str = ''
    T: int = 0
    m: bool = False
    u: int = 0
    a: Any = None
    b: Any = None
    A: str = ''
    B: str = ''
    f: int = 0
    l: int = 0  # noqa: E741


class Wrapped(msgspec.Struct):
    stream: str = ''
    data: Body | None = None
    lastUpdateId: int = 0  # noqa: N815
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []


@dataclass(frozen=True, slots=True)
class Message:
    """
    One recorded message.

    ``after_ns`` is its receive time since the file's first message, ``raw``
    the bytes as received, ``payload`` those of its ``data``; ``symbol`` is
    upper case.
    """

    after_ns: int
    stream: str
    symbol: str
    kind: str
    raw: bytes
    payload: bytes
    body: Body


@dataclass(slots=True)
class Recording:
    """
    A file's messages in order, and what they are about.

    ``first_ns`` is when the first one was received.
    """

    path: str
    first_ns: int = 0
    messages: list[Message] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    listings: dict[str, Listing] = field(default_factory=dict)

    @property
    def streams(self) -> set[str]:
        return {message.stream for message in self.messages}


def load_recording(path: str) -> Recording:
    """
    Read a whole recording.

    Raises `BadInput`, naming file and line, if it is missing, malformed or
    holds no message.
    """
    recording = Recording(path)
    decode = msgspec.json.Decoder(Wrapped).decode
    first_ns = -1
    lines = _read(path)
    for number, line in enumerate(lines, 1):
        found = _LINE.match(line)
        if found is None:
            if line.strip() and not line.startswith((b'wss://', b'http')):
                raise BadInput(
                    f'{path}, line {number}: {_short(line)} is not a '
                    'recorded message: "<time> <message>" is wanted'
                )
            continue
        stamp, colon, raw = found.groups()
        recv_ns = (
            int(Decimal(stamp.decode()) * 10**9) if colon else int(stamp)
        )
        first_ns = recv_ns if first_ns < 0 else first_ns
        try:
            wrapped = decode(raw)
        except msgspec.DecodeError as err:
            raise BadInput(
                f'{path}, line {number}: {_short(raw)} cannot be read: {err}'
            ) from err
        message = _message(recv_ns - first_ns, raw, wrapped)
        if message is None:
            recording.skipped[wrapped.stream or '(no stream)'] += 1
        else:
            recording.messages.append(message)
    if not recording.messages:
        raise BadInput(f'{path} holds no recorded messages')
    recording.first_ns = first_ns
    recording.listings = _listings(recording)
    return recording


def _read(path: str) -> list[bytes]:
    try:
        raw = Path(path).read_bytes()
        if raw.startswith(b'\x1f\x8b'):
            raw = gzip.decompress(raw)
    except (OSError, EOFError, gzip.BadGzipFile) as err:
        raise BadInput(f'cannot read the recording {path}: {err}') from err
    return raw.splitlines()


def _short(line: bytes) -> str:
    text = line[:60].decode('utf-8', 'replace')
    return repr(text + '…' if len(line) > 60 else text)


def _message(after_ns: int, raw: bytes, wrapped: Wrapped) -> Message | None:
    if not wrapped.stream:
        if not wrapped.lastUpdateId:
            return None
        body = Body(u=wrapped.lastUpdateId, b=wrapped.bids, a=wrapped.asks)
        return Message(after_ns, '', '', 'snapshot', raw, raw, body)
    symbol, _, rest = wrapped.stream.partition('@')
    kind = next((kind for kind in _KINDS if rest.startswith(kind)), '')
    start = raw.find(_DATA)
    if not kind or wrapped.data is None or not raw.startswith(_HEAD):
        return None
    return Message(
        after_ns, wrapped.stream, symbol.upper(), kind, raw,
        raw[start + len(_DATA) : -1], wrapped.data,
    )


def _listings(recording: Recording) -> dict[str, Listing]:
    """The symbols found, on the grid the venue gave or the data shows."""
    known = _exchange_info(Path(recording.path).parent)
    found: dict[str, Listing] = {}
    for symbol in {m.symbol for m in recording.messages if m.symbol}:
        if symbol in known:
            found[symbol] = known[symbol]
            continue
        prices, sizes = Decimal(1), Decimal(1)
        for message in recording.messages:
            if message.symbol == symbol:
                for price, size in _pairs(message):
                    prices = min(prices, _grain(price))
                    sizes = min(sizes, _grain(size))
        quote = next((q for q in _QUOTES if symbol.endswith(q)), symbol[-3:])
        base = symbol.removesuffix(quote)
        found[symbol] = _listing(symbol, base, quote, prices, sizes)
    return found


def _pairs(message: Message) -> list[tuple[str, str]]:
    body = message.body
    if message.kind in {'trade', 'aggTrade'}:
        return [(body.p, body.q)]
    if message.kind == 'bookTicker':
        return [(body.b, body.B), (body.a, body.A)]
    if message.kind == 'depth':
        return [*body.b, *body.a]
    return []


def _grain(text: str) -> Decimal:
    exponent = Decimal(text).normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return Decimal(1).scaleb(min(0, exponent))


def _exchange_info(folder: Path) -> dict[str, Listing]:
    """Grids from an ``exchangeInfo*`` answer lying beside a recording."""
    found: dict[str, Listing] = {}
    for path in sorted(folder.glob('exchangeInfo*')):
        lines = [line for line in _read(str(path)) if b'{' in line]
        try:
            answer = lines[0][lines[0].index(b'{'):]
            symbols = msgspec.json.decode(answer)['symbols']
        except (msgspec.DecodeError, LookupError, TypeError) as err:
            raise BadInput(
                f'{path} does not hold an exchangeInfo answer: {err}'
            ) from err
        for entry in symbols:
            filters = {f['filterType']: f for f in entry['filters']}
            found[entry['symbol']] = _listing(
                entry['symbol'], entry['baseAsset'], entry['quoteAsset'],
                Decimal(filters['PRICE_FILTER']['tickSize']),
                Decimal(filters['LOT_SIZE']['stepSize']),
            )
    return found


def _listing(
    symbol: str, base: str, quote: str, tick: Decimal, lot: Decimal
) -> Listing:
    return Listing(symbol, base, quote, tick, lot, 1.0, 1.0, 0, 0)
