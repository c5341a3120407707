# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Fit images of any shape into a fixed size, and map results back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Letterbox:
    """Placement of an image, its aspect kept, in the middle of a black canvas.

    All in pixels. The image occupies rows top..top + height and columns left..left + width of a
    canvas of `size`; both sizes are (rows, columns).
    """

    image_size: tuple[int, int]
    size: tuple[int, int]
    top: int
    left: int
    height: int
    width: int

    @classmethod
    def fit(cls, image_size: tuple[int, int], size: tuple[int, int]) -> Letterbox:
        """Make the image as large as the canvas allows, at least 1 pixel each way."""
        scale = min(size[0] / image_size[0], size[1] / image_size[1])
        height = max(1, round(image_size[0] * scale))
        width = max(1, round(image_size[1] * scale))
        return cls(
            image_size, size, (size[0] - height) // 2, (size[1] - width) // 2, height, width
        )

    @property
    def content(self) -> tuple[slice, slice]:
        """Rows and columns of the canvas that the image occupies."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )

    def valid(self) -> npt.NDArray[np.bool_]:
        """Canvas-sized mask, False on the borders."""
        valid = np.zeros(self.size, np.bool_)
        valid[self.content] = True
        return valid

    def apply(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(H, W) or (H, W, C) image of `image_size` -> canvas of the same dtype."""
        canvas = np.zeros(self.size + image.shape[2:], image.dtype)
        shrinks = self.height < self.image_size[0]
        canvas[self.content] = cv2.resize(
            image,
            (self.width, self.height),
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        )
        return canvas

    def restore(self, canvas_map: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Interpolate a map of the canvas, (h, w) cells of any stride, at the image's pixels.

        Bilinear, pixel centres at half-integers. Cells that lie mostly on a border are ignored.
        Returns (H, W) = `image_size`.
        """
        y0, y_step, rows = self._axis(canvas_map.shape[0], 0, self.top, self.height)
        x0, x_step, columns = self._axis(canvas_map.shape[1], 1, self.left, self.width)
        return cv2.warpAffine(
            np.ascontiguousarray(canvas_map[rows, columns]),
            np.array([[x_step, 0, x0], [0, y_step, y0]]),
            self.image_size[::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def _axis(self, cells: int, axis: int, start: int, length: int) -> tuple[float, float, slice]:
        """Cell coordinate of image pixel 0, its step per pixel, and the cells of the image."""
        per_pixel = cells / self.size[axis]
        first = round(start * per_pixel)
        last = round((start + length) * per_pixel)
        if first == last:  # The picture is a sliver inside one cell.
            first = int((start + length / 2) * per_pixel)
            last = first + 1
        step = length / self.image_size[axis] * per_pixel
        return start * per_pixel + 0.5 * step - 0.5 - first, step, slice(first, last)
