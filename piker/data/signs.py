"""
Signs of life: what every live segment says of its writer.

Two words at the end of the header, and the segment's note; so a reader can
tell a quiet market from a venue that is silent and from a writer that died.
"""
from __future__ import annotations

from .shm import HEADER_WORDS, Segment

__all__ = ['Signs', 'SignsWriter']

_BEAT, _HEARD = HEADER_WORDS - 2, HEADER_WORDS - 1


class Signs:
    """The reader's half; mixed into what reads a ``_segment``."""

    _segment: Segment
    _words: memoryview

    @property
    def beat_ns(self) -> int:
        """When the writer last showed that it is alive (its wall clock)."""
        return self._words[_BEAT]

    @property
    def heard_ns(self) -> int:
        """When anything last came over the connection behind it."""
        return self._words[_HEARD]

    @property
    def reason(self) -> str:
        """Why it is not live, as the writer knows it; else empty."""
        return self._segment.note


class SignsWriter:
    """The writer's half; mixed into what writes a ``segment``."""

    segment: Segment
    _words: memoryview

    def heard(self, now_ns: int) -> None:
        """Note that the connection is alive."""
        self._words[_HEARD] = now_ns

    def beat(self, now_ns: int) -> None:
        """Show readers that this writer is alive."""
        self._words[_BEAT] = now_ns

    def set_reason(self, text: str) -> None:
        """Say why it is not live; nothing where it is."""
        self.segment.set_note(text)

    def unlink(self) -> None:
        self.segment.unlink()
