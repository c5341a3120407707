# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Colour and depth images, raw or compressed. Raise MessageError on unusable content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import MessageError
from .rvl import decode_rvl

T = TypeVar('T')

# Encoding: bytes of a pixel, cv2's conversion to RGB (None: it is RGB).
COLOR_ENCODINGS: dict[str, tuple[int, str | None]] = {
    'rgb8': (3, None),
    'bgr8': (3, 'COLOR_BGR2RGB'),
    'rgba8': (4, 'COLOR_RGBA2RGB'),
    'bgra8': (4, 'COLOR_BGRA2RGB'),
    'mono8': (1, 'COLOR_GRAY2RGB'),
    'bayer_rggb8': (1, 'COLOR_BayerRGGB2RGB'),
    'bayer_bggr8': (1, 'COLOR_BayerBGGR2RGB'),
    'bayer_gbrg8': (1, 'COLOR_BayerGBRG2RGB'),
    'bayer_grbg8': (1, 'COLOR_BayerGRBG2RGB'),
    'yuv422': (2, 'COLOR_YUV2RGB_UYVY'),
    'yuv422_yuy2': (2, 'COLOR_YUV2RGB_YUY2'),
}

# REP 118: 16UC1 is the device's millimetres, 32FC1 metres.
DEPTH_ENCODINGS: dict[str, tuple[str, float | None]] = {
    '16UC1': ('u2', 1e-3),
    'mono16': ('u2', 1e-3),
    '32FC1': ('f4', None),
}

# compressed_depth_image_transport's ConfigHeader before the picture: an enum, and the two
# parameters of its inverse depth, float32.
DEPTH_HEADER = 12


def image_to_rgb(msg: Any) -> NDArray[np.uint8]:
    """Return an Image or CompressedImage as (H, W, 3) uint8 RGB; rgb8 is a view of its data."""
    if hasattr(msg, 'format'):
        return _decompressed_rgb(msg)
    size, conversion = _known('colour', msg.encoding, COLOR_ENCODINGS)
    rows = _rows(msg, size)
    pixels = rows.reshape(*rows.shape[:1], -1, size) if size > 1 else rows
    if conversion is None:
        return pixels
    if conversion.startswith('COLOR_YUV') and msg.width % 2:
        raise MessageError(f'a {msg.encoding} image must have an even width, not {msg.width}')
    rgb = cv2.cvtColor(pixels, getattr(cv2, conversion))
    return np.asarray(rgb, dtype=np.uint8)


def image_to_depth(msg: Any) -> NDArray[np.float32]:
    """Return depth as (H, W) float32 m; 0, NaN or infinite where unknown.

    An Image, or a CompressedImage of the transports compressedDepth (PNG, RVL) and compressed
    (PNG).
    """
    if hasattr(msg, 'format'):
        return _decompressed_depth(msg)
    code, scale = _known('depth', msg.encoding, DEPTH_ENCODINGS)
    dtype = np.dtype(('>' if msg.is_bigendian else '<') + code)
    raw = _rows(msg, dtype.itemsize).view(dtype)
    if scale is None:
        return raw.astype(np.float32, copy=False)
    return np.multiply(raw, np.float32(scale), dtype=np.float32)


def _known(kind: str, encoding: str, table: Mapping[str, T]) -> T:
    if encoding not in table:
        raise MessageError(
            f'{kind} encoding {encoding!r} is not supported, expected one of {", ".join(table)}'
        )
    return table[encoding]


def _rows(msg: Any, pixel_bytes: int) -> NDArray[np.uint8]:
    """The image's rows (H, W * pixel_bytes) without their padding, as a view."""
    width, height, step = int(msg.width), int(msg.height), int(msg.step)
    if width < 1 or height < 1:
        raise MessageError(f'{msg.encoding} image of {width}x{height} is empty')
    if step < width * pixel_bytes:
        raise MessageError(
            f'{msg.encoding} image {width} wide needs {width * pixel_bytes} bytes a row, but its '
            f'step is {step}'
        )
    data = np.frombuffer(msg.data, dtype=np.uint8)
    # The last row may come without its padding.
    needed = (height - 1) * step + width * pixel_bytes
    if len(data) < needed:
        raise MessageError(
            f'{msg.encoding} image of {width}x{height}, step {step}, is cut short: '
            f'{len(data)} of {needed} bytes'
        )
    return np.lib.stride_tricks.as_strided(
        data, (height, width * pixel_bytes), (step, 1), writeable=False
    )


def _decompressed_rgb(msg: Any) -> NDArray[np.uint8]:
    pixels = picture(msg, bytes(msg.data), cv2.IMREAD_COLOR)
    # compressed_image_transport names the order of the channels that it encoded.
    if 'compressed rgb' in msg.format:
        return np.asarray(pixels, np.uint8)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def _decompressed_depth(msg: Any) -> NDArray[np.float32]:
    encoding = msg.format.split(';')[0].strip()
    data = bytes(msg.data)
    inverse = None
    if 'compressedDepth' in msg.format:
        inverse = np.frombuffer(data[4:DEPTH_HEADER].ljust(8, b'\0'), '<f4')
        data = data[DEPTH_HEADER:]
    if inverse is not None and 'rvl' in msg.format.lower():
        pixels: NDArray[Any] = decode_rvl(data)
    else:
        pixels = picture(msg, data, cv2.IMREAD_UNCHANGED)
    if pixels.dtype != np.uint16 or pixels.ndim != 2:
        raise MessageError(f'compressed image {msg.format!r} does not hold 16-bit depth')
    if encoding == '32FC1' and inverse is not None:
        with np.errstate(divide='ignore'):
            depth = inverse[0] / (pixels - inverse[1])
        return np.where(pixels > 0, depth, np.nan).astype(np.float32)
    if encoding not in ('16UC1', 'mono16'):
        raise MessageError(f'compressed depth of encoding {encoding!r} is not supported')
    return np.multiply(pixels, np.float32(1e-3), dtype=np.float32)


def picture(msg: Any, data: bytes, how: int) -> NDArray[Any]:
    """Decode a CompressedImage's JPEG or PNG `data` as cv2.imdecode does with the flags `how`."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), how) if data else None
    if pixels is None:
        raise MessageError(
            f'compressed image {msg.format!r} of {len(data)} bytes cannot be decoded: '
            'expected JPEG or PNG'
        )
    return pixels
