# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""compressedDepth's RVL against the encoder of Wilson's paper, written out step by step."""

import contextlib
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pourit_ros.messages import MessageError
from pourit_ros.messages.images import image_to_depth
from pourit_ros.messages.rvl import decode_rvl

RNG = np.random.default_rng(5)


def encode_rvl(image):
    """Wilson's CompressRVL, nibble by nibble, behind compressedDepth's columns and rows."""
    nibbles = []

    def number(value):
        while True:
            nibble, value = value & 7, value >> 3
            nibbles.append(nibble | (8 if value else 0))
            if not value:
                return

    pixels, at, previous = image.ravel().tolist(), 0, 0
    while at < len(pixels):
        zeros = 0
        while at + zeros < len(pixels) and pixels[at + zeros] == 0:
            zeros += 1
        at += zeros
        number(zeros)
        stop = at
        while stop < len(pixels) and pixels[stop]:
            stop += 1
        number(stop - at)
        for value in pixels[at:stop]:
            delta, previous = value - previous, value
            number((delta << 1) ^ (delta >> 31))
        at = stop
    nibbles += [0] * (-len(nibbles) % 8)
    words = [
        sum(nibble << (28 - 4 * k) for k, nibble in enumerate(nibbles[i : i + 8]))
        for i in range(0, len(nibbles), 8)
    ]
    return struct.pack('<ii', image.shape[1], image.shape[0]) + struct.pack(
        f'<{len(words)}I', *words
    )


IMAGES = {
    'flat': np.full((6, 8), 800, np.uint16),
    'nothing': np.zeros((6, 8), np.uint16),
    'noise': RNG.integers(0, 65536, (31, 17)).astype(np.uint16),
    'holes': (RNG.integers(500, 2000, (48, 64)) * (RNG.random((48, 64)) < 0.7)).astype(np.uint16),
    'one pixel': np.array([[7]], np.uint16),
    'a real size': np.add.outer(np.arange(480), np.arange(640)).astype(np.uint16),
}


@pytest.mark.parametrize('name', IMAGES)
def test_rvl_round_trip(name):
    np.testing.assert_array_equal(decode_rvl(encode_rvl(IMAGES[name])), IMAGES[name])


def message(data, form):
    return SimpleNamespace(format=form, data=np.frombuffer(data, np.uint8))


def test_compressed_depth_in_rvl():
    depth = image_to_depth(
        message(bytes(12) + encode_rvl(IMAGES['flat']), '16UC1; compressedDepth rvl')
    )
    np.testing.assert_allclose(depth, 0.8)
    # Metres, as inverse depth: A / (value - B).
    header = struct.pack('<iff', 0, 4000.0, 100.0)
    depth = image_to_depth(
        message(header + encode_rvl(IMAGES['flat']), '32FC1; compressedDepth rvl')
    )
    np.testing.assert_allclose(depth, 4000 / 700, rtol=1e-6)


@pytest.mark.parametrize('cut', [0, 4, 8, 12, 100])
def test_rvl_that_was_cut_says_so(cut):
    data = encode_rvl(IMAGES['holes'])[:cut]
    with pytest.raises(MessageError, match=r'RVL'):
        decode_rvl(data)


@given(st.binary(max_size=200), st.integers(-2, 40), st.integers(-2, 40))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_an_image_or_a_message_error(data, columns, rows):
    with contextlib.suppress(MessageError):
        image = decode_rvl(struct.pack('<ii', columns, rows) + data)
        assert image.shape == (rows, columns)
