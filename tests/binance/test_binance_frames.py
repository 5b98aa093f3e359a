"""Cutting frames out of what was read."""
from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piker.brokers.binance.frames import FrameTap, join_frames, split_frames
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


# what a head looks like, in places where there is none
HEADS = '\x81~', '\x81~\x00\x90', '\x81{'
texts = st.builds(
    lambda size, fill, at: json.dumps(
        {'x': 'a' * at + fill + 'a' * size}, ensure_ascii=False
    ).encode('latin-1'),
    st.sampled_from([0, 100, 118, 119, 120, 122, 150, 245, 300, 70_000]),
    st.sampled_from(['', *HEADS]), st.integers(0, 3),
)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.tuples(st.just('text'), texts)
        | st.tuples(st.just('control'), controls),
        min_size=1, max_size=60,
    ),
    st.lists(st.integers(0, 10 ** 6), max_size=6),
    st.sampled_from([0, 0, 0, 3]),
)
def test_joined_or_cut_the_messages_are_the_same(parts, cuts, refuse):
    data = b''.join(
        frame(part, 1) if kind == 'text' else part for kind, part in parts
    )
    got, lists = [], []

    def deliver_list(messages, many):
        found = json.loads(messages.tobytes().decode('latin-1'))
        assert len(found) == many
        lists.append(many)
        if len(lists) % 4 < refuse:
            return False
        got.extend(found)
        return True

    tap = FrameTap(
        None,
        lambda payloads: got.extend(
            json.loads(p.decode('latin-1')) for p in payloads
        ),
        deliver_list,
    )
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    control = b''
    for start, stop in pairwise(at):
        read = tap._rest + data[start:stop]
        tap._rest = b''
        control += tap.feed(read)
    assert got == [
        json.loads(part.decode('latin-1'))
        for kind, part in parts if kind == 'text'
    ]
    assert control == b''.join(
        part for kind, part in parts if kind == 'control'
    )
    assert not tap._rest


def test_many_frames_are_joined_without_a_loop():
    texts = [json.dumps({'k': k, 'fill': 'y' * 140}) for k in range(40)]
    data = b''.join(frame(text.encode(), 1) for text in texts)
    messages, many, end = join_frames(data + b'\x81\x7e\x01')
    assert many == 40
    assert end == len(data)
    assert json.loads(messages.tobytes()) == [json.loads(t) for t in texts]
    assert join_frames(data[:-1])[1] == 39


@pytest.mark.parametrize('data', [
    b'', b'\x81', frame(b'x' * 125, 1), frame(b'x' * 130, 2),
    frame(b'x' * 130, 1, fin=False), frame(b'x' * 65536, 1),
    frame(b'x' * 130, 9), frame(b'x' * 130, 1)[:-1],
    frame(b'x' * 130, 1) + frame(b'y', 9) + frame(b'x' * 130, 1),
    b'..' + frame(b'x' * 130, 1),
])
def test_what_is_not_joined(data):
    assert join_frames(data) is None
