# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Read and write image files, whatever bytes their names contain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

# What cameras put into 16 bits.
BIT_DEPTHS = (8, 10, 12, 14, 16)


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read an image file as (H, W, 3) uint8 RGB, rotated as its EXIF says.

    A file with 16 bits a channel may hold 10, 12 or 14 bit values without saying so: white is the
    maximum of the smallest of these depths that holds the brightest value. Raises InputError,
    which names the file.

    >>> image = read_image('photo.jpg')
    >>> image.shape, image.dtype
    ((480, 640, 3), dtype('uint8'))
    """
    bgr = decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if bgr.dtype == np.uint16:
        brightest = int(bgr.max(initial=0))
        bits = next(depth for depth in BIT_DEPTHS if brightest < 1 << depth)
        bgr = (bgr >> (bits - 8)).astype(np.uint8)
    if bgr.dtype != np.uint8:
        raise InputError(f'{path}: holds {bgr.dtype} values, expected 8 or 16 bits a channel')
    return np.ascontiguousarray(bgr[..., ::-1])


def read_grey(path: str | Path) -> NDArray[np.uint8]:
    """Read an image file as (H, W) uint8; raises InputError."""
    return np.asarray(decode(path, cv2.IMREAD_GRAYSCALE), np.uint8)


def read_stored(path: str | Path) -> NDArray[Any]:
    """Read an image file as it is stored, colour as RGB; raises InputError."""
    image = decode(path, cv2.IMREAD_UNCHANGED)
    return np.ascontiguousarray(image[..., ::-1]) if image.ndim == 3 else image


def decode(path: str | Path, how: int) -> NDArray[Any]:
    """Read an image file as cv2.imread does with the flags `how`; raises InputError."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{path}: no such file')
    data = np.frombuffer(path.read_bytes(), np.uint8)
    try:
        image = cv2.imdecode(data, how) if data.size else None
    except cv2.error as error:
        # OpenCV refuses more than 2^30 pixels so.
        detail = (
            'it has too many pixels' if 'pixels' in str(error).lower() else 'OpenCV rejects it'
        )
        raise InputError(f'{path}: cannot be read as an image, {detail}') from None
    if image is None:
        raise InputError(f'{path}: cannot be read as an image')
    return np.asarray(image)


def write_image(path: str | Path, image: NDArray[Any], parameters: Sequence[int] = ()) -> None:
    """Write (H, W) or (H, W, 3) RGB, uint8 or uint16; the suffix determines the format.

    `parameters`: as cv2.imwrite takes them. Raises InputError.
    """
    path = Path(path)
    if image.ndim == 3:
        image = np.ascontiguousarray(image[..., ::-1])
    try:
        good, data = cv2.imencode(path.suffix, image, list(parameters))
    except cv2.error:
        good = False
    if not good:
        raise InputError(
            f'{path}: an image of {image.dtype} {image.shape} cannot be written in this format'
        )
    path.write_bytes(data.tobytes())
