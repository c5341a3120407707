# Copyright 2026 pourit_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Lift the mask's pixels onto the pouring plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .camera import PinholeCamera
from .depth import depth_evidence
from .errors import NotEstimable
from .plane import PouringPlane

# A stream narrower or shorter than this carries no centre line.
MIN_PIXELS = 12


@dataclass(frozen=True, eq=False)
class LiquidCloud:
    """The liquid region in 3D, in the colour camera's optical frame.

    `points` (N, 3) m, one for each mask pixel; `intensity` (N,) CAM value in 0..1; `radius` (N,)
    m: the stream's half width at pixels of the mask's medial axis, 0 elsewhere. `plane` is the
    pouring plane it lies in, None when the cloud was received as a message.
    """

    points: NDArray[np.float64]
    intensity: NDArray[np.float64]
    radius: NDArray[np.float64]
    plane: PouringPlane | None = None

    @classmethod
    def empty(cls) -> LiquidCloud:
        """The cloud of a frame without liquid, or whose liquid cannot be lifted."""
        return cls(np.zeros((0, 3)), np.zeros(0), np.zeros(0))

    def __len__(self) -> int:
        return len(self.points)


def lift_mask(
    mask: NDArray[np.bool_],
    cam: NDArray[np.float32],
    camera: PinholeCamera,
    plane: PouringPlane,
    depth: NDArray[np.float32] | None = None,
) -> LiquidCloud:
    """Lift a mask (H, W) with its CAM (H, W; 0..1) onto the plane.

    `depth` (H, W) m, aligned to colour, 0 or NaN where unknown: moves the plane where the sensor
    saw the liquid itself (`depth_evidence`). Raises NotEstimable.
    """
    import cv2

    # Of the box around it alone: searching a whole image takes longer than all the rest.
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    box = mask[y : y + height, x : x + width]
    v, u = np.nonzero(box)
    if len(u) < MIN_PIXELS:
        raise NotEstimable(f'the mask has only {len(u)} px, at least {MIN_PIXELS} needed')
    radius_px = _medial_radius(box)[v, u]
    v, u = v + y, u + x
    rays = camera.rays(np.column_stack([u, v]))
    points = plane.intersect(rays)
    # Metres per pixel across the ray at each point.
    footprint = points[:, 2] / np.sqrt(camera.fx * camera.fy)
    if depth is not None:
        half_width = float(np.median((radius_px * footprint)[radius_px > 0]))
        evidence = depth_evidence(rays, depth[v, u], plane, half_width)
        if evidence.accepted:
            plane = plane.shifted(evidence.offset, evidence.sigma)
            points = plane.intersect(rays)
            footprint = points[:, 2] / np.sqrt(camera.fx * camera.fy)
    intensity = np.asarray(cam[v, u], dtype=float)
    return LiquidCloud(points, intensity, radius_px * footprint, plane)


def _medial_radius(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance to the mask's border (H, W), px, on its one-pixel skeleton; 0 elsewhere."""
    import cv2
    from skimage.morphology import skeletonize

    # A border of zeros, so that a mask touching the array's edge ends there.
    region = np.pad(mask, 1).astype(np.uint8)
    distance = cv2.distanceTransform(region, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.where(skeletonize(region > 0), distance, 0.0)[1:-1, 1:-1]
