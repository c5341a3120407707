# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pinhole camera whose intrinsics follow each crop and resize of its image."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import GeometryError


@dataclass(frozen=True)
class PinholeCamera:
    """Intrinsics of an image of `width` x `height` pixels; pixel centres lie at integers.

    Points are in the optical frame: x right, y down, z forward, m. u = fx x / z + cx and v = fy y
    / z + cy, after OpenCV's distortion where there is one. Raises GeometryError for an empty
    image, or intrinsics that are not finite and positive.

    >>> camera = PinholeCamera(width=640, height=480, fx=600, fy=600, cx=319.5, cy=239.5)
    >>> camera.project([[0.1, 0.0, 1.0]])
    array([[379.5, 239.5]])
    >>> camera.resize(320, 240).project([[0.1, 0.0, 1.0]])
    array([[189.5, 119.5]])
    """

    width: int
    """Of the image, px."""
    height: int
    """Of the image, px."""
    fx: float
    """Focal length, px."""
    fy: float
    """Focal length, px."""
    cx: float
    """Principal point, px."""
    cy: float
    """Principal point, px."""
    distortion: tuple[float, ...] = ()
    """OpenCV's coefficients (plumb_bob, rational_polynomial); empty for a rectified image."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise GeometryError(f'camera: image size {self.width}x{self.height} is empty')
        values = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not np.all(np.isfinite(values)):
            raise GeometryError('camera: intrinsics are not finite')
        if self.fx <= 0 or self.fy <= 0:
            raise GeometryError(
                f'camera: focal lengths must be positive, got fx={self.fx:g} fy={self.fy:g} '
                '(an uncalibrated camera publishes K[0] = 0)'
            )

    @classmethod
    def from_matrix(
        cls, K: ArrayLike, width: int, height: int, distortion: ArrayLike = ()
    ) -> PinholeCamera:
        """Build from a 3x3 intrinsic matrix in pixels; raises GeometryError."""
        K = np.asarray(K, dtype=float)
        if K.shape != (3, 3):
            raise GeometryError(f'camera: intrinsic matrix must be 3x3, got {K.shape}')
        coefficients = np.asarray(distortion, dtype=float).ravel()
        kept = tuple(coefficients.tolist()) if np.any(coefficients) else ()
        return cls(width, height, K[0, 0], K[1, 1], K[0, 2], K[1, 2], kept)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The 3x3 intrinsic matrix K."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """Project points (N, 3) of the optical frame, metres, to pixels (N, 2)."""
        points = np.asarray(points, dtype=float).reshape(-1, 3)
        if self.distortion:
            import cv2

            pixels, _ = cv2.projectPoints(
                points, np.zeros(3), np.zeros(3), self.matrix, np.array(self.distortion)
            )
            return np.asarray(pixels, dtype=float).reshape(-1, 2)
        normalised = points[:, :2] / points[:, 2:]
        return normalised * [self.fx, self.fy] + [self.cx, self.cy]

    def rays(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """Return K⁻¹(u, v, 1)ᵀ for pixels (N, 2): directions (N, 3) with z = 1."""
        pixels = np.asarray(pixels, dtype=float).reshape(-1, 2)
        if self.distortion and len(pixels):
            import cv2

            normalised = cv2.undistortPoints(
                pixels[:, None], self.matrix, np.array(self.distortion)
            ).reshape(-1, 2)
        else:
            normalised = (pixels - [self.cx, self.cy]) / [self.fx, self.fy]
        return np.column_stack([normalised, np.ones(len(pixels))])

    def crop(self, x: int, y: int, width: int, height: int) -> PinholeCamera:
        """Camera of the sub-image whose top-left pixel is (x, y); may reach outside (padding)."""
        return replace(self, width=width, height=height, cx=self.cx - x, cy=self.cy - y)

    def resize(self, width: int, height: int) -> PinholeCamera:
        """Camera of the image resampled to width x height (pixel areas map onto each other)."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5,
        )
