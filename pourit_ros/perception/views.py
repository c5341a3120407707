# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Which part of an image the network sees, and at which scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .letterbox import Letterbox
from .segmentation import ImageRegion

# How a region is scaled: a stream of 10 mm gets 10 px, as most of those that the network learned.
# 0.8 and 1.3 times that, and 320 px below, score lower on rendered pours.
PIXELS_PER_METRE = 1000.0
SCALES = (0.35, 2.0)
# The longer side of what a part is scaled to at most, and what both sides are multiples of: few
# shapes, so that kernels chosen for a shape are chosen once.
LONGEST_SIDE = 256
SIDE_STEP = 32
# A second look scales the stream that the first one found to this width, px, if that makes it so
# much larger; around it is this share of its extent and twice its width.
STREAM_WIDTH = 12.0
ZOOM = (1.05, 3.0)
MARGIN = 0.25


@dataclass(frozen=True)
class View:
    """Rows and columns of an image, and their placement in the network's input."""

    window: tuple[slice, slice]
    letterbox: Letterbox

    @property
    def scale(self) -> float:
        """Pixels of the network's input per pixel of the image."""
        return self.letterbox.height / self.letterbox.image_size[0]


def whole_view(size: tuple[int, int], input_size: int) -> View:
    """All of an image of `size` (rows, columns), in a rectangle of the area of a square.

    Its sides are in the image's ratio, rounded up to multiples of 32, so that hardly any of it is
    border. Beyond 4 to 1 the longer side stays at twice the square's.
    """
    scale = min(input_size / math.sqrt(size[0] * size[1]), 2 * input_size / max(size))
    return _in_rectangle((slice(0, size[0]), slice(0, size[1])), size, scale)


def square_view(size: tuple[int, int], input_size: int) -> View:
    """All of an image of `size` (rows, columns) in a square."""
    rows, columns = size
    return View((slice(0, rows), slice(0, columns)), Letterbox.fit(size, (input_size, input_size)))


def region_view(region: ImageRegion) -> View:
    """A region, scaled as training scaled streams."""
    scale = float(np.clip(PIXELS_PER_METRE / region.pixels_per_metre, *SCALES))
    return _part(region.x0, region.y0, region.x1, region.y1, scale)


def closer_view(mask: npt.NDArray[np.bool_], scale: float) -> View | None:
    """The view for a second pass: around the stream of `mask` (H, W), found at `scale`.

    None: no stream, or it was already seen at that size.
    """
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if not width:
        return None
    stream = float(mask.sum()) / math.hypot(width, height)
    margin = MARGIN * max(width, height) + 2 * stream
    x0, y0 = (max(0, int(at - margin)) for at in (x, y))
    x1, y1 = (
        min(end, int(at + margin))
        for at, end in ((x + width, mask.shape[1]), (y + height, mask.shape[0]))
    )
    closer = min(STREAM_WIDTH / stream, ZOOM[1] * scale, SCALES[1])
    view = _part(x0, y0, x1, y1, closer)
    return view if view.scale > ZOOM[0] * scale else None


def _part(x0: int, y0: int, x1: int, y1: int, scale: float) -> View:
    size = (y1 - y0, x1 - x0)
    scale = min(scale, LONGEST_SIDE / max(size))
    return _in_rectangle((slice(y0, y1), slice(x0, x1)), size, scale)


def _in_rectangle(window: tuple[slice, slice], size: tuple[int, int], scale: float) -> View:
    # The least that is rounded up to a whole step is rounding of the scale.
    height, width = (
        SIDE_STEP * max(1, math.ceil(side * scale / SIDE_STEP - 1e-6)) for side in size
    )
    return View(window, Letterbox.fit(size, (height, width)))
