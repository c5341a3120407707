# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""RVL, the lossless depth codec of compressedDepth (A. D. Wilson, ISS 2017)."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from .errors import MessageError

# More than any depth camera has; a damaged header asks for anything.
MAX_PIXELS = 1 << 26
# Digits of three bits that a run's length or a step needs at most.
MAX_DIGITS = 10


def decode_rvl(data: bytes) -> NDArray[np.uint16]:
    """Decode compressedDepth's RVL image (H, W): columns and rows, int32, then the codec's data.

    Numbers are digits of three bits, the lowest first, each in a nibble whose high bit says that
    another follows; nibbles fill 32-bit words from the top. They repeat: the number of pixels that
    are 0, the number that are not, and the step of each of the latter from its predecessor, zigzag
    (0, -1, 1, -2, ...). Raises MessageError.
    """
    if len(data) < 8:
        raise MessageError(f'compressed depth (RVL) of {len(data)} bytes has no header')
    columns, rows = struct.unpack_from('<ii', data)
    count = columns * rows
    if columns < 1 or rows < 1 or count > MAX_PIXELS:
        raise MessageError(
            f'compressed depth (RVL) has an invalid size in its header: {columns}x{rows} px'
        )
    numbers = _numbers(data[8 : len(data) - len(data) % 4])
    image = np.zeros(count, np.uint16)
    known = np.zeros(count, np.bool_)
    steps: list[NDArray[np.int64]] = []
    at = pixel = 0
    while pixel < count:
        if at + 1 >= len(numbers):
            raise MessageError(
                f'compressed depth (RVL) of {columns}x{rows} px is cut short after {pixel} of '
                f'{count} px'
            )
        start = pixel + int(numbers[at])
        stop = start + int(numbers[at + 1])
        run = numbers[at + 2 : at + 2 + stop - start]
        if stop > count or len(run) < stop - start:
            raise MessageError(f'compressed depth (RVL) of {columns}x{rows} px is damaged')
        steps.append(run)
        known[start:stop] = True
        at, pixel = at + 2 + len(run), stop
    zigzag = np.concatenate(steps)
    depth = np.cumsum((zigzag >> 1) ^ -(zigzag & 1))
    if len(depth) and (depth.min() < 0 or depth.max() > np.iinfo(np.uint16).max):
        raise MessageError(f'compressed depth (RVL) of {columns}x{rows} px is damaged')
    image[known] = depth
    return image.reshape(rows, columns)


def _numbers(data: bytes) -> NDArray[np.int64]:
    """All numbers of the stream; zeros that fill its last word may follow."""
    words = np.frombuffer(data, '<u4')
    nibbles = ((words[:, None] >> np.arange(28, -4, -4, dtype=np.uint32)) & 15).reshape(-1)
    ends = np.flatnonzero(nibbles < 8)
    if not len(ends):
        return np.zeros(0, np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends + 1 - starts
    if lengths.max() > MAX_DIGITS:
        raise MessageError('compressed depth (RVL) is damaged')
    digits = nibbles[: ends[-1] + 1].astype(np.int64) & 7
    place = np.arange(len(digits)) - np.repeat(starts, lengths)
    return np.asarray(np.add.reduceat(digits << (3 * place), starts), np.int64)
