# SPDX-License-Identifier: Apache-2.0
"""Pinhole camera whose intrinsics follow every crop, resize and letterbox of its image."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import GeometryError


@dataclass(frozen=True)
class PinholeCamera:
    """Intrinsics of an image of `width` x `height` pixels; pixel centres lie at integers.

    `distortion` holds OpenCV's coefficients (plumb_bob, rational_polynomial), empty for a
    rectified image.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()

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

    def letterbox(self, width: int, height: int) -> PinholeCamera:
        """Camera of the image scaled with its aspect kept and centred in width x height."""
        scale = min(width / self.width, height / self.height)
        inner_w, inner_h = round(self.width * scale), round(self.height * scale)
        inner = self.resize(max(inner_w, 1), max(inner_h, 1))
        x, y = (width - inner.width) // 2, (height - inner.height) // 2
        return inner.crop(-x, -y, width, height)
