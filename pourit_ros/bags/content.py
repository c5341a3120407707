# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a message tells about its topic: kind of image, size and frame."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from ..messages.errors import MessageError
from ..messages.images import COLOR_ENCODINGS, image_to_depth, picture
from ..sync.transforms import frame_name
from .topics import Content, Kind

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(COLOR_ENCODINGS, 'color'),
    'mono8': 'grey',
    '8UC1': 'grey',
    'mono16': 'grey16',
    '16UC1': 'depth',
    '32FC1': 'depth',
}


def content_of(message: Any) -> Content:
    """Inspect a message as rosbags or rclpy decodes it; without an image the kind is unknown."""
    if hasattr(message, 'format'):
        return _compressed(message)
    if not hasattr(message, 'width'):
        return Content()
    kind = _KINDS.get(message.encoding, 'other') if hasattr(message, 'encoding') else 'unknown'
    return Content(kind, int(message.width), int(message.height), _frame(message))


def _compressed(message: Any) -> Content:
    if 'compressedDepth' in message.format:
        try:
            height, width = image_to_depth(message).shape
        except MessageError:
            return Content('other', frame_id=_frame(message))
        return Content('depth', width, height, _frame(message))
    try:
        pixels = picture(message, bytes(message.data), cv2.IMREAD_UNCHANGED)
    except MessageError:
        return Content('other', frame_id=_frame(message))
    kind: Kind = 'color'
    if pixels.ndim == 2:
        # A bare "png" of 16 bits is what cameras' drivers make of depth.
        grey16: Kind = 'grey16' if message.format.startswith('mono16') else 'depth'
        kind = grey16 if pixels.dtype == np.uint16 else 'grey'
    height, width = pixels.shape[:2]
    return Content(kind, width, height, _frame(message))


def _frame(message: Any) -> str:
    return frame_name(message.header.frame_id)
