"""
Where tables live: ``<root>/<provider>/<local symbol>/<kind>``.

Path parts are escaped so that any name survives any file system or object
store: lower-case letters, digits, ``-`` and inner dots stand for themselves,
every other byte of the UTF-8 text is ``_`` and two hex digits.  ``_`` itself
becomes ``_5f``, which makes the escaping reversible.  Example: ``eth/btc`` is
kept under ``eth_2fbtc``.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ...errors import BadInput, StorageError
from ...instruments import InstrumentId
from ...paths import data_dir

__all__ = [
    'TICKS',
    'TableId',
    'bars_kind',
    'escape',
    'is_remote',
    'join',
    'table_root',
    'unescape',
]

TICKS = 'ticks'
_KIND = re.compile(r'ticks\Z|bars_([1-9]\d*)s\Z')
_PLAIN = frozenset(b'abcdefghijklmnopqrstuvwxyz0123456789-.')
_ESCAPED = re.compile(r'(?:[a-z0-9\-.]|_[0-9a-f]{2})+\Z')


def escape(text: str) -> str:
    """``text`` as one path part; `BadInput` if it is empty."""
    if not text:
        raise BadInput('an empty name cannot be a path')
    out = []
    for at, byte in enumerate(text.encode()):
        hidden = byte == ord('.') and at == 0
        out.append(
            chr(byte) if byte in _PLAIN and not hidden else f'_{byte:02x}'
        )
    return ''.join(out)


def unescape(part: str) -> str:
    """The text that `escape` made into ``part``; `BadInput` otherwise."""
    try:
        if not _ESCAPED.match(part):
            raise ValueError(part)
        raw = re.sub(
            rb'_([0-9a-f]{2})',
            lambda found: bytes([int(found[1], 16)]),
            part.encode(),
        )
        text = raw.decode()
        if escape(text) != part:
            raise ValueError(part)
    except ValueError as err:
        raise BadInput(
            f'{part!r} is not a path part of the table root'
        ) from err
    return text


def bars_kind(period_s: int) -> str:
    """The kind of the table that holds bars of this period."""
    if period_s < 1:
        raise BadInput(f'{period_s} is not a bar period in seconds')
    return f'bars_{period_s}s'


@dataclass(frozen=True, slots=True, order=True)
class TableId:
    """Names one table: an instrument and a kind."""

    provider: str
    local: str
    kind: str

    @classmethod
    def of(cls, instrument_id: str, kind: str) -> TableId:
        """Raises `BadInput` for what is no instrument id or kind."""
        if not _KIND.match(kind):
            raise BadInput(
                f'{kind!r} is not a kind of table: write ticks, bars_1s or '
                'bars_60s'
            )
        parsed = InstrumentId.parse(instrument_id)
        return cls(parsed.provider, parsed.local, kind)

    @classmethod
    def from_parts(cls, provider: str, local: str, kind: str) -> TableId:
        """From escaped path parts; `BadInput` if they are none."""
        if not _KIND.match(kind):
            raise BadInput(f'{kind!r} is not a kind of table')
        return cls(unescape(provider), unescape(local), kind)

    @property
    def instrument_id(self) -> str:
        return f'{self.local}.{self.provider}'

    @property
    def period_s(self) -> int:
        """The period of a table of bars, 0 for ticks."""
        found = _KIND.match(self.kind)
        return int(found[1] or 0) if found else 0

    @property
    def parts(self) -> tuple[str, str, str]:
        return escape(self.provider), escape(self.local), self.kind

    def __str__(self) -> str:
        return f'{self.instrument_id} {self.kind}'


def is_remote(root: str) -> bool:
    """Whether a table root is an object store rather than a directory."""
    return '://' in root and not root.startswith('file://')


def table_root(root: str) -> str:
    """
    The root of all tables, from the setting ``storage.root``.

    Empty means ``<data directory>/tables``.  Object stores are URLs, for
    example ``s3://bucket/prefix``.
    """
    if not root:
        return str(data_dir() / 'tables')
    if is_remote(root):
        scheme, _, rest = root.partition('://')
        if not scheme or not rest.strip('/'):
            raise StorageError(
                f'{root!r} is not a table root: write a directory or a URL '
                'like s3://bucket/prefix'
            )
        return root.rstrip('/')
    path = Path(root.removeprefix('file://')).expanduser()
    return str(path.absolute())


def join(root: str, *parts: str) -> str:
    """``root`` and path parts as one path or URL."""
    return '/'.join((root.rstrip('/') or '/', *parts))
