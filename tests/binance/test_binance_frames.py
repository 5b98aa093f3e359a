"""Cutting frames out of what was read."""
from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piker.brokers.binance.frames import split_frames
from piker.errors import BadMessage


def frame(payload, opcode, fin=True):
    size = len(payload)
    head = bytes([opcode | (0x80 if fin else 0)])
    if size < 126:
        return head + bytes([size]) + payload
    if size < 1 << 16:
        return head + b'\x7e' + size.to_bytes(2, 'big') + payload
    return head + b'\x7f' + size.to_bytes(8, 'big') + payload


payloads = st.binary(min_size=1, max_size=20) | st.sampled_from(
    [b'a' * 125, b'b' * 126, b'c' * 65535, b'd' * 65536]
)
controls = st.builds(
    lambda kind, data: frame(data, kind),
    st.sampled_from([8, 9, 10]), st.binary(max_size=9),
)


@st.composite
def traffic(draw):
    """Messages, control frames, and the bytes that carry both."""
    messages, control, data = [], b'', b''
    for _ in range(draw(st.integers(1, 8))):
        parts = draw(st.lists(payloads, min_size=1, max_size=3))
        for at, part in enumerate(parts):
            extra = b''.join(draw(st.lists(controls, max_size=1)))
            control += extra
            data += extra + frame(
                part, 0 if at else 1, fin=at == len(parts) - 1
            )
        messages.append(b''.join(parts))
    return messages, control, data


@settings(deadline=None, max_examples=150)
@given(traffic(), st.lists(st.integers(0, 10 ** 6), max_size=12))
def test_any_split_gives_the_same_messages(given_traffic, cuts):
    messages, control, data = given_traffic
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    got, other, partial, rest = [], bytearray(), bytearray(), b''
    for start, stop in pairwise(at):
        rest = split_frames(rest + data[start:stop], got, other, partial)
    assert got == messages
    assert bytes(other) == control
    assert not rest
    assert not partial


@pytest.mark.parametrize('data', [
    b'\x81\x81abcde', b'\x81\xfe\x00\x80', b'\x81\xff', b'\x89\x80abcd',
])
def test_a_masked_frame_is_refused(data):
    with pytest.raises(BadMessage, match='masked'):
        split_frames(data, [], bytearray(), bytearray())


def test_a_monstrous_frame_is_refused_at_its_head():
    head = b'\x82\x7f' + (1 << 40).to_bytes(8, 'big')
    with pytest.raises(BadMessage, match=str(1 << 40)):
        split_frames(head, [], bytearray(), bytearray())
